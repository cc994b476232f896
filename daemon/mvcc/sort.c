/* SPDX-License-Identifier: Apache-2.0
 *
 * Three-way radix quicksort over eight bytes of key at a time. Keys of one store share long
 * prefixes, which a sort by whole-key comparison reads over and over (a million keys: about three
 * times as long). Stored keys come in every order, from sorted to made up by somebody: pivots are
 * medians of nine, and a part that shrinks too slowly is left to qsort.
 */
#include "sort.h"

#include "base/codec.h"

enum { SMALL = 16, CHUNK = 8, NINTHER_MIN = 128 };

/* What a sort has cost, and how much deeper it may go. */
struct sorting {
    size_t visits;
    unsigned splits_left;
};

static uint64_t chunk_at(const struct sort_item *item, size_t depth)
{
    uint8_t bytes[CHUNK] = {0};
    if (item->len >= depth + CHUNK) {
        return get_be64(item->key + depth);
    }
    if (item->len > depth) {
        memcpy(bytes, item->key + depth, item->len - depth);
    }
    return get_be64(bytes);
}

/* Both chunks are of the same depth, up to which the keys are equal. */
static int item_cmp(const struct sort_item *a, const struct sort_item *b)
{
    if (a->chunk != b->chunk) {
        return a->chunk < b->chunk ? -1 : 1;
    }
    int diff = slice_cmp(slice_of(a->key, a->len), slice_of(b->key, b->len));
    return diff ? diff : (a->order > b->order) - (a->order < b->order);
}

static void swap(struct sort_item *a, struct sort_item *b)
{
    struct sort_item tmp = *a;
    *a = *b;
    *b = tmp;
}

static void insertion_sort(struct sort_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct sort_item item = items[i];
        size_t at = i;
        while (at > 0 && item_cmp(&items[at - 1], &item) > 0) {
            items[at] = items[at - 1];
            at--;
        }
        items[at] = item;
    }
}

static int ended_cmp(const void *a, const void *b)
{
    const struct sort_item *x = a;
    const struct sort_item *y = b;
    if (x->len != y->len) {
        return x->len < y->len ? -1 : 1;
    }
    return (x->order > y->order) - (x->order < y->order);
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t low = a < b ? a : b;
    uint64_t high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

static uint64_t chunk_median(const struct sort_item *items, size_t count)
{
    size_t step = count / 9;
    if (count < NINTHER_MIN) {
        return median(items[0].chunk, items[count / 2].chunk, items[count - 1].chunk);
    }
    uint64_t of_three[3];
    for (size_t i = 0; i < 3; i++) {
        const struct sort_item *at = items + step / 2 + 3 * i * step;
        of_three[i] = median(at[0].chunk, at[step].chunk, at[2 * step].chunk);
    }
    return median(of_three[0], of_three[1], of_three[2]);
}

/* Splits into smaller, equal and larger than a pivot; returns where equal begins, *out_end where it
 * ends. */
static size_t partition(struct sort_item *items, size_t count, size_t *out_end)
{
    uint64_t pivot = chunk_median(items, count);
    size_t low = 0;
    size_t at = 0;
    size_t high = count;
    while (at < high) {
        if (items[at].chunk < pivot) {
            swap(&items[low++], &items[at++]);
        } else if (items[at].chunk > pivot) {
            swap(&items[at], &items[--high]);
        } else {
            at++;
        }
    }
    *out_end = high;
    return low;
}

/* Among keys equal so far: those that end here come first, the shorter before the longer (a chunk
 * is padded with zero bytes, so "a" and "a\0" look alike). Returns how many end. */
static size_t settle_ended(struct sort_item *items, size_t count, size_t depth)
{
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].len <= depth + CHUNK) {
            swap(&items[ended++], &items[i]);
        }
    }
    if (ended > 1) {
        qsort(items, ended, sizeof(*items), ended_cmp);
    }
    return ended;
}

static int whole_cmp(const void *a, const void *b)
{
    const struct sort_item *x = a;
    const struct sort_item *y = b;
    int diff = slice_cmp(slice_of(x->key, x->len), slice_of(y->key, y->len));
    return diff ? diff : (x->order > y->order) - (x->order < y->order);
}

static void sort_from(struct sorting *sorting, struct sort_item *items, size_t count, size_t depth)
{
    while (count > SMALL) {
        size_t end;
        sorting->visits += count;
        if (sorting->splits_left == 0) {
            qsort(items, count, sizeof(*items), whole_cmp);
            return;
        }
        sorting->splits_left--;
        size_t begin = partition(items, count, &end);
        sort_from(sorting, items, begin, depth);
        sort_from(sorting, items + end, count - end, depth);
        sorting->splits_left++;
        items += begin;
        count = end - begin;
        size_t ended = settle_ended(items, count, depth);
        items += ended;
        count -= ended;
        depth += CHUNK;
        for (size_t i = 0; i < count; i++) {
            items[i].chunk = chunk_at(&items[i], depth);
        }
    }
    insertion_sort(items, count);
}

static bool is_sorted(const struct sort_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (whole_cmp(&items[i - 1], &items[i]) > 0) {
            return false;
        }
    }
    return true;
}

size_t sort_items(struct sort_item *items, size_t count)
{
    struct sorting sorting = {.visits = count};
    if (is_sorted(items, count)) {
        return sorting.visits;
    }
    for (size_t n = count; n > 0; n /= 2) {
        sorting.splits_left += 3;
    }
    for (size_t i = 0; i < count; i++) {
        items[i].chunk = chunk_at(&items[i], 0);
    }
    sort_from(&sorting, items, count, 0);
    return sorting.visits;
}
