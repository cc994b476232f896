/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions in etcd's three passes: all compares (nested ones too) against the state before;
 * then every check that could fail; then the operations, which cannot fail any more, so that no
 * transaction is left half done.
 */
#include "apply/count.h"

#include "base/pb.h"

typedef Etcdserverpb__TxnRequest txn_request;
typedef Etcdserverpb__TxnResponse txn_response;
typedef Etcdserverpb__Compare compare;

/* A target whose union holds another kind compares with zero, as in etcd. */
static int64_t target_number(
    const compare *c, Etcdserverpb__Compare__TargetUnionCase wanted, int64_t number)
{
    return c->target_union_case == wanted ? number : 0;
}

static int compare_kv(const compare *c, const struct mvcc_kv *kv)
{
    switch ((int)c->target) {
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE: {
        bool has_value = c->target_union_case == ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
        return slice_cmp(kv->value, has_value ? pb_slice(c->value) : (struct slice){0});
    }
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE:
        return int64_cmp(
            kv->create, target_number(c, ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION,
                            c->create_revision));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD:
        return int64_cmp(kv->mod,
            target_number(c, ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION, c->mod_revision));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION:
        return int64_cmp(
            kv->version, target_number(c, ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION, c->version));
    case ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE:
        return int64_cmp(
            kv->lease, target_number(c, ETCDSERVERPB__COMPARE__TARGET_UNION_LEASE, c->lease));
    default:
        return 0; /* an unknown target compares equal, as in etcd */
    }
}

static bool holds_for(const compare *c, const struct mvcc_kv *kv)
{
    int diff = compare_kv(c, kv);
    switch ((int)c->result) {
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL:
        return diff == 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL:
        return diff != 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER:
        return diff > 0;
    case ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS:
        return diff < 0;
    default:
        return true;
    }
}

static bool holds_for_absent(const compare *c)
{
    const struct mvcc_kv none = {0};
    /* There is no way to write a missing value: comparing one always fails. */
    return c->target != ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE && holds_for(c, &none);
}

static struct err holds(struct view *view, const compare *c, bool *out)
{
    bool is_by_value = c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    struct mvcc_range_result result = {0};
    struct mvcc_kv kv;
    if (c->range_end.len == 0 && !is_by_value) {
        bool exists;
        TRY(view_stat(view, pb_slice(c->key), &exists, &kv));
        *out = exists ? holds_for(c, &kv) : holds_for_absent(c);
        return OK;
    }
    struct mvcc_range_options options = {
        .key = pb_slice(c->key), .end = pb_slice(c->range_end), .is_keys_only = !is_by_value};
    TRY(view_range(view, &options, &result));
    *out = result.kvs_count ? true : holds_for_absent(c);
    for (size_t i = 0; *out && i < result.kvs_count; i++) {
        *out = holds_for(c, &result.kvs[i]);
    }
    return OK;
}

static struct err all_hold(struct view *view, const txn_request *request, bool *out)
{
    *out = true;
    for (size_t i = 0; *out && i < request->n_compare; i++) {
        TRY(holds(view, request->compare[i], out));
    }
    return OK;
}

/* The branch of every transaction in the tree, in the order in which they are met. */
struct path {
    bool *taken;
    size_t count;
    size_t at;
    /* The lowest key from which deletes that were met take all that follow; the check for overlaps
     * does not see those. */
    struct slice wiped;
    bool is_missing; /* a put needs a key that is wiped before it */
};

struct branch {
    Etcdserverpb__RequestOp **ops;
    size_t count;
};

static struct branch branch_of(const txn_request *request, bool is_taken)
{
    return is_taken ? (struct branch){request->success, request->n_success}
                    : (struct branch){request->failure, request->n_failure};
}

static const txn_request *nested(const Etcdserverpb__RequestOp *op)
{
    return op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN ? op->request_txn
                                                                             : NULL;
}

static size_t count_txns(const txn_request *request)
{
    size_t success = 0;
    size_t failure = 0;
    for (size_t i = 0; i < request->n_success; i++) {
        success += nested(request->success[i]) ? count_txns(nested(request->success[i])) : 0;
    }
    for (size_t i = 0; i < request->n_failure; i++) {
        failure += nested(request->failure[i]) ? count_txns(nested(request->failure[i])) : 0;
    }
    return 1 + (success > failure ? success : failure);
}

static struct err walk_compares(struct view *view, const txn_request *request, struct path *path)
{
    bool is_taken;
    TRY(all_hold(view, request, &is_taken));
    path->taken[path->count++] = is_taken;
    struct branch branch = branch_of(request, is_taken);
    for (size_t i = 0; i < branch.count; i++) {
        if (nested(branch.ops[i])) {
            TRY(walk_compares(view, nested(branch.ops[i]), path));
        }
    }
    return OK;
}

static void note_delete(struct path *path, const Etcdserverpb__DeleteRangeRequest *request)
{
    bool is_open = request->range_end.len == 1 && request->range_end.data[0] == 0;
    struct slice key = pb_slice(request->key);
    if (is_open && (!path->wiped.data || slice_cmp(key, path->wiped) < 0)) {
        path->wiped = key;
    }
}

static struct err check_put(
    struct view *view, struct path *path, const Etcdserverpb__PutRequest *put)
{
    struct mvcc_kv kv;
    bool exists = true;
    TRY(view_check_key(put));
    if (put->ignore_value || put->ignore_lease) {
        TRY(view_stat(view, pb_slice(put->key), &exists, &kv));
        path->is_missing = path->is_missing ||
                           (path->wiped.data && slice_cmp(pb_slice(put->key), path->wiped) >= 0);
    }
    if (!exists) {
        return ERR(KEY_NOT_FOUND);
    }
    return put->lease && !lease_exists(view->leases, put->lease) ? ERR(LEASE_NOT_FOUND) : OK;
}

static struct err check_range(struct view *view, const Etcdserverpb__RangeRequest *range)
{
    revision rev = view_rev(view);
    if (range->revision == 0) {
        return OK;
    }
    if (range->revision > rev) {
        return ERR(FUTURE_REV);
    }
    return range->revision < mvcc_compact_revision(view->mvcc) ? ERR(COMPACTED) : OK;
}

static struct err walk_checks(struct view *view, const txn_request *request, struct path *path)
{
    struct branch branch = branch_of(request, path->taken[path->at++]);
    for (size_t i = 0; i < branch.count; i++) {
        const Etcdserverpb__RequestOp *op = branch.ops[i];
        if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE) {
            TRY(check_range(view, op->request_range));
        } else if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            TRY(check_put(view, path, op->request_put));
        } else if (op->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE) {
            note_delete(path, op->request_delete_range);
        } else if (nested(op)) {
            TRY(walk_checks(view, nested(op), path));
        }
    }
    return OK;
}

static struct err walk_ops(
    struct view *view, const txn_request *request, struct path *path, txn_response **out);

static struct err run_op(struct view *view, const Etcdserverpb__RequestOp *op, struct path *path,
    Etcdserverpb__ResponseOp *out)
{
    switch ((int)op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
        return view_range_request(view, op->request_range, &out->response_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_PUT;
        return view_put(view, op->request_put, &out->response_put);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_DELETE_RANGE;
        return view_delete(view, op->request_delete_range, &out->response_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        out->response_case = ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_TXN;
        return walk_ops(view, op->request_txn, path, &out->response_txn);
    case ETCDSERVERPB__REQUEST_OP__REQUEST__NOT_SET:
    default:
        return OK;
    }
}

static struct err walk_ops(
    struct view *view, const txn_request *request, struct path *path, txn_response **out)
{
    txn_response *response = VIEW_NEW(view->arena, etcdserverpb__txn_response);
    response->succeeded = path->taken[path->at++];
    struct branch branch = branch_of(request, response->succeeded);
    /* Nested responses carry an empty header, as etcd's do. */
    response->header = view_header(view->arena, 0);
    response->n_responses = branch.count;
    response->responses = arena_alloc(view->arena, branch.count * sizeof(*response->responses));
    if (!response->responses) {
        return ERR(TOO_BIG);
    }
    for (size_t i = 0; i < branch.count; i++) {
        response->responses[i] = VIEW_NEW(view->arena, etcdserverpb__response_op);
        TRY(run_op(view, branch.ops[i], path, response->responses[i]));
    }
    *out = response;
    return OK;
}

struct err view_txn(struct view *view, const txn_request *request, txn_response **out)
{
    txn_response *response;
    struct path path = {.taken = arena_alloc(view->arena, count_txns(request) * sizeof(bool))};
    if (!path.taken) {
        return ERR(TOO_BIG);
    }
    TRY(walk_compares(view, request, &path));
    TRY(walk_checks(view, request, &path));
    if (path.is_missing) {
        return ERR(KEY_NOT_FOUND); /* now, with nothing written yet */
    }
    path.at = 0;
    TRY(walk_ops(view, request, &path, &response));
    response->header->revision = view_rev(view);
    *out = response;
    return OK;
}

struct err apply_txn_read(
    struct mvcc *mvcc, const txn_request *request, struct arena *arena, txn_response **out)
{
    struct view view = {.mvcc = mvcc, .arena = arena};
    for (;;) {
        view.rev = mvcc_revision(mvcc);
        struct err err = view_txn(&view, request, out);
        /* COMPACTED may also mean that a compaction passed our revision while we read. */
        if (!IS(err, COMPACTED) || mvcc_compact_revision(mvcc) <= view.rev) {
            count_view(&view);
            return err;
        }
    }
}

bool apply_txn_is_read_only(const txn_request *request)
{
    for (size_t i = 0; i < request->n_success; i++) {
        if (request->success[i]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE) {
            return false;
        }
    }
    for (size_t i = 0; i < request->n_failure; i++) {
        if (request->failure[i]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE) {
            return false;
        }
    }
    return true;
}

bool apply_txn_is_serializable(const txn_request *request)
{
    for (size_t i = 0; i < request->n_success; i++) {
        if (!request->success[i]->request_range->serializable) {
            return false;
        }
    }
    for (size_t i = 0; i < request->n_failure; i++) {
        if (!request->failure[i]->request_range->serializable) {
            return false;
        }
    }
    return true;
}
