/* SPDX-License-Identifier: Apache-2.0
 *
 * Which call made which revision. Acknowledged writes say it; one without an answer is found by a
 * key-value of it that somebody saw. Then each answer is hung where the replay will meet it.
 */
#include "check.h"
#include "wrong.h"

#include <inttypes.h>

/* Whether what the result says changed the store. */
static bool made_revision(const struct history_op *op, const struct history_result *result)
{
    if (op->kind == HISTORY_PUT) {
        return true;
    }
    if (op->kind == HISTORY_DELETE) {
        return result->count > 0;
    }
    if (op->kind != HISTORY_TXN) {
        return false;
    }
    const struct history_op *ops = result->is_succeeded ? op->then_ops : op->else_ops;
    bool is_made = false;
    for (size_t i = 0; i < result->results_count; i++) {
        is_made = is_made || made_revision(&ops[i], &result->results[i]);
    }
    return is_made;
}

static bool fits(const struct history_op *op, const struct history_result *result)
{
    if (op->kind == HISTORY_PUT) {
        return result->kvs_count <= op->wants_prev;
    }
    if (op->kind == HISTORY_DELETE) {
        return result->count >= 0 &&
               result->kvs_count == (op->wants_prev ? (size_t)result->count : 0);
    }
    if (op->kind == HISTORY_RANGE) {
        return !op->is_count_only || !result->kvs_count;
    }
    if (op->kind != HISTORY_TXN) {
        return true;
    }
    const struct history_op *ops = result->is_succeeded ? op->then_ops : op->else_ops;
    size_t count = result->is_succeeded ? op->then_count : op->else_count;
    bool does_fit = result->results_count == count;
    for (size_t i = 0; does_fit && i < count; i++) {
        does_fit = fits(&ops[i], &result->results[i]);
    }
    return does_fit;
}

/* A read that need not be the newest: a range, or a transaction of nothing but such. */
static bool is_serializable(const struct history_op *op)
{
    if (op->kind != HISTORY_TXN) {
        return op->kind == HISTORY_RANGE && op->is_serializable;
    }
    bool is_so = op->then_count + op->else_count > 0;
    for (size_t i = 0; i < op->then_count; i++) {
        is_so = is_so && is_serializable(&op->then_ops[i]);
    }
    for (size_t i = 0; i < op->else_count; i++) {
        is_so = is_so && is_serializable(&op->else_ops[i]);
    }
    return is_so;
}

static void show_floor(struct checker *checker, const struct call *call)
{
    wrong_show(checker->history, call->number);
    wrong_show(checker->history, call->floor_by);
}

static void check_read_age(struct checker *checker, const struct call *call)
{
    const struct history_call *of = &call->of;
    bool is_exempt = of->op.kind == HISTORY_LEASE_KEEPALIVE || of->op.kind == HISTORY_LEASE_LOOK ||
                     is_serializable(&of->op);
    if (of->result.revision < call->floor && !is_exempt) {
        enum history_wrong what =
            of->op.kind == HISTORY_DUMP ? HISTORY_WRONG_DUMP : HISTORY_WRONG_STALE_READ;
        wrong(checker->history, what, "revision %" PRId64 " after %" PRId64 " was known",
            of->result.revision, call->floor);
        show_floor(checker, call);
    }
}

static void place_write(struct checker *checker, struct call *call)
{
    int64_t revision = call->of.result.revision;
    if (revision <= checker->base || revision <= call->floor) {
        wrong(checker->history, HISTORY_WRONG_REVISION_BACK, "%" PRId64 ", %" PRId64 " was known",
            revision, call->floor);
        show_floor(checker, call);
        return;
    }
    struct slot *slot = slot_at(checker, revision);
    if (slot->writer) {
        wrong(checker->history, HISTORY_WRONG_REVISION_TWICE, "%" PRId64, revision);
        wrong_show(checker->history, slot->writer->number);
        wrong_show(checker->history, call->number);
        return;
    }
    call->revision = revision;
    slot->writer = call;
}

static void hang(struct call **list, struct call *call)
{
    call->next = *list;
    *list = call;
}

/* An answered call's own place: its slot's writer, or one of those that the slot is shown to. */
static void place_answered(struct checker *checker, struct call *call)
{
    const struct history_op *op = &call->of.op;
    const struct history_result *result = &call->of.result;
    if (!fits(op, result) || (op->kind == HISTORY_RANGE && result->revision < op->revision)) {
        wrong(checker->history, HISTORY_WRONG_SHAPE, "see");
        wrong_show(checker->history, call->number);
        return;
    }
    if (made_revision(op, result)) {
        place_write(checker, call);
        return;
    }
    check_read_age(checker, call);
    int64_t at = op->kind == HISTORY_RANGE && op->revision > 0 ? op->revision : result->revision;
    if (op->kind == HISTORY_LEASE_LOOK) {
        hang(&slot_at(checker, op->is_serializable ? checker->base : call->floor)->looks, call);
    }
    if (at < checker->base) {
        return;
    }
    if (op->kind == HISTORY_LEASE_REVOKE) {
        hang(&slot_at(checker, at)->revokes, call);
    } else if (op->kind == HISTORY_RANGE || op->kind == HISTORY_DUMP ||
               op->kind == HISTORY_DELETE || op->kind == HISTORY_TXN) {
        hang(&slot_at(checker, at)->reads, call);
    }
}

static void add_evidence(struct checker *checker, struct slot *slot, bool is_delete,
    const struct history_kv *kv, size_t number)
{
    for (const struct evidence *e = slot->evidence; e; e = e->next) {
        if (e->is_delete == is_delete && e->kv.key.data == kv->key.data) {
            return;
        }
    }
    struct evidence *evidence = arena_alloc(checker->state.arena, sizeof(*evidence));
    *evidence = (struct evidence){slot->evidence, is_delete, *kv, number};
    slot->evidence = evidence;
}

/* The revision of a put without an answer is that of a key-value of it. */
static void place_by_value(
    struct checker *checker, struct slot *slot, const struct history_kv *kv, size_t number)
{
    struct call *refused = NULL;
    struct call *elsewhere = NULL;
    for (struct writer *w = word_of(kv->value)->writers; w; w = w->next) {
        if (w->key.data != kv->key.data) {
            continue;
        }
        if (w->call->of.outcome == HISTORY_UNKNOWN && !w->call->revision) {
            w->call->revision = kv->mod;
            slot->writer = w->call;
            return;
        }
        bool is_refused = w->call->of.outcome == HISTORY_FAILED;
        refused = is_refused ? w->call : refused;
        elsewhere = is_refused ? elsewhere : w->call;
    }
    bool is_others = checker->history->run.has_others && !word_of(kv->key)->is_ours;
    if (is_others || checker->has_unknown_keeper) {
        return;
    }
    struct call *shown = elsewhere ? elsewhere : refused;
    enum history_wrong what = elsewhere ? HISTORY_WRONG_APPLIED_TWICE
                              : refused ? HISTORY_WRONG_REFUSED_SEEN
                                        : HISTORY_WRONG_UNWRITTEN;
    wrong(checker->history, what, "at revision %" PRId64, kv->mod);
    wrong_show(checker->history, number);
    wrong_show(checker->history, shown ? shown->number : 0);
}

static void see(struct checker *checker, bool is_delete, const struct history_kv *kv, size_t number)
{
    if (kv->mod <= checker->base || kv->mod > checker->last) {
        return;
    }
    struct slot *slot = slot_at(checker, kv->mod);
    if (slot->writer && slot->writer->of.outcome == HISTORY_OK) {
        return;
    }
    bool is_first = !slot->evidence || slot->evidence->is_delete;
    add_evidence(checker, slot, is_delete, kv, number);
    if (!is_delete && is_first && !slot->writer) {
        place_by_value(checker, slot, kv, number);
    }
}

static void see_result(struct checker *checker, const struct history_op *op,
    const struct history_result *result, size_t number)
{
    for (size_t i = 0; !op->is_keys_only && i < result->kvs_count; i++) {
        see(checker, false, &result->kvs[i], number);
    }
    const struct history_op *ops = result->is_succeeded ? op->then_ops : op->else_ops;
    size_t count = result->is_succeeded ? op->then_count : op->else_count;
    for (size_t i = 0; i < result->results_count && i < count; i++) {
        see_result(checker, &ops[i], &result->results[i], number);
    }
}

static void see_all(struct checker *checker)
{
    struct history *history = checker->history;
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct call *call = history->calls[i];
        if (call->of.outcome == HISTORY_OK) {
            see_result(checker, &call->of.op, &call->of.result, call->number);
        }
    }
    for (size_t i = 0; i < history->watches_count; i++) {
        const struct watch *watch = history->watches[i];
        for (size_t j = 0; j < watch->count; j++) {
            const struct history_response *response = &watch->responses[j].of;
            for (size_t k = 0; k < response->events_count; k++) {
                const struct history_event *event = &response->events[k];
                see(checker, event->is_delete, &event->kv, watch->responses[j].number);
                if (event->has_prev) {
                    see(checker, false, &event->prev, watch->responses[j].number);
                }
            }
        }
    }
}

static void add_deleters(struct checker *checker, struct call *call, const struct history_op *op)
{
    if (op->kind == HISTORY_DELETE) {
        struct deleter *deleter = arena_alloc(checker->state.arena, sizeof(*deleter));
        struct deleter **list =
            op->end.len ? &checker->range_deleters : &checker->deleters[word_of(op->key)->rank];
        *deleter = (struct deleter){*list, call};
        *list = deleter;
    }
    for (size_t i = 0; op->kind == HISTORY_TXN && i < op->then_count; i++) {
        add_deleters(checker, call, &op->then_ops[i]);
    }
    for (size_t i = 0; op->kind == HISTORY_TXN && i < op->else_count; i++) {
        add_deleters(checker, call, &op->else_ops[i]);
    }
}

/* Keys that a call without a revision could write may have changed where nothing is known. */
static void mark_keys(struct checker *checker, const struct history_op *op)
{
    if (op->kind == HISTORY_PUT || op->kind == HISTORY_DELETE) {
        uint32_t from;
        uint32_t to;
        check_ranks(checker, op->key, op->end, &from, &to);
        for (; from < to; from++) {
            checker->state.entries[from].may_change = true;
        }
    }
    for (size_t i = 0; i < op->then_count; i++) {
        mark_keys(checker, &op->then_ops[i]);
    }
    for (size_t i = 0; i < op->else_count; i++) {
        mark_keys(checker, &op->else_ops[i]);
    }
}

static bool keeps_a_value(const struct history_op *op)
{
    bool does_keep = op->keeps_value;
    for (size_t i = 0; i < op->then_count; i++) {
        does_keep = does_keep || keeps_a_value(&op->then_ops[i]);
    }
    for (size_t i = 0; i < op->else_count; i++) {
        does_keep = does_keep || keeps_a_value(&op->else_ops[i]);
    }
    return does_keep;
}

static void check_refusal(struct checker *checker, const struct call *call)
{
    const struct history_call *of = &call->of;
    int64_t asked = of->op.revision;
    bool is_range = of->op.kind == HISTORY_RANGE;
    if ((!is_range && of->op.kind != HISTORY_COMPACT) || asked <= 0) {
        return;
    }
    if (slice_eq(of->error, SLICE("compacted")) &&
        !order_was_compacted(checker, is_range ? asked : asked - 1, of->returned_ns)) {
        wrong(checker->history, HISTORY_WRONG_COMPACTED_UNASKED, "%" PRId64, asked);
        wrong_show(checker->history, call->number);
    }
    if (slice_eq(of->error, SLICE("future")) && !of->op.is_serializable && asked <= call->floor) {
        wrong(checker->history, HISTORY_WRONG_FUTURE_REFUSED, "%" PRId64 ", %" PRId64 " was known",
            asked, call->floor);
        show_floor(checker, call);
    }
}

static void check_compaction(struct checker *checker, const struct call *call)
{
    const struct history_op *op = &call->of.op;
    bool is_read = op->kind == HISTORY_RANGE && !op->is_serializable && op->revision > 0 &&
                   op->revision < call->compact_floor;
    bool is_again = op->kind == HISTORY_COMPACT && op->revision <= call->compact_floor;
    if (is_read || is_again) {
        enum history_wrong what =
            is_read ? HISTORY_WRONG_COMPACTED_READ : HISTORY_WRONG_COMPACTED_TWICE;
        wrong(checker->history, what, "%" PRId64 ", compacted at %" PRId64, op->revision,
            call->compact_floor);
        wrong_show(checker->history, call->number);
    }
}

void place_calls(struct checker *checker)
{
    struct history *history = checker->history;
    for (size_t i = 0; i < history->calls_count; i++) {
        struct call *call = history->calls[i];
        if (call->of.outcome == HISTORY_OK) {
            place_answered(checker, call);
            check_compaction(checker, call);
        } else if (call->of.outcome == HISTORY_FAILED) {
            check_refusal(checker, call);
        } else {
            checker->has_unknown_keeper =
                checker->has_unknown_keeper || keeps_a_value(&call->of.op);
        }
    }
    see_all(checker);
    for (size_t i = 0; i < history->calls_count; i++) {
        struct call *call = history->calls[i];
        if (call->of.outcome != HISTORY_UNKNOWN) {
            continue;
        }
        if (!call->revision) {
            add_deleters(checker, call, &call->of.op);
            mark_keys(checker, &call->of.op);
        } else if (call->revision <= call->floor) {
            wrong(history, HISTORY_WRONG_FUTURE_READ, "revision %" PRId64 ", %" PRId64 " was known",
                call->revision, call->floor);
            show_floor(checker, call);
        }
    }
}
