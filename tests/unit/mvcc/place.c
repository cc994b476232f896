/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include "base/mem.h"

#include <unistd.h>

static void store_open(struct place *place)
{
    struct why why = {""};
    struct backend_options options = {.path = place->path};
    struct err err = backend_open(&options, &place->backend, &why);
    if (!err_is(err)) {
        place->options.backend = place->backend;
        err = mvcc_open(&place->options, &place->mvcc, &why);
    }
    if (err_is(err)) {
        fail_msg("%s: %s", err_name(err), why.text);
    }
}

static void store_close(struct place *place)
{
    mvcc_close(place->mvcc);
    backend_close(place->backend);
    place->mvcc = NULL;
    place->backend = NULL;
}

void place_init(struct place *place, struct mvcc_options options)
{
    *place = (struct place){.options = options, .batch = backend_batch_new()};
    folder_make(place->path);
    store_open(place);
}

void place_fini(struct place *place)
{
    store_close(place);
    backend_batch_free(place->batch);
    folder_remove(place->path);
}

void place_crash(struct place *place)
{
    backend_batch_reset(place->batch);
    store_close(place);
    store_open(place);
}

void place_write(struct place *place)
{
    assert_false(err_is(backend_write(place->backend, place->batch, NULL)));
    backend_batch_reset(place->batch);
    mvcc_batch_written(place->mvcc);
}

static revision txn_end(struct place *place, struct mvcc_txn *txn)
{
    const struct mvcc_change *changes;
    size_t count;
    revision rev = mvcc_txn_end(txn, &changes, &count);
    place_write(place);
    return rev;
}

revision place_put(struct place *place, const char *key, const char *value, lease_id lease)
{
    struct mvcc_txn *txn = mvcc_txn_begin(place->mvcc, place->batch);
    mvcc_txn_put(txn, slice_str(key), slice_str(value), lease);
    return txn_end(place, txn);
}

revision place_delete(struct place *place, const char *key, const char *end)
{
    struct mvcc_txn *txn = mvcc_txn_begin(place->mvcc, place->batch);
    mvcc_txn_delete_range(txn, slice_str(key), slice_str(end));
    return txn_end(place, txn);
}

void place_compact(struct place *place, revision rev)
{
    struct why why = {""};
    bool is_done = false;
    assert_false(err_is(mvcc_compact_begin(place->mvcc, rev, place->batch)));
    place_write(place);
    while (!is_done) {
        if (err_is(mvcc_compact_step(place->mvcc, 3, &is_done, &why))) {
            fail_msg("%s", why.text);
        }
    }
}

const char *place_list(
    struct place *place, const char *key, const char *end, revision rev, int64_t limit)
{
    static char text[4096];
    size_t len = 0;
    struct mvcc_range_options options = {
        .key = slice_str(key), .end = slice_str(end), .rev = rev, .limit = limit};
    struct mvcc_range_result result;
    struct arena *arena = arena_new(0);
    struct err err = mvcc_range(place->mvcc, &options, arena, &result);
    if (err_is(err)) {
        arena_free(arena);
        return err_name(err);
    }
    for (size_t i = 0; i < result.kvs_count; i++) {
        const struct mvcc_kv *kv = &result.kvs[i];
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%.*s=%.*s@%lld ", (int)kv->key.len,
            (const char *)kv->key.data, (int)kv->value.len,
            kv->value.data ? (const char *)kv->value.data : "", (long long)kv->mod);
    }
    snprintf(text + len, sizeof(text) - len, "#%lld", (long long)result.total);
    arena_free(arena);
    return text;
}

int place_setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    place_init(place, (struct mvcc_options){.value_cache_bytes = 1024 * 1024,
                          .hash_keys_max = 1000,
                          .hash_revisions_max = PLACE_HASH_REVISIONS});
    *state = place;
    return 0;
}

int place_teardown(void **state)
{
    place_fini(*state);
    free(*state);
    return 0;
}
