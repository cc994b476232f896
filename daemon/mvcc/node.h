/* SPDX-License-Identifier: Apache-2.0
 * Inner nodes of the key index, and ways down to a leaf. */
#ifndef MVCC_NODE_H
#define MVCC_NODE_H

#include "index.h"

/* keys[i] is at most every key below children[i]; keys[0] is never looked at and may be NULL. */
struct index_inner {
    uint32_t count;
    int64_t living[INDEX_INNER_MAX];
    struct blob *keys[INDEX_INNER_MAX];
    void *children[INDEX_INNER_MAX];
};

/* The nodes passed on the way down, root first, and the child taken in each. */
struct index_path {
    struct index_inner *nodes[INDEX_DEPTH_MAX];
    uint32_t at[INDEX_DEPTH_MAX];
    struct index_leaf *leaf;
};

void index_descend(const struct index *index, struct slice key, struct index_path *out);
/* The first place in the leaf whose key is >= key (> key when is_after). */
uint32_t index_leaf_seek(const struct index_leaf *leaf, struct slice key, bool is_after);

struct index_leaf *index_leaf_new(struct index *index);
void index_leaf_free(struct index *index, struct index_leaf *leaf);
struct index_inner *index_inner_new(struct index *index);
void index_inner_free(struct index *index, struct index_inner *node);
int64_t index_leaf_living(const struct index_leaf *leaf);

/* After an insert that found the leaf at the end of path full: splits it, making room. The path is
 * stale after. */
void index_split(struct index *index, struct index_path *path, uint32_t at);
/* After a removal from the leaf at the end of path: merges what became small. The path is stale
 * after. */
void index_shrink(struct index *index, struct index_path *path);

#endif
