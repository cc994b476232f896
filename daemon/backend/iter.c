/* SPDX-License-Identifier: Apache-2.0
 * Walks over rows. They do not fill the block cache: a whole-store walk must not push out what
 * reads use. */
#include "store.h"

#include "base/mem.h"

struct backend_iter {
    struct backend *backend;
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *rocks;
    uint8_t *to; /* RocksDB borrows the bound */
    bool is_started;
};

struct backend_iter *backend_iter_open(struct backend *backend,
    const struct backend_snapshot *snapshot, struct slice from, struct slice to)
{
    struct backend_iter *iter = mem_new(sizeof(*iter));
    iter->backend = backend;
    iter->read = store_read_options(snapshot);
    rocksdb_readoptions_set_fill_cache(iter->read, 0);
    if (to.len) {
        iter->to = mem_dup(to.data, to.len);
        rocksdb_readoptions_set_iterate_upper_bound(iter->read, (const char *)iter->to, to.len);
    }
    iter->rocks = rocksdb_create_iterator(backend->db, iter->read);
    rocksdb_iter_seek(iter->rocks, from.data ? (const char *)from.data : "", from.len);
    return iter;
}

bool backend_iter_next(struct backend_iter *iter, struct slice *out_key, struct slice *out_value)
{
    if (iter->is_started && rocksdb_iter_valid(iter->rocks)) {
        rocksdb_iter_next(iter->rocks);
    }
    iter->is_started = true;
    if (!rocksdb_iter_valid(iter->rocks)) {
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
    char *text = NULL;
    rocksdb_iter_get_error(iter->rocks, &text);
    return store_err(iter->backend, "walk", text, why);
}

void backend_iter_close(struct backend_iter *iter)
{
    if (iter) {
        rocksdb_iter_destroy(iter->rocks);
        rocksdb_readoptions_destroy(iter->read);
        free(iter->to);
        free(iter);
    }
}
