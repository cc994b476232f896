/* SPDX-License-Identifier: Apache-2.0 */
#include "api/weigh.h"

#include "base/mem.h"

static size_t sum(size_t a, size_t b)
{
    return a > SIZE_MAX / 2 - b ? SIZE_MAX / 2 : a + b;
}

static size_t weigh_keys(struct api *api, const struct mvcc_range_options *options)
{
    int64_t keys = mvcc_count_most(api->mvcc, options->key, options->end, options->rev);
    bool is_cut = options->limit > 0 && options->limit < keys;
    return gate_guess(
        &api->gate, (uint64_t)(is_cut ? options->limit : keys), options->is_keys_only);
}

size_t weigh_range(struct api *api, const Etcdserverpb__RangeRequest *request)
{
    struct mvcc_range_options options = apply_range_options(request);
    return options.end.len == 0 || options.is_count_only ? 0 : weigh_keys(api, &options);
}

size_t weigh_delete(struct api *api, const Etcdserverpb__DeleteRangeRequest *request)
{
    struct mvcc_range_options options = {
        .key = pb_slice(request->key), .end = pb_slice(request->range_end)};
    return options.end.len == 0 || !request->prev_kv ? 0 : weigh_keys(api, &options);
}

static size_t weigh_ops(struct api *api, Etcdserverpb__RequestOp *const *ops, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_t more = 0;
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE) {
            more = weigh_range(api, ops[i]->request_range);
        } else if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE) {
            more = weigh_delete(api, ops[i]->request_delete_range);
        } else if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            more = weigh_txn(api, ops[i]->request_txn);
        }
        bytes = sum(bytes, more);
    }
    return bytes;
}

size_t weigh_txn(struct api *api, const Etcdserverpb__TxnRequest *request)
{
    size_t success = weigh_ops(api, request->success, request->n_success);
    size_t failure = weigh_ops(api, request->failure, request->n_failure);
    return success > failure ? success : failure;
}

struct api_status weigh_too_large(void)
{
    return (struct api_status){
        GRPC_CODE_RESOURCE_EXHAUSTED, "grpc: trying to send message larger than max"};
}

static void let_in(struct gate_pass *pass, struct err err)
{
    struct call_state *state = CONTAINER_OF(pass, struct call_state, pass);
    if (err_is(err)) {
        pass->bytes = 0;
        api_done(state, err);
    } else {
        state->work(state);
    }
}

void weigh_in(struct call_state *state, size_t bytes, void (*then)(struct call_state *state))
{
    if (bytes == 0) {
        then(state);
        return;
    }
    state->pass.bytes = bytes;
    state->pass.done = let_in;
    state->work = then;
    gate_enter(&state->call->api->gate, &state->pass);
}

void weigh_out(struct call_state *state)
{
    size_t bytes = state->pass.bytes;
    state->pass.bytes = 0;
    if (bytes) {
        gate_leave(&state->call->api->gate, bytes);
    }
}

struct weigh_home {
    struct gate *gate;
    size_t bytes;
    struct arena *arena;
};

struct weigh_home *weigh_home_at(struct gate *gate, size_t bytes)
{
    struct weigh_home *home = mem_new(sizeof(*home));
    *home = (struct weigh_home){gate, bytes, arena_new(0)};
    return home;
}

struct weigh_home *weigh_home_new(struct call_state *state)
{
    size_t bytes = state->pass.bytes;
    state->pass.bytes = 0;
    return weigh_home_at(&state->call->api->gate, bytes);
}

struct arena *weigh_home_arena(struct weigh_home *home)
{
    return home->arena;
}

void weigh_home_free(struct weigh_home *home)
{
    arena_free(home->arena);
    gate_leave(home->gate, home->bytes);
    free(home);
}

static void release(void *owner)
{
    weigh_home_free(owner);
}

static void empty(void *owner)
{
    struct weigh_home *home = owner;
    arena_free(home->arena);
    home->arena = NULL;
}

void weigh_home_give(struct weigh_home *home, struct payload *payload)
{
    payload_set_home(payload, (struct payload_home){release, empty, home});
}

void weigh_home_pack(struct weigh_home *home, struct buf *packed, struct payload *payload)
{
    size_t len;
    uint8_t *bytes = buf_take(packed, &len);
    arena_defer(home->arena, free, bytes);
    payload_add_lent(payload, slice_of(bytes, len));
    weigh_home_give(home, payload);
}
