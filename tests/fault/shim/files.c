/* SPDX-License-Identifier: Apache-2.0
 * Which watched file a descriptor or a name stands for. */
#include "shim.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { FDS_MAX = 1 << 16 };

static _Atomic(struct node *) fds[FDS_MAX];
static struct node *nodes;

struct node *file_find(const char *name)
{
    struct node *node = nodes;
    while (node && (node->is_gone || strcmp(node->name, name) != 0)) {
        node = node->next;
    }
    return node;
}

struct node *file_make(const char *name)
{
    struct node *node = file_find(name);
    if (node) {
        return node;
    }
    node = calloc(1, sizeof(*node));
    if (!node) {
        abort();
    }
    strncpy(node->name, name, sizeof(node->name) - 1);
    node->cut = -1;
    node->next = nodes;
    nodes = node;
    return node;
}

void file_renamed(const char *from, const char *to)
{
    struct node *old = file_find(to);
    struct node *node = file_find(from);
    if (old) {
        old->is_gone = true;
    }
    if (node) {
        memset(node->name, 0, sizeof(node->name));
        strncpy(node->name, to, sizeof(node->name) - 1);
    }
}

struct node *file_of(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? atomic_load(&fds[fd]) : NULL;
}

void file_set(int fd, struct node *node)
{
    if (fd >= 0 && fd < FDS_MAX) {
        atomic_store(&fds[fd], node);
    }
}
