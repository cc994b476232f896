/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/view.h"

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

static int number_cmp(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int sort_cmp(const void *a, const void *b, void *arg)
{
    const struct sorting *sorting = arg;
    const struct mvcc_kv *x = a;
    const struct mvcc_kv *y = b;
    int diff = 0;
    switch ((int)sorting->target) {
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION:
        diff = number_cmp(x->version, y->version);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE:
        diff = number_cmp(x->create, y->create);
        break;
    case ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD:
        diff = number_cmp(x->mod, y->mod);
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

static void options_of(const Etcdserverpb__RangeRequest *request, struct mvcc_range_options *out)
{
    bool is_whole = request->sort_order != ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE ||
                    is_filtered(request);
    bool needs_values = request->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    *out = (struct mvcc_range_options){
        .key = pb_slice(request->key),
        .end = pb_slice(request->range_end),
        .rev = request->revision,
        .limit = is_whole || request->limit <= 0 ? 0 : request->limit,
        .is_count_only = request->count_only,
        .is_keys_only = request->keys_only && !needs_values,
    };
    if (out->limit > 0 && out->limit < INT64_MAX) {
        out->limit++; /* one more tells `more` */
    }
}

struct err view_range_request(
    struct view *view, const Etcdserverpb__RangeRequest *request, Etcdserverpb__RangeResponse **out)
{
    struct mvcc_range_options options;
    struct mvcc_range_result result = {0};
    options_of(request, &options);
    TRY(view_range(view, &options, &result));
    if (is_filtered(request)) {
        filter(request, &result);
    }
    sort(request, &result);
    Etcdserverpb__RangeResponse *response = VIEW_NEW(view->arena, etcdserverpb__range_response);
    if (request->limit > 0 && result.kvs_count > (uint64_t)request->limit) {
        result.kvs_count = (size_t)request->limit;
        response->more = true;
    }
    for (size_t i = 0; request->keys_only && i < result.kvs_count; i++) {
        result.kvs[i].value = (struct slice){0};
    }
    response->header = view_header(view->arena, result.rev);
    response->count = result.total;
    response->n_kvs = result.kvs_count;
    response->kvs = view_kvs(view->arena, result.kvs, result.kvs_count);
    if (!response->kvs) {
        return ERR(TOO_BIG);
    }
    *out = response;
    return OK;
}

struct err apply_range(struct mvcc *mvcc, const Etcdserverpb__RangeRequest *request,
    struct arena *arena, Etcdserverpb__RangeResponse **out)
{
    struct view view = {.mvcc = mvcc, .arena = arena};
    /* A compaction may pass a newest revision before it is read at; then there is a newer one. */
    for (;;) {
        view.rev = mvcc_revision(mvcc);
        struct err err = view_range_request(&view, request, out);
        if (!IS(err, COMPACTED) || request->revision > 0) {
            return err;
        }
    }
}
