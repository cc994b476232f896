/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include "base/err.h"
#include "base/pb.h"

#include <rpc.pb-c.h>

void *words_make(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
    void *message = arena_zalloc(arena, type->sizeof_message);
    protobuf_c_message_init(type, message);
    return message;
}

static Etcdserverpb__RangeRequest *range_of(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__RangeRequest *range = words_make(arena, &etcdserverpb__range_request__descriptor);
    range->key = pb_bytes(op->key);
    range->range_end = pb_bytes(op->end);
    range->revision = op->revision;
    range->limit = op->limit;
    range->serializable = op->is_serializable;
    range->keys_only = op->is_keys_only;
    range->count_only = op->is_count_only;
    range->sort_order = (Etcdserverpb__RangeRequest__SortOrder)op->order;
    range->sort_target = (Etcdserverpb__RangeRequest__SortTarget)op->sort;
    return range;
}

static Etcdserverpb__PutRequest *put_of(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__PutRequest *put = words_make(arena, &etcdserverpb__put_request__descriptor);
    put->key = pb_bytes(op->key);
    put->value = pb_bytes(op->value);
    put->lease = op->lease;
    put->prev_kv = op->wants_prev;
    put->ignore_value = op->keeps_value;
    put->ignore_lease = op->keeps_lease;
    return put;
}

static Etcdserverpb__DeleteRangeRequest *delete_of(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__DeleteRangeRequest *request =
        words_make(arena, &etcdserverpb__delete_range_request__descriptor);
    request->key = pb_bytes(op->key);
    request->range_end = pb_bytes(op->end);
    request->prev_kv = op->wants_prev;
    return request;
}

static Etcdserverpb__Compare *compare_of(const struct history_compare *from, struct arena *arena)
{
    static const Etcdserverpb__Compare__CompareResult results[] = {
        [HISTORY_EQUAL] = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL,
        [HISTORY_GREATER] = ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER,
        [HISTORY_LESS] = ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS,
        [HISTORY_NOT_EQUAL] = ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL};
    Etcdserverpb__Compare *to = words_make(arena, &etcdserverpb__compare__descriptor);
    to->key = pb_bytes(from->key);
    to->range_end = pb_bytes(from->end);
    to->result = results[from->relation];
    switch (from->target) {
    case HISTORY_VERSION:
        to->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
        to->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
        to->version = from->number;
        break;
    case HISTORY_CREATE:
        to->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
        to->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
        to->create_revision = from->number;
        break;
    case HISTORY_MOD:
        to->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
        to->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
        to->mod_revision = from->number;
        break;
    case HISTORY_VALUE:
        to->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
        to->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        to->value = pb_bytes(from->value);
        break;
    case HISTORY_LEASE:
        to->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE;
        to->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE;
        to->lease = from->number;
        break;
    }
    return to;
}

static Etcdserverpb__TxnRequest *txn_of(const struct history_op *op, struct arena *arena);

static Etcdserverpb__RequestOp *op_of(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__RequestOp *to = words_make(arena, &etcdserverpb__request_op__descriptor);
    if (op->kind == HISTORY_RANGE) {
        to->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        to->request_range = range_of(op, arena);
    } else if (op->kind == HISTORY_PUT) {
        to->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        to->request_put = put_of(op, arena);
    } else if (op->kind == HISTORY_DELETE) {
        to->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
        to->request_delete_range = delete_of(op, arena);
    } else {
        to->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
        to->request_txn = txn_of(op, arena);
    }
    return to;
}

static Etcdserverpb__RequestOp **ops_of(
    const struct history_op *ops, size_t count, struct arena *arena)
{
    Etcdserverpb__RequestOp **to = arena_alloc(arena, (count + 1) * sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        to[i] = op_of(&ops[i], arena);
    }
    return to;
}

static Etcdserverpb__TxnRequest *txn_of(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__TxnRequest *txn = words_make(arena, &etcdserverpb__txn_request__descriptor);
    txn->n_compare = op->compares_count;
    txn->compare = arena_alloc(arena, (op->compares_count + 1) * sizeof(*txn->compare));
    for (size_t i = 0; i < op->compares_count; i++) {
        txn->compare[i] = compare_of(&op->compares[i], arena);
    }
    txn->n_success = op->then_count;
    txn->success = ops_of(op->then_ops, op->then_count, arena);
    txn->n_failure = op->else_count;
    txn->failure = ops_of(op->else_ops, op->else_count, arena);
    return txn;
}

static const char *lease_request(const struct history_op *op, struct arena *arena, void **out)
{
    Etcdserverpb__LeaseGrantRequest *grant;
    Etcdserverpb__LeaseRevokeRequest *revoke;
    Etcdserverpb__LeaseTimeToLiveRequest *look;
    if (op->kind == HISTORY_LEASE_GRANT) {
        *out = grant = words_make(arena, &etcdserverpb__lease_grant_request__descriptor);
        grant->id = op->lease;
        grant->ttl = op->ttl_s;
        return "/etcdserverpb.Lease/LeaseGrant";
    }
    if (op->kind == HISTORY_LEASE_REVOKE) {
        *out = revoke = words_make(arena, &etcdserverpb__lease_revoke_request__descriptor);
        revoke->id = op->lease;
        return "/etcdserverpb.Lease/LeaseRevoke";
    }
    *out = look = words_make(arena, &etcdserverpb__lease_time_to_live_request__descriptor);
    look->id = op->lease;
    look->keys = op->wants_keys;
    return "/etcdserverpb.Lease/LeaseTimeToLive";
}

static const char *key_request(const struct history_op *op, struct arena *arena, void **out)
{
    Etcdserverpb__CompactionRequest *compaction;
    if (op->kind == HISTORY_PUT) {
        *out = put_of(op, arena);
        return "/etcdserverpb.KV/Put";
    }
    if (op->kind == HISTORY_DELETE) {
        *out = delete_of(op, arena);
        return "/etcdserverpb.KV/DeleteRange";
    }
    if (op->kind == HISTORY_TXN) {
        *out = txn_of(op, arena);
        return "/etcdserverpb.KV/Txn";
    }
    if (op->kind == HISTORY_COMPACT) {
        *out = compaction = words_make(arena, &etcdserverpb__compaction_request__descriptor);
        compaction->revision = op->revision;
        return "/etcdserverpb.KV/Compact";
    }
    *out = range_of(op, arena);
    return "/etcdserverpb.KV/Range";
}

const char *words_request(const struct history_op *op, struct arena *arena, void **out_request)
{
    if (op->kind >= HISTORY_AUTH_ENABLE && op->kind < HISTORY_KINDS) {
        return words_auth_request(op, arena, out_request);
    }
    bool is_lease = op->kind == HISTORY_LEASE_GRANT || op->kind == HISTORY_LEASE_REVOKE ||
                    op->kind == HISTORY_LEASE_LOOK;
    return is_lease ? lease_request(op, arena, out_request) : key_request(op, arena, out_request);
}

/* Answers. */

void words_kv(const void *kv, struct history_kv *out)
{
    const Mvccpb__KeyValue *from = kv;
    *out = (struct history_kv){.key = pb_slice(from->key),
        .value = pb_slice(from->value),
        .create = from->create_revision,
        .mod = from->mod_revision,
        .version = from->version,
        .lease = from->lease};
}

static void take_kvs(
    Mvccpb__KeyValue **kvs, size_t count, struct arena *arena, struct history_result *out)
{
    struct history_kv *to = arena_alloc(arena, (count + 1) * sizeof(*to));
    for (size_t i = 0; i < count; i++) {
        words_kv(kvs[i], &to[i]);
    }
    out->kvs = to;
    out->kvs_count = count;
}

static int64_t revision_of(const Etcdserverpb__ResponseHeader *header)
{
    return header ? header->revision : 0;
}

static void range_result(
    const Etcdserverpb__RangeResponse *from, struct arena *arena, struct history_result *out)
{
    out->revision = revision_of(from->header);
    out->count = from->count;
    out->has_more = from->more;
    take_kvs(from->kvs, from->n_kvs, arena, out);
}

static void put_result(
    const Etcdserverpb__PutResponse *from, struct arena *arena, struct history_result *out)
{
    Mvccpb__KeyValue *prev = from->prev_kv;
    out->revision = revision_of(from->header);
    take_kvs(&prev, prev != NULL, arena, out);
}

static void delete_result(
    const Etcdserverpb__DeleteRangeResponse *from, struct arena *arena, struct history_result *out)
{
    out->revision = revision_of(from->header);
    out->count = from->deleted;
    take_kvs(from->prev_kvs, from->n_prev_kvs, arena, out);
}

static void txn_result(const struct history_op *op, const Etcdserverpb__TxnResponse *from,
    struct arena *arena, struct history_result *out)
{
    const struct history_op *ops = from->succeeded ? op->then_ops : op->else_ops;
    struct history_result *results =
        arena_zalloc(arena, (from->n_responses + 1) * sizeof(*results));
    check(from->n_responses == (from->succeeded ? op->then_count : op->else_count));
    out->revision = revision_of(from->header);
    out->is_succeeded = from->succeeded;
    out->results = results;
    out->results_count = from->n_responses;
    for (size_t i = 0; i < from->n_responses; i++) {
        words_result(&ops[i], from->responses[i]->response_range, arena, &results[i]);
    }
}

static void look_result(const Etcdserverpb__LeaseTimeToLiveResponse *from, struct arena *arena,
    struct history_result *out)
{
    struct slice *names = arena_alloc(arena, (from->n_keys + 1) * sizeof(*names));
    for (size_t i = 0; i < from->n_keys; i++) {
        names[i] = pb_slice(from->keys[i]);
    }
    out->revision = revision_of(from->header);
    out->ttl_s = from->ttl;
    out->granted_s = from->grantedttl;
    out->names = names;
    out->names_count = from->n_keys;
}

static void lease_result(
    const struct history_op *op, const void *response, struct history_result *out)
{
    if (op->kind == HISTORY_LEASE_GRANT) {
        const Etcdserverpb__LeaseGrantResponse *grant = response;
        out->revision = revision_of(grant->header);
        out->ttl_s = grant->ttl;
    } else if (op->kind == HISTORY_LEASE_KEEPALIVE) {
        const Etcdserverpb__LeaseKeepAliveResponse *kept = response;
        out->revision = revision_of(kept->header);
        out->ttl_s = kept->ttl;
    } else {
        out->revision = revision_of(((const Etcdserverpb__LeaseRevokeResponse *)response)->header);
    }
}

void words_result(const struct history_op *op, const void *response, struct arena *arena,
    struct history_result *out)
{
    *out = (struct history_result){0};
    switch ((int)op->kind) {
    case HISTORY_RANGE:
    case HISTORY_DUMP:
        range_result(response, arena, out);
        break;
    case HISTORY_PUT:
        put_result(response, arena, out);
        break;
    case HISTORY_DELETE:
        delete_result(response, arena, out);
        break;
    case HISTORY_TXN:
        txn_result(op, response, arena, out);
        break;
    case HISTORY_COMPACT:
        out->revision = revision_of(((const Etcdserverpb__CompactionResponse *)response)->header);
        break;
    case HISTORY_LEASE_LOOK:
        look_result(response, arena, out);
        break;
    case HISTORY_LEASE_GRANT:
    case HISTORY_LEASE_REVOKE:
    case HISTORY_LEASE_KEEPALIVE:
        lease_result(op, response, out);
        break;
    default:
        words_auth_result(op, response, arena, out);
        break;
    }
}
