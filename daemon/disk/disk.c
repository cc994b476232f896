/* SPDX-License-Identifier: Apache-2.0 */
#include "disk/disk.h"

#include "base/mem.h"
#include "base/mutation.h"

#include <errno.h>

struct err disk_open(struct disk *disk, const char *path, unsigned flags, mode_t mode,
    struct disk_file **out, struct why *why)
{
    return disk->ops->open(disk, path, flags, mode, out, why);
}

void disk_close(struct disk_file *file)
{
    if (file) {
        file->disk->ops->close(file);
    }
}

struct err disk_read(struct disk_file *file, uint64_t offset, void *out, size_t size,
    size_t *out_size, struct why *why)
{
    return file->disk->ops->read(file, offset, out, size, out_size, why);
}

struct err disk_write(struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why)
{
    return file->disk->ops->write(file, offset, bytes, why);
}

struct err disk_sync_data(struct disk_file *file, struct why *why)
{
    return file->disk->ops->sync(file, true, why);
}

struct err disk_sync(struct disk_file *file, struct why *why)
{
    return file->disk->ops->sync(file, false, why);
}

void disk_begin_sync(struct disk_file *file)
{
    file->disk->ops->begin_sync(file);
}

struct err disk_truncate(struct disk_file *file, uint64_t bytes, struct why *why)
{
    return file->disk->ops->truncate(file, bytes, why);
}

struct err disk_allocate(struct disk_file *file, uint64_t bytes, struct why *why)
{
    return file->disk->ops->allocate(file, bytes, why);
}

struct err disk_lock(struct disk_file *file, struct why *why)
{
    return file->disk->ops->lock(file, why);
}

struct err disk_size(struct disk_file *file, uint64_t *out_bytes, struct why *why)
{
    return file->disk->ops->size(file, out_bytes, why);
}

struct err disk_rename(struct disk *disk, const char *from, const char *to, struct why *why)
{
    return disk->ops->rename(disk, from, to, why);
}

struct err disk_remove(struct disk *disk, const char *path, struct why *why)
{
    return disk->ops->remove(disk, path, why);
}

struct err disk_mkdir(struct disk *disk, const char *path, mode_t mode, struct why *why)
{
    return disk->ops->mkdir(disk, path, mode, why);
}

struct err disk_list(struct disk *disk, const char *path, struct disk_names *out, struct why *why)
{
    return disk->ops->list(disk, path, out, why);
}

void disk_names_fini(struct disk_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->names[i]);
    }
    free(names->names);
    *names = (struct disk_names){0};
}

struct err disk_sync_folder(struct disk *disk, const char *path, struct why *why)
{
    return disk->ops->sync_folder(disk, path, why);
}

struct err disk_stat(struct disk *disk, const char *path, struct disk_stat *out, struct why *why)
{
    return disk->ops->stat(disk, path, out, why);
}

struct err disk_free_bytes(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why)
{
    return disk->ops->free_bytes(disk, path, out_bytes, why);
}

bool disk_exists(struct disk *disk, const char *path)
{
    struct disk_stat stat;
    return !err_is(disk_stat(disk, path, &stat, NULL));
}

char *disk_path(const char *folder, const char *name)
{
    size_t len = strlen(folder);
    return mem_printf("%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name);
}

/* The folder that holds path; "." for a bare name. Gives. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) {
        return mem_strdup(".");
    }
    if (slash == path) {
        return mem_strdup("/");
    }
    return mem_printf("%.*s", (int)(slash - path), path);
}

struct err disk_sync_parent(struct disk *disk, const char *path, struct why *why)
{
    char *parent = parent_of(path);
    struct err e = disk_sync_folder(disk, parent, why);
    free(parent);
    return e;
}

static struct err make_folder(struct disk *disk, const char *path, mode_t mode, struct why *why)
{
    struct err e = disk_mkdir(disk, path, mode, why);
    if (IS(e, EXISTS)) {
        return OK;
    }
    if (err_is(e)) {
        return e;
    }
    return disk_sync_parent(disk, path, why);
}

struct err disk_mkdir_all(struct disk *disk, const char *path, mode_t mode, struct why *why)
{
    struct disk_stat stat;
    char *part = mem_strdup(path);
    size_t len = strlen(part);
    struct err e = OK;
    while (len > 1 && part[len - 1] == '/') {
        part[--len] = 0;
    }
    for (char *slash = strchr(part + 1, '/'); slash && !err_is(e); slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (!disk_exists(disk, part)) {
            e = make_folder(disk, part, mode, why);
        }
        *slash = '/';
    }
    if (!err_is(e) && !disk_exists(disk, part)) {
        e = make_folder(disk, part, mode, why);
    }
    if (!err_is(e)) {
        e = disk_stat(disk, part, &stat, why);
    }
    if (!err_is(e) && !stat.is_folder) {
        e = why_errno(why, ENOTDIR, "make the folder %s", path);
    }
    free(part);
    return e;
}

/* Empties path's folders depth first without recursion: the first folder found below moves the walk
 * down. */
static struct err remove_step(
    struct disk *disk, const char *path, char **out_below, struct why *why)
{
    struct disk_names names = {0};
    struct disk_stat stat;
    char *below = NULL;
    struct err e = disk_list(disk, path, &names, why);
    for (size_t i = 0; i < names.count && !err_is(e) && !below; i++) {
        char *child = disk_path(path, names.names[i]);
        e = disk_stat(disk, child, &stat, why);
        if (!err_is(e) && stat.is_folder) {
            below = mem_strdup(child);
        } else if (!err_is(e)) {
            e = disk_remove(disk, child, why);
        }
        free(child);
    }
    disk_names_fini(&names);
    if (!err_is(e) && !below) {
        e = disk_remove(disk, path, why);
    }
    *out_below = below;
    return e;
}

struct err disk_remove_all(struct disk *disk, const char *path, struct why *why)
{
    struct disk_stat stat;
    struct err e = OK;
    while (!err_is(e) && !err_is(disk_stat(disk, path, &stat, NULL))) {
        if (!stat.is_folder) {
            return disk_remove(disk, path, why);
        }
        char *at = mem_strdup(path);
        while (at && !err_is(e)) {
            char *below;
            e = remove_step(disk, at, &below, why);
            free(at);
            at = below;
        }
        free(at);
    }
    return e;
}

struct err disk_read_file(struct disk *disk, const char *path, size_t bytes_max, uint8_t **out,
    size_t *out_size, struct why *why)
{
    struct disk_file *file = NULL;
    uint8_t *data = NULL;
    uint64_t bytes;
    size_t got;
    TRY(disk_open(disk, path, DISK_READ, 0, &file, why));
    struct err e = disk_size(file, &bytes, why);
    if (err_is(e)) {
        goto out;
    }
    if (bytes > bytes_max) {
        e = why_set(why, ERR(TOO_BIG), "read %s: %llu bytes are more than %zu", path,
            (unsigned long long)bytes, bytes_max);
        goto out;
    }
    data = mem_alloc((size_t)bytes + 1);
    e = disk_read(file, 0, data, (size_t)bytes, &got, why);
    if (!err_is(e)) {
        *out = data;
        *out_size = got;
        data = NULL;
    }
out:
    free(data);
    disk_close(file);
    return e;
}

struct err disk_write_file(
    struct disk *disk, const char *path, struct slice bytes, mode_t mode, struct why *why)
{
    struct disk_file *file = NULL;
    char *tmp = mem_printf("%s.tmp", path);
    struct err e = disk_open(disk, tmp, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, mode, &file, why);
    if (!err_is(e)) {
        e = disk_write(file, 0, bytes, why);
    }
    if (!err_is(e) && !MUTATE(FILE_UNSYNCED)) {
        e = disk_sync(file, why);
    }
    disk_close(file);
    if (!err_is(e)) {
        e = disk_rename(disk, tmp, path, why);
    }
    if (!err_is(e)) {
        e = disk_sync_parent(disk, path, why);
    } else {
        /* The first failure is the one to tell; a leftover .tmp is overwritten next time. */
        struct err gone = disk_remove(disk, tmp, NULL);
        (void)gone;
    }
    free(tmp);
    return e;
}
