/* SPDX-License-Identifier: Apache-2.0
 *
 * One read of a range, a slice of keys at a time: walk_gather takes what is there from the index,
 * walk_settle and walk_fetch find in the rows what it did not know. Reader's thread.
 */
#ifndef MVCC_WALK_H
#define MVCC_WALK_H

#include "state.h"

enum { WALK_PICKS = 256 };

struct pick {
    struct blob *key;
    struct blob *value; /* NULL: to be fetched */
    revision create;
    revision mod;
    int64_t version;
    lease_id lease;
    int64_t sub;
    bool is_pending; /* mod and sub name a row; what it says is still to be read */
    bool is_newest;
};

struct walk {
    struct mvcc *mvcc;
    struct bounds bounds;
    revision rev;
    struct blob *last; /* looked at so far */
    bool is_end;
    bool has_values;
    size_t count;
    size_t cap;
    struct pick picks[]; /* cap of them */
};

static inline void pick_drop(struct pick *pick)
{
    blob_unref(pick->key);
    blob_unref(pick->value);
    *pick = (struct pick){0};
}

/* The bounds' keys are borrowed. At most wanted keys, or WALK_PICKS, come in a slice. */
struct walk *walk_new(struct mvcc *mvcc, const struct bounds *bounds, revision rev, int64_t wanted);
void walk_free(struct walk *walk);

/* Fills picks with up to wanted keys that may be there; some turn out not to be when their rows are
 * read. walk.c */
void walk_gather(struct walk *walk, size_t wanted);
/* Only what is there at the revision stays, and all but its value is known. Errors: COMPACTED,
 * BAD_FORMAT, those of reading. settle.c */
MUST struct err walk_settle(struct walk *walk);
/* The values that are not in memory. Errors: the same. settle.c */
MUST struct err walk_fetch(struct walk *walk);

#endif
