/* SPDX-License-Identifier: Apache-2.0
 * Keys stand in the array as well: ordering does not look at the nodes, which lie anywhere. */
#include "base/heap.h"

#include "base/mem.h"

#include <stdlib.h>

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_fini(struct heap *heap)
{
    free(heap->entries);
    *heap = (struct heap){0};
}

static void place(struct heap *heap, size_t at, struct heap_entry entry)
{
    heap->entries[at - 1] = entry;
    entry.node->place = at;
}

static void sift_up(struct heap *heap, size_t at)
{
    struct heap_entry entry = heap->entries[at - 1];
    size_t from = at;
    while (at > 1 && heap->entries[at / 2 - 1].key > entry.key) {
        place(heap, at, heap->entries[at / 2 - 1]);
        at /= 2;
    }
    if (at != from) {
        place(heap, at, entry);
    }
}

static void sift_down(struct heap *heap, size_t at)
{
    struct heap_entry entry = heap->entries[at - 1];
    size_t from = at;
    for (;;) {
        size_t child = at * 2;
        if (child > heap->count) {
            break;
        }
        if (child < heap->count && heap->entries[child].key < heap->entries[child - 1].key) {
            child++;
        }
        if (heap->entries[child - 1].key >= entry.key) {
            break;
        }
        place(heap, at, heap->entries[child - 1]);
        at = child;
    }
    if (at != from) {
        place(heap, at, entry);
    }
}

void heap_append(struct heap *heap, struct heap_node *node, int64_t key)
{
    if (heap->count == heap->cap) {
        heap->cap = heap->cap ? heap->cap * 2 : 64;
        heap->entries = mem_grow(heap->entries, heap->cap * sizeof(*heap->entries));
    }
    node->key = key;
    heap->count++;
    place(heap, heap->count, (struct heap_entry){key, node});
}

void heap_order(struct heap *heap)
{
    for (size_t at = heap->count / 2; at > 0; at--) {
        sift_down(heap, at);
    }
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    if (node->place == 0) {
        heap_append(heap, node, key);
    } else {
        node->key = key;
        heap->entries[node->place - 1].key = key;
    }
    sift_up(heap, node->place);
    sift_down(heap, node->place);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    size_t at = node->place;
    if (at == 0) {
        return;
    }
    struct heap_entry last = heap->entries[heap->count - 1];
    heap->count--;
    if (last.node != node) {
        place(heap, at, last);
        sift_up(heap, at);
        sift_down(heap, last.node->place);
    }
    node->place = 0;
}

void heap_clear(struct heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        heap->entries[i].node->place = 0;
    }
    heap->count = 0;
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->entries[0].node : NULL;
}
