/* SPDX-License-Identifier: Apache-2.0
 * Looking up, counting and changing entries. Shape changes of the tree are in node.c. */
#include "node.h"

#include "base/mem.h"

void index_init(struct index *index)
{
    *index = (struct index){0};
    index->first = index_leaf_new(index);
    index->root = index->first;
}

static void free_below(struct index *index, void *node, unsigned depth)
{
    if (depth == 0) {
        struct index_leaf *leaf = node;
        for (uint32_t i = 0; i < leaf->count; i++) {
            blob_unref(leaf->entries[i].key);
            blob_unref(leaf->entries[i].value);
        }
        index_leaf_free(index, leaf);
        return;
    }
    struct index_inner *inner = node;
    for (uint32_t i = 0; i < inner->count; i++) {
        free_below(index, inner->children[i], depth - 1);
    }
    index_inner_free(index, inner);
}

void index_fini(struct index *index)
{
    if (index->root) {
        free_below(index, index->root, index->depth);
    }
    *index = (struct index){0};
}

static uint32_t child_of(const struct index_inner *node, struct slice key)
{
    uint32_t low = 0;
    uint32_t high = node->count - 1;
    while (low < high) {
        uint32_t mid = (low + high + 1) / 2;
        if (slice_cmp(blob_slice(node->keys[mid]), key) <= 0) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    return low;
}

void index_descend(const struct index *index, struct slice key, struct index_path *out)
{
    void *node = index->root;
    for (unsigned level = 0; level < index->depth; level++) {
        struct index_inner *inner = node;
        out->nodes[level] = inner;
        out->at[level] = child_of(inner, key);
        node = inner->children[out->at[level]];
    }
    out->leaf = node;
}

uint32_t index_leaf_seek(const struct index_leaf *leaf, struct slice key, bool is_after)
{
    uint32_t low = 0;
    uint32_t high = leaf->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        int diff = slice_cmp(blob_slice(leaf->entries[mid].key), key);
        if (diff < 0 || (is_after && diff == 0)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static bool is_at(const struct index_leaf *leaf, uint32_t at, struct slice key)
{
    return at < leaf->count && slice_eq(blob_slice(leaf->entries[at].key), key);
}

struct index_entry *index_find(const struct index *index, struct slice key)
{
    struct index_path path;
    index_descend(index, key, &path);
    uint32_t at = index_leaf_seek(path.leaf, key, false);
    return is_at(path.leaf, at, key) ? &path.leaf->entries[at] : NULL;
}

static struct index_entry *insert(
    struct index *index, struct index_leaf *leaf, uint32_t at, struct slice key)
{
    memmove(
        &leaf->entries[at + 1], &leaf->entries[at], (leaf->count - at) * sizeof(leaf->entries[0]));
    leaf->count++;
    memset(&leaf->entries[at], 0, sizeof(leaf->entries[at]));
    leaf->entries[at].key = blob_new(key);
    leaf->entries[at].is_tombstone = true;
    index->entries++;
    index->key_bytes += key.len + sizeof(struct blob);
    return &leaf->entries[at];
}

struct index_entry *index_put(struct index *index, struct slice key)
{
    struct index_path path;
    index_descend(index, key, &path);
    uint32_t at = index_leaf_seek(path.leaf, key, false);
    if (is_at(path.leaf, at, key)) {
        return &path.leaf->entries[at];
    }
    if (path.leaf->count == INDEX_LEAF_MAX) {
        index_split(index, &path, at);
        index_descend(index, key, &path);
        at = index_leaf_seek(path.leaf, key, false);
    }
    return insert(index, path.leaf, at, key);
}

void index_set_living(struct index *index, struct index_entry *entry, bool is_living)
{
    if (entry->is_tombstone != is_living) {
        return;
    }
    int64_t diff = is_living ? 1 : -1;
    struct index_path path;
    index_descend(index, blob_slice(entry->key), &path);
    for (unsigned level = 0; level < index->depth; level++) {
        path.nodes[level]->living[path.at[level]] += diff;
    }
    entry->is_tombstone = !is_living;
    index->living += diff;
}

void index_set_value(struct index *index, struct index_entry *entry, struct blob *value)
{
    if (entry->value) {
        index->value_bytes -= entry->value->len + sizeof(*value);
        blob_unref(entry->value);
    }
    entry->value = value;
    if (value) {
        index->value_bytes += value->len + sizeof(*value);
    }
}

void index_remove(struct index *index, struct slice key)
{
    struct index_path path;
    index_descend(index, key, &path);
    struct index_leaf *leaf = path.leaf;
    uint32_t at = index_leaf_seek(leaf, key, false);
    check(is_at(leaf, at, key) && leaf->entries[at].is_tombstone);
    index_set_value(index, &leaf->entries[at], NULL);
    index->entries--;
    index->key_bytes -= leaf->entries[at].key->len + sizeof(struct blob);
    blob_unref(leaf->entries[at].key);
    leaf->count--;
    memmove(
        &leaf->entries[at], &leaf->entries[at + 1], (leaf->count - at) * sizeof(leaf->entries[0]));
    index_shrink(index, &path);
}

struct index_cursor index_seek(const struct index *index, struct slice key, bool is_after)
{
    struct index_path path;
    index_descend(index, key, &path);
    uint32_t at = index_leaf_seek(path.leaf, key, is_after);
    if (at == path.leaf->count) {
        return (struct index_cursor){path.leaf->next, 0};
    }
    return (struct index_cursor){path.leaf, at};
}

int64_t index_rank(const struct index *index, struct slice key)
{
    struct index_path path;
    index_descend(index, key, &path);
    int64_t rank = 0;
    for (unsigned level = 0; level < index->depth; level++) {
        for (uint32_t i = 0; i < path.at[level]; i++) {
            rank += path.nodes[level]->living[i];
        }
    }
    uint32_t at = index_leaf_seek(path.leaf, key, false);
    for (uint32_t i = 0; i < at; i++) {
        rank += !path.leaf->entries[i].is_tombstone;
    }
    return rank;
}

/* The clock: a value used since the last turn gets another one. */
void index_evict(struct index *index, size_t bytes, size_t steps)
{
    while (index->value_bytes > bytes && steps-- > 0) {
        struct index_leaf *leaf = index->hand ? index->hand : index->first;
        for (uint32_t i = 0; i < leaf->count && index->value_bytes > bytes; i++) {
            struct index_entry *entry = &leaf->entries[i];
            if (!atomic_exchange_explicit(&entry->is_used, false, memory_order_relaxed)) {
                index_set_value(index, entry, NULL);
            }
        }
        index->hand = leaf->next;
    }
}
