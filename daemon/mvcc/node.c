/* SPDX-License-Identifier: Apache-2.0
 *
 * The shape of the key index: splits, merges, building at once, checking. A full leaf splits in the
 * middle, except at the end of the tree, where it stays full: keys that come in order then fill the
 * leaves.
 */
#include "node.h"

#include "base/mem.h"

enum {
    COUNT_MIN = INDEX_LEAF_MAX / 4,
    MERGED_MAX = INDEX_LEAF_MAX * 3 / 4,
    LOAD_FILL = INDEX_LEAF_MAX * 7 / 8,
};

_Static_assert(INDEX_LEAF_MAX == INDEX_INNER_MAX, "one set of bounds for both");

struct index_leaf *index_leaf_new(struct index *index)
{
    struct index_leaf *leaf = mem_alloc(sizeof(*leaf));
    leaf->count = 0;
    leaf->next = NULL;
    leaf->prev = NULL;
    index->node_bytes += sizeof(*leaf);
    return leaf;
}

void index_leaf_free(struct index *index, struct index_leaf *leaf)
{
    if (leaf->next) {
        leaf->next->prev = leaf->prev;
    }
    if (leaf->prev) {
        leaf->prev->next = leaf->next;
    }
    if (index->first == leaf) {
        index->first = leaf->next;
    }
    if (index->hand == leaf) {
        index->hand = leaf->next;
    }
    index->node_bytes -= sizeof(*leaf);
    free(leaf);
}

struct index_inner *index_inner_new(struct index *index)
{
    struct index_inner *node = mem_new(sizeof(*node));
    index->node_bytes += sizeof(*node);
    return node;
}

void index_inner_free(struct index *index, struct index_inner *node)
{
    for (uint32_t i = 0; i < node->count; i++) {
        blob_unref(node->keys[i]);
    }
    index->node_bytes -= sizeof(*node);
    free(node);
}

int64_t index_leaf_living(const struct index_leaf *leaf)
{
    int64_t living = 0;
    for (uint32_t i = 0; i < leaf->count; i++) {
        living += !leaf->entries[i].is_tombstone;
    }
    return living;
}

static int64_t inner_living(const struct index_inner *node)
{
    int64_t living = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        living += node->living[i];
    }
    return living;
}

/* Moves count slots between inner nodes, or within one. */
static void slots_move(struct index_inner *to, uint32_t to_at, struct index_inner *from,
    uint32_t from_at, uint32_t count)
{
    memmove(&to->living[to_at], &from->living[from_at], count * sizeof(to->living[0]));
    memmove(&to->keys[to_at], &from->keys[from_at], count * sizeof(to->keys[0]));
    memmove(&to->children[to_at], &from->children[from_at], count * sizeof(to->children[0]));
}

/* A node that split off: right of the child it came from. key's reference goes with it. */
struct split {
    void *node;
    struct blob *key;
    int64_t living;
};

static void slot_insert(struct index_inner *node, uint32_t at, const struct split *split)
{
    slots_move(node, at + 1, node, at, node->count - at);
    node->count++;
    node->living[at] = split->living;
    node->keys[at] = split->key;
    node->children[at] = split->node;
    node->living[at - 1] -= split->living;
}

static void root_grow(struct index *index, const struct split *split)
{
    struct index_inner *root = index_inner_new(index);
    check(index->depth + 1 < INDEX_DEPTH_MAX);
    root->count = 1;
    root->children[0] = index->root;
    root->living[0] = index->living;
    slot_insert(root, 1, split);
    index->root = root;
    index->depth++;
}

static struct split inner_split(struct index *index, struct index_inner *node, bool is_at_end)
{
    uint32_t left = is_at_end ? INDEX_INNER_MAX - 1 : INDEX_INNER_MAX / 2;
    struct index_inner *right = index_inner_new(index);
    right->count = node->count - left;
    slots_move(right, 0, node, left, right->count);
    node->count = left;
    return (struct split){right, blob_ref(right->keys[0]), inner_living(right)};
}

/* Hangs the split-off node in, right of the child at path->at[level - 1], splitting upwards as
 * needed. */
static void split_up(
    struct index *index, struct index_path *path, unsigned level, struct split split)
{
    while (level > 0) {
        struct index_inner *node = path->nodes[level - 1];
        uint32_t at = path->at[level - 1] + 1;
        if (node->count < INDEX_INNER_MAX) {
            slot_insert(node, at, &split);
            return;
        }
        struct split above = inner_split(index, node, at == node->count);
        struct index_inner *right = above.node;
        if (at > node->count) {
            slot_insert(right, at - node->count, &split);
        } else {
            slot_insert(node, at, &split);
        }
        split = above;
        level--;
    }
    root_grow(index, &split);
}

void index_split(struct index *index, struct index_path *path, uint32_t at)
{
    struct index_leaf *leaf = path->leaf;
    bool is_at_end = !leaf->next && at == leaf->count;
    uint32_t left = is_at_end ? INDEX_LEAF_MAX - 1 : INDEX_LEAF_MAX / 2;
    struct index_leaf *right = index_leaf_new(index);
    right->count = leaf->count - left;
    memcpy(right->entries, &leaf->entries[left], right->count * sizeof(right->entries[0]));
    leaf->count = left;
    right->next = leaf->next;
    right->prev = leaf;
    leaf->next = right;
    if (right->next) {
        right->next->prev = right;
    }
    struct split split = {right, blob_ref(right->entries[0].key), index_leaf_living(right)};
    split_up(index, path, index->depth, split);
}

static void slot_remove(struct index_inner *node, uint32_t at)
{
    blob_unref(node->keys[at]);
    node->count--;
    slots_move(node, at, node, at + 1, node->count - at);
}

static uint32_t count_of(const void *node, bool is_leaf)
{
    return is_leaf ? ((const struct index_leaf *)node)->count
                   : ((const struct index_inner *)node)->count;
}

static void node_free(struct index *index, void *node, bool is_leaf)
{
    if (is_leaf) {
        index_leaf_free(index, node);
    } else {
        index_inner_free(index, node);
    }
}

static void merge(struct index *index, struct index_inner *parent, uint32_t at, bool is_leaf)
{
    if (is_leaf) {
        struct index_leaf *left = parent->children[at];
        struct index_leaf *right = parent->children[at + 1];
        memcpy(
            &left->entries[left->count], right->entries, right->count * sizeof(right->entries[0]));
        left->count += right->count;
    } else {
        struct index_inner *left = parent->children[at];
        struct index_inner *right = parent->children[at + 1];
        blob_unref(right->keys[0]);
        right->keys[0] = blob_ref(parent->keys[at + 1]);
        slots_move(left, left->count, right, 0, right->count);
        left->count += right->count;
        right->count = 0;
    }
    node_free(index, parent->children[at + 1], is_leaf);
    parent->living[at] += parent->living[at + 1];
    slot_remove(parent, at + 1);
}

/* Whether the child at was dropped or merged. */
static bool child_shrink(struct index *index, struct index_inner *parent, uint32_t at, bool is_leaf)
{
    uint32_t count = count_of(parent->children[at], is_leaf);
    if (count == 0) {
        node_free(index, parent->children[at], is_leaf);
        slot_remove(parent, at);
        return true;
    }
    if (count >= COUNT_MIN) {
        return false;
    }
    if (at + 1 < parent->count &&
        count + count_of(parent->children[at + 1], is_leaf) <= MERGED_MAX) {
        merge(index, parent, at, is_leaf);
        return true;
    }
    if (at > 0 && count + count_of(parent->children[at - 1], is_leaf) <= MERGED_MAX) {
        merge(index, parent, at - 1, is_leaf);
        return true;
    }
    return false;
}

void index_shrink(struct index *index, struct index_path *path)
{
    unsigned level = index->depth;
    while (level > 0 && child_shrink(index, path->nodes[level - 1], path->at[level - 1],
                            level == index->depth)) {
        level--;
    }
    while (index->depth > 0 && count_of(index->root, false) <= 1) {
        struct index_inner *root = index->root;
        index->root = root->count ? root->children[0] : NULL;
        index_inner_free(index, root);
        index->depth = index->root ? index->depth - 1 : 0;
    }
    if (!index->root) {
        index->first = index_leaf_new(index);
        index->root = index->first;
    }
}

/* One level of a tree that is built at once. */
struct level {
    struct split *nodes;
    size_t count;
    size_t cap;
};

static void level_add(struct level *level, struct split split)
{
    if (level->count == level->cap) {
        level->cap = level->cap ? level->cap * 2 : 64;
        level->nodes = mem_grow(level->nodes, level->cap * sizeof(*level->nodes));
    }
    level->nodes[level->count++] = split;
}

/* Fills one leaf; false: nothing is left. */
static bool load_leaf(struct index *index, struct index_source *source, struct index_leaf *leaf)
{
    while (leaf->count < LOAD_FILL && source->next(source, &leaf->entries[leaf->count])) {
        index->key_bytes += leaf->entries[leaf->count].key->len + sizeof(struct blob);
        leaf->count++;
    }
    index->entries += leaf->count;
    return leaf->count == LOAD_FILL;
}

static struct level load_leaves(struct index *index, struct index_source *source)
{
    struct level level = {0};
    struct index_leaf *last = NULL;
    bool is_more = true;
    while (is_more) {
        struct index_leaf *leaf = index_leaf_new(index);
        is_more = load_leaf(index, source, leaf);
        if (leaf->count == 0 && last) {
            index_leaf_free(index, leaf);
            break;
        }
        leaf->prev = last;
        if (last) {
            last->next = leaf;
        } else {
            index->first = leaf;
        }
        last = leaf;
        struct blob *key = leaf->count ? blob_ref(leaf->entries[0].key) : NULL;
        level_add(&level, (struct split){leaf, key, index_leaf_living(leaf)});
    }
    return level;
}

static struct level load_inners(struct index *index, struct level below)
{
    struct level level = {0};
    for (size_t i = 0; i < below.count; i += LOAD_FILL) {
        struct index_inner *node = index_inner_new(index);
        while (node->count < LOAD_FILL && i + node->count < below.count) {
            const struct split *child = &below.nodes[i + node->count];
            node->living[node->count] = child->living;
            node->keys[node->count] = child->key;
            node->children[node->count] = child->node;
            node->count++;
        }
        level_add(&level, (struct split){node, blob_ref(node->keys[0]), inner_living(node)});
    }
    free(below.nodes);
    return level;
}

void index_load(struct index *index, struct index_source *source)
{
    check(index->entries == 0);
    index_leaf_free(index, index->root);
    struct level level = load_leaves(index, source);
    while (level.count > 1) {
        level = load_inners(index, level);
        index->depth++;
    }
    index->root = level.nodes[0].node;
    index->living = level.nodes[0].living;
    blob_unref(level.nodes[0].key);
    free(level.nodes);
}

static int64_t check_below(const struct index *index, void *at, unsigned depth, struct slice *last)
{
    if (depth == 0) {
        const struct index_leaf *leaf = at;
        for (uint32_t i = 0; i < leaf->count; i++) {
            struct slice key = blob_slice(leaf->entries[i].key);
            check(!last->data || slice_cmp(*last, key) < 0);
            *last = key;
        }
        check(leaf->count > 0 || index->depth == 0);
        return index_leaf_living(leaf);
    }
    const struct index_inner *node = at;
    int64_t living = 0;
    check(node->count > 0 && node->count <= INDEX_INNER_MAX);
    for (uint32_t i = 0; i < node->count; i++) {
        check(i == 0 || !last->data || slice_cmp(*last, blob_slice(node->keys[i])) < 0);
        struct slice before = *last;
        int64_t below = check_below(index, node->children[i], depth - 1, last);
        check(below == node->living[i]);
        check(before.data != last->data);
        living += below;
    }
    return living;
}

void index_check(const struct index *index)
{
    struct slice last = {0};
    check(check_below(index, index->root, index->depth, &last) == index->living);
    size_t entries = 0;
    for (const struct index_leaf *leaf = index->first; leaf; leaf = leaf->next) {
        check(!leaf->next || leaf->next->prev == leaf);
        entries += leaf->count;
    }
    check(entries == index->entries);
}
