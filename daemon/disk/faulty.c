/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/faulty.h"

#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>

enum { SECTOR = 512 };

struct node;

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

struct faulty {
    struct disk base;
    struct rand rand;
    struct node *nodes;
    struct node *root;
    uint64_t ops;
    uint64_t fail_at;
    struct err fail_with;
    bool is_lasting;
    unsigned life; /* crashes so far; a file of an earlier life is dead */
};

struct faulty_file {
    struct disk_file base;
    struct node *node;
    unsigned life;
    bool is_writable;
    char *path;
};

static struct faulty *faulty_of(const struct disk *disk)
{
    return CONTAINER_OF(disk, struct faulty, base);
}

static struct faulty_file *file_of(struct disk_file *file)
{
    return CONTAINER_OF(file, struct faulty_file, base);
}

static struct node *node_new(struct faulty *disk, bool is_folder)
{
    struct node *node = mem_new(sizeof(*node));
    node->is_folder = is_folder;
    node->next = disk->nodes;
    disk->nodes = node;
    return node;
}

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

static void links_drop(struct links *links, struct link *link)
{
    free(link->name);
    *link = links->items[--links->count];
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

static void now_resize(struct node *node, size_t len)
{
    size_t old = node->now.len;
    bytes_resize(&node->now, len);
    differ(node, old < len ? old : len, old < len ? len : old);
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

/* Walks to the folder that holds path's last name. NULL when a part is missing. */
static struct node *walk(struct faulty *disk, const char *path, const char **out_name)
{
    struct node *at = disk->root;
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

static struct link *find(struct faulty *disk, const char *path, struct node **out_folder)
{
    const char *name;
    struct node *folder = walk(disk, path, &name);
    if (out_folder) {
        *out_folder = folder;
    }
    return folder ? links_find(&folder->now_links, name, strcspn(name, "/")) : NULL;
}

static struct node *find_node(struct faulty *disk, const char *path)
{
    const char *name;
    struct node *folder = walk(disk, path, &name);
    if (folder && *name == 0) {
        return folder;
    }
    struct link *link = find(disk, path, NULL);
    return link ? link->node : NULL;
}

/* Counts an operation that changes something; the error it is to fail with, if it is its turn. */
static struct err turn(struct faulty *disk, struct why *why, const char *what, const char *path)
{
    disk->ops++;
    bool fails = disk->fail_at &&
                 (disk->ops == disk->fail_at || (disk->is_lasting && disk->ops > disk->fail_at));
    return fails ? why_set(why, disk->fail_with, "%s %s: made to fail", what, path) : OK;
}

static struct err dead(const struct faulty_file *file, struct why *why)
{
    if (file->life != faulty_of(file->base.disk)->life) {
        return why_set(why, ERR(IO), "%s: the disk crashed", file->path);
    }
    return OK;
}

static struct err faulty_open(struct disk *base, const char *path, unsigned flags, mode_t mode,
    struct disk_file **out, struct why *why)
{
    struct faulty *disk = faulty_of(base);
    struct node *folder;
    struct link *link = find(disk, path, &folder);
    const char *name = strrchr(path, '/') + 1;
    (void)mode;
    if (!folder || (!link && !(flags & DISK_CREATE))) {
        return why_errno(why, ENOENT, "open %s", path);
    }
    if (link && (flags & DISK_EXCLUSIVE)) {
        return why_errno(why, EEXIST, "open %s", path);
    }
    if (!link || (flags & DISK_TRUNCATE)) {
        TRY(turn(disk, why, "open", path));
    }
    struct node *node = link ? link->node : node_new(disk, false);
    if (!link) {
        links_put(&folder->now_links, name, node);
    }
    if (flags & DISK_TRUNCATE) {
        now_resize(node, 0);
    }
    struct faulty_file *file = mem_new(sizeof(*file));
    *file = (struct faulty_file){.base = {base},
        .node = node,
        .life = disk->life,
        .is_writable = flags & DISK_WRITE,
        .path = mem_strdup(path)};
    *out = &file->base;
    return OK;
}

static void faulty_close(struct disk_file *base)
{
    struct faulty_file *file = file_of(base);
    if (file->node->locked_by == base) {
        file->node->locked_by = NULL;
    }
    free(file->path);
    free(file);
}

static struct err faulty_read(struct disk_file *base, uint64_t offset, void *out, size_t size,
    size_t *out_size, struct why *why)
{
    struct faulty_file *file = file_of(base);
    TRY(dead(file, why));
    const struct bytes *now = &file->node->now;
    size_t left = offset < now->len ? now->len - (size_t)offset : 0;
    size_t got = size < left ? size : left;
    if (got) {
        memcpy(out, now->data + offset, got);
    }
    *out_size = got;
    return OK;
}

/* How much a failing write gets done: whole sectors, as a device does. */
static size_t part_of(struct faulty *disk, uint64_t offset, size_t len)
{
    uint64_t end = offset + rand_below(&disk->rand, len + 1);
    end -= end % SECTOR;
    return end > offset ? (size_t)(end - offset) : 0;
}

static struct err faulty_write(
    struct disk_file *base, uint64_t offset, struct slice bytes, struct why *why)
{
    struct faulty_file *file = file_of(base);
    TRY(dead(file, why));
    check(file->is_writable);
    struct faulty *disk = faulty_of(base->disk);
    struct err e = turn(disk, why, "write", file->path);
    size_t put = err_is(e) ? part_of(disk, offset, bytes.len) : bytes.len;
    struct bytes *now = &file->node->now;
    if (put && offset + put > now->len) {
        now_resize(file->node, (size_t)offset + put);
    }
    if (put) {
        memcpy(now->data + offset, bytes.data, put);
        differ(file->node, (size_t)offset, (size_t)offset + put);
    }
    return e;
}

static struct err faulty_sync(struct disk_file *base, bool is_data_only, struct why *why)
{
    struct faulty_file *file = file_of(base);
    (void)is_data_only;
    TRY(dead(file, why));
    TRY(turn(faulty_of(base->disk), why, "sync", file->path));
    settle(file->node, &file->node->safe, &file->node->now);
    return OK;
}

/* Nothing is safe by it. */
static void faulty_begin_sync(struct disk_file *base)
{
    (void)base;
}

static struct err faulty_truncate(struct disk_file *base, uint64_t bytes, struct why *why)
{
    struct faulty_file *file = file_of(base);
    TRY(dead(file, why));
    TRY(turn(faulty_of(base->disk), why, "truncate", file->path));
    now_resize(file->node, (size_t)bytes);
    return OK;
}

static struct err faulty_allocate(struct disk_file *base, uint64_t bytes, struct why *why)
{
    struct faulty_file *file = file_of(base);
    TRY(dead(file, why));
    TRY(turn(faulty_of(base->disk), why, "allocate", file->path));
    if (bytes > file->node->now.len) {
        now_resize(file->node, (size_t)bytes);
    }
    return OK;
}

static struct err faulty_lock(struct disk_file *base, struct why *why)
{
    struct faulty_file *file = file_of(base);
    TRY(dead(file, why));
    if (file->node->locked_by && file->node->locked_by != base) {
        return why_set(why, ERR(LOCKED), "lock %s: held by another process", file->path);
    }
    file->node->locked_by = base;
    return OK;
}

static struct err faulty_size(struct disk_file *base, uint64_t *out_bytes, struct why *why)
{
    struct faulty_file *file = file_of(base);
    TRY(dead(file, why));
    *out_bytes = file->node->now.len;
    return OK;
}

static struct err faulty_rename(
    struct disk *base, const char *from, const char *to, struct why *why)
{
    struct faulty *disk = faulty_of(base);
    struct node *from_folder;
    struct node *to_folder;
    struct link *link = find(disk, from, &from_folder);
    struct link *old = find(disk, to, &to_folder);
    if (!link || !to_folder) {
        return why_errno(why, ENOENT, "rename %s to %s", from, to);
    }
    if (old && old->node->is_folder && old->node->now_links.count) {
        return why_errno(why, ENOTEMPTY, "rename %s to %s", from, to);
    }
    TRY(turn(disk, why, "rename", from));
    struct node *node = link->node;
    links_drop(&from_folder->now_links, link);
    links_put(&to_folder->now_links, strrchr(to, '/') + 1, node);
    return OK;
}

static struct err faulty_remove(struct disk *base, const char *path, struct why *why)
{
    struct faulty *disk = faulty_of(base);
    struct node *folder;
    struct link *link = find(disk, path, &folder);
    if (!link) {
        return why_errno(why, ENOENT, "remove %s", path);
    }
    if (link->node->now_links.count) {
        return why_errno(why, ENOTEMPTY, "remove %s", path);
    }
    TRY(turn(disk, why, "remove", path));
    links_drop(&folder->now_links, link);
    return OK;
}

static struct err faulty_mkdir(struct disk *base, const char *path, mode_t mode, struct why *why)
{
    struct faulty *disk = faulty_of(base);
    struct node *folder;
    struct link *link = find(disk, path, &folder);
    (void)mode;
    if (link || !folder) {
        return why_errno(why, link ? EEXIST : ENOENT, "make the folder %s", path);
    }
    TRY(turn(disk, why, "mkdir", path));
    links_put(&folder->now_links, strrchr(path, '/') + 1, node_new(disk, true));
    return OK;
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct err faulty_list(
    struct disk *base, const char *path, struct disk_names *out, struct why *why)
{
    struct node *node = find_node(faulty_of(base), path);
    if (!node || !node->is_folder) {
        return why_errno(why, node ? ENOTDIR : ENOENT, "open the folder %s", path);
    }
    size_t count = node->now_links.count;
    char **names = mem_new((count + 1) * sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        names[i] = mem_strdup(node->now_links.items[i].name);
    }
    qsort(names, count, sizeof(*names), name_cmp);
    *out = (struct disk_names){names, count};
    return OK;
}

static struct err faulty_sync_folder(struct disk *base, const char *path, struct why *why)
{
    struct faulty *disk = faulty_of(base);
    struct node *node = find_node(disk, path);
    if (!node) {
        return why_errno(why, ENOENT, "open the folder %s", path);
    }
    TRY(turn(disk, why, "sync the folder", path));
    links_copy(&node->safe_links, &node->now_links);
    return OK;
}

static struct err faulty_stat(
    struct disk *base, const char *path, struct disk_stat *out, struct why *why)
{
    struct node *node = find_node(faulty_of(base), path);
    if (!node) {
        return why_errno(why, ENOENT, "stat %s", path);
    }
    *out = (struct disk_stat){.bytes = node->now.len, .is_folder = node->is_folder};
    return OK;
}

static struct err faulty_free_bytes(
    struct disk *base, const char *path, uint64_t *out_bytes, struct why *why)
{
    (void)base;
    (void)path;
    (void)why;
    *out_bytes = UINT64_C(1) << 40;
    return OK;
}

static const struct disk_ops faulty_ops = {
    .open = faulty_open,
    .close = faulty_close,
    .read = faulty_read,
    .write = faulty_write,
    .sync = faulty_sync,
    .begin_sync = faulty_begin_sync,
    .truncate = faulty_truncate,
    .allocate = faulty_allocate,
    .lock = faulty_lock,
    .size = faulty_size,
    .rename = faulty_rename,
    .remove = faulty_remove,
    .mkdir = faulty_mkdir,
    .list = faulty_list,
    .sync_folder = faulty_sync_folder,
    .stat = faulty_stat,
    .free_bytes = faulty_free_bytes,
};

struct disk *disk_faulty_new(uint64_t seed)
{
    struct faulty *disk = mem_new(sizeof(*disk));
    disk->base.ops = &faulty_ops;
    rand_init(&disk->rand, seed);
    disk->root = node_new(disk, true);
    return &disk->base;
}

void disk_faulty_free(struct disk *base)
{
    struct faulty *disk = faulty_of(base);
    while (disk->nodes) {
        struct node *node = disk->nodes;
        disk->nodes = node->next;
        links_fini(&node->now_links);
        links_fini(&node->safe_links);
        free(node->now.data);
        free(node->safe.data);
        free(node);
    }
    free(disk);
}

uint64_t disk_faulty_ops(const struct disk *base)
{
    return faulty_of(base)->ops;
}

void disk_faulty_fail(struct disk *base, uint64_t op, struct err error, bool is_lasting)
{
    struct faulty *disk = faulty_of(base);
    disk->fail_at = op ? disk->ops + op : 0;
    disk->fail_with = error;
    disk->is_lasting = is_lasting;
}

/* Sectors that differ between seen and safe are each kept or lost; so is the new length. */
static void tear(struct faulty *disk, struct node *node)
{
    struct bytes mix = {0};
    bytes_copy(&mix, rand_below(&disk->rand, 2) ? &node->now : &node->safe);
    for (size_t at = 0; at < mix.len; at += SECTOR) {
        const struct bytes *from = rand_below(&disk->rand, 2) ? &node->now : &node->safe;
        size_t end = at + SECTOR < mix.len ? at + SECTOR : mix.len;
        for (size_t i = at; i < end; i++) {
            mix.data[i] = i < from->len ? from->data[i] : 0;
        }
    }
    bytes_copy(&node->now, &mix);
    differ(node, 0, mix.len);
    free(mix.data);
}

static void crash_node(struct faulty *disk, struct node *node, enum disk_crash how)
{
    bool tosses = how == DISK_CRASH_TEAR;
    node->locked_by = NULL;
    if (how == DISK_CRASH_LOSE || (tosses && rand_below(&disk->rand, 2))) {
        links_copy(&node->now_links, &node->safe_links);
    }
    if (how == DISK_CRASH_LOSE) {
        settle(node, &node->now, &node->safe);
    } else if (tosses && !is_same(node)) {
        tear(disk, node);
    }
    if (how != DISK_CRASH_KEEP) {
        links_copy(&node->safe_links, &node->now_links);
        settle(node, &node->safe, &node->now);
    }
}

void disk_faulty_crash(struct disk *base, enum disk_crash how)
{
    struct faulty *disk = faulty_of(base);
    disk->life++;
    disk->fail_at = 0;
    for (struct node *node = disk->nodes; node; node = node->next) {
        crash_node(disk, node, how);
    }
}

void disk_faulty_poke(struct disk *base, const char *path, uint64_t offset, struct slice bytes)
{
    struct node *node = find_node(faulty_of(base), path);
    check(node && !node->is_folder && offset + bytes.len <= node->now.len);
    memcpy(node->now.data + offset, bytes.data, bytes.len);
    differ(node, (size_t)offset, (size_t)offset + bytes.len);
    settle(node, &node->safe, &node->now);
}
