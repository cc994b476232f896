/* SPDX-License-Identifier: Apache-2.0
 * Bulk load: leaves are written left to right as they fill, and the branches above them as those
 * fill. bbolt takes a branch with one child for a broken tree when it deletes below it, so a full
 * branch keeps its last child back and no branch is written with fewer than two. */
#include "base/mem.h"
#include "bolt/format.h"

enum { WRITE_CHUNK = 1024 * 1024, BRANCH_MIN = 3, COUNT_MAX = 0xfff0 };

struct item {
    uint32_t flags;
    uint32_t key_len;
    uint32_t value_len;
    uint32_t at; /* of the key in data */
    uint64_t child;
};

struct adding {
    struct slice key;
    struct slice value;
    uint32_t flags;
    uint64_t child;
};

struct node {
    struct item *items;
    size_t count;
    size_t cap;
    struct buf data;
    size_t bytes; /* as a page */
};

struct tree {
    struct node levels[BOLT_DEPTH_MAX]; /* 0: leaves */
    size_t depth;
};

struct bolt_writer {
    struct disk_file *file;
    struct buf out;
    uint64_t offset; /* of out in the file */
    uint64_t next_page;
    struct tree root;
    struct tree bucket;
    bool is_in_bucket;
    struct buf name;
    struct buf last_key;
};

struct bolt_writer *bolt_writer_new(struct disk_file *file)
{
    struct bolt_writer *writer = mem_new(sizeof(*writer));
    writer->file = file;
    writer->next_page = 2;
    writer->offset = (uint64_t)2 * BOLT_PAGE_SIZE;
    buf_init(&writer->out, SIZE_MAX / 2);
    buf_init(&writer->name, BOLT_KEY_MAX);
    buf_init(&writer->last_key, BOLT_KEY_MAX);
    for (size_t i = 0; i < BOLT_DEPTH_MAX; i++) {
        buf_init(&writer->root.levels[i].data, UINT32_MAX);
        buf_init(&writer->bucket.levels[i].data, UINT32_MAX);
    }
    return writer;
}

static void tree_fini(struct tree *tree)
{
    for (size_t i = 0; i < BOLT_DEPTH_MAX; i++) {
        free(tree->levels[i].items);
        buf_fini(&tree->levels[i].data);
    }
}

void bolt_writer_free(struct bolt_writer *writer)
{
    if (!writer) {
        return;
    }
    tree_fini(&writer->root);
    tree_fini(&writer->bucket);
    buf_fini(&writer->out);
    buf_fini(&writer->name);
    buf_fini(&writer->last_key);
    free(writer);
}

static size_t item_bytes(const struct item *item)
{
    return ELEMENT + (size_t)item->key_len + item->value_len;
}

static struct slice item_key(const struct node *node, size_t i)
{
    return slice_of(node->data.data + node->items[i].at, node->items[i].key_len);
}

static void node_add(struct node *node, const struct adding *adding)
{
    struct item item = {
        .flags = adding->flags,
        .key_len = (uint32_t)adding->key.len,
        .value_len = (uint32_t)adding->value.len,
        .at = (uint32_t)node->data.len,
        .child = adding->child,
    };
    if (node->count == node->cap) {
        node->cap = node->cap ? node->cap * 2 : 64;
        node->items = mem_grow(node->items, node->cap * sizeof(*node->items));
    }
    buf_add_slice(&node->data, adding->key);
    buf_add_slice(&node->data, adding->value);
    node->items[node->count++] = item;
    node->bytes += item_bytes(&item);
}

/* Forgets the first count items. */
static void node_drop(struct node *node, size_t count)
{
    size_t at = count < node->count ? node->items[count].at : node->data.len;
    buf_drop(&node->data, at);
    for (size_t i = count; i < node->count; i++) {
        node->items[i - count] = node->items[i];
        node->items[i - count].at -= (uint32_t)at;
    }
    node->count -= count;
    node->bytes = PAGE_HEAD;
    for (size_t i = 0; i < node->count; i++) {
        node->bytes += item_bytes(&node->items[i]);
    }
    if (node->data.cap > WRITE_CHUNK && !node->count) {
        buf_fini(&node->data);
    }
}

/* The page of the first count items: elements, then keys and values in the same order. */
static void node_encode(const struct node *node, size_t count, bool is_leaf, struct buf *out)
{
    size_t end = count < node->count ? node->items[count].at : node->data.len;
    for (size_t i = 0; i < count; i++) {
        const struct item *item = &node->items[i];
        uint8_t raw[ELEMENT];
        uint32_t pos = (uint32_t)((count - i) * ELEMENT) + item->at;
        if (is_leaf) {
            put_le32(raw, item->flags);
            put_le32(raw + 4, pos);
            put_le32(raw + 8, item->key_len);
            put_le32(raw + 12, item->value_len);
        } else {
            put_le32(raw, pos);
            put_le32(raw + 4, item->key_len);
            put_le64(raw + 8, item->child);
        }
        buf_add(out, raw, sizeof(raw));
    }
    buf_add(out, node->data.data, end);
}

static struct err writer_flush(struct bolt_writer *writer, struct why *why)
{
    TRY(disk_write(writer->file, writer->offset, buf_slice(&writer->out), why));
    writer->offset += writer->out.len;
    if (writer->out.cap > (size_t)4 * WRITE_CHUNK) {
        buf_fini(&writer->out);
    }
    buf_reset(&writer->out);
    return OK;
}

static struct err write_page(struct bolt_writer *writer, const struct node *node, size_t count,
    bool is_leaf, uint64_t *out_id, struct why *why)
{
    static const uint8_t zeros[BOLT_PAGE_SIZE];
    uint8_t head[PAGE_HEAD];
    size_t start = writer->out.len;
    uint64_t id = writer->next_page;
    buf_add(&writer->out, zeros, PAGE_HEAD);
    node_encode(node, count, is_leaf, &writer->out);
    size_t over = (writer->out.len - start) % BOLT_PAGE_SIZE;
    buf_add(&writer->out, zeros, over ? BOLT_PAGE_SIZE - over : 0);
    uint64_t pages = (writer->out.len - start) / BOLT_PAGE_SIZE;
    uint16_t flags = is_leaf ? PAGE_LEAF : PAGE_BRANCH;
    page_head_put(head, id, flags, (uint16_t)count, (uint32_t)(pages - 1));
    memcpy(writer->out.data + start, head, sizeof(head));
    writer->next_page += pages;
    if (writer->out.len >= WRITE_CHUNK) {
        TRY(writer_flush(writer, why));
    }
    *out_id = id;
    return OK;
}

static struct err tree_add(struct bolt_writer *writer, struct tree *tree, size_t level,
    const struct adding *adding, struct why *why);

/* Writes the first count items of a level as a page and puts that into the level above. */
static struct err spill(
    struct bolt_writer *writer, struct tree *tree, size_t level, size_t count, struct why *why)
{
    struct node *node = &tree->levels[level];
    struct adding up = {.key = item_key(node, 0)};
    TRY(write_page(writer, node, count, level == 0, &up.child, why));
    TRY(tree_add(writer, tree, level + 1, &up, why));
    node_drop(node, count);
    return OK;
}

/* Adds at a level, first making room there. A tree of BOLT_DEPTH_MAX levels would hold more than
 * any disk. */
static struct err tree_add(struct bolt_writer *writer, struct tree *tree, size_t level,
    const struct adding *adding, struct why *why)
{
    struct node *node = &tree->levels[level];
    size_t need = ELEMENT + adding->key.len + adding->value.len;
    check(level < BOLT_DEPTH_MAX);
    if (level == tree->depth) {
        tree->depth++;
        node->bytes = PAGE_HEAD;
    }
    bool is_full = node->bytes + need > BOLT_PAGE_SIZE || node->count >= COUNT_MAX;
    if (is_full && node->count >= (level ? BRANCH_MIN : 1)) {
        TRY(spill(writer, tree, level, level ? node->count - 1 : node->count, why));
    }
    node_add(node, adding);
    return OK;
}

/* Writes what is left, from the leaves up; *out_root is the page of the top. The tree is empty
 * after. */
static struct err tree_end(
    struct bolt_writer *writer, struct tree *tree, uint64_t *out_root, struct why *why)
{
    size_t level = 0;
    tree->levels[0].bytes = tree->depth ? tree->levels[0].bytes : PAGE_HEAD;
    for (; level + 1 < tree->depth; level++) {
        TRY(spill(writer, tree, level, tree->levels[level].count, why));
    }
    struct node *top = &tree->levels[level];
    TRY(write_page(writer, top, top->count, level == 0, out_root, why));
    node_drop(top, top->count);
    tree->depth = 0;
    return OK;
}

/* A small bucket lives in its parent's leaf, as bbolt has it: one leaf of at most a quarter of a
 * page. */
static bool is_inline(const struct tree *tree)
{
    return tree->depth == 0 || (tree->depth == 1 && tree->levels[0].bytes <= BOLT_PAGE_SIZE / 4);
}

static void inline_page(const struct tree *tree, struct buf *out)
{
    uint8_t head[PAGE_HEAD];
    size_t count = tree->levels[0].count;
    page_head_put(head, 0, PAGE_LEAF, (uint16_t)count, 0);
    buf_add(out, head, sizeof(head));
    node_encode(&tree->levels[0], count, true, out);
}

static struct err end_bucket(struct bolt_writer *writer, struct why *why)
{
    uint8_t head[BUCKET_HEAD] = {0};
    struct buf value;
    uint64_t root = 0;
    struct err e = OK;
    if (!writer->is_in_bucket) {
        return OK;
    }
    buf_init(&value, BOLT_PAGE_SIZE);
    buf_add(&value, head, sizeof(head));
    if (is_inline(&writer->bucket)) {
        inline_page(&writer->bucket, &value);
        node_drop(&writer->bucket.levels[0], writer->bucket.levels[0].count);
        writer->bucket.depth = 0;
    } else {
        e = tree_end(writer, &writer->bucket, &root, why);
        put_le64(value.data, root);
    }
    if (!err_is(e)) {
        struct adding adding = {
            .flags = LEAF_BUCKET, .key = buf_slice(&writer->name), .value = buf_slice(&value)};
        e = tree_add(writer, &writer->root, 0, &adding, why);
    }
    buf_fini(&value);
    return e;
}

struct err bolt_writer_bucket(struct bolt_writer *writer, struct slice name, struct why *why)
{
    bool is_behind = !writer->is_in_bucket || slice_cmp(buf_slice(&writer->name), name) < 0;
    if (!name.len || name.len > BOLT_KEY_MAX || !is_behind) {
        return why_set(why, ERR(BAD_INPUT), "bucket names must ascend");
    }
    TRY(end_bucket(writer, why));
    buf_reset(&writer->name);
    buf_add_slice(&writer->name, name);
    buf_reset(&writer->last_key);
    writer->is_in_bucket = true;
    return OK;
}

struct err bolt_writer_put(
    struct bolt_writer *writer, struct slice key, struct slice value, struct why *why)
{
    struct buf *last = &writer->last_key;
    struct adding adding = {.key = key, .value = value};
    check(writer->is_in_bucket);
    if (!key.len || key.len > BOLT_KEY_MAX || value.len > BOLT_NODE_MAX / 2 ||
        (last->len && slice_cmp(buf_slice(last), key) >= 0)) {
        return why_set(why, ERR(BAD_INPUT), "keys must ascend within their bucket and fit a page");
    }
    buf_reset(last);
    buf_add_slice(last, key);
    return tree_add(writer, &writer->bucket, 0, &adding, why);
}

static struct err write_metas(struct bolt_writer *writer, uint64_t root, struct why *why)
{
    uint8_t pages[2 * BOLT_PAGE_SIZE] = {0};
    struct meta meta = {
        .page_size = BOLT_PAGE_SIZE,
        .root = root,
        .freelist = NO_FREELIST,
        .pages = writer->next_page,
    };
    for (uint64_t id = 0; id < 2; id++) {
        uint8_t *page = pages + id * BOLT_PAGE_SIZE;
        meta.txid = id;
        page_head_put(page, id, PAGE_META, 0, 0);
        meta_put(page + PAGE_HEAD, &meta);
    }
    return disk_write(writer->file, 0, slice_of(pages, sizeof(pages)), why);
}

struct err bolt_writer_end(struct bolt_writer *writer, uint64_t *out_bytes, struct why *why)
{
    uint64_t root;
    TRY(end_bucket(writer, why));
    TRY(tree_end(writer, &writer->root, &root, why));
    TRY(writer_flush(writer, why));
    TRY(write_metas(writer, root, why));
    *out_bytes = writer->next_page * BOLT_PAGE_SIZE;
    return OK;
}
