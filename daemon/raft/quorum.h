/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of ids, and what a majority of one set, or of both halves of a joint configuration, agrees
 * on. Pure arithmetic.
 */
#ifndef RAFT_QUORUM_H
#define RAFT_QUORUM_H

#include "raft/values.h"

bool ids_has(const struct raft_ids *ids, uint64_t id);
/* Keeps the order; adding twice is fine. False when there is no room. */
bool ids_add(struct raft_ids *ids, uint64_t id);
/* False when it was not there. */
bool ids_del(struct raft_ids *ids, uint64_t id);
bool ids_eq(const struct raft_ids *a, const struct raft_ids *b);
/* How many are in exactly one of both. */
size_t ids_differ(const struct raft_ids *a, const struct raft_ids *b);

enum vote_result { VOTE_PENDING = 1, VOTE_LOST, VOTE_WON };

/* Who voted what; the first vote of an id counts. */
struct votes {
    uint64_t ids[RAFT_MEMBERS_MAX];
    bool granted[RAFT_MEMBERS_MAX];
    size_t count;
};

void votes_reset(struct votes *votes);
void votes_record(struct votes *votes, uint64_t id, bool is_granted);
/* False when id has not voted. */
bool votes_get(const struct votes *votes, uint64_t id, bool *out_granted);

/* How far a voter is known to have the log; false when nothing is known. */
typedef bool (*acked_index)(const void *ctx, uint64_t id, uint64_t *out_index);

/* An empty set has everything (UINT64_MAX) and wins every vote, so that a joint configuration with
 * one empty half behaves as the other half. */
uint64_t majority_committed(const struct raft_ids *voters, acked_index acked, const void *ctx);
uint64_t joint_committed(const struct raft_ids *incoming, const struct raft_ids *outgoing,
    acked_index acked, const void *ctx);
enum vote_result majority_vote(const struct raft_ids *voters, const struct votes *votes);
enum vote_result joint_vote(
    const struct raft_ids *incoming, const struct raft_ids *outgoing, const struct votes *votes);

#endif
