/* SPDX-License-Identifier: Apache-2.0
 *
 * A member's replicated state on a store at a path: everything that apply stands on.
 */
#ifndef TEST_SHARED_STORE_H
#define TEST_SHARED_STORE_H

#include "apply/apply.h"

struct store {
    const char *path; /* set by the caller, as are the quota and the next two */
    size_t value_cache_bytes;
    int64_t watch_progress_ms;
    struct apply_options options;
    struct apply *apply;
};

enum { STORE_CLUSTER_ID = 1, STORE_MEMBER_ID = 2 };

/* The process ends when that fails. */
void store_open(struct store *store);
/* Flushes nothing. */
void store_close(struct store *store);
/* Flushes, closes and opens again. */
void store_restart(struct store *store);
/* Of all keys, at the newest revision. */
uint32_t store_hash(struct store *store);

#endif
