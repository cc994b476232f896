/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/count.h"

#include "base/pb.h"

#include <stdlib.h>

static bool is_filtered(const Etcdserverpb__RangeRequest *r)
{
    return r->min_mod_revision || r->max_mod_revision || r->min_create_revision ||
           r->max_create_revision;
}

static bool is_kept(const Etcdserverpb__RangeRequest *r, const struct mvcc_kv *kv)
{
    return !(r->max_mod_revision && kv->mod > r->max_mod_revision) &&
           !(r->min_mod_revision && kv->mod < r->min_mod_revision) &&
           !(r->max_create_revision && kv->create > r->max_create_revision) &&
           !(r->min_create_revision && kv->create < r->min_create_revision);
}

static void filter(const Etcdserverpb__RangeRequest *request, struct mvcc_range_result *result)
{
    size_t kept = 0;
    for (size_t i = 0; i < result->kvs_count; i++) {
        if (is_kept(request, &result->kvs[i])) {
            result->kvs[kept++] = result->kvs[i];
        }
    }
    result->kvs_count = kept;
}

struct sorting {
    Etcdserverpb__RangeRequest__SortTarget target;
    int direction; /* 1 or -1 */
};

static int sort_cmp(const void *a, const void *b, void *arg)
{
    const struct sorting *sorting = arg;
    const struct mvcc_kv *x = a;
    const struct mvcc_kv *y = b;
    int diff = 0;
    switch ((int)sorting->target) {
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
        diff = int64_cmp(x->version, y->version);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
        diff = int64_cmp(x->create, y->create);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD:
        diff = int64_cmp(x->mod, y->mod);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE:
        diff = slice_cmp(x->value, y->value);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY:
    default:
        diff = slice_cmp(x->key, y->key);
        break;
    }
    /* Keys are unique: the order of equals is the order of keys, whatever the direction, as a
     * stable sort gives it. */
    return diff ? diff * sorting->direction : slice_cmp(x->key, y->key);
}

/* Results come in ascending key order; a target other than the key sorts ascending unless told
 * otherwise. */
static void sort(const Etcdserverpb__RangeRequest *request, struct mvcc_range_result *result)
{
    bool is_by_key = request->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    bool is_down = request->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    struct sorting sorting = {request->sort_target, is_down ? -1 : 1};
    if (result->kvs_count > 1 && (!is_by_key || is_down)) {
        qsort_r(result->kvs, result->kvs_count, sizeof(*result->kvs), sort_cmp, &sorting);
    }
}

struct mvcc_range_options apply_range_options(const Etcdserverpb__RangeRequest *request)
{
    bool is_whole = request->sort_order != ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE ||
                    is_filtered(request);
    bool needs_values = request->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    struct mvcc_range_options options = {
        .key = pb_slice(request->key),
        .end = pb_slice(request->range_end),
        .rev = request->revision,
        .limit = is_whole || request->limit <= 0 ? 0 : request->limit,
        .is_count_only = request->count_only,
        .is_keys_only = request->keys_only && !needs_values,
    };
    if (options.limit > 0 && options.limit < INT64_MAX) {
        options.limit++; /* one more tells `more` */
    }
    return options;
}

static struct err view_rows(
    struct view *view, const Etcdserverpb__RangeRequest *request, struct apply_rows *out)
{
    struct mvcc_range_options options = apply_range_options(request);
    struct mvcc_range_result result = {0};
    TRY(view_range(view, &options, &result));
    if (is_filtered(request)) {
        filter(request, &result);
    }
    sort(request, &result);
    bool has_more = request->limit > 0 && result.kvs_count > (uint64_t)request->limit;
    if (has_more) {
        result.kvs_count = (size_t)request->limit;
    }
    for (size_t i = 0; request->keys_only && i < result.kvs_count; i++) {
        result.kvs[i].value = (struct slice){0};
    }
    *out = (struct apply_rows){result.kvs, result.kvs_count, result.total, has_more, result.rev};
    return OK;
}

struct err view_range_request(
    struct view *view, const Etcdserverpb__RangeRequest *request, Etcdserverpb__RangeResponse **out)
{
    struct apply_rows rows;
    TRY(view_rows(view, request, &rows));
    Etcdserverpb__RangeResponse *response = VIEW_NEW(view->arena, etcdserverpb__range_response);
    response->header = view_header(view->arena, rows.rev);
    response->more = rows.has_more;
    response->count = rows.total;
    response->n_kvs = rows.count;
    response->kvs = view_kvs(view->arena, rows.kvs, rows.count);
    if (!response->kvs) {
        return ERR(TOO_BIG);
    }
    *out = response;
    return OK;
}

/* A compaction may pass a newest revision before it is read at; then there is a newer one. */
static bool is_overtaken(struct err err, const Etcdserverpb__RangeRequest *request)
{
    return IS(err, COMPACTED) && request->revision <= 0;
}

struct err apply_range(struct mvcc *mvcc, const Etcdserverpb__RangeRequest *request,
    struct arena *arena, Etcdserverpb__RangeResponse **out)
{
    struct err err;
    struct view view = {.mvcc = mvcc, .arena = arena};
    do {
        view.rev = mvcc_revision(mvcc);
        err = view_range_request(&view, request, out);
    } while (is_overtaken(err, request));
    count_view(&view);
    return err;
}

struct err apply_range_rows(struct mvcc *mvcc, const Etcdserverpb__RangeRequest *request,
    struct arena *arena, struct apply_rows *out)
{
    struct err err;
    struct view view = {.mvcc = mvcc, .arena = arena};
    do {
        view.rev = mvcc_revision(mvcc);
        err = view_rows(&view, request, out);
    } while (is_overtaken(err, request));
    count_view(&view);
    return err;
}
