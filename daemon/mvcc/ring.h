/* SPDX-License-Identifier: Apache-2.0
 *
 * The newest changes, in revision order: always those whose rows are not yet in the backend, older
 * ones while the budget lasts. Readers find links and values here, watchers what they missed. The
 * caller locks.
 */
#ifndef MVCC_RING_H
#define MVCC_RING_H

#include "mvcc/mvcc.h"

struct ring_item {
    struct mvcc_change change;
    revision link_main; /* the version or tombstone replaced; 0: none */
    int64_t link_sub;
};

struct ring {
    struct ring_item *items;
    size_t cap; /* a power of two */
    size_t head;
    size_t count;
    size_t bytes;
    size_t bytes_max;
};

void ring_init(struct ring *ring, size_t bytes_max);
void ring_fini(struct ring *ring);
/* Takes references of its own. */
void ring_push(struct ring *ring, const struct ring_item *item);
/* Drops the oldest over the budget, as far as they are written. */
void ring_trim(struct ring *ring, revision written);

static inline const struct ring_item *ring_at(const struct ring *ring, size_t i)
{
    return &ring->items[(ring->head + i) & (ring->cap - 1)];
}
/* The place of the first item at or behind (main, sub); count when there is none. */
size_t ring_seek(const struct ring *ring, revision main, int64_t sub);
/* NULL when it is not there. */
const struct ring_item *ring_find(const struct ring *ring, revision main, int64_t sub);
/* Whether every change from (main, sub) on is here. */
bool ring_covers(const struct ring *ring, revision main, int64_t sub);

#endif
