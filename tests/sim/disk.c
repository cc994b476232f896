/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include "base/mem.h"
#include "disk/faulty.h"
#include "fiber.h"

#include <string.h>

/* Room that is set aside ahead of writing is memory here. */
enum { ALLOCATED_MAX = 64 * 1024, PAGE = 4096, SPLIT_ONE_IN = 2, STALL_ONE_IN = 100 };

struct sim_file {
    struct disk_file base;
    struct disk_file *inner;
    bool is_log;
};

static struct sim_disk *disk_of(struct disk *disk)
{
    return CONTAINER_OF(disk, struct sim_disk, base);
}

static struct sim_file *file_of(struct disk_file *file)
{
    return CONTAINER_OF(file, struct sim_file, base);
}

static struct disk *inner_of(struct disk *disk)
{
    return disk_of(disk)->inner;
}

static struct disk_file *inner_file(struct disk_file *file)
{
    return file_of(file)->inner;
}

static void take_time(struct sim_disk *disk, int64_t about_ns)
{
    int64_t ns = about_ns > 1 ? (int64_t)world_below((uint64_t)about_ns * 2) : 0;
    if (disk->stall_ns && world_one_in(STALL_ONE_IN)) {
        ns += (int64_t)world_below((uint64_t)disk->stall_ns);
    }
    if (fiber_self() && ns) {
        fiber_sleep(ns);
    }
}

/* Before an operation that changes something. */
static struct err turn(struct disk *base, int64_t about_ns, struct why *why)
{
    struct sim_disk *disk = disk_of(base);
    take_time(disk, about_ns);
    if (disk->fail_in && --disk->fail_in == 0) {
        disk->is_failing = true;
    } else if (!disk->is_lasting) {
        disk->is_failing = false;
    }
    return disk->is_failing ? why_set(why, ERR(IO), "the disk was made to fail") : OK;
}

static struct err sim_open(struct disk *base, const char *path, unsigned flags, mode_t mode,
    struct disk_file **out, struct why *why)
{
    struct disk_file *inner = NULL;
    if (flags & (DISK_CREATE | DISK_TRUNCATE)) {
        TRY(turn(base, 10 * US, why));
    }
    TRY(disk_open(inner_of(base), path, flags, mode, &inner, why));
    struct sim_file *file = mem_new(sizeof(*file));
    *file = (struct sim_file){{base}, inner, strstr(path, "/wal/") != NULL};
    *out = &file->base;
    return OK;
}

static void sim_close(struct disk_file *file)
{
    disk_close(inner_file(file));
    free(file_of(file));
}

static struct err sim_read(struct disk_file *file, uint64_t offset, void *out, size_t size,
    size_t *out_size, struct why *why)
{
    return disk_read(inner_file(file), offset, out, size, out_size, why);
}

/* How much of it a kernel has copied when it is interrupted: whole pages of the file. */
static size_t some_pages(uint64_t offset, size_t len)
{
    uint64_t end = offset + world_below(len);
    end -= end % PAGE;
    return end > offset ? (size_t)(end - offset) : 0;
}

/* Now and then others, a kill and a power cut find the first part written only. */
static struct err sim_write(
    struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why)
{
    TRY(turn(file->disk, 5 * US, why));
    size_t first = bytes.len && world_one_in(SPLIT_ONE_IN) ? some_pages(offset, bytes.len) : 0;
    if (first) {
        TRY(disk_write(inner_file(file), offset, slice_of(bytes.data, first), why));
        take_time(disk_of(file->disk), 100 * US);
        offset += first;
        bytes = slice_of(bytes.data + first, bytes.len - first);
    }
    return disk_write(inner_file(file), offset, bytes, why);
}

static struct err sim_sync(struct disk_file *file, bool is_data_only, struct why *why)
{
    struct sim_disk *disk = disk_of(file->disk);
    TRY(turn(file->disk, disk->sync_ns + disk->slow_ns, why));
    struct err err =
        is_data_only ? disk_sync_data(inner_file(file), why) : disk_sync(inner_file(file), why);
    disk->log_syncs += file_of(file)->is_log && !err_is(err);
    take_time(disk, disk->sync_ns / 4);
    return err;
}

static void sim_begin_sync(struct disk_file *file)
{
    disk_begin_sync(inner_file(file));
}

static struct err sim_truncate(struct disk_file *file, uint64_t bytes, struct why *why)
{
    TRY(turn(file->disk, 5 * US, why));
    return disk_truncate(inner_file(file), bytes, why);
}

static struct err sim_allocate(struct disk_file *file, uint64_t bytes, struct why *why)
{
    TRY(turn(file->disk, 5 * US, why));
    return disk_allocate(inner_file(file), bytes < ALLOCATED_MAX ? bytes : ALLOCATED_MAX, why);
}

static struct err sim_lock(struct disk_file *file, struct why *why)
{
    return disk_lock(inner_file(file), why);
}

static struct err sim_size(struct disk_file *file, uint64_t *out_bytes, struct why *why)
{
    return disk_size(inner_file(file), out_bytes, why);
}

static struct err sim_rename(struct disk *disk, const char *from, const char *to, struct why *why)
{
    TRY(turn(disk, 10 * US, why));
    return disk_rename(inner_of(disk), from, to, why);
}

static struct err sim_remove(struct disk *disk, const char *path, struct why *why)
{
    TRY(turn(disk, 10 * US, why));
    return disk_remove(inner_of(disk), path, why);
}

static struct err sim_mkdir(struct disk *disk, const char *path, mode_t mode, struct why *why)
{
    TRY(turn(disk, 10 * US, why));
    return disk_mkdir(inner_of(disk), path, mode, why);
}

static struct err sim_list(
    struct disk *disk, const char *path, struct disk_names *out, struct why *why)
{
    return disk_list(inner_of(disk), path, out, why);
}

static struct err sim_sync_folder(struct disk *disk, const char *path, struct why *why)
{
    TRY(turn(disk, disk_of(disk)->sync_ns + disk_of(disk)->slow_ns, why));
    return disk_sync_folder(inner_of(disk), path, why);
}

static struct err sim_stat(
    struct disk *disk, const char *path, struct disk_stat *out, struct why *why)
{
    return disk_stat(inner_of(disk), path, out, why);
}

static struct err sim_free_bytes(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why)
{
    return disk_free_bytes(inner_of(disk), path, out_bytes, why);
}

void sim_disk_init(struct sim_disk *disk, uint64_t seed)
{
    static const struct disk_ops ops = {sim_open, sim_close, sim_read, sim_write, sim_sync,
        sim_begin_sync, sim_truncate, sim_allocate, sim_lock, sim_size, sim_rename, sim_remove,
        sim_mkdir, sim_list, sim_sync_folder, sim_stat, sim_free_bytes};
    *disk = (struct sim_disk){.base = {&ops}, .inner = disk_faulty_new(seed), .sync_ns = MS};
}
