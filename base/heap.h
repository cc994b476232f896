/* SPDX-License-Identifier: Apache-2.0
 *
 * An intrusive binary min-heap ordered by a 64-bit key (a deadline, mostly). A node knows its
 * place, so that it can be moved or taken out in O(log n).
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;
    size_t place; /* 1-based; 0 means: in no heap */
};

struct heap_entry {
    int64_t key;
    struct heap_node *node;
};

struct heap {
    struct heap_entry *entries;
    size_t count;
    size_t cap;
};

void heap_init(struct heap *heap);
void heap_fini(struct heap *heap);
/* Adds the node, or moves it if it is in the heap already. */
void heap_set(struct heap *heap, struct heap_node *node, int64_t key);
/* No effect on a node that is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);
/* Adds a node that is in no heap without looking for its place; heap_order once after many,
 * O(count), before anything else. */
void heap_append(struct heap *heap, struct heap_node *node, int64_t key);
void heap_order(struct heap *heap);
/* Every node is in no heap then: O(count). */
void heap_clear(struct heap *heap);
/* The node with the smallest key; NULL when empty. */
struct heap_node *heap_first(const struct heap *heap);

#endif
