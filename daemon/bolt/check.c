/* SPDX-License-Identifier: Apache-2.0
 * What bbolt's own check looks for: pages reached twice or never, keys out of order or outside of
 * their parent's. The pages of one path are in memory, a bit for every other. */
#include "base/mem.h"
#include "bolt/format.h"

struct step {
    struct page page;
    uint32_t next;
    struct slice
        min; /* keys of the page are >= min and < max, when those are there; lent by the parent */
    struct slice max;
};

struct walk {
    struct bolt *bolt;
    uint8_t *seen; /* a bit a page */
    struct step steps[BOLT_DEPTH_MAX];
    size_t depth;
};

static struct err mark(struct walk *walk, uint64_t from, uint64_t count, struct why *why)
{
    uint64_t pages = walk->bolt->meta.pages;
    if (from >= pages || count > pages - from) {
        return bolt_why(walk->bolt, from, why, "past the high water mark");
    }
    for (uint64_t id = from; id < from + count; id++) {
        uint8_t bit = (uint8_t)(1 << id % 8);
        if (walk->seen[id / 8] & bit) {
            return bolt_why(walk->bolt, id, why, "used twice");
        }
        walk->seen[id / 8] |= bit;
    }
    return OK;
}

static struct err mark_freelist(struct walk *walk, struct why *why)
{
    struct page page;
    struct bolt *bolt = walk->bolt;
    TRY(page_load(bolt, bolt->meta.freelist, &page, why));
    uint64_t at = PAGE_HEAD;
    uint64_t count = page.count;
    if (count == 0xffff) {
        count = get_le64(page.data + at);
        at += 8;
    }
    struct err e = mark(walk, page.id, (uint64_t)page.overflow + 1, why);
    if (!err_is(e) && (page.flags != PAGE_FREE || count > (page.len - at) / 8)) {
        e = bolt_why(bolt, page.id, why, "not a freelist");
    }
    for (uint64_t i = 0; i < count && !err_is(e); i++) {
        e = mark(walk, get_le64(page.data + at + i * 8), 1, why);
    }
    free(page.data);
    return e;
}

static struct err enter(
    struct walk *walk, uint64_t id, struct slice min, struct slice max, struct why *why)
{
    struct page page;
    if (walk->depth == BOLT_DEPTH_MAX) {
        return bolt_why(walk->bolt, id, why, "the tree is too deep");
    }
    TRY(page_load(walk->bolt, id, &page, why));
    walk->steps[walk->depth++] = (struct step){.page = page, .min = min, .max = max};
    if (page.flags != PAGE_LEAF && page.flags != PAGE_BRANCH) {
        return bolt_why(walk->bolt, id, why, "neither a leaf nor a branch");
    }
    return mark(walk, id, (uint64_t)page.overflow + 1, why);
}

static void leave(struct walk *walk)
{
    free(walk->steps[--walk->depth].page.data);
}

/* The key of element i, held against its neighbour and the parent's bounds. */
static struct err take(struct walk *walk, struct step *step, struct element *out, struct why *why)
{
    struct element before;
    const struct page *page = &step->page;
    if (err_is(page_element(page, step->next, out)) ||
        (step->next && err_is(page_element(page, step->next - 1, &before)))) {
        return bolt_why(walk->bolt, page->id, why, "an element outside of the page");
    }
    if ((step->next && slice_cmp(before.key, out->key) >= 0) ||
        (!step->next && step->min.len && slice_cmp(step->min, out->key) > 0) ||
        (step->max.len && slice_cmp(out->key, step->max) >= 0)) {
        return bolt_why(walk->bolt, page->id, why, "keys out of order");
    }
    return OK;
}

static struct err child(
    struct walk *walk, struct step *step, const struct element *element, struct why *why)
{
    struct element after = {.key = step->max};
    if (step->next + 1 < step->page.count &&
        err_is(page_element(&step->page, step->next + 1, &after))) {
        return bolt_why(walk->bolt, step->page.id, why, "an element outside of the page");
    }
    step->next++;
    return enter(walk, element->child, element->key, after.key, why);
}

static struct err bucket(struct walk *walk, const struct element *element, struct why *why)
{
    uint64_t root = element->value.len < BUCKET_HEAD ? 0 : get_le64(element->value.data);
    if (root) {
        return enter(walk, root, (struct slice){0}, (struct slice){0}, why);
    }
    struct bolt_cursor *cursor;
    struct bolt_item item = {0};
    TRY(cursor_open(walk->bolt, element->value, &cursor, why));
    struct err e = OK;
    while (!err_is(e) && !item.is_end) {
        e = bolt_next(cursor, &item, why);
    }
    bolt_cursor_close(cursor);
    return e;
}

static struct err check_step(struct walk *walk, struct why *why)
{
    struct element element;
    struct step *step = &walk->steps[walk->depth - 1];
    if (step->next == step->page.count) {
        leave(walk);
        return OK;
    }
    TRY(take(walk, step, &element, why));
    if (step->page.flags == PAGE_BRANCH) {
        return child(walk, step, &element, why);
    }
    step->next++;
    return element.is_bucket ? bucket(walk, &element, why) : OK;
}

/* Without a freelist page, what is not reached is free. */
static struct err check_reached(const struct walk *walk, struct why *why)
{
    uint64_t pages = walk->bolt->meta.freelist == NO_FREELIST ? 0 : walk->bolt->meta.pages;
    for (uint64_t id = 0; id < pages; id++) {
        if (!(walk->seen[id / 8] & 1 << id % 8)) {
            return bolt_why(walk->bolt, id, why, "neither used nor free");
        }
    }
    return OK;
}

struct err bolt_check(struct bolt *bolt, struct why *why)
{
    struct walk *walk = mem_new(sizeof(*walk));
    struct slice none = {0};
    walk->bolt = bolt;
    walk->seen = mem_new((size_t)(bolt->meta.pages / 8 + 1));
    struct err e = mark(walk, 0, 2, why);
    if (!err_is(e) && bolt->meta.freelist != NO_FREELIST) {
        e = mark_freelist(walk, why);
    }
    if (!err_is(e)) {
        e = enter(walk, bolt->meta.root, none, none, why);
    }
    while (!err_is(e) && walk->depth) {
        e = check_step(walk, why);
    }
    if (!err_is(e)) {
        e = check_reached(walk, why);
    }
    while (walk->depth) {
        leave(walk);
    }
    free(walk->seen);
    free(walk);
    return e;
}
