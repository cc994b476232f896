/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/sorted.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The first of items that is not before name. item(i) of texts are names, of sorted begin with
 * them. */
static size_t search(void *const *items, size_t count, const char *name, bool is_indirect)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const char *at = is_indirect ? *(char *const *)items[mid] : items[mid];
        if (strcmp(at, name) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

size_t texts_find(const struct texts *texts, const char *name, bool *out_is_there)
{
    size_t at = search((void *const *)texts->items, texts->count, name, false);
    *out_is_there = at < texts->count && strcmp(texts->items[at], name) == 0;
    return at;
}

static size_t sorted_at(const struct sorted *sorted, const char *name, bool *out_is_there)
{
    size_t at = search(sorted->items, sorted->count, name, true);
    *out_is_there = at < sorted->count && strcmp(*(char **)sorted->items[at], name) == 0;
    return at;
}

void *sorted_find(const struct sorted *sorted, const char *name)
{
    bool is_there;
    size_t at = sorted_at(sorted, name, &is_there);
    return is_there ? sorted->items[at] : NULL;
}

void sorted_insert(struct sorted *sorted, void *item)
{
    bool is_there;
    size_t at = sorted_at(sorted, *(char **)item, &is_there);
    check(!is_there);
    sorted->items = mem_grow(sorted->items, (sorted->count + 1) * sizeof(*sorted->items));
    memmove(
        &sorted->items[at + 1], &sorted->items[at], (sorted->count - at) * sizeof(*sorted->items));
    sorted->items[at] = item;
    sorted->count++;
}

void *sorted_take(struct sorted *sorted, const char *name)
{
    bool is_there;
    size_t at = sorted_at(sorted, name, &is_there);
    if (!is_there) {
        return NULL;
    }
    void *item = sorted->items[at];
    sorted->count--;
    memmove(
        &sorted->items[at], &sorted->items[at + 1], (sorted->count - at) * sizeof(*sorted->items));
    return item;
}

void texts_add(struct texts *texts, const char *name)
{
    bool is_there;
    size_t at = texts_find(texts, name, &is_there);
    if (is_there) {
        return;
    }
    texts->items = mem_grow(texts->items, (texts->count + 1) * sizeof(*texts->items));
    memmove(&texts->items[at + 1], &texts->items[at], (texts->count - at) * sizeof(*texts->items));
    texts->items[at] = mem_strdup(name);
    texts->count++;
}

bool texts_remove(struct texts *texts, const char *name)
{
    bool is_there;
    size_t at = texts_find(texts, name, &is_there);
    if (is_there) {
        free(texts->items[at]);
        texts->count--;
        memmove(
            &texts->items[at], &texts->items[at + 1], (texts->count - at) * sizeof(*texts->items));
    }
    return is_there;
}

void texts_fini(struct texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->items[i]);
    }
    free(texts->items);
    *texts = (struct texts){0};
}
