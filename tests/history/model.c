/* SPDX-License-Identifier: Apache-2.0
 *
 * What etcd does for each operation, on the state at one revision, and what it must have answered.
 * A key that a revision nobody saw may have changed is uncertain: what an answer says of it is
 * taken over instead of held against it.
 */
#include "model.h"
#include "wrong.h"

#include "base/mem.h"

#include <inttypes.h>

static void report(
    struct checker *checker, enum history_wrong what, struct slice key, const struct entry *entry)
{
    wrong(checker->history, what, "key %.*s at revision %" PRId64, (int)key.len,
        (const char *)key.data, checker->at);
    if (entry) {
        buf_printf(checker->history->report,
            "    must be: \"%.*s\" create %" PRId64 " mod %" PRId64 " version %" PRId64
            " lease %" PRId64 "\n",
            (int)(entry->value.len > 60 ? 60 : entry->value.len), (const char *)entry->value.data,
            entry->create, entry->mod, entry->version, entry->lease);
    }
    wrong_show(checker->history, checker->now ? checker->now->number : 0);
    if (entry && entry->mod > checker->base && entry->mod <= checker->last) {
        const struct call *writer = slot_at(checker, entry->mod)->writer;
        wrong_show(checker->history, writer ? writer->number : 0);
    }
}

/* Nobody wrote such a value, or it was refused: that says more than that it is the wrong one. */
static enum history_wrong value_wrong(const struct history_kv *kv)
{
    const struct writer *w = word_of(kv->value)->writers;
    bool is_refused = w != NULL;
    for (; w; w = w->next) {
        is_refused = is_refused && w->call->of.outcome == HISTORY_FAILED;
    }
    return is_refused                    ? HISTORY_WRONG_REFUSED_SEEN
           : word_of(kv->value)->writers ? HISTORY_WRONG_VALUE
                                         : HISTORY_WRONG_UNWRITTEN;
}

enum history_wrong model_differs(
    const struct entry *entry, const struct history_kv *kv, bool is_keys_only)
{
    if (!is_keys_only && entry->value.data != kv->value.data) {
        return value_wrong(kv);
    }
    if (entry->mod != kv->mod) {
        return HISTORY_WRONG_MOD;
    }
    if (entry->lease != kv->lease) {
        return HISTORY_WRONG_KEY_LEASE;
    }
    if (!entry->is_unsure && entry->create != kv->create) {
        return HISTORY_WRONG_CREATE;
    }
    if (!entry->is_unsure && entry->version != kv->version) {
        return HISTORY_WRONG_VERSION;
    }
    return HISTORY_WRONGS;
}

static void take_over(struct checker *checker, uint32_t rank, const struct history_kv *kv)
{
    struct entry entry = {.value = kv->value,
        .create = kv->create,
        .mod = kv->mod,
        .version = kv->version,
        .lease = kv->lease};
    state_put(&checker->state, rank, &entry, checker->at);
}

static bool is_foreign(const struct checker *checker, uint32_t rank)
{
    return checker->history->run.has_others && !checker->history->keys[rank]->is_ours;
}

/* A key-value that was seen where the state has one, or is uncertain. as: what a difference is
 * called, HISTORY_WRONGS: by what differs. */
static void hold_kv(
    struct checker *checker, const struct history_kv *kv, bool is_keys_only, enum history_wrong as)
{
    struct state *state = &checker->state;
    uint32_t rank = word_of(kv->key)->rank;
    struct entry *entry = &state->entries[rank];
    enum history_wrong differs =
        state_has(state, rank) ? model_differs(entry, kv, is_keys_only) : HISTORY_WRONG_RISEN;
    bool is_taken = state_is_uncertain(state, rank) || is_foreign(checker, rank);
    if (differs == HISTORY_WRONGS || is_taken) {
        if (!is_keys_only && (is_taken || entry->is_unsure)) {
            take_over(checker, rank, kv);
        }
        return;
    }
    report(checker, as == HISTORY_WRONGS ? differs : as, kv->key,
        state_has(state, rank) ? entry : NULL);
    if (!is_keys_only) {
        take_over(checker, rank, kv);
    }
}

static void hold_absence(struct checker *checker, uint32_t rank, enum history_wrong as)
{
    struct state *state = &checker->state;
    if (!state_has(state, rank) || is_foreign(checker, rank)) {
        return;
    }
    if (!state_is_uncertain(state, rank)) {
        const struct word *key = checker->history->keys[rank];
        report(checker, as, slice_of(key->data, key->len), &state->entries[rank]);
    }
    state_remove(state, rank, checker->at);
}

/* By key, unless they are sorted by something else. */
static bool is_ordered(const struct history_result *result, uint32_t from, uint32_t to, bool is_any)
{
    for (size_t i = 0; i < result->kvs_count; i++) {
        uint32_t rank = word_of(result->kvs[i].key)->rank;
        if (rank < from || rank >= to) {
            return false;
        }
        from = is_any ? from : rank + 1;
    }
    return true;
}

static bool has_uncertain(const struct checker *checker, uint32_t from, uint32_t to)
{
    const struct state *state = &checker->state;
    for (; state->last_hole > checker->base && from < to; from++) {
        if (state_is_uncertain(state, from)) {
            return true;
        }
    }
    return false;
}

static void hold_count(struct checker *checker, const struct history_op *op,
    const struct history_result *result, int64_t wanted)
{
    bool is_less = result->count < wanted;
    bool is_more = result->count > wanted && !checker->history->run.has_others;
    bool is_cut = op->limit > 0 && result->count > op->limit && !op->is_count_only;
    if (is_less || is_more) {
        report(checker, HISTORY_WRONG_COUNT, op->key, NULL);
    } else if (result->has_more != is_cut) {
        report(checker, HISTORY_WRONG_MORE, op->key, NULL);
    }
}

static int relation(int64_t left, int64_t right)
{
    return (left > right) - (left < right);
}

/* As a range by that sorts them, the key aside: those that are alike are in no order. */
static int sorted(
    const struct history_op *op, const struct history_kv *a, const struct history_kv *b)
{
    int order = 0;
    switch (op->sort) {
    case HISTORY_BY_KEY:
        order = slice_cmp(a->key, b->key);
        break;
    case HISTORY_BY_VERSION:
        order = relation(a->version, b->version);
        break;
    case HISTORY_BY_CREATE:
        order = relation(a->create, b->create);
        break;
    case HISTORY_BY_MOD:
        order = relation(a->mod, b->mod);
        break;
    case HISTORY_BY_VALUE:
        order = slice_cmp(a->value, b->value);
        break;
    }
    return op->order == HISTORY_DESCENDING ? -order : order;
}

static bool is_sorted(const struct history_op *op, const struct history_result *result)
{
    for (size_t i = 1; i < result->kvs_count; i++) {
        if (sorted(op, &result->kvs[i - 1], &result->kvs[i]) > 0) {
            return false;
        }
    }
    return true;
}

/* Of a sorted range that was cut: a key that is not in it does not come before its last one. */
static void hold_cut(struct checker *checker, const struct history_op *op,
    const struct history_kv *last, uint32_t rank)
{
    const struct entry *entry = &checker->state.entries[rank];
    const struct word *key = checker->history->keys[rank];
    struct history_kv kv = {slice_of(key->data, key->len), entry->value, entry->create, entry->mod,
        entry->version, entry->lease};
    bool is_sure = !state_is_uncertain(&checker->state, rank) && !entry->is_unsure &&
                   !is_foreign(checker, rank) &&
                   !(op->is_keys_only && op->sort == HISTORY_BY_VALUE);
    if (is_sure && sorted(op, &kv, last) < 0) {
        report(checker, HISTORY_WRONG_SORT, kv.key, entry);
    }
}

static int by_key(const void *a, const void *b)
{
    uint32_t left = word_of(((const struct history_kv *)a)->key)->rank;
    uint32_t right = word_of(((const struct history_kv *)b)->key)->rank;
    return (left > right) - (left < right);
}

/* Keys of which the answer says nothing: they are not there, or behind what a limit cut off. */
static void hold_absences(struct checker *checker, const struct history_op *op, uint32_t from,
    uint32_t to, const struct history_kv *last)
{
    for (uint32_t r = state_next(&checker->state, from); r < to;
         r = state_next(&checker->state, r + 1)) {
        if (last) {
            hold_cut(checker, op, last, r);
        } else {
            hold_absence(checker, r, HISTORY_WRONG_LOST);
        }
    }
}

static void hold_range(struct checker *checker, const struct history_op *op,
    const struct history_result *result, uint32_t from, uint32_t to)
{
    bool is_limited = op->limit > 0 && (int64_t)result->kvs_count >= op->limit;
    const struct history_kv *last =
        is_limited && op->order ? &result->kvs[result->kvs_count - 1] : NULL;
    struct history_kv *kvs = mem_alloc((result->kvs_count + 1) * sizeof(*kvs));
    for (size_t i = 0; i < result->kvs_count; i++) {
        kvs[i] = result->kvs[i];
    }
    record_sort(kvs, result->kvs_count, sizeof(*kvs), by_key);
    uint32_t next = from;
    for (size_t i = 0; i < result->kvs_count; i++) {
        uint32_t rank = word_of(kvs[i].key)->rank;
        hold_absences(checker, op, next, rank, last);
        hold_kv(checker, &kvs[i], op->is_keys_only, HISTORY_WRONGS);
        next = rank + 1;
    }
    if ((!is_limited || last) && !op->is_count_only) {
        hold_absences(checker, op, next, to, last);
    }
    free(kvs);
}

static void model_range(
    struct checker *checker, const struct history_op *op, const struct history_result *result)
{
    uint32_t from;
    uint32_t to;
    check_ranks(checker, op->key, op->end, &from, &to);
    if (!is_ordered(result, from, to, op->order) ||
        (op->limit > 0 && (int64_t)result->kvs_count > op->limit)) {
        report(checker, HISTORY_WRONG_KEYS, op->key, NULL);
        return;
    }
    if (op->order && !is_sorted(op, result)) {
        report(checker, HISTORY_WRONG_SORT, op->key, NULL);
        return;
    }
    bool is_uncertain = has_uncertain(checker, from, to);
    int64_t wanted = state_count(&checker->state, from, to);
    hold_range(checker, op, result, from, to);
    if (!is_uncertain && op->kind != HISTORY_DUMP) {
        hold_count(checker, op, result, wanted);
    }
}

static struct change *add_change(struct checker *checker, uint32_t rank, bool is_delete)
{
    struct state *state = &checker->state;
    struct slot *slot = slot_at(checker, checker->at);
    struct change *change = arena_zalloc(state->arena, sizeof(*change));
    change->rank = rank;
    change->is_delete = is_delete;
    change->had_prev = state_has(state, rank);
    change->prev = state->entries[rank];
    change->is_prev_unsure = change->prev.is_unsure || state_is_uncertain(state, rank);
    *slot->changes_end = change;
    slot->changes_end = &change->next;
    return change;
}

void model_put(struct checker *checker, uint32_t rank, const struct entry *entry)
{
    struct change *change = add_change(checker, rank, false);
    change->now = *entry;
    state_put(&checker->state, rank, entry, checker->at);
}

void model_delete(struct checker *checker, uint32_t rank)
{
    add_change(checker, rank, true);
    state_remove(&checker->state, rank, checker->at);
}

void model_delete_if_there(struct checker *checker, uint32_t rank)
{
    struct change *change = add_change(checker, rank, true);
    change->is_maybe = state_is_uncertain(&checker->state, rank);
    state_remove(&checker->state, rank, checker->at);
}

static void check_lease(struct checker *checker, int64_t id)
{
    struct lease *lease = state_lease(&checker->state, id);
    const struct call *now = checker->now;
    bool is_known = lease->is_granted ||
                    (lease->grant && (now->of.outcome != HISTORY_OK ||
                                         lease->grant->of.invoked_ns <= now->of.returned_ns));
    if (!is_known) {
        wrong(checker->history, HISTORY_WRONG_LEASE_UNKNOWN, "%" PRId64, id);
        wrong_show(checker->history, now->number);
    } else if (lease->gone_at && checker->at > lease->gone_at) {
        wrong(checker->history, HISTORY_WRONG_LEASE_USED, "%" PRId64 ", gone at revision %" PRId64,
            id, lease->gone_at);
        wrong_show(checker->history, lease->revoke ? lease->revoke->number : 0);
        wrong_show(checker->history, now->number);
    }
}

static void apply_put(
    struct checker *checker, const struct history_op *op, const struct history_result *result)
{
    struct state *state = &checker->state;
    uint32_t rank = word_of(op->key)->rank;
    if (result && op->wants_prev) {
        if (result->kvs_count) {
            hold_kv(checker, &result->kvs[0], false, HISTORY_WRONG_PREV);
        } else {
            hold_absence(checker, rank, HISTORY_WRONG_PREV);
        }
    }
    bool is_there = state_has(state, rank);
    const struct entry *before = &state->entries[rank];
    struct entry entry = {
        .value = op->keeps_value ? before->value : op->value,
        .lease = op->keeps_lease ? before->lease : op->lease,
        .create = is_there ? before->create : checker->at,
        .version = before->version + 1,
        .mod = checker->at,
        .is_unsure = before->is_unsure || state_is_uncertain(state, rank),
    };
    if (op->keeps_value && !is_there) {
        report(checker, HISTORY_WRONG_SHAPE, op->key, NULL);
        entry.value = op->value;
    }
    if (op->lease) {
        check_lease(checker, op->lease);
    }
    model_put(checker, rank, &entry);
}

/* Keys of a range of which some are uncertain. Those may all have been there, and then the answer's
 * count says so; or some of them. */
static void delete_uncertain(
    struct checker *checker, uint32_t from, uint32_t to, const struct history_result *result)
{
    const struct state *state = &checker->state;
    int64_t possible = 0;
    for (uint32_t r = from; r < to; r++) {
        possible += state_has(state, r) || state_is_uncertain(state, r);
    }
    bool is_sure = result && result->count == possible;
    for (uint32_t r = from; r < to; r++) {
        if (result && result->count == 0) {
            state_remove(&checker->state, r, checker->at);
        } else if (is_sure && (state_has(state, r) || state_is_uncertain(state, r))) {
            model_delete(checker, r);
        } else if (state_has(state, r) || state_is_uncertain(state, r)) {
            model_delete_if_there(checker, r);
        }
    }
}

static void apply_delete(
    struct checker *checker, const struct history_op *op, const struct history_result *result)
{
    struct state *state = &checker->state;
    uint32_t from;
    uint32_t to;
    check_ranks(checker, op->key, op->end, &from, &to);
    bool is_uncertain = has_uncertain(checker, from, to);
    int64_t count = state_count(state, from, to);
    bool is_right =
        !result || is_uncertain || checker->history->run.has_others || result->count == count;
    if (!is_right) {
        report(checker, HISTORY_WRONG_DELETED, op->key, NULL);
    }
    for (size_t i = 0; result && op->wants_prev && i < result->kvs_count; i++) {
        uint32_t rank = word_of(result->kvs[i].key)->rank;
        if (rank < from || rank >= to) {
            report(checker, HISTORY_WRONG_PREV, result->kvs[i].key, NULL);
        } else {
            hold_kv(checker, &result->kvs[i], false, HISTORY_WRONG_PREV);
        }
    }
    if (!is_right && result->count == 0) {
        return;
    }
    if (is_uncertain) {
        delete_uncertain(checker, from, to, result);
        return;
    }
    for (uint32_t r = state_next(state, from); r < to; r = state_next(state, r + 1)) {
        model_delete(checker, r);
    }
}

static int64_t number_of(const struct entry *entry, enum history_target target)
{
    switch (target) {
    case HISTORY_VERSION:
        return entry->version;
    case HISTORY_CREATE:
        return entry->create;
    case HISTORY_MOD:
        return entry->mod;
    case HISTORY_LEASE:
        return entry->lease;
    case HISTORY_VALUE:
        break;
    }
    return 0;
}

static bool holds(const struct history_compare *compare, const struct entry *entry, bool is_there)
{
    if (compare->target == HISTORY_VALUE && !is_there) {
        return false;
    }
    int64_t number = number_of(entry, compare->target);
    int order = compare->target == HISTORY_VALUE
                    ? slice_cmp(entry->value, compare->value)
                    : (number > compare->number) - (number < compare->number);
    switch (compare->relation) {
    case HISTORY_EQUAL:
        return order == 0;
    case HISTORY_NOT_EQUAL:
        return order != 0;
    case HISTORY_GREATER:
        return order > 0;
    case HISTORY_LESS:
        return order < 0;
    }
    return false;
}

static bool compare_holds(
    struct checker *checker, const struct history_compare *compare, bool *is_sure)
{
    struct state *state = &checker->state;
    uint32_t from;
    uint32_t to;
    check_ranks(checker, compare->key, compare->end, &from, &to);
    bool is_unsure = has_uncertain(checker, from, to);
    bool does_hold = true;
    uint32_t first = state_next(state, from);
    for (uint32_t r = first; r < to; r = state_next(state, r + 1)) {
        const struct entry *entry = &state->entries[r];
        does_hold = does_hold && holds(compare, entry, true);
        is_unsure = is_unsure || (entry->is_unsure && (compare->target == HISTORY_CREATE ||
                                                          compare->target == HISTORY_VERSION));
    }
    if (first >= to) {
        does_hold = holds(compare, &(struct entry){0}, false);
    }
    *is_sure = *is_sure && !is_unsure;
    return does_hold;
}

bool model_compares(struct checker *checker, const struct history_op *txn, bool *out_is_sure)
{
    bool does_hold = true;
    *out_is_sure = true;
    for (size_t i = 0; i < txn->compares_count; i++) {
        does_hold = compare_holds(checker, &txn->compares[i], out_is_sure) && does_hold;
    }
    return does_hold;
}

/* Whether the operations would write the value that was seen. */
static bool writes(const struct history_op *ops, size_t count, const struct evidence *evidence)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i].kind == HISTORY_PUT && ops[i].key.data == evidence->kv.key.data &&
            ops[i].value.data == evidence->kv.value.data) {
            return true;
        }
    }
    return false;
}

static void apply_txn(
    struct checker *checker, const struct history_op *op, const struct history_result *result)
{
    bool is_sure = false;
    bool is_then = model_compares(checker, op, &is_sure);
    if (result && is_sure && result->is_succeeded != is_then) {
        report(checker, HISTORY_WRONG_BRANCH, SLICE("of the transaction"), NULL);
    }
    const struct evidence *evidence = slot_at(checker, checker->at)->evidence;
    if (!result && !is_sure && evidence && !evidence->is_delete) {
        is_then = writes(op->then_ops, op->then_count, evidence);
    }
    is_then = result ? result->is_succeeded : is_then;
    const struct history_op *ops = is_then ? op->then_ops : op->else_ops;
    size_t count = is_then ? op->then_count : op->else_count;
    for (size_t i = 0; i < count; i++) {
        model_apply(checker, &ops[i], result ? &result->results[i] : NULL);
    }
}

void model_apply(
    struct checker *checker, const struct history_op *op, const struct history_result *result)
{
    if (op->kind == HISTORY_PUT) {
        apply_put(checker, op, result);
    } else if (op->kind == HISTORY_DELETE) {
        apply_delete(checker, op, result);
    } else if (op->kind == HISTORY_TXN) {
        apply_txn(checker, op, result);
    } else if ((op->kind == HISTORY_RANGE || op->kind == HISTORY_DUMP) && result &&
               (op->revision <= 0 || op->revision == checker->at)) {
        model_range(checker, op, result);
    }
}
