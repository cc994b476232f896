/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/table.h"

#include "base/mem.h"

#include <stdlib.h>

/* From the whole time to live, or from what a checkpoint says remained. Either may come from a
 * snapshot or another member, so the bound of a grant is held here again. */
static int64_t life_ms(const struct lease *lease)
{
    int64_t life_s = lease->remaining_s > 0 ? lease->remaining_s : lease->ttl_s;
    return (life_s < LEASE_TTL_MAX ? life_s : LEASE_TTL_MAX) * 1000;
}

static void checkpoint_later(struct lease_table *table, struct lease *lease, int64_t now_ms)
{
    if (lease->expiry_ms - now_ms > LEASE_CHECKPOINT_MS) {
        heap_set(&table->by_checkpoint, &lease->checkpoint, now_ms + LEASE_CHECKPOINT_MS);
    } else {
        heap_remove(&table->by_checkpoint, &lease->checkpoint);
    }
}

void lease_refresh(
    struct lease_table *table, struct lease *lease, int64_t now_ms, int64_t extend_ms)
{
    lease->expiry_ms = now_ms + life_ms(lease) + extend_ms;
    lease->turn = ++table->turns;
    heap_set(&table->by_expiry, &lease->expiry, lease->expiry_ms);
    checkpoint_later(table, lease, now_ms);
}

void lease_set_now(struct lease_table *table, int64_t now_ms)
{
    pthread_mutex_lock(&table->mutex);
    table->now_ms = now_ms;
    pthread_mutex_unlock(&table->mutex);
}

void lease_promote(struct lease_table *table, int64_t now_ms, int64_t extend_ms)
{
    void *cursor = NULL;
    struct slice key;
    void *lease;
    pthread_mutex_lock(&table->mutex);
    table->is_primary = true;
    table->now_ms = now_ms;
    while (map_next(table->by_id, &cursor, &key, &lease)) {
        lease_refresh(table, lease, now_ms, extend_ms);
    }
    pthread_mutex_unlock(&table->mutex);
}

void lease_demote(struct lease_table *table)
{
    struct heap_node *node;
    pthread_mutex_lock(&table->mutex);
    table->is_primary = false;
    while ((node = heap_first(&table->by_expiry))) {
        heap_remove(&table->by_expiry, node);
        CONTAINER_OF(node, struct lease, expiry)->expiry_ms = INT64_MAX;
    }
    while ((node = heap_first(&table->by_checkpoint))) {
        heap_remove(&table->by_checkpoint, node);
    }
    pthread_mutex_unlock(&table->mutex);
}

struct err lease_renew(struct lease_table *table, int64_t id, int64_t now_ms, int64_t *out_ttl_s)
{
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    struct lease *lease = map_get_u64(table->by_id, (uint64_t)id);
    if (!table->is_primary) {
        err = ERR(NOT_LEADER);
    } else if (!lease || lease->expiry_ms <= now_ms) {
        err = ERR(LEASE_NOT_FOUND);
    } else {
        bool is_cleared = lease->remaining_s > 0;
        lease->remaining_s = 0;
        lease_refresh(table, lease, now_ms, 0);
        if (is_cleared) {
            heap_set(&table->by_checkpoint, &lease->checkpoint, now_ms); /* the others must hear */
        }
        *out_ttl_s = lease->ttl_s;
        metric_inc(table->metrics.renewed);
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

size_t lease_expired(
    struct lease_table *table, int64_t now_ms, int64_t retry_ms, int64_t *out_ids, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&table->mutex);
    table->now_ms = now_ms;
    while (table->is_primary && count < max) {
        struct heap_node *node = heap_first(&table->by_expiry);
        if (!node || node->key > now_ms) {
            break;
        }
        out_ids[count++] = CONTAINER_OF(node, struct lease, expiry)->id;
        heap_set(&table->by_expiry, node, now_ms + retry_ms);
    }
    pthread_mutex_unlock(&table->mutex);
    return count;
}

static struct lease_remains remains_of(const struct lease *lease, int64_t now_ms)
{
    int64_t left_s = (lease->expiry_ms - now_ms + 999) / 1000;
    return (struct lease_remains){lease->id, left_s < lease->ttl_s ? left_s : 0};
}

size_t lease_checkpoints_due(
    struct lease_table *table, int64_t now_ms, struct lease_remains *out, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&table->mutex);
    while (table->is_primary && count < max) {
        struct heap_node *node = heap_first(&table->by_checkpoint);
        if (!node || node->key > now_ms) {
            break;
        }
        struct lease *lease = CONTAINER_OF(node, struct lease, checkpoint);
        if (lease->expiry_ms > now_ms) {
            out[count++] = remains_of(lease, now_ms);
        }
        checkpoint_later(table, lease, now_ms);
    }
    pthread_mutex_unlock(&table->mutex);
    return count;
}

/* Whole seconds that are left, as etcd prints them: a running lease of 10 s that was just granted
 * shows 9. */
static struct lease_info info_of(const struct lease *lease, int64_t now_ms)
{
    struct lease_info info = {lease->id, lease->ttl_s, -1, lease->expiry_ms, lease->turn};
    if (lease->expiry_ms != INT64_MAX) {
        int64_t left_ms = lease->expiry_ms - now_ms;
        info.remaining_s = left_ms > 0 ? left_ms / 1000 : 0;
    }
    return info;
}

struct err lease_look(struct lease_table *table, int64_t id, int64_t now_ms, struct arena *arena,
    struct lease_info *out, struct slice **out_keys, size_t *out_keys_count)
{
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    struct lease *lease = map_get_u64(table->by_id, (uint64_t)id);
    if (!lease) {
        err = ERR(LEASE_NOT_FOUND);
    } else {
        *out = info_of(lease, now_ms);
    }
    if (lease && out_keys) {
        size_t count = map_count(lease->keys);
        struct blob **blobs = lease_keys_sorted(lease, arena);
        struct slice *keys = arena_alloc(arena, count * sizeof(*keys));
        if (blobs && keys) {
            for (size_t i = 0; i < count; i++) {
                keys[i] = blob_slice(blobs[i]);
            }
            *out_keys = keys;
            *out_keys_count = count;
        } else {
            err = ERR(TOO_BIG);
        }
    }
    pthread_mutex_unlock(&table->mutex);
    return err;
}

static int expiry_cmp(const void *a, const void *b)
{
    const struct lease_info *x = a;
    const struct lease_info *y = b;
    if (x->expiry_ms != y->expiry_ms) {
        return x->expiry_ms < y->expiry_ms ? -1 : 1;
    }
    return (x->turn > y->turn) - (x->turn < y->turn);
}

size_t lease_list(struct lease_table *table, struct arena *arena, struct lease_info **out)
{
    size_t count = 0;
    void *cursor = NULL;
    struct slice key;
    void *lease;
    pthread_mutex_lock(&table->mutex);
    struct lease_info *infos = arena_alloc(arena, map_count(table->by_id) * sizeof(*infos));
    while (infos && map_next(table->by_id, &cursor, &key, &lease)) {
        infos[count++] = info_of(lease, table->now_ms);
    }
    pthread_mutex_unlock(&table->mutex);
    if (count) {
        qsort(infos, count, sizeof(*infos), expiry_cmp);
    }
    *out = infos;
    return count;
}
