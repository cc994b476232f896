/* SPDX-License-Identifier: Apache-2.0 */
#include "api/identity.h"
#include "api/weigh.h"

#include "base/clock.h"

enum { FIELD_PUT = 4, FIELD_DELETE_RANGE = 5, FIELD_TXN = 6, FIELD_COMPACTION = 7 };

static void range_read(struct call_state *state)
{
    api_done(state, OK);
}

/* When the read may be made. */
static void range_read_done(struct server_read *read)
{
    struct call_state *state = CONTAINER_OF(read, struct call_state, read);
    if (err_is(read->err)) {
        api_done(state, read->err);
    } else {
        weigh_in(state, weigh_range(state->call->api, (const void *)state->request), range_read);
    }
}

static void range_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__RangeRequest *request = (const void *)state->request;
    struct err err = apply_check_range(request);
    state->call->is_quick = request->range_end.len == 0;
    state->read.done = range_read_done;
    if (err_is(err)) {
        api_done(state, err);
    } else if (!request->serializable && !server_can_read_now(api->server)) {
        server_read_index(api->server, &state->read);
    } else {
        weigh_in(state, weigh_range(api, request), range_read);
    }
}

static struct err range_rows(
    struct api *api, struct call_state *state, struct arena *arena, struct apply_rows *out)
{
    const Etcdserverpb__RangeRequest *request = (const void *)state->request;
    TRY(api_guard(api, &state->call->caller, state->call->arena, &state->guard));
    TRY(apply_may_range(&state->guard, request));
    int64_t began_ns = clock_mono_ns();
    struct err err = apply_range_rows(api->mvcc, request, arena, out);
    api_observe_since(api->metrics.ranges[!err_is(err)], began_ns);
    TRY(err);
    return api_still(api, &state->guard);
}

/* What a range of keys gives is sent from where it lies: it keeps an arena of its own. */
static struct err range_reply(struct api *api, struct call_state *state, struct payload *out)
{
    struct weigh_home *home = state->pass.bytes ? weigh_home_new(state) : NULL;
    struct arena *arena = home ? weigh_home_arena(home) : NULL;
    struct apply_rows rows;
    struct err err = range_rows(api, state, home ? arena : state->call->arena, &rows);
    if (err_is(err)) {
        if (home) {
            weigh_home_free(home);
        }
        return err;
    }
    struct buf head;
    buf_init(&head, SIZE_MAX);
    api_add_header(api, &head, rows.rev);
    if (home) {
        weigh_home_give(home, out);
    }
    apply_rows_pack(&rows, buf_slice(&head), arena, out);
    buf_fini(&head);
    if (home) {
        gate_learn(&api->gate, rows.count, out->bytes);
    }
    return OK;
}

const struct api_ops api_kv_range = {.start = range_start, .reply = range_reply};

/* As with etcd, a full store refuses before anything is said of the request. */
static void put_start(struct api *api, struct call_state *state)
{
    if (!api_has_space(api, state)) {
        return;
    }
    struct err err = apply_check_put((const void *)state->request);
    if (err_is(err)) {
        api_done(state, err);
    } else {
        api_propose(api, state, FIELD_PUT, state->call->request);
    }
}

const struct api_ops api_kv_put = {.start = put_start};

static void delete_propose(struct call_state *state)
{
    api_propose(state->call->api, state, FIELD_DELETE_RANGE, state->call->request);
}

static void delete_start(struct api *api, struct call_state *state)
{
    struct err err = apply_check_delete((const void *)state->request);
    if (err_is(err)) {
        api_done(state, err);
    } else {
        weigh_in(state, weigh_delete(api, (const void *)state->request), delete_propose);
    }
}

const struct api_ops api_kv_delete = {.start = delete_start};

/* Txn: one that only reads does not go through the log. */

static void txn_run(struct call_state *state)
{
    const Etcdserverpb__TxnRequest *request = (const void *)state->request;
    struct api *api = state->call->api;
    if (!apply_txn_is_read_only(request)) {
        api_propose(api, state, FIELD_TXN, state->call->request);
    } else if (apply_txn_is_serializable(request)) {
        api_done(state, OK);
    } else {
        api_read(api, state);
    }
}

static void txn_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__TxnRequest *request = (const void *)state->request;
    if (!api_has_space(api, state)) {
        return;
    }
    struct err err = apply_check_txn(request, api->options.txn_ops_max);
    if (err_is(err)) {
        api_done(state, err);
    } else {
        weigh_in(state, weigh_txn(api, request), txn_run);
    }
}

static struct err txn_execute(struct api *api, struct call_state *state)
{
    Etcdserverpb__TxnResponse *response;
    if (state->response) {
        return OK; /* it went through the log */
    }
    TRY(api_guard(api, &state->call->caller, state->call->arena, &state->guard));
    TRY(apply_may_txn(&state->guard, (const void *)state->request));
    TRY(apply_txn_read(api->mvcc, (const void *)state->request, state->call->arena, &response));
    state->response = &response->base;
    return api_still(api, &state->guard);
}

const struct api_ops api_kv_txn = {.start = txn_start, .execute = txn_execute};

static void compacted(struct server_job *job)
{
    struct call_state *state = CONTAINER_OF(job, struct call_state, job);
    api_done(state, OK);
}

/* On the apply thread. physical: the answer waits until the rows are gone. */
static void compact_applied(struct server_proposal *proposal)
{
    struct call_state *state = CONTAINER_OF(proposal, struct call_state, proposal);
    const Etcdserverpb__CompactionRequest *request = (const void *)state->request;
    state->response = proposal->result.response;
    if (err_is(proposal->result.err) || !request->physical) {
        api_done(state, proposal->result.err);
        return;
    }
    state->job.run = compacted;
    server_after_compaction(state->call->api->server, &state->job);
}

static void compact_start(struct api *api, struct call_state *state)
{
    state->proposal.done = compact_applied;
    api_propose(api, state, FIELD_COMPACTION, state->call->request);
}

static struct err compact_execute(struct api *api, struct call_state *state)
{
    ((Etcdserverpb__CompactionResponse *)(void *)state->response)->header->revision =
        mvcc_revision(api->mvcc);
    return OK;
}

const struct api_ops api_kv_compact = {
    .right = API_RIGHT_ADMIN, .start = compact_start, .execute = compact_execute};
