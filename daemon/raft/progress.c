/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/progress.h"

#include "base/mem.h"

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void inflights_fini(struct inflights *inflights)
{
    free(inflights->ring);
    inflights->ring = NULL;
    inflights->cap = 0;
}

void inflights_reset(struct inflights *inflights)
{
    inflights->start = 0;
    inflights->count = 0;
    inflights->bytes = 0;
}

bool inflights_is_full(const struct inflights *inflights)
{
    return inflights->count == inflights->count_max ||
           (inflights->bytes_max != 0 && inflights->bytes >= inflights->bytes_max);
}

/* Unrolls the ring into the new memory. */
static void inflights_grow(struct inflights *inflights)
{
    size_t cap = inflights->cap ? inflights->cap * 2 : 4;
    if (cap > inflights->count_max) {
        cap = inflights->count_max;
    }
    struct inflight *ring = mem_alloc(cap * sizeof(*ring));
    for (size_t i = 0; i < inflights->count; i++) {
        ring[i] = inflights->ring[(inflights->start + i) % inflights->cap];
    }
    free(inflights->ring);
    inflights->ring = ring;
    inflights->cap = cap;
    inflights->start = 0;
}

void inflights_add(struct inflights *inflights, uint64_t index, uint64_t bytes)
{
    check(!inflights_is_full(inflights));
    if (inflights->count == inflights->cap) {
        inflights_grow(inflights);
    }
    size_t at = (inflights->start + inflights->count) % inflights->cap;
    inflights->ring[at] = (struct inflight){index, bytes};
    inflights->count++;
    inflights->bytes += bytes;
}

void inflights_free_to(struct inflights *inflights, uint64_t index)
{
    while (inflights->count > 0 && inflights->ring[inflights->start].index <= index) {
        inflights->bytes -= inflights->ring[inflights->start].bytes;
        inflights->start = (inflights->start + 1) % inflights->cap;
        inflights->count--;
    }
}

static void become(struct progress *progress, enum raft_progress_state state)
{
    progress->is_flow_paused = false;
    progress->pending_snapshot = 0;
    progress->state = state;
    inflights_reset(&progress->inflights);
}

void progress_become_probe(struct progress *progress)
{
    /* After a snapshot that arrived, go on behind it; pending is 0 when it failed. */
    uint64_t pending = progress->state == RAFT_SNAPSHOT ? progress->pending_snapshot : 0;
    become(progress, RAFT_PROBE);
    progress->next = max_u64(progress->match, pending) + 1;
    progress->sent_commit = min_u64(progress->sent_commit, progress->next - 1);
}

void progress_become_replicate(struct progress *progress)
{
    become(progress, RAFT_REPLICATE);
    progress->next = progress->match + 1;
}

void progress_become_snapshot(struct progress *progress, uint64_t index)
{
    become(progress, RAFT_SNAPSHOT);
    progress->pending_snapshot = index;
    progress->next = index + 1;
    progress->sent_commit = index;
}

bool progress_is_paused(const struct progress *progress)
{
    return progress->state == RAFT_SNAPSHOT || progress->is_flow_paused;
}

void progress_sent_entries(struct progress *progress, size_t count, uint64_t bytes)
{
    check(progress->state != RAFT_SNAPSHOT);
    if (progress->state == RAFT_PROBE) {
        progress->is_flow_paused = progress->is_flow_paused || count > 0;
        return;
    }
    if (count > 0) {
        progress->next += count;
        inflights_add(&progress->inflights, progress->next - 1, bytes);
    }
    progress->is_flow_paused = inflights_is_full(&progress->inflights);
}

bool progress_can_bump_commit(const struct progress *progress, uint64_t index)
{
    return index > progress->sent_commit && progress->sent_commit < progress->next - 1;
}

bool progress_maybe_update(struct progress *progress, uint64_t index)
{
    if (index <= progress->match) {
        return false;
    }
    progress->match = index;
    progress->next = max_u64(progress->next, index + 1);
    progress->is_flow_paused = false;
    return true;
}

bool progress_maybe_decrease(struct progress *progress, uint64_t rejected, uint64_t hint)
{
    if (progress->state == RAFT_REPLICATE) {
        if (rejected <= progress->match) {
            return false;
        }
        progress->next = progress->match + 1;
        progress->sent_commit = min_u64(progress->sent_commit, progress->next - 1);
        return true;
    }
    /* Probes go one at a time: any other answer is outdated. */
    if (progress->next - 1 != rejected) {
        return false;
    }
    /* hint + 1 of a hint at the end of the numbers stays there. */
    uint64_t after_hint = hint == UINT64_MAX ? hint : hint + 1;
    progress->next = max_u64(min_u64(rejected, after_hint), progress->match + 1);
    progress->sent_commit = min_u64(progress->sent_commit, progress->next - 1);
    progress->is_flow_paused = false;
    return true;
}
