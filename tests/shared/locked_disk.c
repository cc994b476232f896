/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/shared/locked_disk.h"

#include <pthread.h>

enum { ALLOCATED_MAX = 64 * 1024 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const struct disk_ops *plain;

#define LOCKED(name, parameters, arguments)                                                        \
    static struct err locked_##name parameters {                                                   \
        pthread_mutex_lock(&mutex);                                                                \
        struct err err = plain->name arguments;                                                    \
        pthread_mutex_unlock(&mutex);                                                              \
        return err;                                                                                \
    }

LOCKED(open,
    (struct disk * disk, const char *path, unsigned flags, mode_t mode, struct disk_file **out,
        struct why *why),
    (disk, path, flags, mode, out, why))
LOCKED(read,
    (struct disk_file * file, uint64_t offset, void *out, size_t size, size_t *out_size,
        struct why *why),
    (file, offset, out, size, out_size, why))
LOCKED(write, (struct disk_file * file, uint64_t offset, struct slice bytes, struct why *why),
    (file, offset, bytes, why))
LOCKED(
    sync, (struct disk_file * file, bool is_data_only, struct why *why), (file, is_data_only, why))
LOCKED(truncate, (struct disk_file * file, uint64_t bytes, struct why *why), (file, bytes, why))
LOCKED(allocate, (struct disk_file * file, uint64_t bytes, struct why *why),
    (file, bytes < ALLOCATED_MAX ? bytes : ALLOCATED_MAX, why))
LOCKED(lock, (struct disk_file * file, struct why *why), (file, why))
LOCKED(
    size, (struct disk_file * file, uint64_t *out_bytes, struct why *why), (file, out_bytes, why))
LOCKED(rename, (struct disk * disk, const char *from, const char *to, struct why *why),
    (disk, from, to, why))
LOCKED(remove, (struct disk * disk, const char *path, struct why *why), (disk, path, why))
LOCKED(mkdir, (struct disk * disk, const char *path, mode_t mode, struct why *why),
    (disk, path, mode, why))
LOCKED(list, (struct disk * disk, const char *path, struct disk_names *out, struct why *why),
    (disk, path, out, why))
LOCKED(sync_folder, (struct disk * disk, const char *path, struct why *why), (disk, path, why))
LOCKED(stat, (struct disk * disk, const char *path, struct disk_stat *out, struct why *why),
    (disk, path, out, why))
LOCKED(free_bytes, (struct disk * disk, const char *path, uint64_t *out_bytes, struct why *why),
    (disk, path, out_bytes, why))

static void locked_begin_sync(struct disk_file *file)
{
    pthread_mutex_lock(&mutex);
    plain->begin_sync(file);
    pthread_mutex_unlock(&mutex);
}

static void locked_close(struct disk_file *file)
{
    pthread_mutex_lock(&mutex);
    plain->close(file);
    pthread_mutex_unlock(&mutex);
}

void locked_disk_wrap(struct disk *disk)
{
    static const struct disk_ops ops = {locked_open, locked_close, locked_read, locked_write,
        locked_sync, locked_begin_sync, locked_truncate, locked_allocate, locked_lock, locked_size,
        locked_rename, locked_remove, locked_mkdir, locked_list, locked_sync_folder, locked_stat,
        locked_free_bytes};
    plain = disk->ops;
    disk->ops = &ops;
}
