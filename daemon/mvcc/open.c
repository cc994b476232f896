/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: one walk over the 'l' rows, a sort by key, and the tree is built at once. The current
 * revision is the last row's, or the compacted one where compaction has taken the last rows.
 */
#include "sort.h"
#include "state.h"

#include "base/mem.h"

enum { RING_DEFAULT = 16 * 1024 * 1024, PREFETCH = 8 };

struct load {
    struct arena *keys;
    struct row *rows;
    size_t count;
    size_t cap;
};

static struct err rows_load(struct backend *backend, struct load *load, struct why *why)
{
    struct err err = OK;
    struct slice key;
    struct slice value;
    struct backend_iter *iter = backend_iter_open(backend, NULL, SLICE("l"), SLICE("m"));
    while (!err_is(err) && backend_iter_next(iter, &key, &value)) {
        check(load->count < UINT32_MAX);
        if (load->count == load->cap) {
            load->cap = load->cap ? load->cap * 2 : 1024;
            load->rows = mem_grow(load->rows, load->cap * sizeof(*load->rows));
        }
        struct row *row = &load->rows[load->count];
        err = row_take(key, value, row, why);
        if (!err_is(err)) {
            row->key = arena_dup(load->keys, row->key);
            load->count++;
        }
    }
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    return err;
}

static struct index_entry entry_of(const struct row *row)
{
    return (struct index_entry){
        .key = blob_new(row->key),
        .create = row->create,
        .mod = row->main,
        .version = row->version,
        .lease = row->lease,
        .sub = (uint32_t)row->sub,
        .is_tombstone = row->is_tombstone,
    };
}

static struct sort_item *rows_sort(const struct load *load)
{
    struct sort_item *items = mem_alloc(load->count * sizeof(*items));
    for (size_t i = 0; i < load->count; i++) {
        struct slice key = load->rows[i].key;
        items[i] =
            (struct sort_item){.key = key.data, .len = (uint32_t)key.len, .order = (uint32_t)i};
    }
    sort_items(items, load->count);
    return items;
}

static bool is_same_key(const struct sort_item *a, const struct sort_item *b)
{
    return slice_eq(slice_of(a->key, a->len), slice_of(b->key, b->len));
}

static void index_build(struct mvcc *mvcc, const struct load *load)
{
    struct sort_item *items = rows_sort(load);
    struct index_entry *entries = mem_alloc(load->count * sizeof(*entries));
    size_t count = 0;
    for (size_t i = 0; i < load->count; i++) {
        if (i + PREFETCH < load->count) {
            __builtin_prefetch(&load->rows[items[i + PREFETCH].order]);
            __builtin_prefetch(items[i + PREFETCH].key);
        }
        if (i + 1 == load->count || !is_same_key(&items[i], &items[i + 1])) {
            entries[count++] = entry_of(&load->rows[items[i].order]);
        }
    }
    free(items);
    index_load(&mvcc->index, entries, count);
    free(entries);
}

static struct err restore(struct mvcc *mvcc, struct why *why)
{
    revision scheduled = -1;
    revision finished = -1;
    TRY(row_rev_get(mvcc->backend, ROW_SCHEDULED, &scheduled, why));
    TRY(row_rev_get(mvcc->backend, ROW_FINISHED, &finished, why));
    struct load load = {.keys = arena_new(0)};
    struct err err = rows_load(mvcc->backend, &load, why);
    if (!err_is(err)) {
        index_build(mvcc, &load);
        revision compacted = scheduled > finished ? scheduled : finished;
        revision last = load.count ? load.rows[load.count - 1].main : 1;
        last = last > compacted ? last : compacted;
        mvcc->newest = last;
        atomic_store(&mvcc->published, last);
        atomic_store(&mvcc->written, last);
        atomic_store(&mvcc->compacted, compacted);
        atomic_store(&mvcc->compact_goal, compacted);
        atomic_store(&mvcc->finished, finished);
    }
    free(load.rows);
    arena_free(load.keys);
    return err;
}

struct err mvcc_open(const struct mvcc_options *options, struct mvcc **out, struct why *why)
{
    struct mvcc *mvcc = mem_new(sizeof(*mvcc));
    mvcc->backend = options->backend;
    mvcc->value_cache_bytes = options->value_cache_bytes;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* Readers come in streams of slices; the apply thread must not starve behind them. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&mvcc->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    index_init(&mvcc->index);
    ring_init(&mvcc->ring, options->history_bytes ? options->history_bytes : RING_DEFAULT);
    struct err err = restore(mvcc, why);
    if (err_is(err)) {
        mvcc_close(mvcc);
        return err;
    }
    *out = mvcc;
    return OK;
}

void mvcc_close(struct mvcc *mvcc)
{
    if (!mvcc) {
        return;
    }
    check(!mvcc->is_txn_open);
    for (size_t i = 0; i < mvcc->txn.count; i++) {
        mvcc_change_fini(&mvcc->txn.changes[i]);
    }
    free(mvcc->txn.changes);
    ring_fini(&mvcc->ring);
    index_fini(&mvcc->index);
    pthread_rwlock_destroy(&mvcc->lock);
    free(mvcc);
}

revision mvcc_revision(const struct mvcc *mvcc)
{
    return atomic_load(&mvcc->published);
}

revision mvcc_compact_revision(const struct mvcc *mvcc)
{
    return atomic_load(&mvcc->compacted);
}

int64_t mvcc_keys(const struct mvcc *mvcc)
{
    struct mvcc *own = (struct mvcc *)(uintptr_t)mvcc;
    lock_read(own);
    int64_t keys = mvcc->index.living;
    unlock(own);
    return keys;
}

size_t mvcc_memory_bytes(const struct mvcc *mvcc)
{
    struct mvcc *own = (struct mvcc *)(uintptr_t)mvcc;
    lock_read(own);
    size_t bytes =
        mvcc->index.node_bytes + mvcc->index.key_bytes + mvcc->index.value_bytes + mvcc->ring.bytes;
    unlock(own);
    return bytes;
}

struct mvcc_counts mvcc_counts(const struct mvcc *mvcc)
{
    return (struct mvcc_counts){
        .puts = atomic_load(&mvcc->counts.puts),
        .deletes = atomic_load(&mvcc->counts.deletes),
        .ranges = atomic_load(&mvcc->counts.ranges),
        .txns = atomic_load(&mvcc->counts.txns),
        .compacted_rows = atomic_load(&mvcc->counts.compacted_rows),
    };
}

void mvcc_each_leased(
    struct mvcc *mvcc, bool (*fn)(void *arg, struct blob *key, lease_id lease), void *arg)
{
    lock_read(mvcc);
    struct index_cursor at = index_seek(&mvcc->index, (struct slice){0}, false);
    bool is_wanted = true;
    for (; is_wanted && at.leaf; index_next(&at)) {
        const struct index_entry *entry = index_at(at);
        if (!entry->is_tombstone && entry->lease != 0) {
            is_wanted = fn(arg, entry->key, entry->lease);
        }
    }
    unlock(mvcc);
}
