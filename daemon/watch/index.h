/* SPDX-License-Identifier: Apache-2.0
 *
 * Which watchers want a key: single keys in a hash map, ranges in a treap ordered by their begin
 * and augmented with the greatest end below each node. Under the hub's mutex.
 */
#ifndef WATCH_INDEX_H
#define WATCH_INDEX_H

#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"

/* One distinct range; watchers of the same range hang on one node. */
struct watch_range {
    struct watch_range *left;
    struct watch_range *right;
    uint64_t priority;
    struct slice begin;
    struct slice end;     /* meaningless when is_open */
    bool is_open;         /* no upper end */
    struct slice max_end; /* of the subtree */
    bool is_max_open;
    struct list watchers;
};

struct watch_index {
    struct map *keys; /* key -> struct list of watchers */
    struct watch_range *ranges;
    struct rand rand;
};

void watch_index_init(struct watch_index *index);
void watch_index_fini(struct watch_index *index);

/* The ring of watchers of exactly this key or range, made when absent. end as in watch_spec. */
struct list *watch_index_ring(struct watch_index *index, struct slice key, struct slice end);
/* Drops the ring when it has become empty. */
void watch_index_drop_empty(struct watch_index *index, struct slice key, struct slice end);
/* Calls fn with each non-empty ring whose key or range holds key. */
void watch_index_visit(struct watch_index *index, struct slice key,
    void (*fn)(void *arg, struct list *ring), void *arg);

#endif
