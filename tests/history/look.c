/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys that a lease was shown with. They are those of some moment between the question and the
 * answer: held against the store as it was known when the question came, and, where that differs,
 * against what was written up to the answer.
 */
#include "check.h"
#include "wrong.h"

#include <inttypes.h>

/* A key of which the revisions after this one have to tell. */
struct doubt {
    struct doubt *next;
    const struct call *call;
    uint32_t rank;
    int64_t at;
    bool is_listed;
};

static void report(struct checker *checker, const struct call *call, struct slice key)
{
    wrong(checker->history, HISTORY_WRONG_LEASE_LISTED, "lease %" PRId64 ", key %.*s",
        call->of.op.lease, (int)key.len, (const char *)key.data);
    wrong_show(checker->history, call->number);
}

static void doubt(struct checker *checker, const struct call *call, uint32_t rank, bool is_listed)
{
    struct doubt *one = arena_alloc(checker->state.arena, sizeof(*one));
    *one = (struct doubt){checker->doubts, call, rank, checker->at, is_listed};
    checker->doubts = one;
}

static bool is_among(const struct history_result *result, const struct word *key)
{
    for (size_t i = 0; i < result->names_count; i++) {
        if (word_of(result->names[i]) == key) {
            return true;
        }
    }
    return false;
}

static void look(struct checker *checker, const struct call *call)
{
    const struct history_result *result = &call->of.result;
    const struct state *state = &checker->state;
    const struct lease *lease = state_lease(&checker->state, call->of.op.lease);
    for (size_t i = 0; i < result->names_count; i++) {
        const struct word *key = word_of(result->names[i]);
        if (!key->is_key) {
            report(checker, call, result->names[i]);
        } else if (!(state_has(state, key->rank) && state->entries[key->rank].lease == lease->id) &&
                   !state_is_uncertain(state, key->rank)) {
            doubt(checker, call, key->rank, true);
        }
    }
    bool is_whole = call->of.op.wants_keys && result->ttl_s >= 0 && !call->of.op.is_serializable;
    for (uint32_t r = is_whole ? lease->first : NO_RANK; r != NO_RANK;
         r = state->entries[r].lease_next) {
        if (!state_is_uncertain(state, r) && !is_among(result, checker->history->keys[r])) {
            doubt(checker, call, r, false);
        }
    }
}

void look_replay(struct checker *checker, const struct slot *slot)
{
    for (const struct call *call = slot->looks; call; call = call->next) {
        look(checker, call);
    }
}

/* Whether a later revision, which may have been there when the answer was given, explains it. */
static bool is_explained(struct checker *checker, const struct doubt *one)
{
    for (int64_t at = one->at + 1; at <= checker->last; at++) {
        const struct slot *slot = slot_at(checker, at);
        if (slot->writer && slot->writer->of.invoked_ns > one->call->of.returned_ns) {
            return false;
        }
        if (slot->is_hole) {
            return true;
        }
        for (const struct change *c = slot->changes; c; c = c->next) {
            bool is_it = c->rank == one->rank;
            bool is_attached = !c->is_delete && c->now.lease == one->call->of.op.lease;
            if (is_it && (!one->is_listed || is_attached)) {
                return true;
            }
        }
    }
    return false;
}

void look_check(struct checker *checker)
{
    for (const struct doubt *one = checker->doubts; one && checker->history->wrongs < WRONGS_MAX;
         one = one->next) {
        if (!is_explained(checker, one)) {
            const struct word *key = checker->history->keys[one->rank];
            report(checker, one->call, slice_of(key->data, key->len));
        }
    }
}
