/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/state.h"

enum { LEASE_COST = 64, KV_COST = 256 };

static int64_t cost_put(const Etcdserverpb__PutRequest *put)
{
    return KV_COST + (int64_t)put->key.len + (int64_t)put->value.len;
}

static int64_t cost_txn(const Etcdserverpb__TxnRequest *txn);

static int64_t cost_ops(Etcdserverpb__RequestOp *const *ops, size_t count)
{
    int64_t cost = 0;
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            cost += cost_put(ops[i]->request_put);
        } else if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            cost += cost_txn(ops[i]->request_txn);
        }
    }
    return cost;
}

static int64_t cost_txn(const Etcdserverpb__TxnRequest *txn)
{
    int64_t success = cost_ops(txn->success, txn->n_success);
    int64_t failure = cost_ops(txn->failure, txn->n_failure);
    return success > failure ? success : failure;
}

int64_t apply_cost(const ProtobufCMessage *request)
{
    if (request->descriptor == &etcdserverpb__put_request__descriptor) {
        return cost_put((const Etcdserverpb__PutRequest *)request);
    }
    if (request->descriptor == &etcdserverpb__txn_request__descriptor) {
        return cost_txn((const Etcdserverpb__TxnRequest *)request);
    }
    return request->descriptor == &etcdserverpb__lease_grant_request__descriptor ? LEASE_COST : 0;
}

/* A downgrade sets the version to its target while all members are still one above it. */
static bool counts_nested(struct apply *apply)
{
    const struct member_version counts = {3, 6};
    struct member_version version;
    struct member_downgrade downgrade;
    member_downgrade_get(apply->options.members, &downgrade);
    const char *text = member_cluster_version(apply->options.members);
    if (downgrade.is_enabled && member_version_parse(downgrade.target, &version)) {
        version.minor++;
        return member_version_cmp(version, counts) >= 0;
    }
    return !member_version_parse(text, &version) || member_version_cmp(version, counts) >= 0;
}

static bool has_put(Etcdserverpb__RequestOp *const *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            return true;
        }
    }
    return false;
}

bool apply_is_capped(struct apply *apply, const Etcdserverpb__TxnRequest *txn)
{
    return counts_nested(apply)
               ? cost_txn(txn) > 0
               : has_put(txn->success, txn->n_success) || has_put(txn->failure, txn->n_failure);
}

bool apply_fits_quota(struct apply *apply, const ProtobufCMessage *request)
{
    int64_t cost = apply_cost(request);
    return apply->quota_bytes < 0 || cost == 0 ||
           atomic_load_explicit(&apply->store_bytes, memory_order_relaxed) + cost <
               apply->quota_bytes;
}

/* What is written between two measurements counts by its cost. */
bool apply_take_quota(struct apply *apply, const ProtobufCMessage *request)
{
    bool fits = apply_fits_quota(apply, request);
    atomic_fetch_add(&apply->store_bytes, apply_cost(request));
    return fits;
}

int64_t apply_quota_bytes(const struct apply *apply)
{
    return apply->quota_bytes;
}

void apply_measure(struct apply *apply)
{
    atomic_store(&apply->store_bytes, (int64_t)backend_disk_bytes(apply->options.backend));
}
