/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include "base/mem.h"

enum { WORD_BITS = 64 };

void state_init(struct state *state, uint32_t keys, struct arena *arena)
{
    *state = (struct state){.keys = keys, .arena = arena, .leases = map_new()};
    state->entries = mem_new((keys + 1) * sizeof(*state->entries));
    state->bits = mem_new((keys / WORD_BITS + 1) * sizeof(*state->bits));
}

void state_fini(struct state *state)
{
    map_free(state->leases);
    free(state->entries);
    free(state->bits);
}

bool state_has(const struct state *state, uint32_t rank)
{
    return state->bits[rank / WORD_BITS] >> (rank % WORD_BITS) & 1;
}

uint32_t state_next(const struct state *state, uint32_t rank)
{
    if (rank >= state->keys) {
        return state->keys;
    }
    uint32_t word = rank / WORD_BITS;
    uint64_t left = state->bits[word] & (UINT64_MAX << (rank % WORD_BITS));
    while (!left) {
        if (++word > (state->keys - 1) / WORD_BITS) {
            return state->keys;
        }
        left = state->bits[word];
    }
    return word * WORD_BITS + (uint32_t)__builtin_ctzll(left);
}

int64_t state_count(const struct state *state, uint32_t from, uint32_t to)
{
    int64_t count = 0;
    while (from < to && from % WORD_BITS) {
        count += state_has(state, from++);
    }
    for (; from + WORD_BITS <= to; from += WORD_BITS) {
        count += __builtin_popcountll(state->bits[from / WORD_BITS]);
    }
    while (from < to) {
        count += state_has(state, from++);
    }
    return count;
}

struct lease *state_lease(struct state *state, int64_t id)
{
    struct lease *lease = map_get_u64(state->leases, (uint64_t)id);
    if (!lease) {
        lease = arena_zalloc(state->arena, sizeof(*lease));
        lease->id = id;
        lease->first = NO_RANK;
        map_put_u64(state->leases, (uint64_t)id, lease);
    }
    return lease;
}

static void attach(struct state *state, uint32_t rank)
{
    struct entry *entry = &state->entries[rank];
    struct lease *lease = state_lease(state, entry->lease);
    entry->lease_prev = NO_RANK;
    entry->lease_next = lease->first;
    if (lease->first != NO_RANK) {
        state->entries[lease->first].lease_prev = rank;
    }
    lease->first = rank;
    lease->attached++;
}

static void detach(struct state *state, uint32_t rank)
{
    struct entry *entry = &state->entries[rank];
    struct lease *lease = state_lease(state, entry->lease);
    if (entry->lease_next != NO_RANK) {
        state->entries[entry->lease_next].lease_prev = entry->lease_prev;
    }
    if (entry->lease_prev != NO_RANK) {
        state->entries[entry->lease_prev].lease_next = entry->lease_next;
    } else {
        lease->first = entry->lease_next;
    }
    lease->attached--;
}

void state_remove(struct state *state, uint32_t rank, int64_t at)
{
    struct entry *entry = &state->entries[rank];
    if (state_has(state, rank) && entry->lease) {
        detach(state, rank);
    }
    state->bits[rank / WORD_BITS] &= ~(1ull << (rank % WORD_BITS));
    *entry = (struct entry){.sure_at = at, .may_change = entry->may_change};
}

void state_put(struct state *state, uint32_t rank, const struct entry *from, int64_t at)
{
    struct entry copy = *from;
    struct entry *entry = &state->entries[rank];
    if (state_has(state, rank) && entry->lease) {
        detach(state, rank);
    }
    copy.may_change = entry->may_change;
    copy.sure_at = at;
    *entry = copy;
    state->bits[rank / WORD_BITS] |= 1ull << (rank % WORD_BITS);
    if (entry->lease) {
        attach(state, rank);
    }
}

bool state_is_uncertain(const struct state *state, uint32_t rank)
{
    const struct entry *entry = &state->entries[rank];
    return state->last_hole > entry->sure_at && (entry->may_change || entry->lease);
}
