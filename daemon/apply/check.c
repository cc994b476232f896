/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/apply.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/pb.h"

struct err apply_check_range(const Etcdserverpb__RangeRequest *request)
{
    if (request->key.len == 0) {
        return ERR(EMPTY_KEY);
    }
    if ((unsigned)request->sort_order > ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND ||
        (unsigned)request->sort_target > ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE) {
        return ERR(INVALID_SORT_OPTION);
    }
    return OK;
}

struct err apply_check_put(const Etcdserverpb__PutRequest *request)
{
    if (request->key.len == 0) {
        return ERR(EMPTY_KEY);
    }
    if (request->ignore_value && request->value.len) {
        return ERR(VALUE_PROVIDED);
    }
    return request->ignore_lease && request->lease ? ERR(LEASE_PROVIDED) : OK;
}

struct err apply_check_delete(const Etcdserverpb__DeleteRangeRequest *request)
{
    return request->key.len == 0 ? ERR(EMPTY_KEY) : OK;
}

static struct err check_shape(const Etcdserverpb__TxnRequest *request, int ops_max);

static struct err check_op(const Etcdserverpb__RequestOp *op, int ops_max)
{
    switch ((int)op->request_case) {
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE:
        return apply_check_range(op->request_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT:
        return apply_check_put(op->request_put);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE:
        return apply_check_delete(op->request_delete_range);
    case ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN:
        return check_shape(op->request_txn, ops_max);
    default:
        return ERR(KEY_NOT_FOUND); /* what etcd answers to an operation that asks for nothing */
    }
}

static struct err check_ops(Etcdserverpb__RequestOp *const *ops, size_t count, int ops_max)
{
    for (size_t i = 0; i < count; i++) {
        TRY(check_op(ops[i], ops_max));
    }
    return OK;
}

static struct err check_shape(const Etcdserverpb__TxnRequest *request, int ops_max)
{
    size_t most = request->n_compare;
    most = request->n_success > most ? request->n_success : most;
    most = request->n_failure > most ? request->n_failure : most;
    if (ops_max < 0 || most > (size_t)ops_max) {
        return ERR(TOO_MANY_OPS);
    }
    for (size_t i = 0; i < request->n_compare; i++) {
        if (request->compare[i]->key.len == 0) {
            return ERR(EMPTY_KEY);
        }
    }
    TRY(check_ops(request->success, request->n_success, ops_max - (int)most));
    return check_ops(request->failure, request->n_failure, ops_max - (int)most);
}

/* No two writes of one transaction may touch the same key. */

struct interval {
    struct slice begin;
    struct slice end; /* exclusive; for a single key: meaningless */
    bool is_point;
};

/* What a list of operations writes: put keys, and deleted intervals, sorted and merged so that a
 * look-up is a search. */
struct writes {
    struct map *puts;
    struct interval *dels;
    size_t count;
    size_t cap;
};

static void writes_init(struct writes *writes)
{
    *writes = (struct writes){.puts = map_new()};
}

static void writes_fini(struct writes *writes)
{
    map_free(writes->puts);
    free(writes->dels);
}

/* Whether a ends before b begins, with nothing in common. */
static bool ends_before(const struct interval *a, struct slice begin)
{
    return a->is_point ? slice_cmp(a->begin, begin) < 0 : slice_cmp(a->end, begin) <= 0;
}

static size_t find_first_not_before(const struct writes *writes, struct slice key)
{
    size_t low = 0;
    size_t high = writes->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (ends_before(&writes->dels[mid], key)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool deletes(const struct writes *writes, struct slice key)
{
    size_t at = find_first_not_before(writes, key);
    return at < writes->count && slice_cmp(writes->dels[at].begin, key) <= 0;
}

/* Joins fresh with everything it overlaps. */
static void add_interval(struct writes *writes, struct interval fresh)
{
    size_t at = find_first_not_before(writes, fresh.begin);
    size_t past = at;
    while (past < writes->count &&
           (fresh.is_point ? slice_cmp(writes->dels[past].begin, fresh.begin) <= 0
                           : slice_cmp(writes->dels[past].begin, fresh.end) < 0)) {
        const struct interval *old = &writes->dels[past++];
        if (slice_cmp(old->begin, fresh.begin) < 0) {
            fresh.begin = old->begin;
        }
        if (!old->is_point && (fresh.is_point || slice_cmp(old->end, fresh.end) > 0)) {
            fresh.end = old->end;
            fresh.is_point = false;
        }
    }
    if (past == at && writes->count == writes->cap) {
        writes->cap = writes->cap ? writes->cap * 2 : 8;
        writes->dels = mem_grow(writes->dels, writes->cap * sizeof(*writes->dels));
    }
    size_t tail = writes->count - past;
    memmove(&writes->dels[at + 1], &writes->dels[past], tail * sizeof(*writes->dels));
    writes->dels[at] = fresh;
    writes->count = at + 1 + tail;
}

static void add_delete(struct writes *writes, const Etcdserverpb__DeleteRangeRequest *request)
{
    struct interval fresh = {
        pb_slice(request->key), pb_slice(request->range_end), request->range_end.len == 0};
    /* etcd takes the end literally here: "\0" does not mean "all that follow", so such an interval
     * is empty. */
    if (fresh.is_point || slice_cmp(fresh.begin, fresh.end) < 0) {
        add_interval(writes, fresh);
    }
}

static struct err add_put(struct writes *writes, struct slice key)
{
    if (map_get(writes->puts, key) || deletes(writes, key)) {
        return ERR(DUPLICATE_KEY);
    }
    map_put(writes->puts, key, writes);
    return OK;
}

static struct err collect(Etcdserverpb__RequestOp *const *ops, size_t count, struct writes *out);

/* A branch's puts against what was written beside it; excused holds the other branch's, of which
 * only one can run. */
static struct err merge_puts(
    struct writes *out, const struct writes *from, const struct writes *excused)
{
    void *cursor = NULL;
    struct slice key;
    void *value;
    while (map_next(from->puts, &cursor, &key, &value)) {
        bool is_excused = excused && map_get(excused->puts, key);
        if ((map_get(out->puts, key) && !is_excused) || deletes(out, key)) {
            return ERR(DUPLICATE_KEY);
        }
        map_put(out->puts, key, out);
    }
    return OK;
}

static struct err collect_txn(const Etcdserverpb__TxnRequest *request, struct writes *out)
{
    struct writes success;
    struct writes failure;
    writes_init(&success);
    writes_init(&failure);
    struct err err = collect(request->success, request->n_success, &success);
    if (!err_is(err)) {
        err = collect(request->failure, request->n_failure, &failure);
    }
    if (!err_is(err)) {
        err = merge_puts(out, &success, NULL);
    }
    if (!err_is(err)) {
        err = merge_puts(out, &failure, &success);
    }
    for (size_t i = 0; i < success.count; i++) {
        add_interval(out, success.dels[i]);
    }
    for (size_t i = 0; i < failure.count; i++) {
        add_interval(out, failure.dels[i]);
    }
    writes_fini(&success);
    writes_fini(&failure);
    return err;
}

/* Deletes of this level first, then nested transactions, then puts of this level: etcd's order. */
static struct err collect(Etcdserverpb__RequestOp *const *ops, size_t count, struct writes *out)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE) {
            add_delete(out, ops[i]->request_delete_range);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN) {
            TRY(collect_txn(ops[i]->request_txn, out));
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT) {
            TRY(add_put(out, pb_slice(ops[i]->request_put->key)));
        }
    }
    return OK;
}

static struct err check_writes(Etcdserverpb__RequestOp *const *ops, size_t count)
{
    struct writes writes;
    if (count < 2 &&
        (count == 0 || ops[0]->request_case != ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN)) {
        return OK; /* one operation has nothing to clash with: the common case of an apiserver */
    }
    writes_init(&writes);
    struct err err = collect(ops, count, &writes);
    writes_fini(&writes);
    return err;
}

struct err apply_check_txn(const Etcdserverpb__TxnRequest *request, int ops_max)
{
    TRY(check_shape(request, ops_max));
    TRY(check_writes(request->success, request->n_success));
    return check_writes(request->failure, request->n_failure);
}
