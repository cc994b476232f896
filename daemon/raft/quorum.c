/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/quorum.h"

#include "base/mutation.h"

static size_t ids_at(const struct raft_ids *ids, uint64_t id)
{
    size_t at = 0;
    while (at < ids->count && ids->ids[at] < id) {
        at++;
    }
    return at;
}

bool ids_has(const struct raft_ids *ids, uint64_t id)
{
    size_t at = ids_at(ids, id);
    return at < ids->count && ids->ids[at] == id;
}

bool ids_add(struct raft_ids *ids, uint64_t id)
{
    size_t at = ids_at(ids, id);
    if (at < ids->count && ids->ids[at] == id) {
        return true;
    }
    if (ids->count == RAFT_MEMBERS_MAX) {
        return false;
    }
    memmove(&ids->ids[at + 1], &ids->ids[at], (ids->count - at) * sizeof(ids->ids[0]));
    ids->ids[at] = id;
    ids->count++;
    return true;
}

bool ids_del(struct raft_ids *ids, uint64_t id)
{
    size_t at = ids_at(ids, id);
    if (at == ids->count || ids->ids[at] != id) {
        return false;
    }
    ids->count--;
    memmove(&ids->ids[at], &ids->ids[at + 1], (ids->count - at) * sizeof(ids->ids[0]));
    return true;
}

bool ids_eq(const struct raft_ids *a, const struct raft_ids *b)
{
    return a->count == b->count && memcmp(a->ids, b->ids, a->count * sizeof(a->ids[0])) == 0;
}

size_t ids_differ(const struct raft_ids *a, const struct raft_ids *b)
{
    size_t differ = 0;
    for (size_t i = 0; i < a->count; i++) {
        differ += !ids_has(b, a->ids[i]);
    }
    for (size_t i = 0; i < b->count; i++) {
        differ += !ids_has(a, b->ids[i]);
    }
    return differ;
}

void votes_reset(struct votes *votes)
{
    votes->count = 0;
}

bool votes_get(const struct votes *votes, uint64_t id, bool *out_granted)
{
    for (size_t i = 0; i < votes->count; i++) {
        if (votes->ids[i] == id) {
            *out_granted = votes->granted[i];
            return true;
        }
    }
    return false;
}

void votes_record(struct votes *votes, uint64_t id, bool is_granted)
{
    bool before;
    if (votes->count == RAFT_MEMBERS_MAX || votes_get(votes, id, &before)) {
        return;
    }
    votes->ids[votes->count] = id;
    votes->granted[votes->count] = is_granted;
    votes->count++;
}

/* Ascending; the sets are small. */
static void insert_sorted(uint64_t *sorted, size_t count, uint64_t index)
{
    size_t at = count;
    while (at > 0 && sorted[at - 1] > index) {
        sorted[at] = sorted[at - 1];
        at--;
    }
    sorted[at] = index;
}

uint64_t majority_committed(const struct raft_ids *voters, acked_index acked, const void *ctx)
{
    uint64_t sorted[RAFT_MEMBERS_MAX];
    if (voters->count == 0) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < voters->count; i++) {
        uint64_t index = 0;
        insert_sorted(sorted, i, acked(ctx, voters->ids[i], &index) ? index : 0);
    }
    size_t quorum = voters->count / 2 + 1;
    if (MUTATE(SMALL_QUORUM) && quorum > 1) {
        quorum--;
    }
    return sorted[voters->count - quorum];
}

uint64_t joint_committed(const struct raft_ids *incoming, const struct raft_ids *outgoing,
    acked_index acked, const void *ctx)
{
    uint64_t a = majority_committed(incoming, acked, ctx);
    uint64_t b = majority_committed(outgoing, acked, ctx);
    return a < b ? a : b;
}

enum vote_result majority_vote(const struct raft_ids *voters, const struct votes *votes)
{
    if (voters->count == 0) {
        return VOTE_WON;
    }
    size_t yes = 0;
    size_t missing = 0;
    for (size_t i = 0; i < voters->count; i++) {
        bool is_granted;
        if (!votes_get(votes, voters->ids[i], &is_granted)) {
            missing++;
        } else if (is_granted) {
            yes++;
        }
    }
    size_t needed = voters->count / 2 + 1;
    if (yes >= needed) {
        return VOTE_WON;
    }
    return yes + missing >= needed ? VOTE_PENDING : VOTE_LOST;
}

enum vote_result joint_vote(
    const struct raft_ids *incoming, const struct raft_ids *outgoing, const struct votes *votes)
{
    enum vote_result a = majority_vote(incoming, votes);
    enum vote_result b = majority_vote(outgoing, votes);
    if (a == b) {
        return a;
    }
    return a == VOTE_LOST || b == VOTE_LOST ? VOTE_LOST : VOTE_PENDING;
}
