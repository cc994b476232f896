/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting at a revision: what the tree counts now, less what was created and plus what was deleted
 * since. Where too much happened since, each key of the range is looked at instead.
 */
#include "history.h"
#include "state.h"

enum { LOG_SHORT = 4096 };

/* The tree's count, and the place of the newest change that it knows of. */
static int64_t count_now(struct mvcc *mvcc, const struct bounds *bounds, struct log_place *newest)
{
    lock_read(mvcc);
    int64_t low = index_rank(&mvcc->index, bounds->key);
    int64_t high = bounds->is_open ? mvcc->index.living : index_rank(&mvcc->index, bounds->end);
    newest->main = mvcc->newest;
    newest->sub = INT64_MAX;
    if (mvcc->ring.count > 0) {
        newest->sub = ring_at(&mvcc->ring, mvcc->ring.count - 1)->change.sub;
    }
    unlock(mvcc);
    return high - low;
}

static int64_t slice_delta(const struct log_slice *slice, const struct bounds *bounds)
{
    int64_t delta = 0;
    for (size_t i = 0; i < slice->count; i++) {
        const struct mvcc_change *change = &slice->items[i].change;
        if (!bounds_has(bounds, blob_slice(change->key))) {
            continue;
        }
        delta += change->kind == MVCC_DELETE ? -1 : change->version == 1 ? 1 : 0;
    }
    return delta;
}

static struct err log_delta(
    struct mvcc *mvcc, const struct bounds *bounds, struct log_span span, int64_t *out)
{
    struct log_slice slice = {.next = span.from};
    int64_t delta = 0;
    do {
        span.from = slice.next;
        TRY(log_read(mvcc, span, true, &slice, NULL));
        delta += slice_delta(&slice, bounds);
        log_slice_fini(&slice);
    } while (!slice.is_end);
    *out = delta;
    return OK;
}

struct err count_at(struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t *out)
{
    if (!bounds->is_open && slice_cmp(bounds->key, bounds->end) >= 0) {
        *out = 0;
        return OK;
    }
    struct log_place newest;
    int64_t now = count_now(mvcc, bounds, &newest);
    if (newest.main <= rev) {
        *out = now;
        return OK;
    }
    if (newest.main - rev > LOG_SHORT && newest.main - rev > now) {
        return range_count(mvcc, bounds, rev, out);
    }
    int64_t delta = 0;
    struct log_span span = {{rev + 1, 0}, newest};
    TRY(log_delta(mvcc, bounds, span, &delta));
    if (atomic_load(&mvcc->compacted) > rev) {
        return ERR(COMPACTED);
    }
    *out = now - delta;
    return OK;
}

/* Of those that died since, which tombstones tell and the ring where it reaches back that far. */
static int64_t dead_since(struct mvcc *mvcc, revision rev)
{
    lock_read(mvcc);
    int64_t dead = (int64_t)mvcc->index.entries - mvcc->index.living;
    if (ring_covers(&mvcc->ring, rev + 1, 0)) {
        int64_t changes = (int64_t)(mvcc->ring.count - ring_seek(&mvcc->ring, rev + 1, 0));
        dead = changes < dead ? changes : dead;
    }
    unlock(mvcc);
    return dead;
}

/* Whoever lived then is alive or still a tombstone: compaction takes those away only when it passes
 * the revision. No walk along the history: threads ask that have to go on. */
int64_t mvcc_count_most(struct mvcc *mvcc, struct slice key, struct slice end, revision rev)
{
    struct log_place newest;
    struct bounds bounds = bounds_of(key, end);
    if (bounds.is_one) {
        return 1;
    }
    int64_t now = count_now(mvcc, &bounds, &newest);
    now = now > 0 ? now : 0;
    return rev <= 0 || newest.main <= rev ? now : now + dead_since(mvcc, rev);
}
