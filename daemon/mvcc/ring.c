/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include "base/mem.h"

enum { CAP_FIRST = 64 };

void mvcc_change_copy(struct mvcc_change *out, const struct mvcc_change *from)
{
    *out = *from;
    blob_ref(out->key);
    blob_ref(out->value);
    blob_ref(out->prev_value);
}

void mvcc_change_fini(struct mvcc_change *change)
{
    blob_unref(change->key);
    blob_unref(change->value);
    blob_unref(change->prev_value);
    *change = (struct mvcc_change){0};
}

void ring_init(struct ring *ring, size_t bytes_max)
{
    *ring = (struct ring){.bytes_max = bytes_max, .cap = CAP_FIRST};
    ring->items = mem_alloc(CAP_FIRST * sizeof(*ring->items));
}

void ring_fini(struct ring *ring)
{
    for (size_t i = 0; i < ring->count; i++) {
        mvcc_change_fini(&ring->items[(ring->head + i) & (ring->cap - 1)].change);
    }
    free(ring->items);
    *ring = (struct ring){0};
}

static void grow(struct ring *ring)
{
    struct ring_item *items = mem_alloc(ring->cap * 2 * sizeof(*items));
    for (size_t i = 0; i < ring->count; i++) {
        items[i] = *ring_at(ring, i);
    }
    free(ring->items);
    ring->items = items;
    ring->cap *= 2;
    ring->head = 0;
}

static size_t item_bytes(const struct ring_item *item)
{
    const struct mvcc_change *change = &item->change;
    return sizeof(*item) + (change->key ? change->key->len : 0) +
           (change->value ? change->value->len : 0) +
           (change->prev_value ? change->prev_value->len : 0);
}

void ring_push(struct ring *ring, const struct ring_item *item)
{
    if (ring->count == ring->cap) {
        grow(ring);
    }
    struct ring_item *slot = &ring->items[(ring->head + ring->count++) & (ring->cap - 1)];
    *slot = *item;
    mvcc_change_copy(&slot->change, &item->change);
    ring->bytes += item_bytes(slot);
}

void ring_trim(struct ring *ring, revision written)
{
    while (ring->bytes > ring->bytes_max && ring->count > 0) {
        struct ring_item *oldest = &ring->items[ring->head];
        if (oldest->change.main > written) {
            return;
        }
        ring->bytes -= item_bytes(oldest);
        mvcc_change_fini(&oldest->change);
        ring->head = (ring->head + 1) & (ring->cap - 1);
        ring->count--;
    }
}

static bool is_before(const struct ring_item *item, revision main, int64_t sub)
{
    return item->change.main < main || (item->change.main == main && item->change.sub < sub);
}

size_t ring_seek(const struct ring *ring, revision main, int64_t sub)
{
    size_t low = 0;
    size_t high = ring->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (is_before(ring_at(ring, mid), main, sub)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

const struct ring_item *ring_find(const struct ring *ring, revision main, int64_t sub)
{
    if (ring->count == 0 || ring_at(ring, 0)->change.main > main) {
        return NULL;
    }
    size_t at = ring_seek(ring, main, sub);
    if (at == ring->count) {
        return NULL;
    }
    const struct ring_item *item = ring_at(ring, at);
    return item->change.main == main && item->change.sub == sub ? item : NULL;
}

bool ring_covers(const struct ring *ring, revision main, int64_t sub)
{
    if (ring->count == 0) {
        return false;
    }
    const struct mvcc_change *oldest = &ring_at(ring, 0)->change;
    return oldest->main < main || (oldest->main == main && oldest->sub <= sub);
}
