/* SPDX-License-Identifier: Apache-2.0
 *
 * An intrusive doubly linked ring. The head is a node of its own; nodes live in what they link.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/mem.h"

#include <stdbool.h>

struct list {
    struct list *prev;
    struct list *next;
};

#define LIST_ITEM(node, type, member) CONTAINER_OF(node, type, member)
#define LIST_EACH(node, head)                                                                      \
    for (struct list *node = (head)->next; node != (head); node = node->next)
/* Safe against unlinking node in the body. */
#define LIST_EACH_SAFE(node, tmp, head)                                                            \
    for (struct list *node = (head)->next, *tmp = node->next; node != (head);                      \
         node = tmp, tmp = node->next)

static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_push(struct list *head, struct list *node)
{
    list_add_before(head, node);
}

/* Unlinks and leaves the node an empty ring, so that unlinking twice is harmless. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = node;
}

/* The first node, unlinked; NULL when empty. */
static inline struct list *list_pop(struct list *head)
{
    if (list_is_empty(head)) {
        return NULL;
    }
    struct list *node = head->next;
    list_remove(node);
    return node;
}

/* Moves all of from to the end of head; from is empty after. */
static inline void list_splice(struct list *head, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = head->prev;
    head->prev->next = from->next;
    from->prev->next = head;
    head->prev = from->prev;
    list_init(from);
}

#endif
