/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/faulty.h"

#include "base/mem.h"
#include "base/rand.h"
#include "disk/tree.h"

#include <errno.h>

struct faulty {
    struct disk base;
    struct rand rand;
    struct tree tree;
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
    struct link *link = tree_find_link(&disk->tree, path, &folder);
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
    struct node *node = link ? link->node : tree_new_node(&disk->tree, false);
    if (!link) {
        tree_link(folder, name, node);
    }
    if (flags & DISK_TRUNCATE) {
        tree_resize(node, 0);
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
    end -= end % TREE_SECTOR;
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
    tree_write(file->node, offset, slice_of(bytes.data, put));
    return e;
}

static struct err faulty_sync(struct disk_file *base, bool is_data_only, struct why *why)
{
    struct faulty_file *file = file_of(base);
    (void)is_data_only;
    TRY(dead(file, why));
    TRY(turn(faulty_of(base->disk), why, "sync", file->path));
    tree_sync(file->node);
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
    tree_resize(file->node, (size_t)bytes);
    return OK;
}

static struct err faulty_allocate(struct disk_file *base, uint64_t bytes, struct why *why)
{
    struct faulty_file *file = file_of(base);
    TRY(dead(file, why));
    TRY(turn(faulty_of(base->disk), why, "allocate", file->path));
    if (bytes > file->node->now.len) {
        tree_resize(file->node, (size_t)bytes);
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
    struct link *link = tree_find_link(&disk->tree, from, &from_folder);
    struct link *old = tree_find_link(&disk->tree, to, &to_folder);
    if (!link || !to_folder) {
        return why_errno(why, ENOENT, "rename %s to %s", from, to);
    }
    if (old && old->node->is_folder && old->node->now_links.count) {
        return why_errno(why, ENOTEMPTY, "rename %s to %s", from, to);
    }
    TRY(turn(disk, why, "rename", from));
    struct node *node = link->node;
    tree_unlink(from_folder, link);
    tree_link(to_folder, strrchr(to, '/') + 1, node);
    return OK;
}

static struct err faulty_remove(struct disk *base, const char *path, struct why *why)
{
    struct faulty *disk = faulty_of(base);
    struct node *folder;
    struct link *link = tree_find_link(&disk->tree, path, &folder);
    if (!link) {
        return why_errno(why, ENOENT, "remove %s", path);
    }
    if (link->node->now_links.count) {
        return why_errno(why, ENOTEMPTY, "remove %s", path);
    }
    TRY(turn(disk, why, "remove", path));
    tree_unlink(folder, link);
    return OK;
}

static struct err faulty_mkdir(struct disk *base, const char *path, mode_t mode, struct why *why)
{
    struct faulty *disk = faulty_of(base);
    struct node *folder;
    struct link *link = tree_find_link(&disk->tree, path, &folder);
    (void)mode;
    if (link || !folder) {
        return why_errno(why, link ? EEXIST : ENOENT, "make the folder %s", path);
    }
    TRY(turn(disk, why, "mkdir", path));
    tree_link(folder, strrchr(path, '/') + 1, tree_new_node(&disk->tree, true));
    return OK;
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct err faulty_list(
    struct disk *base, const char *path, struct disk_names *out, struct why *why)
{
    struct node *node = tree_find_node(&faulty_of(base)->tree, path);
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
    struct node *node = tree_find_node(&disk->tree, path);
    if (!node) {
        return why_errno(why, ENOENT, "open the folder %s", path);
    }
    TRY(turn(disk, why, "sync the folder", path));
    tree_sync_folder(node);
    return OK;
}

static struct err faulty_stat(
    struct disk *base, const char *path, struct disk_stat *out, struct why *why)
{
    struct node *node = tree_find_node(&faulty_of(base)->tree, path);
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
    tree_init(&disk->tree);
    return &disk->base;
}

void disk_faulty_free(struct disk *base)
{
    struct faulty *disk = faulty_of(base);
    tree_fini(&disk->tree);
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

void disk_faulty_crash(struct disk *base, enum disk_crash how)
{
    struct faulty *disk = faulty_of(base);
    disk->life++;
    disk->fail_at = 0;
    tree_crash(&disk->tree, how, &disk->rand);
}

void disk_faulty_poke(struct disk *base, const char *path, uint64_t offset, struct slice bytes)
{
    struct node *node = tree_find_node(&faulty_of(base)->tree, path);
    check(node && !node->is_folder && offset + bytes.len <= node->now.len);
    tree_write(node, offset, bytes);
    tree_sync(node);
}
