/* SPDX-License-Identifier: Apache-2.0
 *
 * The nine promises of a watch, each response against what the replay found to have happened.
 */
#include "model.h"
#include "wrong.h"

#include <inttypes.h>

/* Where a watch is: everything before next has come; of next itself what is before change. */
struct place {
    struct checker *checker;
    const struct watch *watch;
    const struct response *response;
    uint32_t from, to; /* its keys */
    int64_t start, next, bookmark;
    const struct change *change;
    size_t taken; /* of next, where it has no order */
    bool is_torn; /* the last response left out events of its last revision */
    bool is_canceled;
};

static void report(struct place *place, enum history_wrong what, int64_t revision)
{
    struct history *history = place->checker->history;
    wrong(history, what, "watch %" PRIu64 ", revision %" PRId64, place->watch->of.watch, revision);
    wrong_show(history, place->watch->number);
    wrong_show(history, place->response->number);
    if (revision > place->checker->base && revision <= place->checker->last) {
        const struct call *writer = slot_at(place->checker, revision)->writer;
        wrong_show(history, writer ? writer->number : 0);
    }
}

static bool is_wanted(const struct place *place, const struct change *change)
{
    const struct history_watch *of = &place->watch->of;
    bool is_filtered = change->is_delete ? of->no_delete : of->no_put;
    return change->rank >= place->from && change->rank < place->to && !is_filtered;
}

/* From change on, the first that the watch must show, or NULL. */
static const struct change *first_wanted(const struct place *place, const struct change *change)
{
    while (change && !is_wanted(place, change)) {
        change = change->next;
    }
    return change;
}

/* Likewise, of what surely happened. */
static const struct change *first_due(const struct place *place, const struct change *change)
{
    while (change && (change->is_maybe || !is_wanted(place, change))) {
        change = change->next;
    }
    return change;
}

static bool is_before(
    const struct change *from, const struct change *change, const struct change *end)
{
    while (from && from != end && from != change) {
        from = from->next;
    }
    return from && from != end;
}

/* The first change of the revision that has not come. */
static const struct change *left_of(const struct place *place, int64_t revision)
{
    if (revision <= place->checker->base || revision > place->checker->last) {
        return NULL;
    }
    bool is_started = revision == place->next && place->change;
    return first_wanted(
        place, is_started ? place->change : slot_at(place->checker, revision)->changes);
}

/* Goes on to revision; reports what had to come before it and did not. */
static void pass(struct place *place, int64_t revision, enum history_wrong what)
{
    place->is_torn = false;
    for (; place->next < revision; place->next++, place->change = NULL) {
        if (first_due(place, left_of(place, place->next))) {
            report(place, what, place->next);
            place->next = revision;
            place->change = NULL;
            return;
        }
    }
}

static bool differs_as_created(enum history_wrong what)
{
    return what == HISTORY_WRONG_CREATE || what == HISTORY_WRONG_VERSION;
}

static void check_prev(
    struct place *place, const struct history_event *event, const struct change *change)
{
    int64_t revision = event->kv.mod;
    bool is_wrong = event->has_prev;
    if (place->watch->of.wants_prev && change->had_prev) {
        bool may_lack = change->is_prev_unsure || order_was_compacted(place->checker, revision - 1,
                                                      place->response->of.came_ns);
        is_wrong = event->has_prev
                       ? model_differs(&change->prev, &event->prev, false) != HISTORY_WRONGS
                       : !may_lack;
    }
    if (is_wrong && !change->is_prev_unsure) {
        report(place, HISTORY_WRONG_WATCH_PREV, revision);
    }
}

static void check_event(
    struct place *place, const struct history_event *event, const struct change *change)
{
    enum history_wrong what = HISTORY_WRONGS;
    if (event->is_delete != change->is_delete) {
        what = HISTORY_WRONG_WATCH_EVENT;
    } else if (!event->is_delete) {
        what = model_differs(&change->now, &event->kv, false);
    }
    if (what != HISTORY_WRONGS) {
        report(place,
            differs_as_created(what) ? HISTORY_WRONG_WATCH_CREATE : HISTORY_WRONG_WATCH_EVENT,
            event->kv.mod);
    }
    check_prev(place, event, change);
}

/* What is wrong with where the event stands, before it is looked for; HISTORY_WRONGS: nothing. */
static enum history_wrong misplaced(
    const struct place *place, const struct history_event *event, int64_t last)
{
    const struct history_watch *of = &place->watch->of;
    uint32_t rank = word_of(event->kv.key)->rank;
    if (rank < place->from || rank >= place->to ||
        (event->is_delete ? of->no_delete : of->no_put)) {
        return HISTORY_WRONG_WATCH_FILTER;
    }
    if (event->kv.mod > place->response->of.revision) {
        return HISTORY_WRONG_WATCH_HEADER;
    }
    if (event->kv.mod < place->start) {
        return HISTORY_WRONG_WATCH_START;
    }
    if (event->kv.mod <= place->bookmark) {
        return HISTORY_WRONG_WATCH_BOOKMARK;
    }
    return event->kv.mod < last ? HISTORY_WRONG_WATCH_ORDER : HISTORY_WRONGS;
}

static const struct change *find(const struct change *change, const struct history_event *event)
{
    while (change && change->rank != word_of(event->kv.key)->rank) {
        change = change->next;
    }
    return change;
}

/* Behind the change that came. Without an order it is enough that as many came as there are. */
static void step(struct place *place, const struct slot *slot, const struct change *came)
{
    size_t wanted = 0;
    if (!slot->is_unordered) {
        place->change = first_wanted(place, came->next);
        return;
    }
    const struct change *first = first_wanted(place, slot->changes);
    for (const struct change *c = first; c; c = first_wanted(place, c->next)) {
        wanted++;
    }
    place->taken = place->change ? place->taken + 1 : 1;
    place->change = place->taken < wanted ? first : NULL;
}

/* last: the newest revision that a response before or this one has shown. */
static void take_event(struct place *place, const struct history_event *event, int64_t last)
{
    enum history_wrong what = misplaced(place, event, last);
    if (what != HISTORY_WRONGS) {
        report(place, what, event->kv.mod);
        return;
    }
    int64_t revision = event->kv.mod;
    if (revision > place->checker->last || revision <= place->checker->base) {
        return;
    }
    const struct slot *slot = slot_at(place->checker, revision);
    const struct change *found = find(slot->changes, event);
    if (!found) {
        report(place, HISTORY_WRONG_WATCH_EVENT, revision);
        return;
    }
    if (revision < place->next) {
        report(place, HISTORY_WRONG_WATCH_TWICE, revision);
        return;
    }
    pass(place, revision, HISTORY_WRONG_WATCH_LOST);
    const struct change *left = left_of(place, revision);
    const struct change *due = first_due(place, left);
    if (due != found && !slot->is_unordered && !is_before(left, found, due)) {
        bool is_later = find(left, event) != NULL;
        report(place, is_later ? HISTORY_WRONG_WATCH_LOST : HISTORY_WRONG_WATCH_TWICE, revision);
    }
    check_event(place, event, found);
    step(place, slot, found);
    place->next = revision + !place->change;
}

static bool is_in_order(const struct history_response *of)
{
    for (size_t i = 1; i < of->events_count; i++) {
        if (of->events[i].kv.mod < of->events[i - 1].kv.mod) {
            return false;
        }
    }
    return true;
}

static void take_events(struct place *place)
{
    const struct history_response *of = &place->response->of;
    if (!is_in_order(of)) {
        report(place, HISTORY_WRONG_WATCH_ORDER, of->events[0].kv.mod);
        return;
    }
    int64_t last = place->next - (place->change == NULL);
    if (place->is_torn && of->events[0].kv.mod == place->next) {
        report(place, HISTORY_WRONG_WATCH_TORN, place->next);
    }
    for (size_t i = 0; i < of->events_count && place->checker->history->wrongs < WRONGS_MAX; i++) {
        take_event(place, &of->events[i], last);
        last = of->events[i].kv.mod > last ? of->events[i].kv.mod : last;
    }
    place->is_torn = first_due(place, place->change) != NULL && !of->is_fragment;
}

static void take_cancel(struct place *place)
{
    const struct history_response *of = &place->response->of;
    place->is_canceled = true;
    if (of->compact && (of->compact <= place->next ||
                           !order_was_compacted(place->checker, of->compact - 1, of->came_ns))) {
        report(place, HISTORY_WRONG_WATCH_CANCELED, of->compact);
    }
}

static void take_response(struct place *place)
{
    const struct history_response *of = &place->response->of;
    if (place->is_canceled) {
        report(place, HISTORY_WRONG_WATCH_AFTER, of->revision);
    } else if (of->is_canceled) {
        take_cancel(place);
    } else if (of->events_count) {
        take_events(place);
    } else {
        pass(place, of->revision + 1, HISTORY_WRONG_WATCH_PROGRESS);
        place->bookmark = of->revision > place->bookmark ? of->revision : place->bookmark;
    }
}

static struct place begin(struct checker *checker, const struct watch *watch)
{
    struct place place = {.checker = checker, .watch = watch};
    check_ranks(checker, watch->of.key, watch->of.end, &place.from, &place.to);
    place.start = watch->of.start > 0 ? watch->of.start : watch->of.revision + 1;
    place.next = place.start > checker->base ? place.start : checker->base + 1;
    return place;
}

void watch_mark(struct checker *checker)
{
    struct history *history = checker->history;
    for (size_t i = 0; i < history->watches_count; i++) {
        struct watch *watch = history->watches[i];
        struct place place = begin(checker, watch);
        int64_t passed = 0;
        for (size_t j = 0; j < watch->count; j++) {
            const struct history_response *of = &watch->responses[j].of;
            bool is_progress = !of->events_count && !of->is_canceled;
            int64_t to = is_progress        ? of->revision
                         : of->events_count ? of->events[of->events_count - 1].kv.mod
                                            : 0;
            passed = to > passed ? to : passed;
        }
        bool is_of_all = place.from == 0 && place.to == history->keys_count && watch->of.end.len &&
                         !watch->of.no_put && !watch->of.no_delete;
        passed = passed > checker->last ? checker->last : passed;
        for (int64_t at = place.next; is_of_all && at <= passed; at++) {
            slot_at(checker, at)->is_watched = true;
        }
    }
}

void watch_check(struct checker *checker)
{
    struct history *history = checker->history;
    for (size_t i = 0; i < history->watches_count; i++) {
        struct place place = begin(checker, history->watches[i]);
        for (size_t j = 0; j < place.watch->count && history->wrongs < WRONGS_MAX; j++) {
            place.response = &place.watch->responses[j];
            take_response(&place);
        }
    }
}
