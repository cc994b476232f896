/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "base/mem.h"

enum { PARTS_MAX = 8 };

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

void backend_batch_put(struct backend_batch *batch, struct slice key, struct slice value)
{
    rocksdb_writebatch_put(batch->rocks, chars(key), key.len, chars(value), value.len);
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
    rocksdb_writebatch_putv(batch->rocks, 1, &key_data, &key.len, (int)count, data, lens);
}

void backend_batch_delete(struct backend_batch *batch, struct slice key)
{
    rocksdb_writebatch_delete(batch->rocks, chars(key), key.len);
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
    rocksdb_write(backend->db, backend->write, batch->rocks, &text);
    return store_err(backend, "write", text, why);
}
