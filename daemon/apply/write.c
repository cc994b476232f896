/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/view.h"

#include "base/pb.h"

static struct err find_prev(struct view *view, struct slice key, struct mvcc_kv **out)
{
    struct mvcc_range_result result = {0};
    struct mvcc_range_options options = {.key = key};
    TRY(view_range(view, &options, &result));
    *out = result.kvs_count ? &result.kvs[0] : NULL;
    return OK;
}

/* No client gets such a request into the log; a log that holds one all the same must not make a
 * row that cannot be read again. */
struct err view_check_key(const Etcdserverpb__PutRequest *request)
{
    return request->key.len ? OK : ERR(EMPTY_KEY);
}

struct err view_put(
    struct view *view, const Etcdserverpb__PutRequest *request, Etcdserverpb__PutResponse **out)
{
    struct slice value = pb_slice(request->value);
    lease_id lease = request->lease;
    struct mvcc_kv *prev = NULL;
    if (request->prev_kv || request->ignore_value || request->ignore_lease) {
        TRY(find_prev(view, pb_slice(request->key), &prev));
    }
    if (!prev && (request->ignore_value || request->ignore_lease)) {
        return ERR(KEY_NOT_FOUND);
    }
    if (request->ignore_value) {
        value = prev->value;
    }
    if (request->ignore_lease) {
        lease = prev->lease;
    }
    Etcdserverpb__PutResponse *response = VIEW_NEW(view->arena, etcdserverpb__put_response);
    if (request->prev_kv && prev) {
        response->prev_kv = view_kvs(view->arena, prev, 1)[0];
    }
    view->puts++;
    view->put_bytes += request->key.len + value.len;
    mvcc_txn_put(view->txn, pb_slice(request->key), value, lease);
    response->header = view_header(view->arena, view_rev(view));
    *out = response;
    return OK;
}

struct err view_delete(struct view *view, const Etcdserverpb__DeleteRangeRequest *request,
    Etcdserverpb__DeleteRangeResponse **out)
{
    struct mvcc_range_options options = {
        .key = pb_slice(request->key), .end = pb_slice(request->range_end)};
    Etcdserverpb__DeleteRangeResponse *response =
        VIEW_NEW(view->arena, etcdserverpb__delete_range_response);
    if (request->prev_kv) {
        struct mvcc_range_result result = {0};
        TRY(view_range(view, &options, &result));
        response->n_prev_kvs = result.kvs_count;
        response->prev_kvs = view_kvs(view->arena, result.kvs, result.kvs_count);
    }
    view->deletes++;
    response->deleted = mvcc_txn_delete_range(view->txn, options.key, options.end);
    response->header = view_header(view->arena, view_rev(view));
    *out = response;
    return OK;
}
