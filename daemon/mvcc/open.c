/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: the tree is built at once from the 'l' rows (load.c). The current revision is the last
 * row's, or the compacted one where compaction has taken the last rows.
 */
#include "history.h"
#include "load.h"
#include "row.h"
#include "state.h"

#include "base/mem.h"

enum { RING_DEFAULT = 16 * 1024 * 1024 };

static struct err restore_at(struct mvcc *mvcc, revision last, struct why *why)
{
    revision scheduled = -1;
    revision finished = -1;
    TRY(row_rev_get(mvcc->backend, ROW_SCHEDULED, &scheduled, why));
    TRY(row_rev_get(mvcc->backend, ROW_FINISHED, &finished, why));
    revision compacted = scheduled > finished ? scheduled : finished;
    last = last > 0 ? last : 1;
    last = last > compacted ? last : compacted;
    mvcc->newest = last;
    atomic_store(&mvcc->published, last);
    atomic_store(&mvcc->written, last);
    atomic_store(&mvcc->compacted, compacted);
    atomic_store(&mvcc->compact_goal, compacted);
    atomic_store(&mvcc->finished, finished);
    return OK;
}

static struct err restore(struct mvcc *mvcc, unsigned threads, struct why *why)
{
    revision last = 0;
    TRY(load_index(mvcc->backend, threads, &mvcc->index, &last, why));
    return restore_at(mvcc, last, why);
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
    pthread_mutex_init(&mvcc->hashes.mutex, NULL);
    mvcc->hashes.keys_max = options->hash_keys_max;
    mvcc->hashes.revisions_max = options->hash_revisions_max;
    mvcc->hashes.before = -2;
    pthread_rwlockattr_destroy(&attr);
    index_init(&mvcc->index);
    ring_init(&mvcc->ring, options->history_bytes ? options->history_bytes : RING_DEFAULT);
    struct err err = restore(mvcc, options->open_threads, why);
    if (err_is(err)) {
        mvcc_close(mvcc);
        return err;
    }
    *out = mvcc;
    return OK;
}

struct mvcc_reading {
    struct index index;
    revision last;
};

static struct err read_rows(struct backend *backend, struct mvcc_reading **out, struct why *why)
{
    struct mvcc_reading *reading = mem_new(sizeof(*reading));
    index_init(&reading->index);
    struct err err = load_index(backend, 0, &reading->index, &reading->last, why);
    if (err_is(err)) {
        mvcc_reading_free(reading);
        return err;
    }
    *out = reading;
    return OK;
}

struct err mvcc_check(struct backend *backend, struct mvcc_reading **out, struct why *why)
{
    revision rev = 0;
    TRY(row_rev_get(backend, ROW_SCHEDULED, &rev, why));
    TRY(row_rev_get(backend, ROW_FINISHED, &rev, why));
    return out ? read_rows(backend, out, why) : load_check(backend, 0, why);
}

void mvcc_reading_free(struct mvcc_reading *reading)
{
    if (reading) {
        index_fini(&reading->index);
        free(reading);
    }
}

bool mvcc_check_row(struct slice key, struct slice value)
{
    struct row row;
    return !slice_has_prefix(key, SLICE("l")) || !err_is(row_take(key, value, &row, NULL));
}

/* All that was read of rows; an index comes after. */
static void forget(struct mvcc *mvcc)
{
    check(!mvcc->is_txn_open);
    size_t ring_bytes = mvcc->ring.bytes_max;
    index_fini(&mvcc->index);
    ring_fini(&mvcc->ring);
    ring_init(&mvcc->ring, ring_bytes);
    mvcc->walk.goal = 0;
    hashes_forget(mvcc);
}

void mvcc_reload_begin(struct mvcc *mvcc)
{
    atomic_fetch_or(&mvcc->reloads, 1);
}

static void end_reload(struct mvcc *mvcc)
{
    if (atomic_load(&mvcc->reloads) & 1) {
        atomic_fetch_add(&mvcc->reloads, 1);
    }
}

struct err reloads_check(const struct mvcc *mvcc, unsigned reloads)
{
    return reloads & 1 || atomic_load(&mvcc->reloads) != reloads ? ERR(TIMEOUT) : OK;
}

struct err mvcc_reload(struct mvcc *mvcc, struct why *why)
{
    lock_write(mvcc);
    forget(mvcc);
    index_init(&mvcc->index);
    struct err err = restore(mvcc, 0, why);
    end_reload(mvcc);
    unlock(mvcc);
    return err;
}

struct err mvcc_take_index(struct mvcc *mvcc, struct index *index, revision last, struct why *why)
{
    lock_write(mvcc);
    forget(mvcc);
    mvcc->index = *index;
    index_init(index);
    struct err err = restore_at(mvcc, last, why);
    end_reload(mvcc);
    unlock(mvcc);
    return err;
}

struct err mvcc_reload_read(struct mvcc *mvcc, struct mvcc_reading *reading, struct why *why)
{
    return mvcc_take_index(mvcc, &reading->index, reading->last, why);
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
    pthread_mutex_destroy(&mvcc->hashes.mutex);
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

uint64_t mvcc_compacted_rows(const struct mvcc *mvcc)
{
    return atomic_load(&mvcc->compacted_rows);
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
