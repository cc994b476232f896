/* SPDX-License-Identifier: Apache-2.0
 *
 * Revision by revision: what made it is done to the state, then everything that was answered at it
 * is held against the state. A revision of which only deletions were seen is given to a lease that
 * ended or to a deletion without an answer; one of which nothing was seen is a hole, for which some
 * write without an answer must be left over.
 */
#include "model.h"
#include "wrong.h"

#include "base/mem.h"

#include <inttypes.h>

enum { CANDIDATES_MAX = 256 };

static bool is_enough(const struct checker *checker)
{
    return checker->history->wrongs >= WRONGS_MAX;
}

static size_t count_evidence(const struct slot *slot)
{
    size_t count = 0;
    for (const struct evidence *e = slot->evidence; e; e = e->next) {
        count++;
    }
    return count;
}

static bool would_delete(struct checker *checker, const struct history_op *op,
    const struct slot *slot, size_t *out_count);

/* The same for all of these. */
static bool would_all_delete(struct checker *checker, const struct history_op *ops,
    size_t ops_count, const struct slot *slot, size_t *out_count)
{
    size_t count = 0;
    size_t seen = 0;
    for (size_t i = 0; i < ops_count; i++) {
        uint32_t from;
        uint32_t to;
        if (ops[i].kind == HISTORY_TXN) {
            size_t inner = 0;
            seen += would_delete(checker, &ops[i], slot, &inner) ? count_evidence(slot) : 0;
            count += inner;
        }
        count += ops[i].kind == HISTORY_PUT;
        if (ops[i].kind != HISTORY_DELETE) {
            continue;
        }
        check_ranks(checker, ops[i].key, ops[i].end, &from, &to);
        count += (size_t)state_count(&checker->state, from, to);
        for (const struct evidence *e = slot->evidence; e; e = e->next) {
            uint32_t rank = word_of(e->kv.key)->rank;
            seen += rank >= from && rank < to;
        }
    }
    *out_count = count;
    return seen >= count_evidence(slot);
}

/* How much the operation would change as the state is, and whether its deletions include all that
 * was seen. A put of it counts: were it seen, its value would have told. Of a transaction whose
 * side is not known, either side may have done it. */
static bool would_delete(struct checker *checker, const struct history_op *op,
    const struct slot *slot, size_t *out_count)
{
    bool is_sure = true;
    if (op->kind != HISTORY_TXN) {
        return would_all_delete(checker, op, 1, slot, out_count);
    }
    for (bool is_then = model_compares(checker, op, &is_sure), is_again = false;;
         is_then = !is_then, is_again = true) {
        const struct history_op *ops = is_then ? op->then_ops : op->else_ops;
        size_t ops_count = is_then ? op->then_count : op->else_count;
        bool does = would_all_delete(checker, ops, ops_count, slot, out_count);
        if (does || is_sure || is_again) {
            return does;
        }
    }
}

/* Whether it is known which side a transaction takes. */
static bool is_decided(struct checker *checker, const struct history_op *op)
{
    bool is_sure = true;
    if (op->kind != HISTORY_TXN) {
        return true;
    }
    bool is_then = model_compares(checker, op, &is_sure);
    const struct history_op *ops = is_then ? op->then_ops : op->else_ops;
    size_t count = is_then ? op->then_count : op->else_count;
    for (size_t i = 0; is_sure && i < count; i++) {
        is_sure = is_decided(checker, &ops[i]);
    }
    return is_sure;
}

/* Finds a place for the slot's deletion among its candidates, moving others if they have another
 * one. */
static struct call *match(struct checker *checker, size_t place, size_t search)
{
    struct slot *slot = &checker->slots[place];
    for (size_t i = 0; i < slot->candidates_count; i++) {
        struct call *call = slot->candidates[i];
        if (call->tried == search) {
            continue;
        }
        call->tried = search;
        if (!call->slot || match(checker, call->slot, search)) {
            call->slot = place;
            return call;
        }
    }
    return NULL;
}

/* Whether a watch of all keys has shown all that the slot changed. */
static bool is_all_seen(const struct checker *checker, const struct slot *slot)
{
    return slot->is_watched && checker->state.last_hole <= checker->base;
}

static bool is_candidate(struct checker *checker, const struct slot *slot, const struct call *call,
    bool is_exact, size_t seen)
{
    size_t changes = 0;
    return !call->revision && call->of.invoked_ns <= slot->known_ns &&
           would_delete(checker, &call->of.op, slot, &changes) && (changes == seen) == is_exact;
}

/* Adds the unknown deletions that do what was seen and nothing else (is_exact), or more. */
static size_t add_candidates(struct checker *checker, const struct slot *slot, bool is_exact,
    struct call **found, size_t count)
{
    size_t seen = count_evidence(slot);
    const struct deleter *lists[] = {
        checker->deleters[word_of(slot->evidence->kv.key)->rank], checker->range_deleters};
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        for (const struct deleter *d = lists[i]; d && count < CANDIDATES_MAX; d = d->next) {
            if (is_candidate(checker, slot, d->call, is_exact, seen)) {
                found[count++] = d->call;
            }
        }
    }
    return count;
}

/* One of the deletions without an answer that may have done it. out_is_sure: whichever it was, the
 * same keys went. */
static struct call *find_deletion(struct checker *checker, bool *out_is_sure)
{
    struct call *found[CANDIDATES_MAX];
    struct slot *slot = slot_at(checker, checker->at);
    size_t place = (size_t)(checker->at - checker->base);
    size_t exact = add_candidates(checker, slot, true, found, 0);
    size_t count = exact;
    if (!is_all_seen(checker, slot)) {
        count = add_candidates(checker, slot, false, found, exact);
    }
    slot->candidates = (void *)(uintptr_t)arena_dup(
        checker->state.arena, slice_of(found, count * sizeof(found[0])))
                           .data;
    slot->candidates_count = count;
    *out_is_sure = count == exact || count == 1;
    for (size_t i = 0; i < count; i++) {
        *out_is_sure = *out_is_sure && is_decided(checker, &found[i]->of.op);
    }
    return match(checker, place, place + 1);
}

/* The lease that all the deleted keys hang on, if there is one. */
static struct lease *lease_of_deleted(struct checker *checker, const struct slot *slot)
{
    int64_t id = 0;
    for (const struct evidence *e = slot->evidence; e; e = e->next) {
        uint32_t rank = word_of(e->kv.key)->rank;
        const struct entry *entry = &checker->state.entries[rank];
        if (!entry->lease || (id && id != entry->lease)) {
            return NULL;
        }
        id = entry->lease;
    }
    return id ? state_lease(&checker->state, id) : NULL;
}

static int by_rank(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void end_lease(struct checker *checker, struct lease *lease)
{
    uint32_t *ranks = mem_alloc((lease->attached + 1) * sizeof(*ranks));
    uint32_t count = 0;
    for (uint32_t r = lease->first; r != NO_RANK; r = checker->state.entries[r].lease_next) {
        ranks[count++] = r;
    }
    record_sort(ranks, count, sizeof(*ranks), by_rank);
    for (uint32_t i = 0; i < count; i++) {
        model_delete_if_there(checker, ranks[i]);
    }
    lease->gone_at = checker->at;
    free(ranks);
}

/* One that was asked for when the revision was known already did not make it. */
static bool may_have_made(const struct call *revoke, const struct slot *slot)
{
    return revoke->of.invoked_ns <= slot->known_ns;
}

/* Whether the lease may have ended here: nobody used or renewed it later, and its time was up or
 * somebody may have revoked it. */
static bool may_end(const struct checker *checker, const struct lease *lease, bool *out_is_early)
{
    const struct slot *slot = slot_at((struct checker *)(uintptr_t)checker, checker->at);
    const struct history_run *run = &checker->history->run;
    bool is_revoked = lease->maybe_revoke && may_have_made(lease->maybe_revoke, slot);
    *out_is_early =
        run->has_sane_clocks && !is_revoked && lease->renewed_ns - run->slack_ns > slot->known_ns;
    return lease->used_at <= checker->at && lease->renew_invoked_ns <= slot->known_ns;
}

static void delete_evidence(struct checker *checker, struct slot *slot)
{
    slot->is_unordered = true;
    for (const struct evidence *e = slot->evidence; e; e = e->next) {
        model_delete(checker, word_of(e->kv.key)->rank);
    }
}

/* What else went with it is not known. */
static void delete_unsure(struct checker *checker, struct slot *slot)
{
    delete_evidence(checker, slot);
    checker->state.last_hole = checker->at;
}

/* It may have been none of the calls: all stay free for other slots. */
static void forget_deletion(struct checker *checker, struct slot *slot)
{
    size_t place = (size_t)(checker->at - checker->base);
    for (size_t i = 0; i < slot->candidates_count; i++) {
        struct call *call = slot->candidates[i];
        call->slot = call->slot == place ? 0 : call->slot;
    }
    slot->candidates_count = 0;
}

static bool is_foreign(const struct checker *checker, const struct slot *slot)
{
    return checker->history->run.has_others && !word_of(slot->evidence->kv.key)->is_ours;
}

static void report_deletion(
    struct checker *checker, const struct slot *slot, const struct lease *early)
{
    if (early) {
        wrong(checker->history, HISTORY_WRONG_LEASE_EARLY, "lease %" PRId64 " at revision %" PRId64,
            early->id, checker->at);
        wrong_show(checker->history, early->renewed_by ? early->renewed_by->number : 0);
    } else {
        wrong(checker->history, HISTORY_WRONG_DELETE_UNASKED, "at revision %" PRId64, checker->at);
    }
    wrong_show(checker->history, slot->evidence->number);
    wrong_show(checker->history, slot->known_by);
}

/* A deletion without an answer may have done it as well, in another order of the keys. */
static bool has_candidate(struct checker *checker, const struct slot *slot)
{
    struct call *found[CANDIDATES_MAX];
    return add_candidates(checker, slot, true, found, 0) > 0;
}

/* Only deletions were seen of it. */
static void replay_deletion(struct checker *checker, struct slot *slot)
{
    struct lease *lease = lease_of_deleted(checker, slot);
    bool is_early = false;
    bool does_end = lease && may_end(checker, lease, &is_early);
    bool is_exact = lease && lease->attached == count_evidence(slot);
    for (struct call *call = slot->revokes; call; call = call->next) {
        if (lease && call->of.op.lease == lease->id && may_have_made(call, slot)) {
            end_lease(checker, lease);
            return;
        }
    }
    if (does_end && !is_early && is_exact) {
        slot->is_unordered = has_candidate(checker, slot);
        end_lease(checker, lease);
        return;
    }
    bool is_sure;
    struct call *call = find_deletion(checker, &is_sure);
    if (call && does_end && !is_early && !is_all_seen(checker, slot)) {
        forget_deletion(checker, slot);
        delete_unsure(checker, slot);
    } else if (call && !is_sure) {
        delete_unsure(checker, slot);
    } else if (call) {
        slot->is_unordered = slot->candidates_count > 1;
        checker->now = call;
        model_apply(checker, &call->of.op, NULL);
    } else if (lease && !is_early && (does_end || is_exact)) {
        end_lease(checker, lease); /* if it is used or renewed later, that is what is wrong */
    } else {
        if (!is_foreign(checker, slot)) {
            report_deletion(checker, slot, does_end && is_early ? lease : NULL);
        }
        delete_evidence(checker, slot);
    }
}

static void replay_evidence(struct checker *checker, const struct slot *slot)
{
    for (const struct evidence *e = slot->evidence; e; e = e->next) {
        struct entry entry = {.value = e->kv.value,
            .create = e->kv.create,
            .mod = e->kv.mod,
            .version = e->kv.version,
            .lease = e->kv.lease};
        if (e->is_delete) {
            model_delete(checker, word_of(e->kv.key)->rank);
        } else {
            model_put(checker, word_of(e->kv.key)->rank, &entry);
        }
    }
}

static bool has_put(const struct slot *slot)
{
    for (const struct evidence *e = slot->evidence; e; e = e->next) {
        if (!e->is_delete) {
            return true;
        }
    }
    return false;
}

/* A key that surely hangs on the lease: no write without an answer may have taken it off. NO_RANK:
 * none. */
static uint32_t sure_key(const struct checker *checker, const struct lease *lease)
{
    uint32_t rank = lease->first;
    while (rank != NO_RANK && state_is_uncertain(&checker->state, rank)) {
        rank = checker->state.entries[rank].lease_next;
    }
    return rank;
}

/* A revoke with keys to take must have done it. If they may have been taken off before, it may or
 * may not. */
static void replay_hole(struct checker *checker, struct slot *slot)
{
    for (struct call *call = slot->revokes; call; call = call->next) {
        struct lease *lease = state_lease(&checker->state, call->of.op.lease);
        if (lease->attached && may_have_made(call, slot)) {
            if (sure_key(checker, lease) != NO_RANK) {
                end_lease(checker, lease);
            }
            checker->state.last_hole = checker->at;
            return;
        }
    }
    slot->is_hole = true;
    checker->state.last_hole = checker->at;
}

/* Leases that were revoked at this revision have no keys any more. */
static void replay_revokes(struct checker *checker, struct slot *slot)
{
    for (struct call *call = slot->revokes; call; call = call->next) {
        struct lease *lease = state_lease(&checker->state, call->of.op.lease);
        uint32_t rank = sure_key(checker, lease);
        if (rank != NO_RANK) {
            const struct word *key = checker->history->keys[rank];
            wrong(checker->history, HISTORY_WRONG_LEASE_KEYS, "lease %" PRId64 ", key %.*s",
                lease->id, (int)key->len, (const char *)key->data);
            wrong_show(checker->history, call->number);
        }
        lease->gone_at = lease->gone_at ? lease->gone_at : checker->at;
    }
}

static void replay_slot(struct checker *checker, struct slot *slot)
{
    if (slot->writer) {
        checker->now = slot->writer;
        bool is_answered = slot->writer->of.outcome == HISTORY_OK;
        model_apply(checker, &slot->writer->of.op, is_answered ? &slot->writer->of.result : NULL);
    } else if (!slot->evidence) {
        replay_hole(checker, slot);
    } else if (has_put(slot)) {
        replay_evidence(checker, slot);
    } else {
        replay_deletion(checker, slot);
    }
}

static void replay_reads(struct checker *checker, struct slot *slot)
{
    for (struct call *call = slot->reads; call && !is_enough(checker); call = call->next) {
        checker->now = call;
        model_apply(checker, &call->of.op, &call->of.result);
    }
    checker->now = NULL;
    look_replay(checker, slot);
}

static void replay_base(struct checker *checker)
{
    const struct history_run *run = &checker->history->run;
    for (size_t i = 0; i < run->kvs_count; i++) {
        const struct history_kv *kv = &run->kvs[i];
        struct entry entry = {.value = kv->value,
            .create = kv->create,
            .mod = kv->mod,
            .version = kv->version,
            .lease = kv->lease};
        state_put(&checker->state, word_of(kv->key)->rank, &entry, checker->base);
    }
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static size_t count_expirable(const struct checker *checker)
{
    size_t count = 0;
    void *cursor = NULL;
    struct slice key;
    void *value;
    while (map_next(checker->state.leases, &cursor, &key, &value)) {
        const struct lease *lease = value;
        count += (lease->grant || lease->is_granted) && !lease->gone_at;
    }
    return count;
}

/* For each hole there is a write without an answer, or a lease that may have ended, left over. Both
 * only ever become more with time, so that counting them is enough. */
static void check_holes(struct checker *checker)
{
    struct history *history = checker->history;
    int64_t *left = mem_alloc((history->calls_count + 1) * sizeof(*left));
    size_t count = 0;
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct call *call = history->calls[i];
        if (call->of.outcome == HISTORY_UNKNOWN && call->is_write && !call->revision &&
            !call->slot) {
            left[count++] = call->of.invoked_ns;
        }
    }
    record_sort(left, count, sizeof(*left), by_number);
    size_t expirable = count_expirable(checker);
    size_t holes = 0;
    size_t before = 0;
    for (int64_t at = checker->base + 1; at <= checker->last && !is_enough(checker); at++) {
        const struct slot *slot = slot_at(checker, at);
        if (!slot->is_hole || history->run.has_others) {
            continue;
        }
        holes++;
        while (before < count && left[before] <= slot->known_ns) {
            before++;
        }
        if (holes > before + expirable || slot->is_watched) {
            wrong(history, HISTORY_WRONG_REVISION_GAP, "%" PRId64 "%s", at,
                slot->is_watched ? ", a watch of all keys passed it" : "");
            wrong_show(history, slot->known_by);
            break;
        }
    }
    free(left);
}

void replay(struct checker *checker)
{
    checker->at = checker->base;
    replay_base(checker);
    replay_revokes(checker, slot_at(checker, checker->at));
    replay_reads(checker, slot_at(checker, checker->at));
    while (++checker->at <= checker->last && !is_enough(checker)) {
        struct slot *slot = slot_at(checker, checker->at);
        replay_slot(checker, slot);
        replay_revokes(checker, slot);
        replay_reads(checker, slot);
    }
    check_holes(checker);
}
