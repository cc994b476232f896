/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions. Writes go into the index at once; readers do not see them because their revision is
 * above what is published, and the ring leads from them to what stood there before. Publishing is
 * one store.
 */
#include "state.h"

#include "base/mem.h"

enum { DELETE_SLICE = 128, EVICT_STEPS = 8 };

struct mvcc_txn *mvcc_txn_begin(struct mvcc *mvcc, struct backend_batch *batch)
{
    check(!mvcc->is_txn_open);
    struct mvcc_txn *txn = &mvcc->txn;
    for (size_t i = 0; i < txn->count; i++) {
        mvcc_change_fini(&txn->changes[i]);
    }
    txn->mvcc = mvcc;
    txn->batch = batch;
    txn->main = atomic_load(&mvcc->published) + 1;
    txn->count = 0;
    mvcc->is_txn_open = true;
    return txn;
}

revision mvcc_txn_rev(const struct mvcc_txn *txn)
{
    return txn->main - 1;
}

bool mvcc_txn_is_dirty(const struct mvcc_txn *txn)
{
    return txn->count > 0;
}

struct err mvcc_txn_range(struct mvcc_txn *txn, const struct mvcc_range_options *options,
    struct arena *arena, struct mvcc_range_result *out)
{
    revision newest = txn->main - (txn->count ? 0 : 1);
    revision rev = options->rev > 0 ? options->rev : newest;
    if (rev > newest) {
        return ERR(FUTURE_REV);
    }
    if (rev < atomic_load(&txn->mvcc->compacted)) {
        return ERR(COMPACTED);
    }
    struct mvcc_range_result result = {.rev = newest};
    TRY(range_at(txn->mvcc, options, rev, arena, &result));
    *out = result;
    return OK;
}

bool mvcc_txn_stat(struct mvcc_txn *txn, struct slice key, struct mvcc_kv *out)
{
    lock_read(txn->mvcc);
    const struct index_entry *entry = index_find(&txn->mvcc->index, key);
    bool exists = entry && !entry->is_tombstone;
    if (exists) {
        *out = (struct mvcc_kv){.key = key,
            .create = entry->create,
            .mod = entry->mod,
            .version = entry->version,
            .lease = entry->lease};
    }
    unlock(txn->mvcc);
    return exists;
}

static struct mvcc_change *change_new(struct mvcc_txn *txn)
{
    check(txn->mvcc->is_txn_open);
    if (txn->count == txn->cap) {
        txn->cap = txn->cap ? txn->cap * 2 : 16;
        txn->changes = mem_grow(txn->changes, txn->cap * sizeof(*txn->changes));
    }
    struct mvcc_change *change = &txn->changes[txn->count];
    *change = (struct mvcc_change){.main = txn->main, .sub = (int64_t)txn->count};
    txn->count++;
    return change;
}

/* What the entry held becomes the change's past. Under the lock. */
static void change_prev(
    struct mvcc *mvcc, struct mvcc_change *change, const struct index_entry *entry)
{
    change->key = blob_ref(entry->key);
    if (entry->is_tombstone) {
        return;
    }
    change->prev_mod = entry->mod;
    change->prev_sub = entry->sub;
    change->prev_create = entry->create;
    change->prev_version = entry->version;
    change->prev_lease = entry->lease;
    change->prev_value = blob_ref(entry->value);
    if (!change->prev_value) {
        const struct ring_item *item = ring_find(&mvcc->ring, entry->mod, entry->sub);
        change->prev_value = item ? blob_ref(item->change.value) : NULL;
    }
}

/* The entry takes the change over, the ring gets it, and the row is written. Under the lock. */
static void change_install(
    struct mvcc_txn *txn, const struct mvcc_change *change, struct index_entry *entry)
{
    struct mvcc *mvcc = txn->mvcc;
    bool is_delete = change->kind == MVCC_DELETE;
    struct ring_item item = {*change, entry->mod, entry->sub};
    struct row row = {.main = change->main,
        .sub = change->sub,
        .is_tombstone = is_delete,
        .link_main = item.link_main,
        .link_sub = item.link_sub,
        .create = change->create,
        .version = change->version,
        .lease = change->lease,
        .key = blob_slice(change->key)};
    row_put(txn->batch, &row);
    entry->create = change->create;
    entry->mod = change->main;
    entry->sub = (uint32_t)change->sub;
    entry->version = change->version;
    entry->lease = change->lease;
    bool is_kept = !is_delete && mvcc->value_cache_bytes > 0;
    index_set_value(&mvcc->index, entry, is_kept ? blob_ref(change->value) : NULL);
    atomic_store_explicit(&entry->is_used, true, memory_order_relaxed);
    index_set_living(&mvcc->index, entry, !is_delete);
    ring_push(&mvcc->ring, &item);
    mvcc->newest = change->main;
}

void mvcc_txn_put(struct mvcc_txn *txn, struct slice key, struct slice value, lease_id lease)
{
    struct mvcc *mvcc = txn->mvcc;
    struct mvcc_change *change = change_new(txn);
    change->kind = MVCC_PUT;
    change->value = blob_new(value);
    lock_write(mvcc);
    struct index_entry *entry = index_put(&mvcc->index, key);
    change_prev(mvcc, change, entry);
    change->create = entry->is_tombstone ? change->main : entry->create;
    change->version = entry->is_tombstone ? 1 : entry->version + 1;
    change->lease = lease;
    change_install(txn, change, entry);
    index_evict(&mvcc->index, mvcc->value_cache_bytes, EVICT_STEPS);
    ring_trim(&mvcc->ring, atomic_load_explicit(&mvcc->written, memory_order_relaxed));
    unlock(mvcc);
    struct row_key at = row_key('d', change->main, change->sub);
    backend_batch_put(txn->batch, row_key_slice(&at), value);
}

/* One slice of a delete under the lock. *last (taken, given) is where to go on. Returns whether
 * there may be more. */
static bool delete_slice(
    struct mvcc_txn *txn, const struct bounds *bounds, struct blob **last, int64_t *deleted)
{
    struct mvcc *mvcc = txn->mvcc;
    struct index_entry *entry = NULL;
    int visits = 0;
    lock_write(mvcc);
    struct index_cursor at =
        index_seek(&mvcc->index, *last ? blob_slice(*last) : bounds->key, *last != NULL);
    for (; at.leaf && visits < DELETE_SLICE; index_next(&at), visits++) {
        if (!bounds_has(bounds, blob_slice(index_at(at)->key))) {
            break;
        }
        entry = index_at(at);
        if (!entry->is_tombstone) {
            struct mvcc_change *change = change_new(txn);
            change->kind = MVCC_DELETE;
            change_prev(mvcc, change, entry);
            change_install(txn, change, entry);
            ++*deleted;
        }
    }
    if (entry) {
        blob_unref(*last);
        *last = blob_ref(entry->key);
    }
    ring_trim(&mvcc->ring, atomic_load_explicit(&mvcc->written, memory_order_relaxed));
    unlock(mvcc);
    return visits == DELETE_SLICE;
}

int64_t mvcc_txn_delete_range(struct mvcc_txn *txn, struct slice key, struct slice end)
{
    struct bounds bounds = bounds_of(key, end);
    struct blob *last = NULL;
    int64_t deleted = 0;
    while (delete_slice(txn, &bounds, &last, &deleted)) {
    }
    blob_unref(last);
    return deleted;
}

revision mvcc_txn_end(
    struct mvcc_txn *txn, const struct mvcc_change **out_changes, size_t *out_count)
{
    struct mvcc *mvcc = txn->mvcc;
    check(mvcc->is_txn_open);
    mvcc->is_txn_open = false;
    *out_changes = txn->changes;
    *out_count = txn->count;
    if (txn->count == 0) {
        return txn->main - 1;
    }
    atomic_store(&mvcc->published, txn->main);
    return txn->main;
}

void mvcc_batch_written(struct mvcc *mvcc)
{
    check(!mvcc->is_txn_open);
    atomic_store(&mvcc->written, atomic_load(&mvcc->published));
    atomic_store(&mvcc->compact_goal, atomic_load(&mvcc->compacted));
}
