/* SPDX-License-Identifier: Apache-2.0
 *
 * A session's key: put, waited for until all that are older are gone, deleted. */
#include "session_impl.h"

#include <inttypes.h>

/* Asks for one key of the prefix: the oldest, or in descending order the youngest. */
static void set_first(struct session *session, const char *prefix,
    Etcdserverpb__RangeRequest__SortOrder order, Etcdserverpb__RangeRequest *range)
{
    range->key = ctl_bytes(prefix);
    range->range_end = pb_bytes(prefix_range_end(session->arena, slice_str(prefix)));
    range->sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    range->sort_order = order;
    range->limit = 1;
}

static struct err wait_for_delete(struct session *session, struct watch_spec *spec, struct why *why)
{
    for (;;) {
        const Etcdserverpb__WatchResponse *got;
        TRY(session_wait_events(session, spec, session->arena, &got, why));
        for (size_t i = 0; i < got->n_events; i++) {
            if (got->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
                return OK;
            }
            spec->revision = got->events[i]->kv->mod_revision + 1;
        }
    }
}

/* The youngest key of the prefix that is older than revision, waited for until it is gone; then the
 * next one. */
static struct err wait_for_older(
    struct session *session, const char *prefix, int64_t revision, struct why *why)
{
    for (;;) {
        const Etcdserverpb__RangeResponse *found;
        REQUEST(RangeRequest, range_request, last);
        set_first(session, prefix, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND, &last);
        last.max_create_revision = revision - 1;
        TRY(client_call(session->client, CLIENT_ASK(&client_range, &last, 0), &found, why));
        if (found->n_kvs == 0) {
            return OK;
        }
        struct slice key = arena_dup(session->arena, pb_slice(found->kvs[0]->key));
        struct watch_spec spec = {.key = key, .revision = found->header->revision};
        TRY(wait_for_delete(session, &spec, why));
    }
}

/* That the key was created at that revision; 0: that there is none. */
static void compare_created(Etcdserverpb__Compare *compare, const char *name, int64_t revision)
{
    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare->create_revision = revision;
    compare->key = ctl_bytes(name);
}

/* Creates the key, or finds it there. has_waited: somebody's is older. */
static struct err put_own_key(struct session *session, const char *prefix, const char *value,
    struct session_key *out_key, struct why *why)
{
    const Etcdserverpb__TxnResponse *response;

    REQUEST(TxnRequest, txn_request, txn);
    REQUEST(Compare, compare, compare);
    REQUEST(RequestOp, request_op, put_op);
    REQUEST(RequestOp, request_op, get_op);
    REQUEST(RequestOp, request_op, first_op);
    REQUEST(PutRequest, put_request, put);
    REQUEST(RangeRequest, range_request, get);
    REQUEST(RangeRequest, range_request, first);
    compare_created(&compare, out_key->name, 0);
    put.key = get.key = compare.key;
    put.value = ctl_bytes(value);
    put.lease = session->lease;
    put_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    put_op.request_put = &put;
    get_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    get_op.request_range = &get;
    set_first(session, prefix, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND, &first);
    first_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    first_op.request_range = &first;
    txn.compare = &(Etcdserverpb__Compare *){&compare};
    txn.success = (Etcdserverpb__RequestOp *[]){&put_op, &first_op};
    txn.failure = (Etcdserverpb__RequestOp *[]){&get_op, &first_op};
    txn.n_compare = 1;
    txn.n_success = txn.n_failure = 2;
    TRY(session_call(session, CLIENT_ASK(&client_txn, &txn, 0), CMD_EXIT_ERROR, &response, why));
    const Etcdserverpb__RangeResponse *oldest = response->responses[1]->response_range;
    out_key->revision = response->succeeded
                            ? response->header->revision
                            : response->responses[0]->response_range->kvs[0]->create_revision;
    out_key->has_waited = oldest->n_kvs > 0 && oldest->kvs[0]->create_revision != out_key->revision;
    return OK;
}

static void set_acquiring(struct session *session, bool is_acquiring)
{
    pthread_mutex_lock(&session->lock);
    session->is_acquiring = is_acquiring;
    pthread_mutex_unlock(&session->lock);
}

struct err session_acquire(struct session *session, const char *prefix, const char *value,
    struct session_key *out_key, struct why *why)
{
    const char *folder = arena_printf(session->arena, "%s/", prefix);
    struct session_key key = {
        .name = arena_printf(session->arena, "%s%" PRIx64, folder, (uint64_t)session->lease)};
    struct why ignored;

    TRY(put_own_key(session, folder, value, &key, why));
    if (key.has_waited) {
        set_acquiring(session, true);
        struct err err = wait_for_older(session, folder, key.revision, why);
        set_acquiring(session, false);
        if (err_is(err) && !IS(err, LEASE_NOT_FOUND)) {
            (void)err_is(session_release(session, &key, &ignored));
        }
        TRY(err);
    }
    *out_key = key;
    return OK;
}

struct err session_release(struct session *session, const struct session_key *key, struct why *why)
{
    const Etcdserverpb__TxnResponse *response;

    REQUEST(TxnRequest, txn_request, txn);
    REQUEST(Compare, compare, compare);
    REQUEST(RequestOp, request_op, op);
    REQUEST(DeleteRangeRequest, delete_range_request, del);
    compare_created(&compare, key->name, key->revision);
    del.key = compare.key;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = &del;
    txn.compare = &(Etcdserverpb__Compare *){&compare};
    txn.success = &(Etcdserverpb__RequestOp *){&op};
    txn.n_compare = txn.n_success = 1;
    struct err err = client_call(session->client, CLIENT_ASK(&client_txn, &txn, 0), &response, why);
    /* That a connection was lost since the last call shows only now; to ask twice does no harm. */
    if (IS(err, IO)) {
        err = client_call(session->client, CLIENT_ASK(&client_txn, &txn, 0), &response, why);
    }
    return err;
}
