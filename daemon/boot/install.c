/* SPDX-License-Identifier: Apache-2.0
 *
 * A leader's snapshot becomes this member's store. The log knows the snapshot by then, and its
 * database lies whole under member/snap. The row "minstalling" is written before the first old row
 * goes and leaves with the last new one, so that a crash between is seen at the next start and the
 * work done again from the same file. Where the store's own files came, their folder takes the
 * store's place.
 */
#include "boot/install.h"
#include "boot/storage.h"
#include "boot/take.h"

#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/mutation.h"

static struct err clear_names(struct backend *backend, struct backend_batch *batch, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_iter *iter = backend_iter_open(backend, NULL, SLICE("m"), SLICE("n"));
    backend_batch_reset(batch);
    while (backend_iter_next(iter, &key, &value)) {
        if (!slice_eq(key, SLICE("minstalling")) && !slice_eq(key, SLICE("mformat"))) {
            backend_batch_delete(batch, key);
        }
    }
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    return err_is(err) ? err : backend_write(backend, batch, why);
}

/* Everything but the mark, which is on disk before the first file goes. */
static struct err clear_rows(struct backend *backend, const struct raft_snapshot_meta *meta,
    struct backend_batch *batch, struct why *why)
{
    uint8_t mark[16];
    put_be64(mark, meta->index);
    put_be64(mark + 8, meta->term);
    backend_batch_put(batch, SLICE("minstalling"), slice_of(mark, sizeof(mark)));
    TRY(backend_write(backend, batch, why));
    TRY(backend_flush(backend, why));
    TRY(backend_clear(backend, SLICE("l"), SLICE("m"), why));
    TRY(backend_clear(backend, SLICE("d"), SLICE("e"), why));
    return clear_names(backend, batch, why);
}

static struct err clear(
    struct backend *backend, const struct raft_snapshot_meta *meta, struct why *why)
{
    struct backend_batch *batch = backend_batch_new();
    struct err err = clear_rows(backend, meta, batch, why);
    backend_batch_free(batch);
    return err;
}

struct err storage_read_index(
    struct storage *storage, const char *name, uint64_t *out, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(storage->backend, NULL, slice_str(name), &row, why));
    if (row && row->len >= 8) {
        *out = get_be64(row->data);
    }
    blob_unref(row);
    return OK;
}

/* All rows but those of this member alone come in one step. So a store whose index is the
 * snapshot's has them, though a crash may have come before the mark went. */
static struct err take_rows(struct storage *storage, const struct raft_snapshot_meta *meta,
    const struct snapshot_list *list, struct why *why)
{
    uint64_t applied = 0;
    struct backend_batch *batch = backend_batch_new();
    struct err err = storage_read_index(storage, "mconsistent_index", &applied, why);
    if (!err_is(err) && applied != meta->index) {
        err = clear(storage->backend, meta, why);
        err =
            err_is(err) ? err : backend_take_files(storage->backend, list->paths, list->count, why);
    }
    backend_batch_delete(batch, SLICE("minstalling"));
    err = err_is(err) ? err : backend_write(storage->backend, batch, why);
    backend_batch_free(batch);
    return err_is(err) ? err : backend_flush(storage->backend, why);
}

static struct err fill_rows(
    struct storage *storage, const struct raft_snapshot_meta *meta, struct why *why)
{
    struct snapshot_list list;
    TRY(snapshot_list_read(storage->disk, storage->snap_dir, meta->index, &list, why));
    struct err err = take_rows(storage, meta, &list, why);
    snapshot_list_fini(&list);
    return err;
}

/* What is known of the new rows; both NULL: they have to be read. */
struct filled {
    struct mvcc_import *rows;
    struct mvcc_reading *reading;
};

static void filled_fini(struct filled *filled)
{
    mvcc_import_free(filled->rows);
    mvcc_reading_free(filled->reading);
}

/* The folder takes the store's place; a crash between leaves no store, and the next start makes an
 * empty one and comes here again. */
static struct err fill_files(struct storage *storage, const char *folder, struct why *why)
{
    if (!snapshot_is_store(storage->disk, folder)) { /* seen before the old one is touched */
        return why_set(why, ERR(BAD_FORMAT), "%s is no store", folder);
    }
    if (!storage_can_swap(storage)) {
        return why_set(why, ERR(IO),
            "%s cannot take the place of %s: they lie on different file systems or mounts, or one "
            "behind a link; let them lie on one until the member has started",
            folder, storage->store_dir);
    }
    if (storage->end_sending) { /* replacing waits for who reads */
        storage->end_sending(storage->end_sending_arg);
    }
    char *old = disk_path(storage->member_dir, "store.old");
    struct err err = disk_remove_all(storage->disk, old, why);
    if (!err_is(err)) {
        err = backend_replace(storage->backend, folder, old, why);
    }
    if (!err_is(err)) {
        err = disk_remove_all(storage->disk, old, why);
    }
    free(old);
    return err;
}

static struct err fill_database(struct storage *storage, const struct raft_snapshot_meta *meta,
    struct slice v2, const char *path, struct filled *filled, struct why *why)
{
    struct taking taking = {.path = path,
        .backend = storage->backend,
        .index = meta->index,
        .term = meta->term,
        .v2 = v2};
    struct err err =
        snapshot_import_open(storage->disk, path, SNAPSHOT_HASH_IF_THERE, &taking.import, why);
    if (!err_is(err)) {
        err = clear(storage->backend, meta, why);
        err = err_is(err) ? err : take_database(&taking, &filled->rows, why);
        snapshot_import_close(taking.import);
    }
    return err;
}

/* *filled is the caller's in every case. */
static struct err fill(struct storage *storage, const struct raft_snapshot_meta *meta,
    struct slice v2, struct filled *filled, struct why *why)
{
    char *path = snap_received_path(storage->snap_dir, meta->index);
    char *folder = snapshot_files_folder(storage->disk, storage->snap_dir, meta->index);
    filled->reading = storage_take_reading(storage, folder);
    struct err err = folder ? fill_files(storage, folder, why)
                     : snapshot_is_list(storage->disk, path)
                         ? fill_rows(storage, meta, why)
                         : fill_database(storage, meta, v2, path, filled, why);
    free(folder);
    if (!err_is(err)) {
        err = disk_remove(storage->disk, path, why);
    }
    free(path);
    return err;
}

static struct err reload(struct mvcc *mvcc, struct filled *filled, struct why *why)
{
    if (filled->rows) {
        return mvcc_reload_imported(mvcc, filled->rows, why);
    }
    return filled->reading ? mvcc_reload_read(mvcc, filled->reading, why) : mvcc_reload(mvcc, why);
}

/* Who may do what comes ahead of the keys: nobody reads the new ones by the old permissions. */
struct err storage_install_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why)
{
    struct storage *storage = arg;
    struct filled filled = {0};
    mvcc_reload_begin(storage->mvcc);
    struct err err = fill(storage, meta, v2, &filled, why);
    if (!err_is(err) && !MUTATE(USERS_NOT_LOADED)) {
        err = auth_load(storage->auth, storage->backend, why);
    }
    if (!err_is(err)) {
        err = reload(storage->mvcc, &filled, why);
    }
    filled_fini(&filled);
    TRY(err);
    TRY(lease_load(storage->leases, storage->backend, why));
    TRY(member_load(storage->members, storage->backend, why));
    auth_tokens_forget(storage->tokens, NULL);
    TRY(apply_reload(storage->apply, why));
    watch_reload(storage->hub);
    return OK;
}

struct err storage_finish_install(struct storage *storage, struct why *why)
{
    const struct raft_snapshot_meta *meta = &storage->snapshot.meta;
    uint64_t applied = 0;
    uint64_t mark = 0;
    TRY(storage_read_index(storage, "mconsistent_index", &applied, why));
    TRY(storage_read_index(storage, "minstalling", &mark, why));
    char *path = snap_received_path(storage->snap_dir, meta->index);
    bool has_file = meta->index && disk_exists(storage->disk, path);
    free(path);
    if (mark && !has_file) {
        return why_set(why, ERR(BAD_FORMAT),
            "%s was being replaced by the snapshot at index %llu, whose database is gone; %s",
            storage->store_dir, (unsigned long long)mark, storage_repair(storage, NULL));
    }
    if (MUTATE(INSTALL_UNFINISHED) || (!mark && (!has_file || applied >= meta->index))) {
        return OK;
    }
    LOG_INFO("taking the received snapshot into the store", LOG_UINT("snapshot-index", meta->index),
        LOG_UINT("current-applied-index", applied));
    struct filled filled = {0};
    struct err err = fill(
        storage, meta, slice_of(storage->snapshot.data, storage->snapshot.data_len), &filled, why);
    filled_fini(&filled);
    return err;
}
