/* SPDX-License-Identifier: Apache-2.0
 *
 * What was known when: each answer and each watch's response tells that its revision is committed.
 * What is invoked after that must not be older, and what was seen must have been invoked before.
 */
#include "check.h"
#include "wrong.h"

#include "base/mem.h"

#include <inttypes.h>

/* Something that tells of a revision, or of a compaction. */
struct sight {
    int64_t at_ns, revision, compact;
    size_t number;
};

static int by_time(const void *a, const void *b)
{
    const struct sight *left = a;
    const struct sight *right = b;
    return (left->at_ns > right->at_ns) - (left->at_ns < right->at_ns);
}

static int by_invoked(const void *a, const void *b)
{
    const struct call *left = *(struct call *const *)a;
    const struct call *right = *(struct call *const *)b;
    return (left->of.invoked_ns > right->of.invoked_ns) -
           (left->of.invoked_ns < right->of.invoked_ns);
}

static void note(struct checker *checker, const struct sight *sight)
{
    if (sight->revision < checker->base) {
        return;
    }
    struct slot *slot = slot_at(checker, sight->revision);
    if (sight->at_ns < slot->known_ns) {
        slot->known_ns = sight->at_ns;
        slot->known_by = sight->number;
    }
}

static struct sight *gather(struct checker *checker, size_t *out_count)
{
    struct history *history = checker->history;
    size_t room = history->calls_count + history->watches_count;
    for (size_t i = 0; i < history->watches_count; i++) {
        room += history->watches[i]->count;
    }
    struct sight *sights = mem_alloc(room * sizeof(*sights));
    size_t count = 0;
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct history_call *call = &history->calls[i]->of;
        if (call->outcome == HISTORY_OK) {
            int64_t compact = call->op.kind == HISTORY_COMPACT ? call->op.revision : 0;
            sights[count++] = (struct sight){
                call->returned_ns, call->result.revision, compact, history->calls[i]->number};
        }
    }
    for (size_t i = 0; i < history->watches_count; i++) {
        const struct watch *watch = history->watches[i];
        sights[count++] =
            (struct sight){watch->of.created_ns, watch->of.revision, 0, watch->number};
        for (size_t j = 0; j < watch->count; j++) {
            const struct response *response = &watch->responses[j];
            sights[count++] =
                (struct sight){response->of.came_ns, response->of.revision, 0, response->number};
        }
    }
    *out_count = count;
    return sights;
}

static void find_compactions(struct checker *checker);

void order_find_floors(struct checker *checker)
{
    struct history *history = checker->history;
    size_t count = 0;
    struct sight *sights = gather(checker, &count);
    record_sort(sights, count, sizeof(*sights), by_time);
    struct call **calls = mem_alloc((history->calls_count + 1) * sizeof(*calls));
    for (size_t i = 0; i < history->calls_count; i++) {
        calls[i] = history->calls[i];
    }
    record_sort(calls, history->calls_count, sizeof(struct call *), by_invoked);
    int64_t floor = checker->base;
    int64_t compacted = history->run.compact;
    size_t by = 0;
    size_t next = 0;
    for (size_t i = 0; i < history->calls_count; i++) {
        for (; next < count && sights[next].at_ns < calls[i]->of.invoked_ns; next++) {
            const struct sight *sight = &sights[next];
            by = sight->revision > floor ? sight->number : by;
            floor = sight->revision > floor ? sight->revision : floor;
            compacted = sight->compact > compacted ? sight->compact : compacted;
        }
        calls[i]->floor = floor;
        calls[i]->floor_by = by;
        calls[i]->compact_floor = compacted;
    }
    for (size_t i = 0; i < count; i++) {
        note(checker, &sights[i]);
    }
    for (int64_t at = checker->last - 1; at >= checker->base; at--) {
        struct slot *slot = slot_at(checker, at);
        if (slot[1].known_ns < slot->known_ns) {
            slot->known_ns = slot[1].known_ns;
            slot->known_by = slot[1].known_by;
        }
    }
    free(calls);
    free(sights);
    find_compactions(checker);
}

static int by_compaction(const void *a, const void *b)
{
    const struct compaction *left = a;
    const struct compaction *right = b;
    return (left->revision > right->revision) - (left->revision < right->revision);
}

static void find_compactions(struct checker *checker)
{
    struct history *history = checker->history;
    size_t count = 0;
    checker->compactions = mem_alloc((history->calls_count + 1) * sizeof(*checker->compactions));
    checker->compactions[count++] = (struct compaction){history->run.compact, INT64_MIN};
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct history_call *call = &history->calls[i]->of;
        if (call->op.kind == HISTORY_COMPACT && call->outcome != HISTORY_FAILED) {
            checker->compactions[count++] =
                (struct compaction){call->op.revision, call->invoked_ns};
        }
    }
    record_sort(checker->compactions, count, sizeof(struct compaction), by_compaction);
    for (size_t i = count - 1; i-- > 0;) {
        int64_t later = checker->compactions[i + 1].invoked_ns;
        if (later < checker->compactions[i].invoked_ns) {
            checker->compactions[i].invoked_ns = later;
        }
    }
    checker->compactions_count = count;
}

bool order_was_compacted(const struct checker *checker, int64_t above, int64_t before_ns)
{
    size_t low = 0;
    size_t high = checker->compactions_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (checker->compactions[middle].revision > above) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < checker->compactions_count && checker->compactions[low].invoked_ns < before_ns;
}
