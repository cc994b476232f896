/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include "base/mem.h"

#include <stdlib.h>

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_fini(struct heap *heap)
{
    free(heap->nodes);
    *heap = (struct heap){0};
}

static void place(struct heap *heap, size_t at, struct heap_node *node)
{
    heap->nodes[at - 1] = node;
    node->place = at;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
    size_t at = node->place;
    while (at > 1 && heap->nodes[at / 2 - 1]->key > node->key) {
        place(heap, at, heap->nodes[at / 2 - 1]);
        at /= 2;
    }
    place(heap, at, node);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
    size_t at = node->place;
    for (;;) {
        size_t child = at * 2;
        if (child > heap->count) {
            break;
        }
        if (child < heap->count && heap->nodes[child]->key < heap->nodes[child - 1]->key) {
            child++;
        }
        if (heap->nodes[child - 1]->key >= node->key) {
            break;
        }
        place(heap, at, heap->nodes[child - 1]);
        at = child;
    }
    place(heap, at, node);
}

void heap_set(struct heap *heap, struct heap_node *node, int64_t key)
{
    node->key = key;
    if (node->place == 0) {
        if (heap->count == heap->cap) {
            heap->cap = heap->cap ? heap->cap * 2 : 64;
            heap->nodes = mem_grow(heap->nodes, heap->cap * sizeof(*heap->nodes));
        }
        place(heap, ++heap->count, node);
    }
    sift_up(heap, node);
    sift_down(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    struct heap_node *last = heap->nodes[heap->count - 1];
    heap->count--;
    if (last != node) {
        place(heap, node->place, last);
        sift_up(heap, last);
        sift_down(heap, last);
    }
    node->place = 0;
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}
