/* SPDX-License-Identifier: Apache-2.0
 * The machine's file system. Interrupted and short calls are carried on; everything else is told
 * with the path. What cannot be written past the page cache goes through it. */
#include "disk/disk.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct real_file {
    struct disk_file base;
    int fd;
    bool is_direct;
    char *path;
};

static struct real_file *real_of(struct disk_file *file)
{
    return CONTAINER_OF(file, struct real_file, base);
}

static struct err real_open(struct disk *disk, const char *path, unsigned flags, mode_t mode,
    struct disk_file **out, struct why *why)
{
    int how = O_CLOEXEC | (flags & DISK_WRITE ? O_RDWR : O_RDONLY);
    how |= flags & DISK_CREATE ? O_CREAT : 0;
    how |= flags & DISK_EXCLUSIVE ? O_EXCL : 0;
    how |= flags & DISK_TRUNCATE ? O_TRUNC : 0;
    int fd = open(path, how, mode);
    if (fd < 0) {
        return why_errno(why, errno, "open %s", path);
    }
    struct real_file *file = mem_new(sizeof(*file));
    *file = (struct real_file){.base = {disk}, .fd = fd, .path = mem_strdup(path)};
    file->is_direct = flags & DISK_DIRECT && fcntl(fd, F_SETFL, O_DIRECT) == 0;
    *out = &file->base;
    return OK;
}

static void real_close(struct disk_file *base)
{
    struct real_file *file = real_of(base);
    close(file->fd);
    free(file->path);
    free(file);
}

static void go_buffered(struct real_file *file)
{
    file->is_direct = false;
    (void)fcntl(file->fd, F_SETFL, 0); /* where it was set, it can be taken back */
}

static struct err real_read(struct disk_file *base, uint64_t offset, void *out, size_t size,
    size_t *out_size, struct why *why)
{
    struct real_file *file = real_of(base);
    size_t got = 0;
    if (file->is_direct) {
        go_buffered(file);
    }
    while (got < size) {
        ssize_t n = pread(file->fd, (char *)out + got, size - got, (off_t)(offset + got));
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return why_errno(
                why, errno, "read %s at %llu", file->path, (unsigned long long)offset + got);
        }
        got += n > 0 ? (size_t)n : 0;
    }
    *out_size = got;
    return OK;
}

/* How much of it the next call may be given. */
static size_t fit(struct real_file *file, uint64_t offset, struct slice bytes)
{
    size_t len = bytes.len - bytes.len % DISK_BLOCK;
    bool is_aligned = offset % DISK_BLOCK == 0 && (uintptr_t)bytes.data % DISK_BLOCK == 0;
    if (file->is_direct && !(is_aligned && len)) {
        go_buffered(file);
    }
    return file->is_direct ? len : bytes.len;
}

static struct err real_write(
    struct disk_file *base, uint64_t offset, struct slice bytes, struct why *why)
{
    struct real_file *file = real_of(base);
    size_t put = 0;
    while (put < bytes.len) {
        struct slice rest = slice_of(bytes.data + put, bytes.len - put);
        size_t len = fit(file, offset + put, rest);
        ssize_t n = pwrite(file->fd, rest.data, len, (off_t)(offset + put));
        if (n < 0 && errno == EINVAL && file->is_direct) {
            go_buffered(file);
        } else if (n < 0 && errno != EINTR) {
            return why_errno(
                why, errno, "write %s at %llu", file->path, (unsigned long long)offset + put);
        }
        put += n > 0 ? (size_t)n : 0;
    }
    return OK;
}

static struct err real_sync(struct disk_file *base, bool is_data_only, struct why *why)
{
    struct real_file *file = real_of(base);
    if ((is_data_only ? fdatasync(file->fd) : fsync(file->fd)) != 0) {
        return why_errno(why, errno, "%s %s", is_data_only ? "fdatasync" : "fsync", file->path);
    }
    return OK;
}

/* No page is waited for; without room in the disk's queue it may take a while. */
static void real_begin_sync(struct disk_file *base)
{
    (void)sync_file_range(real_of(base)->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static struct err real_truncate(struct disk_file *base, uint64_t bytes, struct why *why)
{
    struct real_file *file = real_of(base);
    if (ftruncate(file->fd, (off_t)bytes) != 0) {
        return why_errno(why, errno, "truncate %s", file->path);
    }
    return OK;
}

static struct err real_size(struct disk_file *base, uint64_t *out_bytes, struct why *why)
{
    struct real_file *file = real_of(base);
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        return why_errno(why, errno, "stat %s", file->path);
    }
    *out_bytes = (uint64_t)st.st_size;
    return OK;
}

static struct err real_allocate(struct disk_file *base, uint64_t bytes, struct why *why)
{
    struct real_file *file = real_of(base);
    uint64_t size;
    int rc;
    do {
        rc = fallocate(file->fd, 0, 0, (off_t)bytes);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return OK;
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) {
        return why_errno(
            why, errno, "allocate %llu bytes for %s", (unsigned long long)bytes, file->path);
    }
    TRY(real_size(base, &size, why));
    return size < bytes ? real_truncate(base, bytes, why) : OK;
}

/* An open file description lock over the whole file, the kind that etcd takes on Linux: the two see
 * each other's. */
static struct err real_lock(struct disk_file *base, struct why *why)
{
    struct real_file *file = real_of(base);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(file->fd, F_OFD_SETLK, &lock) == 0) {
        return OK;
    }
    if (errno == EAGAIN || errno == EACCES) {
        return why_set(why, ERR(LOCKED), "lock %s: held by another process", file->path);
    }
    return why_errno(why, errno, "lock %s", file->path);
}

static struct err real_rename(struct disk *disk, const char *from, const char *to, struct why *why)
{
    (void)disk;
    return rename(from, to) == 0 ? OK : why_errno(why, errno, "rename %s to %s", from, to);
}

static struct err real_remove(struct disk *disk, const char *path, struct why *why)
{
    (void)disk;
    return remove(path) == 0 ? OK : why_errno(why, errno, "remove %s", path);
}

static struct err real_mkdir(struct disk *disk, const char *path, mode_t mode, struct why *why)
{
    (void)disk;
    return mkdir(path, mode) == 0 ? OK : why_errno(why, errno, "make the folder %s", path);
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct err real_list(
    struct disk *disk, const char *path, struct disk_names *out, struct why *why)
{
    struct disk_names names = {0};
    size_t cap = 0;
    struct dirent *ent;
    (void)disk;
    DIR *dir = opendir(path);
    if (!dir) {
        return why_errno(why, errno, "open the folder %s", path);
    }
    errno = 0;
    while ((ent = readdir(dir))) {
        if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0) {
            continue;
        }
        if (names.count == cap) {
            cap = cap ? cap * 2 : 16;
            names.names = mem_grow(names.names, cap * sizeof(*names.names));
        }
        names.names[names.count++] = mem_strdup(ent->d_name);
        errno = 0;
    }
    int failed = errno;
    closedir(dir);
    if (failed) {
        disk_names_fini(&names);
        return why_errno(why, failed, "read the folder %s", path);
    }
    if (names.count) {
        qsort(names.names, names.count, sizeof(*names.names), name_cmp);
    }
    *out = names;
    return OK;
}

static struct err real_sync_folder(struct disk *disk, const char *path, struct why *why)
{
    struct err e = OK;
    (void)disk;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return why_errno(why, errno, "open the folder %s", path);
    }
    if (fsync(fd) != 0) {
        e = why_errno(why, errno, "fsync the folder %s", path);
    }
    close(fd);
    return e;
}

static struct err real_stat(
    struct disk *disk, const char *path, struct disk_stat *out, struct why *why)
{
    struct stat st;
    (void)disk;
    if (stat(path, &st) != 0) {
        return why_errno(why, errno, "stat %s", path);
    }
    *out = (struct disk_stat){.bytes = (uint64_t)st.st_size, .is_folder = S_ISDIR(st.st_mode)};
    return OK;
}

static struct err real_free_bytes(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why)
{
    struct statvfs st;
    (void)disk;
    if (statvfs(path, &st) != 0) {
        return why_errno(why, errno, "statvfs %s", path);
    }
    *out_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return OK;
}

static const struct disk_ops real_ops = {
    .open = real_open,
    .close = real_close,
    .read = real_read,
    .write = real_write,
    .sync = real_sync,
    .begin_sync = real_begin_sync,
    .truncate = real_truncate,
    .allocate = real_allocate,
    .lock = real_lock,
    .size = real_size,
    .rename = real_rename,
    .remove = real_remove,
    .mkdir = real_mkdir,
    .list = real_list,
    .sync_folder = real_sync_folder,
    .stat = real_stat,
    .free_bytes = real_free_bytes,
};

struct disk *disk_real(void)
{
    static struct disk real = {&real_ops};
    return &real;
}
