/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room share. Everything is under table->mutex.
 */
#ifndef LEASE_TABLE_H
#define LEASE_TABLE_H

#include "base/heap.h"
#include "base/map.h"
#include "lease/lease.h"
#include "lease/metrics.h"

#include <pthread.h>

struct lease {
    struct heap_node expiry;     /* in the heap only while we lead; key: monotonic milliseconds */
    struct heap_node checkpoint; /* likewise: when the others hear how much remains */
    int64_t expiry_ms;           /* INT64_MAX: never, as we do not lead */
    int64_t id;
    int64_t ttl_s;
    uint64_t turn;       /* among leases of one expiry, the order they got it in */
    int64_t remaining_s; /* last checkpoint; 0: none */
    bool is_telling;  /* one that says less than ttl_s was given out, and none was applied since */
    struct map *keys; /* key -> struct blob * */
};

struct lease_table {
    pthread_mutex_t mutex;
    struct map *by_id;
    struct heap by_expiry;
    struct heap by_checkpoint;
    int64_t ttl_min_s;
    int64_t now_ms;
    uint64_t turns;
    bool is_primary;
    struct lease_metrics metrics;
};

/* Starts its time anew. */
void lease_refresh(
    struct lease_table *table, struct lease *lease, int64_t now_ms, int64_t extend_ms);
/* A checkpoint of it was applied: the clock it runs by here, and the row, are to agree. */
void lease_told(struct lease_table *table, struct lease *lease);
/* Ascending; references held by the arena. */
struct blob **lease_keys_sorted(struct lease *lease, struct arena *arena);

#endif
