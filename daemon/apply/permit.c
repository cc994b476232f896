/* SPDX-License-Identifier: Apache-2.0
 *
 * Which permissions a request needs: every operation at every depth of a transaction, what it reads
 * on the side (compares, previous values) and what a lease it attaches to holds already.
 */
#include "apply/apply.h"

#include "base/pb.h"

static struct err may_read(
    const struct apply_guard *guard, ProtobufCBinaryData key, ProtobufCBinaryData end)
{
    return auth_may_read(guard->auth, &guard->caller, pb_slice(key), pb_slice(end));
}

static struct err may_write(
    const struct apply_guard *guard, ProtobufCBinaryData key, ProtobufCBinaryData end)
{
    return auth_may_write(guard->auth, &guard->caller, pb_slice(key), pb_slice(end));
}

/* Somebody who may administer need not be asked about each key. */
static struct err may_use_keys(const struct apply_guard *guard, lease_id id, bool is_write)
{
    struct lease_info info;
    struct slice *keys = NULL;
    size_t count = 0;
    if (!err_is(auth_may_administer(guard->auth, &guard->caller))) {
        return OK;
    }
    struct arena *arena = arena_new(0);
    struct err err = OK;
    if (!err_is(lease_look(guard->leases, id, 0, arena, &info, &keys, &count))) {
        for (size_t i = 0; !err_is(err) && i < count; i++) {
            err = is_write ? auth_may_write(guard->auth, &guard->caller, keys[i], (struct slice){0})
                           : auth_may_read(guard->auth, &guard->caller, keys[i], (struct slice){0});
        }
    }
    arena_free(arena);
    return err;
}

struct err apply_may_write_lease(const struct apply_guard *guard, lease_id id)
{
    return may_use_keys(guard, id, true);
}

struct err apply_may_read_lease(const struct apply_guard *guard, lease_id id)
{
    return may_use_keys(guard, id, false);
}

struct err apply_may_range(
    const struct apply_guard *guard, const Etcdserverpb__RangeRequest *request)
{
    return may_read(guard, request->key, request->range_end);
}

/* Whoever could not write a key of the lease cannot revoke it, so must not add to it either. */
struct err apply_may_put(const struct apply_guard *guard, const Etcdserverpb__PutRequest *request)
{
    TRY(may_write(guard, request->key, (ProtobufCBinaryData){0}));
    if (request->lease) {
        TRY(apply_may_write_lease(guard, request->lease));
    }
    return request->prev_kv ? may_read(guard, request->key, (ProtobufCBinaryData){0}) : OK;
}

struct err apply_may_delete(
    const struct apply_guard *guard, const Etcdserverpb__DeleteRangeRequest *request)
{
    TRY(may_write(guard, request->key, request->range_end));
    return request->prev_kv ? may_read(guard, request->key, request->range_end) : OK;
}

static struct err may_op(const struct apply_guard *guard, const Etcdserverpb__RequestOp *op)
{
    switch ((int)op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return apply_may_range(guard, op->request_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return apply_may_put(guard, op->request_put);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return apply_may_delete(guard, op->request_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return apply_may_txn(guard, op->request_txn);
    default:
        return OK;
    }
}

static struct err may_ops(
    const struct apply_guard *guard, Etcdserverpb__RequestOp *const *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        TRY(may_op(guard, ops[i]));
    }
    return OK;
}

struct err apply_may_txn(const struct apply_guard *guard, const Etcdserverpb__TxnRequest *request)
{
    if (!auth_is_enabled(guard->auth)) {
        return OK; /* saves the walk */
    }
    for (size_t i = 0; i < request->n_compare; i++) {
        TRY(may_read(guard, request->compare[i]->key, request->compare[i]->range_end));
    }
    TRY(may_ops(guard, request->success, request->n_success));
    return may_ops(guard, request->failure, request->n_failure);
}
