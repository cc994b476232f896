/* SPDX-License-Identifier: Apache-2.0
 *
 * The store as files: a second name for each of its own, and another store's in its place. Old and
 * new never mix: readers hold the lock for one read, walks and snapshots are counted, and the place
 * changes when there are none.
 */
#include "lookthrough.h"
#include "store.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_US = 1000 };

const char *backend_files_format(void)
{
    return store_format();
}

struct err backend_checkpoint(struct backend *backend, const char *path, struct why *why)
{
    char *text = NULL;
    store_lock(backend);
    rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(backend->db, &text);
    if (!text) {
        rocksdb_checkpoint_create(checkpoint, path, 0, &text);
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    store_unlock(backend);
    /* The store is what it was; a flush that failed is counted by RocksDB. */
    return store_err(backend, "give second names to the files of", text, why);
}

/* "000012.sst": digits, then what says its kind. */
static bool is_numbered(const char *name, const char *end)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits < 20 && strcmp(name + digits, end) == 0;
}

bool backend_file_is_ours(const char *name)
{
    static const char manifest[] = "MANIFEST-";
    return is_numbered(name, ".sst") || is_numbered(name, ".blob") ||
           strcmp(name, "CURRENT") == 0 ||
           (strncmp(name, manifest, strlen(manifest)) == 0 &&
               is_numbered(name + strlen(manifest), ""));
}

struct err backend_check_file(const char *path, struct slice bytes, struct why *why)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (is_numbered(name, ".blob")) {
        return blobfile_check(path, bytes, why);
    }
    if (!is_numbered(name, ".sst")) {
        return OK;
    }
    TRY(tablefile_check(path, bytes, why));
    char *text = store_check_table(path, bytes.data, bytes.len);
    if (!text) {
        return OK;
    }
    struct err err = why_set(why, store_code_of(text), "%s: %s", path, text);
    rocksdb_free(text);
    return err;
}

/* Nobody reads or writes when it returns, and nobody will before the lock is given back. */
static void lock_alone(struct backend *backend)
{
    pthread_rwlock_wrlock(&backend->lock);
    while (atomic_load(&backend->users) > 0) {
        pthread_rwlock_unlock(&backend->lock);
        usleep(WAIT_US);
        pthread_rwlock_wrlock(&backend->lock);
    }
}

static struct err sync_parent(const char *path, struct why *why)
{
    char *parent = mem_strdup(path);
    char *slash = strrchr(parent, '/');
    if (slash) {
        *slash = '\0';
    }
    int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err err = fd >= 0 && fsync(fd) == 0 ? OK : why_errno(why, errno, "sync %s", parent);
    if (fd >= 0) {
        close(fd);
    }
    free(parent);
    return err;
}

static struct err move(const char *from, const char *to, struct why *why)
{
    if (rename(from, to) != 0) {
        return why_errno(why, errno, "move %s to %s", from, to);
    }
    TRY(sync_parent(to, why));
    return sync_parent(from, why);
}

/* What fails here failed for good: there is no store to go on with, so the lock stays taken. */
struct err backend_replace(
    struct backend *backend, const char *from, const char *aside, struct why *why)
{
    lock_alone(backend);
    store_close(backend);
    TRY(move(backend->path, aside, why));
    TRY(move(from, backend->path, why));
    TRY(store_open(backend, why));
    pthread_rwlock_unlock(&backend->lock);
    return OK;
}
