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

/* Apart from the leases, which lie anywhere in memory. */
struct timed {
    int64_t at_ms;
    struct lease *lease;
};

static struct timed *collect(struct lease_table *table, size_t count, int64_t from_ms)
{
    void *cursor = NULL;
    struct slice key;
    void *lease;
    size_t at = 0;
    struct timed *times = mem_new((count + 1) * sizeof(*times));
    while (at < count && map_next(table->by_id, &cursor, &key, &lease)) {
        times[at++] = (struct timed){from_ms + life_ms(lease), lease};
    }
    return times;
}

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

static void sort_digit(
    const struct timed *from, struct timed *to, size_t count, int64_t base_ms, unsigned shift)
{
    size_t starts[DIGITS + 1] = {0};
    for (size_t i = 0; i < count; i++) {
        starts[((uint64_t)(from[i].at_ms - base_ms) >> shift) % DIGITS + 1]++;
    }
    for (size_t digit = 1; digit < DIGITS; digit++) {
        starts[digit] += starts[digit - 1];
    }
    for (size_t i = 0; i < count; i++) {
        to[starts[((uint64_t)(from[i].at_ms - base_ms) >> shift) % DIGITS]++] = from[i];
    }
}

/* The soonest first; in as many passes as the times have digits. Takes the array and gives one. */
static struct timed *sort_by_time(struct timed *times, size_t count)
{
    int64_t first_ms = INT64_MAX;
    int64_t last_ms = 0;
    for (size_t i = 0; i < count; i++) {
        first_ms = times[i].at_ms < first_ms ? times[i].at_ms : first_ms;
        last_ms = times[i].at_ms > last_ms ? times[i].at_ms : last_ms;
    }
    struct timed *other = mem_new((count + 1) * sizeof(*other));
    for (unsigned shift = 0; count && (uint64_t)(last_ms - first_ms) >> shift;
         shift += DIGIT_BITS) {
        sort_digit(times, other, count, first_ms, shift);
        struct timed *sorted = other;
        other = times;
        times = sorted;
    }
    free(other);
    return times;
}

/* etcd's: it revokes a thousand a second, and lets no more than three quarters of that expire in
 * the same second when all of them begin anew. */
enum { PILE = 1000, SPREAD_A_SECOND = 750 };

static void spread(struct timed *times, size_t count)
{
    int64_t base_ms = times[0].at_ms;
    int64_t next_ms = base_ms + 1000;
    int64_t expires = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t at_ms = times[i].at_ms;
        if (at_ms > next_ms) {
            base_ms = at_ms;
            next_ms = base_ms + 1000;
            expires = 1;
        } else if (++expires > SPREAD_A_SECOND) {
            int64_t delay_ms = 1000 * expires / SPREAD_A_SECOND - (at_ms - base_ms);
            next_ms = base_ms + delay_ms;
            times[i].at_ms += delay_ms;
        }
    }
}

static void start_clocks(struct lease_table *table, const struct timed *times, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct lease *lease = times[i].lease;
        lease->expiry_ms = times[i].at_ms;
        lease->turn = ++table->turns;
        heap_append(&table->by_expiry, &lease->expiry, lease->expiry_ms);
        if (lease->expiry_ms - table->now_ms > LEASE_CHECKPOINT_MS) {
            heap_append(
                &table->by_checkpoint, &lease->checkpoint, table->now_ms + LEASE_CHECKPOINT_MS);
        }
    }
    heap_order(&table->by_expiry);
    heap_order(&table->by_checkpoint);
}

static void stop_clocks(struct lease_table *table)
{
    for (size_t i = 0; i < table->by_expiry.count; i++) {
        CONTAINER_OF(table->by_expiry.entries[i].node, struct lease, expiry)->expiry_ms = INT64_MAX;
    }
    heap_clear(&table->by_expiry);
    heap_clear(&table->by_checkpoint);
}

/* A step or some a lease, however many there are: writes wait meanwhile. */
void lease_promote(struct lease_table *table, int64_t now_ms, int64_t extend_ms)
{
    pthread_mutex_lock(&table->mutex);
    size_t count = map_count(table->by_id);
    stop_clocks(table);
    table->is_primary = true;
    table->now_ms = now_ms;
    struct timed *times = collect(table, count, now_ms + extend_ms);
    times = sort_by_time(times, count);
    if (count >= PILE) {
        spread(times, count);
    }
    start_clocks(table, times, count);
    free(times);
    pthread_mutex_unlock(&table->mutex);
}

void lease_demote(struct lease_table *table)
{
    pthread_mutex_lock(&table->mutex);
    table->is_primary = false;
    stop_clocks(table);
    pthread_mutex_unlock(&table->mutex);
}

struct err lease_renew(struct lease_table *table, int64_t id, int64_t now_ms, int64_t *out_ttl_s)
{
    struct err err = OK;
    pthread_mutex_lock(&table->mutex);
    struct lease *lease = map_get_u64(table->by_id, (uint64_t)id);
    if (!table->is_primary) {
        err = ERR(NOT_LEADER);
    } else if (!lease || lease->expiry_ms < now_ms) {
        err = ERR(LEASE_NOT_FOUND);
    } else if (lease->remaining_s > 0 || lease->is_telling) {
        err = ERR(AGAIN);
    } else {
        lease_refresh(table, lease, now_ms, 0);
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
        if (!node || node->key >= now_ms) {
            break; /* times are cut down to milliseconds: in this one it may not have ended yet */
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
            out[count] = remains_of(lease, now_ms);
            lease->is_telling |= out[count++].remaining_s > 0;
        }
        checkpoint_later(table, lease, now_ms);
    }
    pthread_mutex_unlock(&table->mutex);
    return count;
}

/* Who was elected ahead of what it had applied set the clock by an older checkpoint: a renewal that
 * was answered may be what comes now. A lease whose revoke is on its way stays as it is. What says
 * less than is known here was overtaken by a renewal, and is put right as soon as may be. */
void lease_told(struct lease_table *table, struct lease *lease)
{
    bool is_running = table->is_primary && lease->expiry.key == lease->expiry_ms;
    int64_t left_ms = lease->expiry_ms - table->now_ms;
    lease->is_telling = false;
    if (!is_running) {
        return;
    }
    if (lease->remaining_s == 0 && left_ms < life_ms(lease)) {
        lease_refresh(table, lease, table->now_ms, 0);
    } else if (lease->remaining_s > 0 && left_ms > life_ms(lease) + 1000) { /* it rounds up */
        heap_set(&table->by_checkpoint, &lease->checkpoint, table->now_ms);
    }
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
