/* SPDX-License-Identifier: Apache-2.0
 *
 * Compaction costs the events since the last one: each drops the version it replaced, and a
 * tombstone below the revision drops itself (one exactly at it stays until the next). Rows go in
 * their order, so that what a crash leaves is a prefix of the work; doing a slice twice does no
 * harm. Batches are short, for what is applied waits while one is written. scheduledCompactRev:
 * asked for, in the batch of the entry that asked; finishedCompactRev: with the last slice.
 */
#include "state.h"

#include "base/mem.h"
#include "base/mutation.h"

enum {
    REMOVE_SLICE = 64,
    BATCH_ROWS = 32, /* dropped in one batch: two deletions each, some microseconds a deletion */
};

struct err mvcc_compact_begin(struct mvcc *mvcc, revision rev, struct backend_batch *batch)
{
    if (rev <= atomic_load(&mvcc->compacted)) {
        return ERR(COMPACTED);
    }
    if (rev > atomic_load(&mvcc->published)) {
        return ERR(FUTURE_REV);
    }
    row_rev_put(batch, ROW_SCHEDULED, rev);
    hashes_ask(mvcc, rev, atomic_load(&mvcc->compacted), atomic_load(&mvcc->finished));
    atomic_store(&mvcc->compacted, rev);
    return OK;
}

/* A tombstone whose row goes: its entry follows, unless the key was written again. */
struct grave {
    struct blob *key;
    revision main;
    int64_t sub;
};

struct slice_work {
    struct backend_batch *batch;
    struct grave *graves;
    size_t graves_count;
    size_t seen;
    size_t dropped;
    size_t written; /* of these */
    bool is_end;
};

/* The value first: see backend_compact_files. */
static void drop(struct slice_work *work, revision main, int64_t sub)
{
    struct row_key row = row_key('l', main, sub);
    struct row_key value = row_key('d', main, sub);
    backend_batch_delete(work->batch, row_key_slice(&value));
    backend_batch_delete(work->batch, row_key_slice(&row));
    work->dropped++;
}

static void visit(struct mvcc *mvcc, struct slice_work *work, const struct row *row)
{
    /* At the revision finished before, only its tombstones are left to do. */
    if (row->main > atomic_load(&mvcc->finished) && row->link_main != 0) {
        drop(work, row->link_main, row->link_sub);
    }
    if (row->is_tombstone && row->main < mvcc->walk.goal + MUTATE(TOMBSTONE_DROPPED)) {
        drop(work, row->main, row->sub);
        work->graves[work->graves_count++] =
            (struct grave){blob_new(row->key), row->main, row->sub};
    }
}

static struct err write_dropped(struct mvcc *mvcc, struct slice_work *work, struct why *why)
{
    TRY(backend_write(mvcc->backend, work->batch, why));
    backend_batch_reset(work->batch);
    work->written = work->dropped;
    return OK;
}

static struct err rows_visit(
    struct mvcc *mvcc, struct slice_work *work, size_t rows_max, struct why *why)
{
    struct err err = OK;
    struct slice key;
    struct slice value;
    struct row_key from = row_key('l', mvcc->walk.main, mvcc->walk.sub);
    struct row_key to = row_key('l', mvcc->walk.goal + 1, 0);
    struct backend_iter *iter =
        backend_iter_open(mvcc->backend, NULL, row_key_slice(&from), row_key_slice(&to));
    while (work->seen < rows_max && backend_iter_next(iter, &key, &value)) {
        struct row row;
        err = row_take(key, value, &row, why);
        if (err_is(err)) {
            break;
        }
        visit(mvcc, work, &row);
        work->seen++;
        mvcc->walk.main = row.main;
        mvcc->walk.sub = row.sub + 1;
        if (work->dropped - work->written >= BATCH_ROWS) {
            err = write_dropped(mvcc, work, why);
            if (err_is(err)) {
                break;
            }
        }
    }
    work->is_end = work->seen < rows_max;
    if (!err_is(err)) {
        err = backend_iter_err(iter, why);
    }
    backend_iter_close(iter);
    return err;
}

static void bury(struct mvcc *mvcc, const struct slice_work *work)
{
    for (size_t i = 0; i < work->graves_count; i += REMOVE_SLICE) {
        lock_write(mvcc);
        for (size_t j = i; j < work->graves_count && j < i + REMOVE_SLICE; j++) {
            const struct grave *grave = &work->graves[j];
            struct slice key = blob_slice(grave->key);
            const struct index_entry *entry = index_find(&mvcc->index, key);
            if (entry && entry->is_tombstone && entry->mod == grave->main &&
                entry->sub == grave->sub) {
                index_remove(&mvcc->index, key);
            }
        }
        unlock(mvcc);
    }
}

static struct err work_commit(struct mvcc *mvcc, struct slice_work *work, struct why *why)
{
    if (work->is_end) {
        row_rev_put(work->batch, ROW_FINISHED, mvcc->walk.goal);
    }
    TRY(write_dropped(mvcc, work, why));
    bury(mvcc, work);
    atomic_fetch_add_explicit(&mvcc->compacted_rows, work->dropped, memory_order_relaxed);
    if (work->is_end) {
        hashes_keep(mvcc);
        atomic_store(&mvcc->finished, mvcc->walk.goal);
        mvcc->walk.goal = 0;
    }
    return OK;
}

/* False when there is nothing to walk now. */
static MUST struct err walk_begin(struct mvcc *mvcc, bool *out_has_work, struct why *why)
{
    *out_has_work = mvcc->walk.goal != 0;
    if (*out_has_work) {
        return OK;
    }
    revision finished = atomic_load(&mvcc->finished);
    revision goal = atomic_load(&mvcc->compact_goal);
    if (goal <= finished) {
        return OK;
    }
    TRY(hashes_make(mvcc, goal, why));
    mvcc->walk.goal = goal;
    mvcc->walk.main = finished > 0 ? finished : 0;
    mvcc->walk.sub = 0;
    *out_has_work = true;
    return OK;
}

struct err mvcc_compact_step(struct mvcc *mvcc, size_t rows_max, bool *out_done, struct why *why)
{
    bool has_work;
    check(rows_max > 0);
    TRY(walk_begin(mvcc, &has_work, why));
    if (has_work) {
        struct slice_work work = {
            .batch = backend_batch_new(), .graves = mem_alloc(rows_max * sizeof(struct grave))};
        revision main = mvcc->walk.main;
        int64_t sub = mvcc->walk.sub;
        struct err err = rows_visit(mvcc, &work, rows_max, why);
        if (!err_is(err)) {
            err = work_commit(mvcc, &work, why);
        }
        if (err_is(err)) {
            mvcc->walk.main = main;
            mvcc->walk.sub = sub;
        }
        for (size_t i = 0; i < work.graves_count; i++) {
            blob_unref(work.graves[i].key);
        }
        free(work.graves);
        backend_batch_free(work.batch);
        TRY(err);
    }
    *out_done = atomic_load(&mvcc->finished) >= atomic_load(&mvcc->compacted);
    return OK;
}
