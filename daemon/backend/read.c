/* SPDX-License-Identifier: Apache-2.0
 * Reads of single rows, and snapshots. */
#include "store.h"

#include "base/mem.h"

static struct blob *blob_take(rocksdb_pinnableslice_t *pinned)
{
    if (!pinned) {
        return NULL;
    }
    size_t len = 0;
    const char *data = rocksdb_pinnableslice_value(pinned, &len);
    struct blob *blob = blob_new(slice_of(data, len));
    rocksdb_pinnableslice_destroy(pinned);
    return blob;
}

struct err backend_get(struct backend *backend, const struct backend_snapshot *snapshot,
    struct slice key, struct blob **out_value, struct why *why)
{
    char *text = NULL;
    rocksdb_readoptions_t *own = snapshot ? store_read_options(snapshot) : NULL;
    store_lock(backend);
    rocksdb_pinnableslice_t *pinned = store_shim_get(backend->db, own ? own : backend->read,
        backend->families[store_family(key)], (const char *)key.data, key.len, &text);
    struct blob *value = blob_take(pinned);
    store_unlock(backend);
    if (own) {
        rocksdb_readoptions_destroy(own);
    }
    TRY(store_err(backend, "read", text, why));
    *out_value = value;
    return OK;
}

struct many {
    const char **keys;
    size_t *lens;
    rocksdb_pinnableslice_t **pinned;
    char **texts;
};

static void many_init(struct many *many, const struct slice *keys, size_t count)
{
    many->keys = mem_alloc(count * sizeof(*many->keys));
    many->lens = mem_alloc(count * sizeof(*many->lens));
    many->pinned = mem_new(count * sizeof(rocksdb_pinnableslice_t *));
    many->texts = mem_new(count * sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        many->keys[i] = (const char *)keys[i].data;
        many->lens[i] = keys[i].len;
    }
}

static void many_fini(struct many *many)
{
    free(many->keys);
    free(many->lens);
    free(many->pinned);
    free(many->texts);
}

static bool is_sorted(const struct slice *keys, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        check(store_family(keys[i]) == store_family(keys[0]));
        if (slice_cmp(keys[i - 1], keys[i]) > 0) {
            return false;
        }
    }
    return true;
}

struct err backend_get_many(struct backend *backend, const struct backend_snapshot *snapshot,
    const struct slice *keys, size_t count, struct blob **out_values, struct why *why)
{
    if (count == 0) {
        return OK;
    }
    struct many many;
    many_init(&many, keys, count);
    rocksdb_readoptions_t *own = snapshot ? store_read_options(snapshot) : NULL;
    store_lock(backend);
    const struct store_keys named = {many.keys, many.lens, count, is_sorted(keys, count)};
    char *text = store_shim_get_many(backend->db, own ? own : backend->read,
        backend->families[store_family(keys[0])], &named, many.pinned, many.texts);
    if (own) {
        rocksdb_readoptions_destroy(own);
    }
    struct err err = store_err(backend, "read", text, why);
    for (size_t i = 0; i < count; i++) {
        struct err one = store_err(backend, "read", many.texts[i], why);
        err = err_is(one) ? one : err;
    }
    for (size_t i = 0; i < count; i++) {
        struct blob *value = blob_take(many.pinned[i]);
        if (err_is(err)) {
            blob_unref(value);
        } else {
            out_values[i] = value;
        }
    }
    store_unlock(backend);
    many_fini(&many);
    return err;
}

struct backend_snapshot *backend_snapshot_take(struct backend *backend)
{
    struct backend_snapshot *snapshot = mem_new(sizeof(*snapshot));
    store_enter(backend);
    snapshot->rocks = rocksdb_create_snapshot(backend->db);
    return snapshot;
}

void backend_snapshot_release(struct backend *backend, struct backend_snapshot *snapshot)
{
    if (snapshot) {
        rocksdb_release_snapshot(backend->db, snapshot->rocks);
        store_leave(backend);
        free(snapshot);
    }
}
