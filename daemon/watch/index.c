/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/index.h"

#include "base/err.h"

static bool is_open_end(struct slice end)
{
    return end.len == 1 && end.data[0] == 0;
}

void watch_index_init(struct watch_index *index)
{
    *index = (struct watch_index){.keys = map_new()};
    rand_init(&index->rand, 1);
}

void watch_index_fini(struct watch_index *index)
{
    check(!index->ranges && map_count(index->keys) == 0);
    map_free(index->keys);
}

/* Begin, then end; an open end is the greatest. */
static int range_cmp(
    struct slice begin, struct slice end, bool is_open, const struct watch_range *node)
{
    int diff = slice_cmp(begin, node->begin);
    if (diff) {
        return diff;
    }
    if (is_open || node->is_open) {
        return (int)is_open - (int)node->is_open;
    }
    return slice_cmp(end, node->end);
}

static void max_with(struct watch_range *node, const struct watch_range *child)
{
    if (!child || node->is_max_open) {
        return;
    }
    if (child->is_max_open) {
        node->is_max_open = true;
    } else if (slice_cmp(child->max_end, node->max_end) > 0) {
        node->max_end = child->max_end;
    }
}

static void pull(struct watch_range *node)
{
    node->max_end = node->end;
    node->is_max_open = node->is_open;
    max_with(node, node->left);
    max_with(node, node->right);
}

static struct watch_range *rotate_right(struct watch_range *node)
{
    struct watch_range *top = node->left;
    node->left = top->right;
    top->right = node;
    pull(node);
    pull(top);
    return top;
}

static struct watch_range *rotate_left(struct watch_range *node)
{
    struct watch_range *top = node->right;
    node->right = top->left;
    top->left = node;
    pull(node);
    pull(top);
    return top;
}

static struct watch_range *insert(struct watch_range *node, struct watch_range *fresh)
{
    if (!node) {
        return fresh;
    }
    if (range_cmp(fresh->begin, fresh->end, fresh->is_open, node) < 0) {
        node->left = insert(node->left, fresh);
        if (node->left->priority > node->priority) {
            return rotate_right(node);
        }
    } else {
        node->right = insert(node->right, fresh);
        if (node->right->priority > node->priority) {
            return rotate_left(node);
        }
    }
    pull(node);
    return node;
}

/* Sinks the node to a leaf by rotations, then takes it off. */
static struct watch_range *take_off(struct watch_range *node)
{
    if (!node->left && !node->right) {
        return NULL;
    }
    if (!node->right || (node->left && node->left->priority > node->right->priority)) {
        struct watch_range *top = rotate_right(node);
        top->right = take_off(node);
        pull(top);
        return top;
    }
    struct watch_range *top = rotate_left(node);
    top->left = take_off(node);
    pull(top);
    return top;
}

static struct watch_range *erase(struct watch_range *node, const struct watch_range *victim)
{
    check(node);
    if (node == victim) {
        return take_off(node);
    }
    if (range_cmp(victim->begin, victim->end, victim->is_open, node) < 0) {
        node->left = erase(node->left, victim);
    } else {
        node->right = erase(node->right, victim);
    }
    pull(node);
    return node;
}

static struct watch_range *find(struct watch_range *node, struct slice begin, struct slice end)
{
    bool is_open = is_open_end(end);
    while (node) {
        int diff = range_cmp(begin, end, is_open, node);
        if (diff == 0) {
            return node;
        }
        node = diff < 0 ? node->left : node->right;
    }
    return NULL;
}

static struct list *ring_of_key(struct watch_index *index, struct slice key)
{
    struct list *ring = map_get(index->keys, key);
    if (!ring) {
        ring = mem_new(sizeof(*ring));
        list_init(ring);
        map_put(index->keys, key, ring);
    }
    return ring;
}

struct list *watch_index_ring(struct watch_index *index, struct slice key, struct slice end)
{
    if (end.len == 0) {
        return ring_of_key(index, key);
    }
    struct watch_range *node = find(index->ranges, key, end);
    if (!node) {
        node = mem_new(sizeof(*node));
        node->begin = slice_of(mem_dup(key.data, key.len), key.len);
        node->end = slice_of(mem_dup(end.data, end.len), end.len);
        node->is_open = is_open_end(end);
        node->priority = rand_u64(&index->rand);
        list_init(&node->watchers);
        pull(node);
        index->ranges = insert(index->ranges, node);
    }
    return &node->watchers;
}

static void drop_empty_key(struct watch_index *index, struct slice key)
{
    struct list *ring = map_get(index->keys, key);
    if (ring && list_is_empty(ring)) {
        map_del(index->keys, key);
        free(ring);
    }
}

void watch_index_drop_empty(struct watch_index *index, struct slice key, struct slice end)
{
    if (end.len == 0) {
        drop_empty_key(index, key);
        return;
    }
    struct watch_range *node = find(index->ranges, key, end);
    if (node && list_is_empty(&node->watchers)) {
        index->ranges = erase(index->ranges, node);
        free((void *)(uintptr_t)node->begin.data);
        free((void *)(uintptr_t)node->end.data);
        free(node);
    }
}

struct visit {
    struct slice key;
    void (*fn)(void *arg, struct list *ring);
    void *arg;
};

static void visit(struct watch_range *node, const struct visit *v)
{
    /* Nothing below ends behind the key: done with the subtree. */
    if (!node || (!node->is_max_open && slice_cmp(node->max_end, v->key) <= 0)) {
        return;
    }
    visit(node->left, v);
    if (slice_cmp(node->begin, v->key) > 0) {
        return;
    }
    if (node->is_open || slice_cmp(node->end, v->key) > 0) {
        v->fn(v->arg, &node->watchers);
    }
    visit(node->right, v);
}

void watch_index_visit(struct watch_index *index, struct slice key,
    void (*fn)(void *arg, struct list *ring), void *arg)
{
    struct list *ring = map_get(index->keys, key);
    if (ring) {
        fn(arg, ring);
    }
    visit(index->ranges, &(struct visit){key, fn, arg});
}
