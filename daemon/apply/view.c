/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/view.h"

#include "base/pb.h"

void *view_new(struct arena *arena, size_t size, void (*init)(void *message))
{
    void *message = arena_alloc(arena, size);
    check(message);
    init(message);
    return message;
}

Etcdserverpb__ResponseHeader *view_header(struct arena *arena, revision rev)
{
    Etcdserverpb__ResponseHeader *header = VIEW_NEW(arena, etcdserverpb__response_header);
    header->revision = rev;
    return header;
}

Mvccpb__KeyValue **view_kvs(struct arena *arena, const struct mvcc_kv *kvs, size_t count)
{
    Mvccpb__KeyValue **pointers = arena_alloc(arena, count * sizeof(*pointers));
    Mvccpb__KeyValue *values = arena_alloc(arena, count * sizeof(*values));
    if (!pointers || !values) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        mvccpb__key_value__init(&values[i]);
        values[i].key = pb_bytes(kvs[i].key);
        values[i].value = pb_bytes(kvs[i].value);
        values[i].create_revision = kvs[i].create;
        values[i].mod_revision = kvs[i].mod;
        values[i].version = kvs[i].version;
        values[i].lease = kvs[i].lease;
        pointers[i] = &values[i];
    }
    return pointers;
}

struct err view_range(
    struct view *view, const struct mvcc_range_options *options, struct mvcc_range_result *out)
{
    view->ranges++;
    if (view->txn) {
        return mvcc_txn_range(view->txn, options, view->arena, out);
    }
    struct mvcc_range_options at = *options;
    if (at.rev > view->rev) {
        return ERR(FUTURE_REV);
    }
    if (at.rev <= 0) {
        at.rev = view->rev;
    }
    TRY(mvcc_range(view->mvcc, &at, view->arena, out));
    out->rev = view->rev;
    return OK;
}

struct err view_stat(struct view *view, struct slice key, bool *out_exists, struct mvcc_kv *out)
{
    struct mvcc_range_result result;
    struct mvcc_range_options options = {.key = key, .is_keys_only = true};
    if (view->txn) {
        view->ranges++;
        *out_exists = mvcc_txn_stat(view->txn, key, out);
        return OK;
    }
    TRY(view_range(view, &options, &result));
    *out_exists = result.kvs_count > 0;
    if (*out_exists) {
        *out = result.kvs[0];
    }
    return OK;
}

revision view_rev(const struct view *view)
{
    if (!view->txn) {
        return view->rev;
    }
    return mvcc_txn_rev(view->txn) + (mvcc_txn_is_dirty(view->txn) ? 1 : 0);
}
