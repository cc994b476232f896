/* SPDX-License-Identifier: Apache-2.0
 *
 * What the last compactions hashed to. hash.c.
 */
#ifndef MVCC_HASHES_H
#define MVCC_HASHES_H

#include "mvcc/mvcc.h"

#include <pthread.h>

/* Ascending revisions; under the mutex. */
struct compact_hashes {
    pthread_mutex_t mutex;
    size_t keys_max;        /* more keys than these are not hashed */
    revision revisions_max; /* nor what was written in more revisions */
    revision asked;         /* the last compaction's revision */
    revision before;        /* and the one before it, which was done by then; -2: it was not */
    struct mvcc_hash kept[MVCC_HASHES_MAX];
    size_t count;
    bool is_due; /* back thread: made is of the walk under way */
    struct mvcc_hash made;
};

/* Apply thread: a compaction was asked for. */
void hashes_ask(struct mvcc *mvcc, revision rev, revision before, revision finished);
/* Nothing compacts meanwhile: other rows have come. What is kept stays true. */
void hashes_forget(struct mvcc *mvcc);
/* Back thread: before the first row goes; after the last went. */
MUST struct err hashes_make(struct mvcc *mvcc, revision goal, struct why *why);
void hashes_keep(struct mvcc *mvcc);

#endif
