/* SPDX-License-Identifier: Apache-2.0
 *
 * The key index: a B+tree of keys whose inner nodes know how many living keys each child holds, so
 * that counting a range costs two descents. Pure; the caller locks. Pointers to entries hold until
 * the next insert or remove.
 */
#ifndef MVCC_INDEX_H
#define MVCC_INDEX_H

#include "mvcc/mvcc.h"

#include <stdatomic.h>

enum { INDEX_LEAF_MAX = 64, INDEX_INNER_MAX = 64, INDEX_DEPTH_MAX = 12 };

/* The newest version of a key; a tombstone stays until compaction passes it and is counted as
 * nothing. */
struct index_entry {
    struct blob *key;
    struct blob *value; /* NULL: cold */
    revision create;
    revision mod;
    int64_t version;
    lease_id lease;
    uint32_t sub;
    bool is_tombstone;
    atomic_bool is_used; /* since the eviction hand last passed */
};

struct index_leaf {
    uint32_t count;
    struct index_leaf *next;
    struct index_leaf *prev;
    struct index_entry entries[INDEX_LEAF_MAX];
};

struct index {
    void *root; /* a leaf when depth is 0 */
    unsigned depth;
    struct index_leaf *first;
    struct index_leaf *hand; /* where eviction goes on */
    int64_t living;
    size_t entries;
    size_t key_bytes;
    size_t node_bytes;
    size_t value_bytes;
};

/* A place in key order. at == leaf->count never stands still: leaf NULL is the end. */
struct index_cursor {
    struct index_leaf *leaf;
    uint32_t at;
};

void index_init(struct index *index);
void index_fini(struct index *index);

/* NULL when absent. */
struct index_entry *index_find(const struct index *index, struct slice key);
/* Finds, or inserts a zeroed tombstone at revision 0 with a key of its own. */
struct index_entry *index_put(struct index *index, struct slice key);
/* Marks the entry of key living or dead and keeps the counts. */
void index_set_living(struct index *index, struct index_entry *entry, bool is_living);
/* The entry must be a tombstone. */
void index_remove(struct index *index, struct slice key);
/* Takes the reference (NULL: cold) and gives back the one that was there. */
void index_set_value(struct index *index, struct index_entry *entry, struct blob *value);

/* The first entry >= key, or > key. */
struct index_cursor index_seek(const struct index *index, struct slice key, bool is_after);
static inline struct index_entry *index_at(struct index_cursor cursor)
{
    return cursor.leaf ? &cursor.leaf->entries[cursor.at] : NULL;
}
static inline void index_next(struct index_cursor *cursor)
{
    if (++cursor->at >= cursor->leaf->count) {
        *cursor = (struct index_cursor){cursor->leaf->next, 0};
    }
}

/* Living keys below key. */
int64_t index_rank(const struct index *index, struct slice key);

/* Fills an empty index from what next gives (false: the end): entries in key order, distinct.
 * Takes the references in them. */
struct index_source {
    bool (*next)(struct index_source *source, struct index_entry *out);
};
void index_load(struct index *index, struct index_source *source);

/* Frees values that were not used lately until value_bytes is at most bytes, or steps leaves were
 * visited. */
void index_evict(struct index *index, size_t bytes, size_t steps);

/* Counts, order and bounds hold throughout; for tests. */
void index_check(const struct index *index);

#endif
