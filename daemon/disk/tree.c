/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/tree.h"

#include "base/mem.h"
#include "base/rand.h"

static struct link *links_find(struct links *links, const char *name, size_t len)
{
    for (size_t i = 0; i < links->count; i++) {
        struct link *link = &links->items[i];
        if (strlen(link->name) == len && memcmp(link->name, name, len) == 0) {
            return link;
        }
    }
    return NULL;
}

static void links_put(struct links *links, const char *name, struct node *node)
{
    struct link *old = links_find(links, name, strlen(name));
    if (old) {
        old->node = node;
        return;
    }
    links->items = mem_grow(links->items, (links->count + 1) * sizeof(*links->items));
    links->items[links->count++] = (struct link){mem_strdup(name), node};
}

static void links_fini(struct links *links)
{
    for (size_t i = 0; i < links->count; i++) {
        free(links->items[i].name);
    }
    free(links->items);
    *links = (struct links){0};
}

static void links_copy(struct links *to, const struct links *from)
{
    links_fini(to);
    for (size_t i = 0; i < from->count; i++) {
        links_put(to, from->items[i].name, from->items[i].node);
    }
}

struct node *tree_new_node(struct tree *tree, bool is_folder)
{
    struct node *node = mem_new(sizeof(*node));
    node->is_folder = is_folder;
    node->next = tree->nodes;
    tree->nodes = node;
    return node;
}

void tree_init(struct tree *tree)
{
    *tree = (struct tree){0};
    tree->root = tree_new_node(tree, true);
}

void tree_fini(struct tree *tree)
{
    while (tree->nodes) {
        struct node *node = tree->nodes;
        tree->nodes = node->next;
        links_fini(&node->now_links);
        links_fini(&node->safe_links);
        free(node->now.data);
        free(node->safe.data);
        free(node);
    }
}

/* Walks to the folder that holds path's last name. NULL when a part is missing. */
static struct node *walk(const struct tree *tree, const char *path, const char **out_name)
{
    struct node *at = tree->root;
    const char *name = path;
    check(at);
    for (;;) {
        name += strspn(name, "/");
        size_t len = strcspn(name, "/");
        if (name[len + strspn(name + len, "/")] == 0) {
            *out_name = name;
            return at;
        }
        struct link *link = links_find(&at->now_links, name, len);
        if (!link || !link->node->is_folder) {
            return NULL;
        }
        at = link->node;
        name += len;
    }
}

struct link *tree_find_link(const struct tree *tree, const char *path, struct node **out_folder)
{
    const char *name;
    struct node *folder = walk(tree, path, &name);
    if (out_folder) {
        *out_folder = folder;
    }
    return folder ? links_find(&folder->now_links, name, strcspn(name, "/")) : NULL;
}

struct node *tree_find_node(const struct tree *tree, const char *path)
{
    const char *name;
    struct node *folder = walk(tree, path, &name);
    if (folder && *name == 0) {
        return folder;
    }
    struct link *link = tree_find_link(tree, path, NULL);
    return link ? link->node : NULL;
}

void tree_link(struct node *folder, const char *name, struct node *node)
{
    links_put(&folder->now_links, name, node);
}

void tree_unlink(struct node *folder, struct link *link)
{
    struct links *links = &folder->now_links;
    free(link->name);
    *link = links->items[--links->count];
}

static void bytes_resize(struct bytes *bytes, size_t len)
{
    bytes->data = mem_grow(bytes->data, len + 1);
    if (len > bytes->len) {
        memset(bytes->data + bytes->len, 0, len - bytes->len);
    }
    bytes->len = len;
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
    bytes_resize(to, from->len);
    if (from->len) {
        memcpy(to->data, from->data, from->len);
    }
}

static void differ(struct node *node, size_t from, size_t to)
{
    if (node->differ_from >= node->differ_to) {
        node->differ_from = from;
        node->differ_to = to;
        return;
    }
    node->differ_from = from < node->differ_from ? from : node->differ_from;
    node->differ_to = to > node->differ_to ? to : node->differ_to;
}

static bool is_same(const struct node *node)
{
    return node->now.len == node->safe.len && node->differ_from >= node->differ_to;
}

void tree_resize(struct node *file, size_t len)
{
    size_t old = file->now.len;
    bytes_resize(&file->now, len);
    differ(file, old < len ? old : len, old < len ? len : old);
}

void tree_write(struct node *file, uint64_t offset, struct slice bytes)
{
    struct bytes *now = &file->now;
    if (!bytes.len) {
        return;
    }
    if (offset + bytes.len > now->len) {
        tree_resize(file, (size_t)offset + bytes.len);
    }
    memcpy(now->data + offset, bytes.data, bytes.len);
    differ(file, (size_t)offset, (size_t)offset + bytes.len);
}

/* One becomes the other, where they differ. */
static void settle(struct node *node, struct bytes *to, const struct bytes *from)
{
    size_t end = node->differ_to < from->len ? node->differ_to : from->len;
    bytes_resize(to, from->len);
    if (node->differ_from < end) {
        memcpy(
            to->data + node->differ_from, from->data + node->differ_from, end - node->differ_from);
    }
    node->differ_from = node->differ_to = 0;
}

void tree_sync(struct node *file)
{
    settle(file, &file->safe, &file->now);
}

void tree_sync_folder(struct node *folder)
{
    links_copy(&folder->safe_links, &folder->now_links);
}

/* Sectors that differ between seen and safe are each kept or lost; so is the new length. */
static void tear(struct node *node, struct rand *coin)
{
    struct bytes mix = {0};
    bytes_copy(&mix, rand_below(coin, 2) ? &node->now : &node->safe);
    for (size_t at = 0; at < mix.len; at += TREE_SECTOR) {
        const struct bytes *from = rand_below(coin, 2) ? &node->now : &node->safe;
        size_t end = at + TREE_SECTOR < mix.len ? at + TREE_SECTOR : mix.len;
        for (size_t i = at; i < end; i++) {
            mix.data[i] = i < from->len ? from->data[i] : 0;
        }
    }
    bytes_copy(&node->now, &mix);
    differ(node, 0, mix.len);
    free(mix.data);
}

static void crash_node(struct node *node, enum disk_crash how, struct rand *coin)
{
    bool tosses = how == DISK_CRASH_TEAR;
    node->locked_by = NULL;
    if (how == DISK_CRASH_LOSE || (tosses && rand_below(coin, 2))) {
        links_copy(&node->now_links, &node->safe_links);
    }
    if (how == DISK_CRASH_LOSE) {
        settle(node, &node->now, &node->safe);
    } else if (tosses && !is_same(node)) {
        tear(node, coin);
    }
    if (how != DISK_CRASH_KEEP) {
        links_copy(&node->safe_links, &node->now_links);
        settle(node, &node->safe, &node->now);
    }
}

void tree_crash(struct tree *tree, enum disk_crash how, struct rand *coin)
{
    for (struct node *node = tree->nodes; node; node = node->next) {
        crash_node(node, how, coin);
    }
}
