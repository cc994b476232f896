/* SPDX-License-Identifier: Apache-2.0
 * The calls that the shim stands in for. What is not below the prefix goes straight through. */
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALL __attribute__((visibility("default")))

/* glibc declares those with attributes that a definition would have to repeat. */
int open64(const char *path, int flags, ...);
int creat64(const char *path, mode_t mode);
ssize_t pread64(int fd, void *out, size_t size, off_t offset);
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset);
int ftruncate64(int fd, off_t bytes);
int fallocate64(int fd, int mode, off_t offset, off_t bytes);
int posix_fallocate64(int fd, off_t offset, off_t bytes);
int openat64(int folder, const char *path, int flags, ...);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

enum { SECTOR_BYTES = 512 };

struct real real;
static const char *prefix;
static size_t prefix_len;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void *next(const char *name)
{
    void *at = dlsym(RTLD_NEXT, name);
    if (!at) {
        abort();
    }
    return at;
}

#define NEXT(name) *(void **)&real.name = next(#name)

__attribute__((constructor)) static void begin(void)
{
    NEXT(open);
    NEXT(read);
    NEXT(write);
    NEXT(pread);
    NEXT(pwrite);
    NEXT(fsync);
    NEXT(fdatasync);
    NEXT(sync_file_range);
    NEXT(ftruncate);
    NEXT(fallocate);
    NEXT(rename);
    NEXT(unlink);
    NEXT(rmdir);
    NEXT(mkdir);
    NEXT(close);
    prefix = getenv("KETCD_FAULT_PREFIX");
    prefix_len = prefix ? strlen(prefix) : 0;
    if (prefix) {
        control_open();
        power_open(prefix);
    }
}

/* The name below the prefix ("." for the prefix itself), or false. */
static bool inside(const char *path, char *out)
{
    size_t len = 0;
    if (!real.open) {
        begin();
    }
    if (!prefix_len || strncmp(path, prefix, prefix_len) != 0 ||
        (path[prefix_len] != '/' && path[prefix_len] != '\0')) {
        return false;
    }
    for (const char *at = path + prefix_len; *at && len + 1 < NAME_MAX_BYTES; at++) {
        if (*at != '/' || (at[1] && at[1] != '/')) {
            out[len++] = *at;
        }
    }
    out[len] = '\0';
    if (len == 0) {
        memcpy(out, ".", 2);
    } else {
        memmove(out, out + 1, len);
    }
    return true;
}

static bool is_refused(enum op op, const char *name)
{
    bool is_half;
    int error = control_ask(op, name, &is_half);
    errno = error ? error : errno;
    return error != 0;
}

/* With the turn. */
static int open_node(const char *path, const char *name, int flags, mode_t mode)
{
    struct stat st;
    bool is_there = stat(path, &st) == 0;
    bool is_written = (flags & O_ACCMODE) != O_RDONLY;
    bool is_file = !is_there || S_ISREG(st.st_mode);
    if (is_there && is_file && is_written) {
        power_keep(name, false);
    }
    int fd = real.open(path, flags, mode);
    if (fd < 0) {
        return fd;
    }
    struct node *node = file_make(name);
    node->is_folder = !is_file;
    if (!is_there) {
        power_created(node);
    } else if (flags & O_TRUNC) {
        power_shortened(node, 0);
    }
    file_set(fd, node);
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode)
{
    char name[NAME_MAX_BYTES];
    if (!inside(path, name) || (flags & O_TMPFILE) == O_TMPFILE) {
        return real.open(path, flags, mode);
    }
    bool is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    if (is_refused(is_new ? OP_CREATE : OP_OPEN, name)) {
        return -1;
    }
    pthread_mutex_lock(&turn);
    int fd = open_node(path, name, flags, mode);
    pthread_mutex_unlock(&turn);
    return fd;
}

static mode_t mode_of(int flags, va_list list)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define OPEN_BODY(flags)                                                                           \
    va_list list;                                                                                  \
    va_start(list, flags);                                                                         \
    mode_t mode = mode_of(flags, list);                                                            \
    va_end(list);                                                                                  \
    return open_any(path, flags, mode)

CALL int open(const char *path, int flags, ...)
{
    OPEN_BODY(flags);
}

CALL int open64(const char *path, int flags, ...)
{
    OPEN_BODY(flags);
}

/* Nobody here opens relative to a folder: an absolute path, or none of ours. */
CALL int openat(int folder, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    if (path[0] != '/' && folder != AT_FDCWD) {
        errno = ENOTSUP;
        return -1;
    }
    return open_any(path, flags, mode);
}

CALL int openat64(int folder, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    return openat(folder, path, flags, mode);
}

CALL int __open_2(const char *path, int flags)
{
    return open_any(path, flags, 0);
}

CALL int __open64_2(const char *path, int flags)
{
    return open_any(path, flags, 0);
}

CALL int creat(const char *path, mode_t mode)
{
    return open_any(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

CALL int creat64(const char *path, mode_t mode)
{
    return open_any(path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

CALL int close(int fd)
{
    struct node *node = file_of(fd);
    if (!real.close) {
        begin();
    }
    file_set(fd, NULL);
    int rc = real.close(fd);
    return node && is_refused(OP_CLOSE, node->name) ? -1 : rc;
}

/* offset -1: where the descriptor stands. */
static ssize_t write_at(int fd, const void *data, size_t size, off_t offset)
{
    if (!real.write) {
        begin();
    }
    struct node *node = file_of(fd);
    bool is_half = false;
    int error = node ? control_ask(OP_WRITE, node->name, &is_half) : 0;
    bool has_turn = node && power_is_on();
    ssize_t done = 0;
    if (has_turn) {
        pthread_mutex_lock(&turn);
    }
    off_t from = offset >= 0 || !has_turn ? offset : lseek(fd, 0, SEEK_CUR);
    if (error && is_half) { /* whole sectors, as a disk has them */
        off_t at = offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR);
        off_t end = (at + (off_t)size / 2) / SECTOR_BYTES * SECTOR_BYTES;
        size = end > at ? (size_t)(end - at) : 0;
    }
    if (!error || is_half) {
        done = offset >= 0 ? real.pwrite(fd, data, size, offset) : real.write(fd, data, size);
    }
    if (has_turn) {
        int kept = errno;
        power_wrote(node, from, from + (done > 0 ? done : 0));
        pthread_mutex_unlock(&turn);
        errno = kept;
    }
    if (error) {
        errno = error;
        return -1;
    }
    return done;
}

CALL ssize_t write(int fd, const void *data, size_t size)
{
    return write_at(fd, data, size, -1);
}

CALL ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return write_at(fd, data, size, offset);
}

CALL ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    return write_at(fd, data, size, offset);
}

/* One part at a time: a caller of these takes short writes. */
CALL ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    ssize_t sum = 0;
    for (int i = 0; i < count; i++) {
        ssize_t done = write_at(fd, parts[i].iov_base, parts[i].iov_len, offset + sum);
        if (done < 0) {
            return sum ? sum : done;
        }
        sum += done;
        if ((size_t)done < parts[i].iov_len) {
            break;
        }
    }
    return sum;
}

static ssize_t read_at(int fd, void *out, size_t size, off_t offset)
{
    if (!real.read) {
        begin();
    }
    struct node *node = file_of(fd);
    if (node && is_refused(OP_READ, node->name)) {
        return -1;
    }
    return offset >= 0 ? real.pread(fd, out, size, offset) : real.read(fd, out, size);
}

CALL ssize_t read(int fd, void *out, size_t size)
{
    return read_at(fd, out, size, -1);
}

CALL ssize_t pread(int fd, void *out, size_t size, off_t offset)
{
    return read_at(fd, out, size, offset);
}

CALL ssize_t pread64(int fd, void *out, size_t size, off_t offset)
{
    return read_at(fd, out, size, offset);
}

static int sync_any(int fd, int (*sync)(int fd))
{
    struct node *node = file_of(fd);
    if (!node) {
        return sync(fd);
    }
    bool is_failing = is_refused(OP_SYNC, node->name);
    int kept = errno;
    if (!power_is_on()) {
        return is_failing ? -1 : sync(fd);
    }
    pthread_mutex_lock(&turn);
    power_synced(node, is_failing);
    pthread_mutex_unlock(&turn);
    errno = kept;
    return is_failing ? -1 : 0;
}

CALL int fsync(int fd)
{
    return sync_any(fd, real.fsync);
}

CALL int fdatasync(int fd)
{
    return sync_any(fd, real.fdatasync);
}

CALL int sync_file_range(int fd, off_t offset, off_t bytes, unsigned flags)
{
    struct node *node = file_of(fd);
    if (node && is_refused(OP_SYNC_RANGE, node->name)) {
        return -1;
    }
    return real.sync_file_range(fd, offset, bytes, flags);
}

CALL int ftruncate(int fd, off_t bytes)
{
    struct node *node = file_of(fd);
    if (!node) {
        return real.ftruncate(fd, bytes);
    }
    if (is_refused(OP_TRUNCATE, node->name)) {
        return -1;
    }
    pthread_mutex_lock(&turn);
    int rc = real.ftruncate(fd, bytes);
    power_shortened(node, bytes);
    pthread_mutex_unlock(&turn);
    return rc;
}

CALL int ftruncate64(int fd, off_t bytes)
{
    return ftruncate(fd, bytes);
}

CALL int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
    struct node *node = file_of(fd);
    if (node && is_refused(OP_ALLOCATE, node->name)) {
        return -1;
    }
    return real.fallocate(fd, mode, offset, bytes);
}

CALL int fallocate64(int fd, int mode, off_t offset, off_t bytes)
{
    return fallocate(fd, mode, offset, bytes);
}

CALL int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    return fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
}

CALL int posix_fallocate64(int fd, off_t offset, off_t bytes)
{
    return posix_fallocate(fd, offset, bytes);
}

/* What happens to names is written down first; a failure is told behind it. */
static int named(int rc)
{
    if (rc != 0) {
        int kept = errno;
        power_journal('Z', "-", NULL);
        errno = kept;
    }
    return rc;
}

CALL int rename(const char *from, const char *to)
{
    char old[NAME_MAX_BYTES];
    char new[NAME_MAX_BYTES];
    if (!inside(from, old) || !inside(to, new)) {
        return real.rename(from, to);
    }
    if (is_refused(OP_RENAME, new)) {
        return -1;
    }
    pthread_mutex_lock(&turn);
    power_keep(old, true);
    power_keep(new, true);
    power_journal('R', old, new);
    int rc = named(real.rename(from, to));
    if (rc == 0) {
        file_renamed(old, new);
    }
    pthread_mutex_unlock(&turn);
    return rc;
}

static int take_away(const char *path, bool is_folder)
{
    char name[NAME_MAX_BYTES];
    int (*call)(const char *path) = is_folder ? real.rmdir : real.unlink;
    if (!inside(path, name)) {
        return call(path);
    }
    if (is_refused(OP_UNLINK, name)) {
        return -1;
    }
    pthread_mutex_lock(&turn);
    if (!is_folder) {
        power_keep(name, true);
    }
    power_journal(is_folder ? 'X' : 'U', name, NULL);
    int rc = named(call(path));
    struct node *node = rc == 0 ? file_find(name) : NULL;
    if (node) {
        node->is_gone = true;
    }
    pthread_mutex_unlock(&turn);
    return rc;
}

CALL int unlink(const char *path)
{
    return take_away(path, false);
}

CALL int rmdir(const char *path)
{
    return take_away(path, true);
}

CALL int remove(const char *path)
{
    struct stat st;
    return take_away(path, lstat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

CALL int mkdir(const char *path, mode_t mode)
{
    char name[NAME_MAX_BYTES];
    if (!inside(path, name)) {
        return real.mkdir(path, mode);
    }
    if (is_refused(OP_MKDIR, name)) {
        return -1;
    }
    pthread_mutex_lock(&turn);
    power_journal('M', name, NULL);
    int rc = named(real.mkdir(path, mode));
    pthread_mutex_unlock(&turn);
    return rc;
}
