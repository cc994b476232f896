/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "wrong.h"

#include "base/mem.h"

#include <inttypes.h>

static int by_bytes(const void *a, const void *b)
{
    const struct word *left = *(struct word *const *)a;
    const struct word *right = *(struct word *const *)b;
    return slice_cmp(slice_of(left->data, left->len), slice_of(right->data, right->len));
}

static void rank_keys(struct history *history)
{
    record_sort(history->keys, history->keys_count, sizeof(struct word *), by_bytes);
    for (size_t i = 0; i < history->keys_count; i++) {
        history->keys[i]->rank = (uint32_t)i;
    }
}

/* The rank of the first key not below the bytes. */
static uint32_t rank_from(const struct history *history, struct slice bytes)
{
    size_t low = 0;
    size_t high = history->keys_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct word *key = history->keys[middle];
        if (slice_cmp(slice_of(key->data, key->len), bytes) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (uint32_t)low;
}

void check_ranks(
    const struct checker *checker, struct slice key, struct slice end, uint32_t *from, uint32_t *to)
{
    const struct history *history = checker->history;
    *from = rank_from(history, key);
    if (!key.len) {
        *to = (uint32_t)history->keys_count;
    } else if (!end.len) {
        *to = *from + (*from < history->keys_count && history->keys[*from]->data == key.data);
    } else if (end.len == 1 && end.data[0] == 0) {
        *to = (uint32_t)history->keys_count;
    } else {
        *to = rank_from(history, end);
    }
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The newest revision that anything names as past. */
static int64_t newest(const struct history *history)
{
    int64_t last = history->run.revision;
    for (size_t i = 0; i < history->calls_count; i++) {
        const struct history_call *call = &history->calls[i]->of;
        if (call->outcome == HISTORY_OK) {
            last = later(last, call->result.revision);
        }
    }
    for (size_t i = 0; i < history->watches_count; i++) {
        const struct watch *watch = history->watches[i];
        last = later(last, watch->of.revision);
        for (size_t j = 0; j < watch->count; j++) {
            last = later(last, watch->responses[j].of.revision);
        }
    }
    return last;
}

static void init(struct checker *checker, struct history *history)
{
    *checker = (struct checker){.history = history, .base = history->run.revision};
    rank_keys(history);
    state_init(&checker->state, (uint32_t)history->keys_count, history->arena);
    checker->last = newest(history);
    checker->deleters = mem_new((history->keys_count + 1) * sizeof(struct deleter *));
}

static void fini(struct checker *checker)
{
    state_fini(&checker->state);
    free(checker->deleters);
    free(checker->compactions);
    free(checker->slots);
}

static void init_slots(struct checker *checker)
{
    size_t span = (size_t)(checker->last - checker->base) + 1;
    checker->slots = mem_new(span * sizeof(*checker->slots));
    for (size_t i = 0; i < span; i++) {
        checker->slots[i].known_ns = INT64_MAX;
        checker->slots[i].changes_end = &checker->slots[i].changes;
    }
}

static int by_revision(const void *a, const void *b)
{
    const struct history_hash *left = &((const struct hash *)a)->of;
    const struct history_hash *right = &((const struct hash *)b)->of;
    int order = (left->revision > right->revision) - (left->revision < right->revision);
    return order ? order : (left->compact > right->compact) - (left->compact < right->compact);
}

static void check_hashes(struct history *history)
{
    record_sort(history->hashes, history->hashes_count, sizeof(*history->hashes), by_revision);
    for (size_t i = 1; i < history->hashes_count; i++) {
        const struct history_hash *one = &history->hashes[i - 1].of;
        const struct history_hash *other = &history->hashes[i].of;
        if (by_revision(one, other) == 0 && one->hash != other->hash) {
            wrong(history, HISTORY_WRONG_HASH,
                "revision %" PRId64 ": %u of member %" PRIu64 ", %u of member %" PRIu64,
                other->revision, one->hash, one->member, other->hash, other->member);
        }
    }
}

size_t history_check(struct history *history, struct buf *report)
{
    struct checker checker;
    history->report = report;
    init(&checker, history);
    if (checker.last - checker.base > SPAN_MAX) {
        wrong(history, HISTORY_WRONG_REVISION_GAP, "%" PRId64 " revisions",
            checker.last - checker.base);
    } else {
        init_slots(&checker);
        order_find_floors(&checker);
        place_calls(&checker);
        lease_prepare(&checker);
        watch_mark(&checker);
        replay(&checker);
        look_check(&checker);
        lease_check(&checker);
        auth_check(&checker);
        watch_check(&checker);
        check_hashes(history);
    }
    fini(&checker);
    return history->wrongs;
}
