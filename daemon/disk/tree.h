/* SPDX-License-Identifier: Apache-2.0
 *
 * What a disk in memory holds: folders and files, each twice, as seen (now) and as a crash would
 * leave it (safe). Nothing fails here and nothing is counted: that is faulty.c. One thread.
 */
#ifndef DISK_TREE_H
#define DISK_TREE_H

#include "disk/faulty.h"

enum { TREE_SECTOR = 512 }; /* done whole or not at all */

struct node;
struct rand;

struct link {
    char *name;
    struct node *node;
};

struct links {
    struct link *items;
    size_t count;
};

struct bytes {
    uint8_t *data;
    size_t len;
};

struct node {
    struct node *next; /* all nodes of the disk, freed with it */
    bool is_folder;
    struct links now_links;
    struct links safe_links;
    struct bytes now;
    struct bytes safe;
    size_t differ_from; /* now and safe are the same elsewhere */
    size_t differ_to;
    struct disk_file *locked_by;
};

struct tree {
    struct node *nodes;
    struct node *root;
};

void tree_init(struct tree *tree);
void tree_fini(struct tree *tree);

/* In no folder yet. */
struct node *tree_new_node(struct tree *tree, bool is_folder);
/* NULL when it is not there. */
struct node *tree_find_node(const struct tree *tree, const char *path);
/* Its place in its folder, which holds until that changes. out_folder (may be NULL): that folder,
 * or NULL when it is not there; also for what is not in it. */
struct link *tree_find_link(const struct tree *tree, const char *path, struct node **out_folder);

/* As seen. Replaces what has that name. */
void tree_link(struct node *folder, const char *name, struct node *node);
void tree_unlink(struct node *folder, struct link *link);
/* Zeros where it grows. */
void tree_resize(struct node *file, size_t len);
void tree_write(struct node *file, uint64_t offset, struct slice bytes);

/* What is seen is safe from here on: contents, names. */
void tree_sync(struct node *file);
void tree_sync_folder(struct node *folder);
/* Leaves what the crash leaves; nobody holds a lock. */
void tree_crash(struct tree *tree, enum disk_crash how, struct rand *coin);

#endif
