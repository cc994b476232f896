/* SPDX-License-Identifier: Apache-2.0
 *
 * A database goes to member/snap/tmp*, is synced, named %016x.snap.db, and the folder synced; rows
 * and files go to what snapshot makes of them, which does as much.
 */
#include "peer/snapsave.h"

#include "base/clock.h"
#include "base/mem.h"
#include "peer/inner.h"
#include "snap/snap.h"

void snapsave_init(
    struct snapsave *save, const struct peer *peer, enum snapshot_form form, struct snapbox *box)
{
    *save = (struct snapsave){.peer = peer, .form = form, .box = box};
}

void snapsave_fini(struct snapsave *save)
{
    free(save->temp_path);
    free(save->path);
}

struct err snapsave_begin(struct snapsave *save, const struct raft_snapshot *snapshot,
    uint64_t announced, struct why *why)
{
    static atomic_uint count;
    const struct peer_options *options = &save->peer->options;
    save->space = (struct snapspace){.disk = options->disk,
        .dir = options->snap_dir,
        .is_twice = save->form == SNAPSHOT_DATABASE};
    TRY(snapspace_init(&save->space, announced, why));
    save->snapshot = snapshot;
    save->temp_path = mem_printf("%s/tmp%u", options->snap_dir, atomic_fetch_add(&count, 1));
    save->path = snap_received_path(options->snap_dir, snapshot->meta.index);
    return OK;
}

static struct err take(void *arg, struct slice bytes, struct why *why)
{
    struct snapsave *save = arg;
    uint64_t at = save->bytes;
    save->bytes += bytes.len;
    TRY(snapspace_came(&save->space, save->bytes, why));
    if (save->unpack) {
        return snapshot_unpack_take(save->unpack, bytes, why);
    }
    return save->refill ? snapshot_refill_take(save->refill, bytes, why)
                        : disk_write(save->file, at, bytes, why);
}

static struct err drain(struct snapsave *save, struct why *why)
{
    return snapbox_drain(save->box, take, save, why);
}

static struct err save_file(struct snapsave *save, struct why *why)
{
    struct disk *disk = save->peer->options.disk;
    TRY(disk_open(
        disk, save->temp_path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, 0600, &save->file, why));
    struct err err = drain(save, why);
    if (!err_is(err)) {
        int64_t began_ns = clock_mono_ns();
        err = disk_sync(save->file, why);
        metric_observe(
            save->peer->metrics.database_sync_seconds, (double)(clock_mono_ns() - began_ns) / 1e9);
    }
    disk_close(save->file);
    return err;
}

static struct err save_rows(struct snapsave *save, struct why *why)
{
    const struct peer_options *options = &save->peer->options;
    save->refill = snapshot_refill_new(
        options->disk, options->snap_dir, save->snapshot->meta.index, options->check_row);
    struct err err = drain(save, why);
    if (!err_is(err)) {
        err = snapshot_refill_end(save->refill, why);
    }
    snapshot_refill_free(save->refill, err_is(err));
    return err;
}

static struct err check_store(void *arg, struct backend *store, struct why *why)
{
    const struct snapsave *save = arg;
    const struct peer_options *options = &save->peer->options;
    return options->check_store(options->arg, save->snapshot, store, why);
}

static struct err save_files(struct snapsave *save, struct why *why)
{
    const struct peer_options *options = &save->peer->options;
    struct snapshot_check check = {options->check_store ? check_store : NULL, save};
    save->unpack = snapshot_unpack_new(options->disk, options->snap_dir, &save->snapshot->meta);
    struct err err = drain(save, why);
    if (!err_is(err)) {
        err = snapshot_unpack_end(save->unpack, &check, why);
    }
    snapshot_unpack_free(save->unpack, err_is(err));
    return err;
}

/* By its head alone: what is no database must not stand in raft's log for one. */
static struct err check_database(const struct snapsave *save, struct why *why)
{
    struct snapshot_import *import;
    TRY(snapshot_import_open(
        save->peer->options.disk, save->temp_path, SNAPSHOT_HASH_SKIPPED, &import, why));
    snapshot_import_close(import);
    return OK;
}

static struct err save_database(struct snapsave *save, struct why *why)
{
    struct disk *disk = save->peer->options.disk;
    struct err err = save_file(save, why);
    if (!err_is(err)) {
        err = check_database(save, why);
    }
    if (!err_is(err)) {
        err = disk_rename(disk, save->temp_path, save->path, why);
    }
    if (!err_is(err)) {
        return disk_sync_folder(disk, save->peer->options.snap_dir, why);
    }
    struct err removed = disk_remove(disk, save->temp_path, NULL);
    (void)removed; /* it may never have been made */
    return err;
}

struct err snapsave_run(struct snapsave *save, struct why *why)
{
    switch (save->form) {
    case SNAPSHOT_FILES:
        return save_files(save, why);
    case SNAPSHOT_ROWS:
        return save_rows(save, why);
    case SNAPSHOT_DATABASE:
        break;
    }
    return save_database(save, why);
}
