/* SPDX-License-Identifier: Apache-2.0
 *
 * DATA_DIR/member/{wal,snap,store}, as etcd's with RocksDB beside it, and a lock against a second
 * member.
 */
#include "boot/install.h"
#include "boot/storage.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIR_MODE = 0700 };

static void warn_of_mode(const char *path)
{
    struct stat st;
    char mode[16];
    if (stat(path, &st) == 0 && (st.st_mode & 0777) != DIR_MODE) {
        snprintf(mode, sizeof(mode), "%04o", (unsigned)(st.st_mode & 0777));
        LOG_WARN("check file permission", LOG_STR("path", path), LOG_STR("permission", mode),
            LOG_STR("recommended", "0700"));
    }
}

/* Renaming ends at a mount's edge, also where both sides are the same file system; kernels before
 * 5.8 do not tell of mounts. */
static bool is_same_mount(const char *a, const char *b)
{
    struct statx x;
    struct statx y;
    const unsigned mask = STATX_TYPE | STATX_MNT_ID;
    if (statx(AT_FDCWD, a, 0, mask, &x) != 0 || statx(AT_FDCWD, b, 0, mask, &y) != 0) {
        return false;
    }
    bool tells = x.stx_mask & y.stx_mask & STATX_MNT_ID;
    return x.stx_dev_major == y.stx_dev_major && x.stx_dev_minor == y.stx_dev_minor &&
           (!tells || x.stx_mnt_id == y.stx_mnt_id);
}

/* A store behind a symbolic link is where somebody wants it. */
bool storage_can_swap(const struct storage *storage)
{
    struct stat st;
    return lstat(storage->store_dir, &st) == 0 && S_ISDIR(st.st_mode) &&
           is_same_mount(storage->member_dir, storage->store_dir) &&
           is_same_mount(storage->member_dir, storage->snap_dir);
}

static struct err make_dir(struct storage *storage, const char *path, struct why *why)
{
    TRY(disk_mkdir_all(storage->disk, path, DIR_MODE, why));
    if (access(path, R_OK | W_OK | X_OK) != 0) {
        return why_errno(why, errno, "cannot use the folder %s (owned by another user?)", path);
    }
    return OK;
}

static struct err take_lock(struct storage *storage, struct why *why)
{
    char *path = disk_path(storage->member_dir, "lock");
    struct err err =
        disk_open(storage->disk, path, DISK_WRITE | DISK_CREATE, 0600, &storage->lock, why);
    if (!err_is(err)) {
        err = disk_lock(storage->lock, why);
        if (IS(err, LOCKED)) {
            why_set(why, err,
                "the data directory %s is in use by another process (it holds the lock on %s)",
                storage->config->data_dir, path);
        }
    }
    free(path);
    return err;
}

struct err storage_dirs(struct storage *storage, struct why *why)
{
    const struct config *config = storage->config;
    storage->member_dir = disk_path(config->data_dir, "member");
    storage->snap_dir = disk_path(storage->member_dir, "snap");
    storage->store_dir = disk_path(storage->member_dir, "store");
    storage->wal_dir =
        config->wal_dir[0] ? mem_strdup(config->wal_dir) : disk_path(storage->member_dir, "wal");
    TRY(make_dir(storage, config->data_dir, why));
    warn_of_mode(config->data_dir);
    TRY(make_dir(storage, storage->member_dir, why));
    TRY(take_lock(storage, why));
    TRY(storage_guard(storage, why));
    return make_dir(storage, storage->snap_dir, why);
}
