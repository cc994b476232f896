/* SPDX-License-Identifier: Apache-2.0
 *
 * Row: "mlease/" be64(id) -> leasepb.Lease{ID=1, TTL=2, RemainingTTL=3}.
 */
#include "lease/table.h"

#include "base/codec.h"
#include "base/mem.h"

enum { ROW_KEY_SIZE = 15 };

static struct slice row_key(int64_t id, uint8_t out[ROW_KEY_SIZE])
{
    memcpy(out, "mlease/", 7);
    put_be64(out + 7, (uint64_t)id);
    return slice_of(out, ROW_KEY_SIZE);
}

static void row_put(const struct lease *lease, struct backend_batch *batch)
{
    uint8_t key[ROW_KEY_SIZE];
    struct buf value;
    buf_init(&value, 64);
    wire_add_varint_nz(&value, 1, (uint64_t)lease->id);
    wire_add_varint_nz(&value, 2, (uint64_t)lease->ttl_s);
    wire_add_varint_nz(&value, 3, (uint64_t)lease->remaining_s);
    backend_batch_put(batch, row_key(lease->id, key), buf_slice(&value));
    buf_fini(&value);
}

struct err lease_import_row(struct slice key, struct slice value, struct backend_batch *batch)
{
    uint8_t row[ROW_KEY_SIZE];
    if (key.len != 8) {
        return ERR(BAD_FORMAT);
    }
    backend_batch_put(batch, row_key((int64_t)get_be64(key.data), row), value);
    return OK;
}

struct lease_table *lease_table_new(int64_t ttl_min_s)
{
    struct lease_table *table = mem_new(sizeof(*table));
    pthread_mutex_init(&table->mutex, NULL);
    table->by_id = map_new();
    heap_init(&table->by_expiry);
    heap_init(&table->by_checkpoint);
    table->ttl_min_s = ttl_min_s;
    lease_metrics_init(&table->metrics);
    return table;
}

static void lease_free(struct lease *lease)
{
    void *cursor = NULL;
    struct slice key;
    void *blob;
    while (map_next(lease->keys, &cursor, &key, &blob)) {
        blob_unref(blob);
    }
    map_free(lease->keys);
    free(lease);
}

static void forget_all(struct lease_table *table)
{
    void *cursor = NULL;
    struct slice key;
    void *lease;
    while (map_next(table->by_id, &cursor, &key, &lease)) {
        lease_free(lease);
    }
    map_free(table->by_id);
    heap_fini(&table->by_expiry);
    heap_fini(&table->by_checkpoint);
}

void lease_table_free(struct lease_table *table)
{
    if (!table) {
        return;
    }
    forget_all(table);
    pthread_mutex_destroy(&table->mutex);
    free(table);
}

static struct lease *add(struct lease_table *table, int64_t id, int64_t ttl_s)
{
    struct lease *lease = mem_new(sizeof(*lease));
    lease->id = id;
    /* Also one of the store's, granted under a shorter election timeout. */
    lease->ttl_s = ttl_s < table->ttl_min_s ? table->ttl_min_s : ttl_s;
    lease->expiry_ms = INT64_MAX;
    lease->keys = map_new();
    map_put_u64(table->by_id, (uint64_t)id, lease);
    return lease;
}

static struct err row_load(struct lease_table *table, struct slice value)
{
    struct wire wire;
    struct wire_field field;
    int64_t numbers[4] = {0};
    wire_init(&wire, value);
    while (wire_more(&wire)) {
        TRY(wire_next(&wire, &field));
        if (field.type == WIRE_VARINT && field.number <= 3) {
            numbers[field.number] = (int64_t)field.value;
        }
    }
    if (numbers[1] == 0 || map_get_u64(table->by_id, (uint64_t)numbers[1])) {
        return ERR(BAD_FORMAT);
    }
    add(table, numbers[1], numbers[2])->remaining_s = numbers[3];
    return OK;
}

struct err lease_load(struct lease_table *table, struct backend *backend, struct why *why)
{
    struct slice key;
    struct slice value;
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    forget_all(table);
    table->by_id = map_new();
    heap_init(&table->by_expiry);
    heap_init(&table->by_checkpoint);
    struct backend_iter *iter =
        backend_iter_open(backend, NULL, SLICE("mlease/"), SLICE("mlease0"));
    while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
        err = row_load(table, value);
        if (err_is(err)) {
            err = why_set(why, err, "the store holds a malformed lease row");
        }
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    pthread_mutex_unlock(&table->mutex);
    return err;
}

struct err lease_grant(struct lease_table *table, int64_t id, int64_t ttl_s,
    struct backend_batch *batch, int64_t *out_ttl_s)
{
    struct err err = OK;
    if (id == 0) {
        return ERR(LEASE_NOT_FOUND);
    }
    if (ttl_s > LEASE_TTL_MAX) {
        return ERR(LEASE_TTL_TOO_LARGE);
    }
    pthread_mutex_lock(&table->mutex);
    if (map_get_u64(table->by_id, (uint64_t)id)) {
        err = ERR(LEASE_EXIST);
    } else {
        struct lease *lease = add(table, id, ttl_s);
        if (table->is_primary) {
            lease_refresh(table, lease, table->now_ms, 0);
        }
        row_put(lease, batch);
        *out_ttl_s = lease->ttl_s;
        metric_inc(table->metrics.granted);
        metric_observe(table->metrics.ttls, (double)lease->ttl_s);
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

static int key_cmp(const void *a, const void *b)
{
    return slice_cmp(blob_slice(*(struct blob *const *)a), blob_slice(*(struct blob *const *)b));
}

struct blob **lease_keys_sorted(struct lease *lease, struct arena *arena)
{
    size_t count = 0;
    void *cursor = NULL;
    struct slice key;
    void *blob;
    struct blob **keys = arena_alloc(arena, map_count(lease->keys) * sizeof(*keys));
    while (keys && map_next(lease->keys, &cursor, &key, &blob)) {
        keys[count++] = blob_ref(blob);
        arena_defer(arena, blob_unref_void, blob);
    }
    if (count) {
        qsort(keys, count, sizeof(*keys), key_cmp);
    }
    return keys;
}

struct err lease_revoke(struct lease_table *table, int64_t id, struct backend_batch *batch,
    struct arena *arena, struct blob ***out_keys, size_t *out_count)
{
    uint8_t key[ROW_KEY_SIZE];
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    struct lease *lease = map_get_u64(table->by_id, (uint64_t)id);
    if (lease) {
        *out_count = map_count(lease->keys);
        *out_keys = lease_keys_sorted(lease, arena);
        check(*out_keys); /* apply's arena has no limit: a revoke must not fail half-way */
        map_del_u64(table->by_id, (uint64_t)id);
        heap_remove(&table->by_expiry, &lease->expiry);
        heap_remove(&table->by_checkpoint, &lease->checkpoint);
        backend_batch_delete(batch, row_key(id, key));
        lease_free(lease);
        metric_inc(table->metrics.revoked);
    } else {
        err = ERR(LEASE_NOT_FOUND);
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

void lease_checkpoint(
    struct lease_table *table, int64_t id, int64_t remaining_s, struct backend_batch *batch)
{
    pthread_mutex_lock(&table->mutex);
    struct lease *lease = map_get_u64(table->by_id, (uint64_t)id);
    if (lease) {
        lease->remaining_s = remaining_s;
        row_put(lease, batch);
        lease_told(table, lease);
    }
    pthread_mutex_unlock(&table->mutex);
}

static void detach(struct lease *lease, struct blob *key)
{
    blob_unref(map_del(lease->keys, blob_slice(key)));
}

static void attach(struct lease *lease, struct blob *key)
{
    blob_unref(map_put(lease->keys, blob_slice(key), blob_ref(key)));
}

void lease_change(struct lease_table *table, struct blob *key, int64_t old_id, int64_t new_id)
{
    if (old_id == new_id) {
        return;
    }
    pthread_mutex_lock(&table->mutex);
    struct lease *from = old_id ? map_get_u64(table->by_id, (uint64_t)old_id) : NULL;
    struct lease *to = new_id ? map_get_u64(table->by_id, (uint64_t)new_id) : NULL;
    if (from) {
        detach(from, key);
    }
    if (to) {
        attach(to, key);
    }
    pthread_mutex_unlock(&table->mutex);
}

bool lease_exists(struct lease_table *table, int64_t id)
{
    pthread_mutex_lock(&table->mutex);
    bool is_there = map_get_u64(table->by_id, (uint64_t)id) != NULL;
    pthread_mutex_unlock(&table->mutex);
    return is_there;
}

size_t lease_count(struct lease_table *table)
{
    pthread_mutex_lock(&table->mutex);
    size_t count = map_count(table->by_id);
    pthread_mutex_unlock(&table->mutex);
    return count;
}
