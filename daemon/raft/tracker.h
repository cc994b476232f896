/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration in force, the progress of each member in it, and the votes of an election.
 */
#ifndef RAFT_TRACKER_H
#define RAFT_TRACKER_H

#include "raft/progress.h"
#include "raft/quorum.h"

/* Progress by ascending id. Copies share the rings of inflights; membership_adopt sorts that out.
 */
struct membership {
    struct raft_conf_state conf;
    struct progress progress[RAFT_MEMBERS_MAX];
    size_t count;
};

struct tracker {
    struct membership members;
    struct votes votes;
    size_t inflight_messages_max;
    uint64_t inflight_bytes_max;
};

void tracker_fini(struct tracker *tracker);

/* NULL when id is no member. */
struct progress *membership_find(struct membership *members, uint64_t id);
/* A place for id, zeroed, in order; NULL when there is no room. id is new. */
struct progress *membership_insert(struct membership *members, uint64_t id);
void membership_remove(struct membership *members, uint64_t id);
/* Makes next (grown out of a copy of the current) the current one. */
void tracker_adopt(struct tracker *tracker, const struct membership *next);

static inline struct progress *tracker_find(struct tracker *tracker, uint64_t id)
{
    return membership_find(&tracker->members, id);
}

/* The highest index that a quorum has. */
uint64_t tracker_committed(struct tracker *tracker);
bool tracker_is_singleton(const struct tracker *tracker);
bool tracker_is_joint(const struct tracker *tracker);
bool tracker_is_voter(const struct tracker *tracker, uint64_t id);
/* Whether the peers heard of lately make a quorum. */
bool tracker_is_quorum_active(const struct tracker *tracker);
enum vote_result tracker_tally(const struct tracker *tracker);
/* Voters of both halves, without doubles. */
void tracker_voters(const struct tracker *tracker, struct raft_ids *out);

#endif
