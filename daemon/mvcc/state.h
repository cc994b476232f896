/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the room share. */
#ifndef MVCC_STATE_H
#define MVCC_STATE_H

#include "hashes.h"
#include "index.h"
#include "ring.h"
#include "row.h"

#include <pthread.h>

struct mvcc_txn {
    struct mvcc *mvcc;
    struct backend_batch *batch;
    revision main;
    struct mvcc_change *changes;
    size_t count;
    size_t cap;
};

struct mvcc {
    struct backend *backend;
    size_t value_cache_bytes;
    pthread_rwlock_t lock; /* the next three */
    struct index index;
    struct ring ring;
    revision newest; /* of what the index holds: the open transaction's, before it is published */
    _Atomic revision published;
    _Atomic revision written;      /* every row up to here is in the backend */
    _Atomic revision compacted;    /* asked for; -1: never */
    _Atomic revision compact_goal; /* asked for, and the row that says so is in the backend */
    _Atomic revision finished;     /* dropped up to here; -1: never */
    atomic_uint reloads;           /* odd: rows and index are of different times */

    struct mvcc_txn txn; /* apply thread */
    struct compact_hashes hashes;
    struct {
        revision goal; /* 0: no walk under way */
        revision main; /* where it goes on */
        int64_t sub;
    } walk; /* back thread */
    bool is_txn_open;
    _Atomic uint64_t compacted_rows;
};

static inline void lock_read(struct mvcc *mvcc)
{
    pthread_rwlock_rdlock(&mvcc->lock);
}

static inline void lock_write(struct mvcc *mvcc)
{
    pthread_rwlock_wrlock(&mvcc->lock);
}

static inline void unlock(struct mvcc *mvcc)
{
    pthread_rwlock_unlock(&mvcc->lock);
}

/* The keys that key and end name (mvcc_range_options). */
struct bounds {
    struct slice key;
    struct slice end;
    bool is_one;
    bool is_open; /* no end */
};

static inline struct bounds bounds_of(struct slice key, struct slice end)
{
    return (struct bounds){key, end, end.len == 0, end.len == 1 && end.data[0] == 0};
}

static inline bool bounds_has(const struct bounds *bounds, struct slice key)
{
    if (bounds->is_one) {
        return slice_eq(key, bounds->key);
    }
    return slice_cmp(key, bounds->key) >= 0 && (bounds->is_open || slice_cmp(key, bounds->end) < 0);
}

/* Living keys at rev, which is not compacted and not in the future. count.c */
MUST struct err count_at(
    struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t *out);
/* The same by looking at each key of the range. range.c */
MUST struct err range_count(
    struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t *out);
/* A read at rev <= newest, which the caller has settled. range.c */
MUST struct err range_at(struct mvcc *mvcc, const struct mvcc_range_options *options, revision rev,
    struct arena *arena, struct mvcc_range_result *out);

#endif
