/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_file.h"

#include "base/clock.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { STAMP_LEN = 23, PIECE = 64 * 1024, BACKUPS_READ_MAX = 65536 };

static const char gz[] = ".gz";
static const int64_t second_ns = 1000000000;

struct log_file {
    struct log_rotation rotation;
    char *path;
    char *dir;
    char *prefix; /* "etcd-" of etcd.log */
    char *ext;    /* ".log" */
    pthread_mutex_t mutex;
    int fd;
    mode_t mode;
    uint64_t size;
    pthread_t mill;
    bool has_mill;   /* to be joined */
    bool is_milling; /* it looks at again before it ends */
    bool again;
};

struct backup {
    char *name;
    char stamp[STAMP_LEN + 1];
    bool is_compressed;
};

static void take_apart(struct log_file *file, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    file->path = mem_strdup(path);
    file->dir = slash ? mem_printf("%.*s", (int)(slash - path) + 1, path) : mem_strdup("./");
    file->prefix = mem_printf("%.*s-", (int)(dot ? dot - name : (long)strlen(name)), name);
    file->ext = mem_strdup(dot ? dot : "");
}

/* The folder that a rotated file lies in is made, with those above it, as lumberjack does. What
 * cannot be made is told of by the open that follows. */
static void make_dir(const struct log_file *file)
{
    char *path = mem_strdup(file->dir);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(path, 0755);
        *slash = '/';
    }
    free(path);
}

static struct err reopen(struct log_file *file, struct why *why)
{
    struct stat st;
    int fd = open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, file->mode);
    if (fd < 0 || fstat(fd, &st) != 0) {
        struct err err = why_errno(why, errno, "open log output %s", file->path);
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    file->fd = fd;
    file->mode = st.st_mode & 07777;
    file->size = (uint64_t)st.st_size;
    return OK;
}

/* Old files. */

/* NAME-2006-01-02T15-04-05.000.EXT, with .gz behind it or not. */
static bool is_backup(const struct log_file *file, const char *name, struct backup *out)
{
    static const char form[] = "0000-00-00T00-00-00.000";
    size_t prefix = strlen(file->prefix);
    size_t ext = strlen(file->ext);
    if (strncmp(name, file->prefix, prefix) != 0 || strlen(name) < prefix + STAMP_LEN + ext ||
        strncmp(name + prefix + STAMP_LEN, file->ext, ext) != 0) {
        return false;
    }
    const char *end = name + prefix + STAMP_LEN + ext;
    for (size_t i = 0; i < STAMP_LEN; i++) {
        char c = name[prefix + i];
        if (form[i] == '0' ? c < '0' || c > '9' : c != form[i]) {
            return false;
        }
    }
    memcpy(out->stamp, name + prefix, STAMP_LEN);
    out->stamp[STAMP_LEN] = 0;
    out->is_compressed = strcmp(end, gz) == 0;
    return *end == 0 || out->is_compressed;
}

static int newest_first(const void *a, const void *b)
{
    return strcmp(((const struct backup *)b)->stamp, ((const struct backup *)a)->stamp);
}

static size_t list_backups(const struct log_file *file, struct backup **out)
{
    struct backup *list = NULL;
    struct backup found;
    size_t count = 0;
    DIR *dir = opendir(file->dir);
    for (struct dirent *entry; dir && count < BACKUPS_READ_MAX && (entry = readdir(dir));) {
        if (is_backup(file, entry->d_name, &found)) {
            found.name = mem_printf("%s%s", file->dir, entry->d_name);
            list = mem_grow(list, (count + 1) * sizeof(*list));
            list[count++] = found;
        }
    }
    if (dir) {
        closedir(dir);
    }
    if (count) {
        qsort(list, count, sizeof(*list), newest_first);
    }
    *out = list;
    return count;
}

static bool copy_compressed(int from, gzFile to)
{
    char *piece = mem_new(PIECE);
    ssize_t got;
    while ((got = read(from, piece, PIECE)) > 0) {
        if (gzwrite(to, piece, (unsigned)got) != got) {
            got = -1;
            break;
        }
    }
    free(piece);
    return got == 0;
}

static void compress_backup(const char *name)
{
    struct stat st;
    char *target = mem_printf("%s%s", name, gz);
    int from = open(name, O_RDONLY | O_CLOEXEC);
    bool is_open = from >= 0 && fstat(from, &st) == 0;
    int to =
        is_open ? open(target, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, st.st_mode & 07777) : -1;
    gzFile stream = to < 0 ? NULL : gzdopen(to, "wb");
    bool is_done = stream && copy_compressed(from, stream);
    if (stream) {
        is_done = gzclose(stream) == Z_OK && is_done;
    } else if (to >= 0) {
        close(to);
    }
    if (from >= 0) {
        close(from);
    }
    (void)unlink(is_done ? name : target);
    free(target);
}

static void format_stamp(int64_t wall_ns, bool is_local, char out[STAMP_LEN + 1])
{
    struct tm tm;
    char seconds[32];
    time_t wall_s = (time_t)(wall_ns / second_ns);
    check(is_local ? localtime_r(&wall_s, &tm) != NULL : gmtime_r(&wall_s, &tm) != NULL);
    (void)strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H-%M-%S", &tm);
    snprintf(
        out, STAMP_LEN + 1, "%.19s.%03u", seconds, (unsigned)(wall_ns / 1000000 % 1000) % 1000);
}

/* Both forms of one backup count once; newest come first. */
static void mill_once(const struct log_file *file)
{
    const struct log_rotation *rotation = &file->rotation;
    struct backup *list;
    size_t count = list_backups(file, &list);
    size_t kept = 0;
    char cutoff[STAMP_LEN + 1];
    format_stamp(clock_wall_ns() - rotation->days_max * 86400 * second_ns, false, cutoff);
    for (size_t i = 0; i < count; i++) {
        kept += i == 0 || strcmp(list[i].stamp, list[i - 1].stamp) != 0;
        bool is_over = (rotation->backups_max && kept > rotation->backups_max) ||
                       (rotation->days_max && strcmp(list[i].stamp, cutoff) < 0);
        if (is_over) {
            (void)unlink(list[i].name);
        } else if (rotation->compress && !list[i].is_compressed) {
            compress_backup(list[i].name);
        }
        free(list[i].name);
    }
    free(list);
}

static void *mill_main(void *arg)
{
    struct log_file *file = arg;
    bool goes_on = true;
    while (goes_on) {
        mill_once(file);
        pthread_mutex_lock(&file->mutex);
        goes_on = file->again;
        file->again = false;
        file->is_milling = goes_on;
        pthread_mutex_unlock(&file->mutex);
    }
    return NULL;
}

/* Signals are for the threads that wait for them. Under the mutex. */
static void mill(struct log_file *file)
{
    const struct log_rotation *rotation = &file->rotation;
    sigset_t all;
    sigset_t old;
    if (!rotation->backups_max && !rotation->days_max && !rotation->compress) {
        return;
    }
    if (file->is_milling) {
        file->again = true;
        return;
    }
    if (file->has_mill) {
        pthread_join(file->mill, NULL);
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    file->has_mill = pthread_create(&file->mill, NULL, mill_main, file) == 0;
    file->is_milling = file->has_mill;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The file in use. */

static void put_aside(struct log_file *file)
{
    int64_t wall_ns = clock_wall_ns();
    char stamp[STAMP_LEN + 1];
    char *name = NULL;
    do {
        free(name);
        format_stamp(wall_ns, file->rotation.is_local_time, stamp);
        name = mem_printf("%s%s%s%s", file->dir, file->prefix, stamp, file->ext);
        wall_ns += 1000000;
    } while (access(name, F_OK) == 0);
    if (rename(file->path, name) == 0) {
        int old = file->fd;
        if (err_is(reopen(file, NULL))) {
            file->size = 0; /* the old one goes on under its new name */
        } else {
            close(old);
        }
        mill(file);
    }
    free(name);
}

void log_file_write(struct log_file *file, struct slice line)
{
    uint64_t max = file->rotation.bytes_max;
    if (line.len > max) {
        return;
    }
    pthread_mutex_lock(&file->mutex);
    if (file->size + line.len > max) {
        put_aside(file);
    }
    ssize_t put = write(file->fd, line.data, line.len);
    file->size += put > 0 ? (uint64_t)put : 0;
    pthread_mutex_unlock(&file->mutex);
}

struct err log_file_open(
    const char *path, const struct log_rotation *rotation, struct log_file **out, struct why *why)
{
    struct log_file *file = mem_new(sizeof(*file));
    file->rotation = *rotation;
    file->fd = -1;
    file->mode = 0600;
    take_apart(file, path);
    pthread_mutex_init(&file->mutex, NULL);
    make_dir(file);
    struct err err = reopen(file, why);
    if (err_is(err)) {
        log_file_close(file);
        return err;
    }
    pthread_mutex_lock(&file->mutex);
    mill(file);
    pthread_mutex_unlock(&file->mutex);
    *out = file;
    return OK;
}

void log_file_close(struct log_file *file)
{
    if (!file) {
        return;
    }
    if (file->has_mill) {
        pthread_join(file->mill, NULL);
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    pthread_mutex_destroy(&file->mutex);
    free(file->path);
    free(file->dir);
    free(file->prefix);
    free(file->ext);
    free(file);
}
