/* SPDX-License-Identifier: Apache-2.0
 * Walking a bucket in key order. The pages from the root down to the leaf are held; a tree visits
 * no page twice, so a walk that takes more pages than the file has goes in circles. */
#include "base/mem.h"
#include "bolt/format.h"

struct level {
    struct page page;
    uint32_t next; /* element to go to */
};

struct bolt_cursor {
    struct bolt *bolt;
    struct level levels[BOLT_DEPTH_MAX];
    size_t depth;
    uint64_t visits;
    struct buf last_key;
};

static void cursor_pop(struct bolt_cursor *cursor)
{
    free(cursor->levels[--cursor->depth].page.data);
}

/* Takes the page. */
static void cursor_push(struct bolt_cursor *cursor, const struct page *page)
{
    cursor->levels[cursor->depth++] = (struct level){.page = *page};
}

static struct err cursor_down(struct bolt_cursor *cursor, uint64_t id, struct why *why)
{
    struct page page;
    if (cursor->depth == BOLT_DEPTH_MAX || cursor->visits++ >= cursor->bolt->meta.pages) {
        return bolt_why(cursor->bolt, id, why, "the tree is too deep or goes in circles");
    }
    TRY(page_load(cursor->bolt, id, &page, why));
    if (page.flags != PAGE_LEAF && page.flags != PAGE_BRANCH) {
        free(page.data);
        return bolt_why(cursor->bolt, id, why, "neither a leaf nor a branch");
    }
    cursor_push(cursor, &page);
    return OK;
}

static struct err push_inline(struct bolt_cursor *cursor, struct slice bytes, struct why *why)
{
    struct page page = {.data = mem_dup(bytes.data, bytes.len), .len = bytes.len};
    if (err_is(page_parse(&page)) || page.flags != PAGE_LEAF) {
        free(page.data);
        return bolt_why(cursor->bolt, 0, why, "an inline bucket that is no leaf");
    }
    cursor_push(cursor, &page);
    return OK;
}

struct err cursor_open(
    struct bolt *bolt, struct slice bucket, struct bolt_cursor **out, struct why *why)
{
    if (bucket.len < BUCKET_HEAD) {
        return bolt_why(bolt, 0, why, "a bucket without a head");
    }
    uint64_t root = get_le64(bucket.data);
    struct bolt_cursor *cursor = mem_new(sizeof(*cursor));
    cursor->bolt = bolt;
    buf_init(&cursor->last_key, BOLT_NODE_MAX);
    struct slice rest = slice_of(bucket.data + BUCKET_HEAD, bucket.len - BUCKET_HEAD);
    struct err e = root ? cursor_down(cursor, root, why) : push_inline(cursor, rest, why);
    if (err_is(e)) {
        bolt_cursor_close(cursor);
        return e;
    }
    *out = cursor;
    return OK;
}

void bolt_cursor_close(struct bolt_cursor *cursor)
{
    if (!cursor) {
        return;
    }
    while (cursor->depth) {
        cursor_pop(cursor);
    }
    buf_fini(&cursor->last_key);
    free(cursor);
}

static struct err take_item(struct bolt_cursor *cursor, const struct element *element,
    uint64_t page, struct bolt_item *out, struct why *why)
{
    struct buf *last = &cursor->last_key;
    if (last->len && slice_cmp(buf_slice(last), element->key) >= 0) {
        return bolt_why(cursor->bolt, page, why, "its keys are not ascending");
    }
    buf_reset(last);
    buf_add_slice(last, element->key);
    *out = (struct bolt_item){
        .key = element->key,
        .value = element->value,
        .is_bucket = element->is_bucket,
    };
    return OK;
}

struct err bolt_next(struct bolt_cursor *cursor, struct bolt_item *out, struct why *why)
{
    struct element element;
    while (cursor->depth) {
        struct level *level = &cursor->levels[cursor->depth - 1];
        if (level->next == level->page.count) {
            cursor_pop(cursor);
            continue;
        }
        if (err_is(page_element(&level->page, level->next, &element))) {
            return bolt_why(cursor->bolt, level->page.id, why, "an element outside of the page");
        }
        level->next++;
        if (level->page.flags == PAGE_LEAF) {
            return take_item(cursor, &element, level->page.id, out, why);
        }
        TRY(cursor_down(cursor, element.child, why));
    }
    *out = (struct bolt_item){.is_end = true};
    return OK;
}

struct err bolt_root(struct bolt *bolt, struct bolt_cursor **out, struct why *why)
{
    uint8_t head[BUCKET_HEAD] = {0};
    put_le64(head, bolt->meta.root);
    return cursor_open(bolt, slice_of(head, sizeof(head)), out, why);
}

struct err bolt_bucket(
    struct bolt *bolt, struct slice name, struct bolt_cursor **out, struct why *why)
{
    struct bolt_cursor *root;
    struct bolt_cursor *found = NULL;
    struct bolt_item item = {.is_end = true};
    TRY(bolt_root(bolt, &root, why));
    struct err e;
    do {
        e = bolt_next(root, &item, why);
    } while (!err_is(e) && !item.is_end && !slice_eq(item.key, name));
    if (!err_is(e) && !item.is_end && item.is_bucket) {
        e = cursor_open(bolt, item.value, &found, why);
    }
    bolt_cursor_close(root);
    if (!err_is(e)) {
        *out = found;
    }
    return e;
}
