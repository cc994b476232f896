/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"

#include "base/mem.h"

enum { VISITS_MAX = 1024 };

struct walk *walk_new(struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t wanted)
{
    size_t cap = wanted < WALK_PICKS ? (size_t)wanted : WALK_PICKS;
    struct walk *walk = mem_alloc(sizeof(*walk) + cap * sizeof(walk->picks[0]));
    walk->cap = cap;
    walk->mvcc = mvcc;
    walk->bounds = *bounds;
    walk->rev = rev;
    walk->last = NULL;
    walk->is_end = false;
    walk->has_values = false;
    walk->count = 0;
    return walk;
}

void walk_free(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++) {
        pick_drop(&walk->picks[i]);
    }
    blob_unref(walk->last);
    free(walk);
}

/* The version that the ring's item replaced, at or below the walk's revision; false when the key
 * was not there. */
static bool pick_replaced(const struct ring_item *item, struct pick *pick)
{
    const struct mvcc_change *change = &item->change;
    if (change->prev_mod == 0) {
        return false;
    }
    pick->mod = change->prev_mod;
    pick->sub = change->prev_sub;
    pick->create = change->prev_create;
    pick->version = change->prev_version;
    pick->lease = change->prev_lease;
    pick->value = blob_ref(change->prev_value);
    return true;
}

/* Follows the links of an entry above the revision as far as the ring goes. False: not there at the
 * revision. */
static bool pick_older(const struct walk *walk, const struct index_entry *entry, struct pick *pick)
{
    revision main = entry->mod;
    int64_t sub = entry->sub;
    while (main > walk->rev) {
        const struct ring_item *item = ring_find(&walk->mvcc->ring, main, sub);
        if (!item) {
            pick->mod = main;
            pick->sub = sub;
            pick->is_pending = true;
            return true;
        }
        if (item->link_main <= walk->rev) {
            return pick_replaced(item, pick);
        }
        main = item->link_main;
        sub = item->link_sub;
    }
    return false;
}

/* Under the read lock. */
static bool pick_entry(struct walk *walk, struct index_entry *entry, struct pick *pick)
{
    *pick = (struct pick){0};
    if (entry->mod > walk->rev) {
        if (!pick_older(walk, entry, pick)) {
            return false;
        }
    } else if (entry->is_tombstone) {
        return false;
    } else {
        pick->create = entry->create;
        pick->mod = entry->mod;
        pick->version = entry->version;
        pick->lease = entry->lease;
        pick->sub = entry->sub;
        pick->is_newest = true;
        if (walk->has_values) {
            pick->value = blob_ref(entry->value);
        }
        if (!atomic_load_explicit(&entry->is_used, memory_order_relaxed)) {
            atomic_store_explicit(&entry->is_used, true, memory_order_relaxed);
        }
    }
    if (walk->has_values && !pick->value && !pick->is_pending) {
        const struct ring_item *item = ring_find(&walk->mvcc->ring, pick->mod, pick->sub);
        pick->value = item ? blob_ref(item->change.value) : NULL;
    }
    pick->key = blob_ref(entry->key);
    return true;
}

static void gather_one(struct walk *walk)
{
    walk->is_end = true;
    struct index_entry *entry = index_find(&walk->mvcc->index, walk->bounds.key);
    if (entry) {
        walk->count = pick_entry(walk, entry, &walk->picks[0]);
    }
}

void walk_gather(struct walk *walk, size_t wanted)
{
    struct mvcc *mvcc = walk->mvcc;
    walk->count = 0;
    wanted = wanted < walk->cap ? wanted : walk->cap;
    lock_read(mvcc);
    if (walk->bounds.is_one) {
        gather_one(walk);
        unlock(mvcc);
        return;
    }
    struct index_cursor at = index_seek(
        &mvcc->index, walk->last ? blob_slice(walk->last) : walk->bounds.key, walk->last != NULL);
    struct blob *last = NULL;
    size_t visits = 0;
    while (at.leaf && walk->count < wanted && visits++ < VISITS_MAX) {
        struct index_entry *entry = index_at(at);
        if (!walk->bounds.is_open && slice_cmp(blob_slice(entry->key), walk->bounds.end) >= 0) {
            walk->is_end = true;
            break;
        }
        last = entry->key;
        walk->count += pick_entry(walk, entry, &walk->picks[walk->count]);
        index_next(&at);
    }
    walk->is_end |= !at.leaf;
    if (last) {
        blob_ref(last);
        blob_unref(walk->last);
        walk->last = last;
    }
    unlock(mvcc);
}
