/* SPDX-License-Identifier: Apache-2.0
 *
 * The store at one revision: an entry for each key that the history ever names, by the key's rank,
 * and the leases with the keys attached to them.
 */
#ifndef TEST_HISTORY_STATE_H
#define TEST_HISTORY_STATE_H

#include "record.h"

enum { NO_RANK = UINT32_MAX };

struct entry {
    struct slice value;
    int64_t create, mod, version, lease;
    int64_t sure_at; /* the revision at which it was last known what is here */
    bool is_unsure;  /* create and version are not known: what was here before is not */
    bool may_change; /* a write that has no revision could change it */
    uint32_t lease_next, lease_prev;
};

struct lease {
    int64_t id;
    uint32_t first; /* of the attached keys */
    uint32_t attached;
    const struct call *grant;
    const struct call *revoke;       /* acknowledged */
    const struct call *maybe_revoke; /* without an answer, the first invoked */
    int64_t renewed_ns; /* acknowledged grants and renewals say that it lives at least that long */
    const struct call *renewed_by;
    int64_t renew_invoked_ns; /* the last renewal's */
    int64_t used_at;          /* the last revision known to attach a key to it */
    int64_t gone_at;          /* the revision at which it ended; 0: not known */
    bool is_granted;          /* before the recording */
};

struct state {
    uint32_t keys;
    struct entry *entries;
    uint64_t *bits; /* which keys are present */
    struct map *leases;
    struct arena *arena;
    int64_t last_hole; /* the last revision of which nothing is known */
};

void state_init(struct state *state, uint32_t keys, struct arena *arena);
void state_fini(struct state *state);
bool state_has(const struct state *state, uint32_t rank);
/* The first key at or after rank that is present; keys: none. */
uint32_t state_next(const struct state *state, uint32_t rank);
int64_t state_count(const struct state *state, uint32_t from, uint32_t to);
/* What entry holds but for its links becomes what is at rank; at: the revision when that is sure.
 */
void state_put(struct state *state, uint32_t rank, const struct entry *entry, int64_t at);
void state_remove(struct state *state, uint32_t rank, int64_t at);
/* Whether a revision of which nothing is known may have changed it since. */
bool state_is_uncertain(const struct state *state, uint32_t rank);
/* Of that id, made when there is none. */
struct lease *state_lease(struct state *state, int64_t id);

#endif
