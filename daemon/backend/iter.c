/* SPDX-License-Identifier: Apache-2.0
 * Walks over rows. They do not fill the block cache: a whole-store walk must not push out what
 * reads use. */
#include "store.h"

#include "base/mem.h"

/* The order of keys, and whose they are up to the next of these. */
static const struct span {
    const char *from;
    enum family family;
} spans[] = {{"", FAMILY_OTHERS}, {"d", FAMILY_VALUES}, {"e", FAMILY_OTHERS}};

struct backend_iter {
    struct backend *backend;
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *rocks;
    struct backend_snapshot *view; /* our own, where the walk leads through more than one span */
    struct blob *to;               /* RocksDB borrows the bounds */
    size_t span;
    size_t last_span;
    bool is_started;
    char *broken; /* what RocksDB threw: rocks is used no more */
};

static size_t span_of(struct slice key)
{
    size_t at = COUNT_OF(spans) - 1;
    while (slice_cmp(key, slice_str(spans[at].from)) < 0) {
        at--;
    }
    return at;
}

/* The last span that has a key below `to`; empty: no bound. */
static size_t span_before(struct slice to)
{
    size_t at = to.len ? span_of(to) : COUNT_OF(spans) - 1;
    return at > 0 && to.len && slice_eq(to, slice_str(spans[at].from)) ? at - 1 : at;
}

static void open_span(struct backend_iter *iter, struct slice from)
{
    struct slice to = blob_slice(iter->to);
    if (iter->span < iter->last_span) {
        to = slice_str(spans[iter->span + 1].from);
    }
    rocksdb_readoptions_set_iterate_upper_bound(
        iter->read, to.len ? (const char *)to.data : NULL, to.len);
    rocksdb_column_family_handle_t *family = iter->backend->families[spans[iter->span].family];
    iter->rocks = store_shim_iter(iter->backend->db, iter->read, family, &iter->broken);
    if (!iter->broken) {
        iter->broken = store_shim_move(
            iter->rocks, STORE_MOVE_TO, from.data ? (const char *)from.data : "", from.len);
    }
}

static struct backend_iter *iter_new(
    struct backend *backend, const struct backend_snapshot *snapshot, struct slice to)
{
    struct backend_iter *iter = mem_new(sizeof(*iter));
    iter->backend = backend;
    store_enter(backend);
    iter->read = store_read_options(snapshot);
    rocksdb_readoptions_set_fill_cache(iter->read, 0);
    iter->to = to.len ? blob_new(to) : NULL;
    return iter;
}

struct backend_iter *backend_iter_open(struct backend *backend,
    const struct backend_snapshot *snapshot, struct slice from, struct slice to)
{
    size_t first = span_of(from);
    size_t last = span_before(to);
    struct backend_snapshot *view =
        !snapshot && first < last ? backend_snapshot_take(backend) : NULL;
    struct backend_iter *iter = iter_new(backend, view ? view : snapshot, to);
    iter->view = view;
    iter->span = first;
    iter->last_span = last > first ? last : first;
    open_span(iter, from);
    return iter;
}

struct backend_iter *store_iter_open(
    struct backend *backend, enum family family, struct slice from, struct slice to)
{
    struct backend_iter *iter = iter_new(backend, NULL, to);
    while (spans[iter->span].family != family) {
        iter->span++;
    }
    iter->last_span = iter->span;
    open_span(iter, from);
    return iter;
}

/* Onwards while a span is at its end and another follows. */
static bool is_valid(struct backend_iter *iter)
{
    while (!iter->broken && !rocksdb_iter_valid(iter->rocks)) {
        char *text = NULL;
        rocksdb_iter_get_error(iter->rocks, &text);
        rocksdb_free(text);
        if (text || iter->span == iter->last_span) {
            return false;
        }
        rocksdb_iter_destroy(iter->rocks);
        iter->span++;
        open_span(iter, slice_str(spans[iter->span].from));
    }
    return !iter->broken;
}

bool backend_iter_next(struct backend_iter *iter, struct slice *out_key, struct slice *out_value)
{
    if (iter->is_started && !iter->broken && rocksdb_iter_valid(iter->rocks)) {
        iter->broken = store_shim_move(iter->rocks, STORE_MOVE_NEXT, NULL, 0);
    }
    iter->is_started = true;
    if (!is_valid(iter)) {
        return false;
    }
    size_t len;
    const char *data = rocksdb_iter_key(iter->rocks, &len);
    *out_key = slice_of(data, len);
    data = rocksdb_iter_value(iter->rocks, &len);
    *out_value = slice_of(data, len);
    return true;
}

struct err backend_iter_err(struct backend_iter *iter, struct why *why)
{
    char *text = iter->broken ? mem_strdup(iter->broken) : NULL;
    if (!text) {
        rocksdb_iter_get_error(iter->rocks, &text);
    }
    return store_err(iter->backend, "walk", text, why);
}

void backend_iter_close(struct backend_iter *iter)
{
    if (iter) {
        if (iter->rocks) {
            rocksdb_iter_destroy(iter->rocks);
        }
        rocksdb_free(iter->broken);
        rocksdb_readoptions_destroy(iter->read);
        backend_snapshot_release(iter->backend, iter->view);
        store_leave(iter->backend);
        blob_unref(iter->to);
        free(iter);
    }
}
