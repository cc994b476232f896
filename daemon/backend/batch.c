/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "base/mem.h"

enum { PARTS_MAX = 8, CLEAR_BATCH = 256 * 1024 };

struct backend_batch *backend_batch_new(void)
{
    struct backend_batch *batch = mem_new(sizeof(*batch));
    batch->rocks = rocksdb_writebatch_create();
    return batch;
}

void backend_batch_free(struct backend_batch *batch)
{
    if (batch) {
        rocksdb_writebatch_destroy(batch->rocks);
        free(batch);
    }
}

void backend_batch_reset(struct backend_batch *batch)
{
    rocksdb_writebatch_clear(batch->rocks);
}

static const char *chars(struct slice bytes)
{
    return bytes.data ? (const char *)bytes.data : "";
}

static rocksdb_column_family_handle_t *family_of(struct slice key)
{
    return store_shim_family(store_family(key));
}

void backend_batch_put(struct backend_batch *batch, struct slice key, struct slice value)
{
    rocksdb_writebatch_put_cf(
        batch->rocks, family_of(key), chars(key), key.len, chars(value), value.len);
}

void backend_batch_put_parts(
    struct backend_batch *batch, struct slice key, const struct slice *parts, size_t count)
{
    check(count <= PARTS_MAX);
    const char *key_data = chars(key);
    const char *data[PARTS_MAX];
    size_t lens[PARTS_MAX];
    for (size_t i = 0; i < count; i++) {
        data[i] = chars(parts[i]);
        lens[i] = parts[i].len;
    }
    rocksdb_writebatch_putv_cf(
        batch->rocks, family_of(key), 1, &key_data, &key.len, (int)count, data, lens);
}

void backend_batch_delete(struct backend_batch *batch, struct slice key)
{
    rocksdb_writebatch_delete_cf(batch->rocks, family_of(key), chars(key), key.len);
}

size_t backend_batch_bytes(const struct backend_batch *batch)
{
    size_t bytes = 0;
    (void)rocksdb_writebatch_data(batch->rocks, &bytes);
    return bytes;
}

struct err backend_write(struct backend *backend, struct backend_batch *batch, struct why *why)
{
    char *text = NULL;
    store_lock(backend);
    rocksdb_write(backend->db, backend->write, batch->rocks, &text);
    store_unlock(backend);
    return store_change_err(backend, "write", text, why);
}

/* RocksDB's own range deletion does not go with the memtable's hints (it aborts): whole files go
 * first, what is left one by one. */
struct err store_clear(struct backend *backend, enum family family, struct slice from,
    struct slice to, struct why *why)
{
    char *text = NULL;
    struct slice key;
    struct slice value;
    store_lock(backend);
    rocksdb_column_family_handle_t *handle = backend->families[family];
    rocksdb_delete_file_in_range_cf(
        backend->db, handle, chars(from), from.len, chars(to), to.len, &text);
    store_unlock(backend);
    TRY(store_err(backend, "delete files of", text, why));
    struct backend_batch *batch = backend_batch_new();
    struct backend_iter *iter = store_iter_open(backend, family, from, to);
    struct err err = OK;
    while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
        rocksdb_writebatch_delete_cf(batch->rocks, store_shim_family(family), chars(key), key.len);
        if (backend_batch_bytes(batch) > CLEAR_BATCH) {
            err = backend_write(backend, batch, why);
            backend_batch_reset(batch);
        }
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    if (!err_is(err)) {
        err = backend_write(backend, batch, why);
    }
    backend_batch_free(batch);
    return err;
}

struct err backend_clear(
    struct backend *backend, struct slice from, struct slice to, struct why *why)
{
    for (int i = 0; i < FAMILIES; i++) {
        TRY(store_clear(backend, (enum family)i, from, to, why));
    }
    return OK;
}
