/* SPDX-License-Identifier: Apache-2.0
 *
 * The first start on a data directory of etcd's own: its log and its snapshot files are read as
 * they are, its database, member/snap/db, becomes the store. In this order:
 *   1. the database is locked as etcd locks it, so that no etcd runs on it
 *   2. its rows go into member/store.new, which is synced
 *   3. member/store.new is renamed to member/store: from here on it counts
 *   4. member/snap/db is renamed to member/snap/db.etcd, and never touched again
 * Killed before 3, all is as it was, and etcd may go on with it; the next start begins anew. Killed
 * between 3 and 4, the next start does what is left.
 *
 * The database stands at its consistent index. Entries above it are applied as after any crash. The
 * members it has as of the log's newest snapshot, and from the entries behind that (see take.c).
 * When etcd was killed between receiving a snapshot and using it, the received database is the one
 * to take. Where it was this member, which had received a whole store, that one comes first, and
 * the database stays: a migration that was killed had left it.
 *
 * Row: "madopted" -> be64(index), what the database stood at.
 */
#include "boot/install.h"
#include "boot/storage.h"
#include "boot/take.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

struct adoption {
    struct storage *storage;
    const struct wal_log *log;
    char *db;     /* etcd's */
    char *aside;  /* where it goes */
    char *source; /* the one to take: db, or one received and not used yet */
    char *fresh;  /* the store while it is being made */
    char *old;    /* one that is given up, until it is gone */
    uint64_t index;
    uint64_t term;
};

struct err storage_guard(struct storage *storage, struct why *why)
{
    char *db = disk_path(storage->snap_dir, "db");
    struct err err = OK;
    storage->db_guard = open(db, O_RDONLY | O_CLOEXEC);
    if (storage->db_guard < 0 && errno != ENOENT && errno != ENOTDIR) {
        err = why_errno(why, errno, "open %s", db);
    } else if (storage->db_guard >= 0 && flock(storage->db_guard, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK
                  ? why_set(why, ERR(LOCKED),
                        "the data directory %s is in use by another process (etcd holds the lock "
                        "on %s)",
                        storage->config->data_dir, db)
                  : why_errno(why, errno, "lock %s", db);
    }
    free(db);
    return err;
}

void storage_unguard(struct storage *storage)
{
    if (storage->db_guard >= 0) {
        close(storage->db_guard);
        storage->db_guard = -1;
    }
}

/* What the database says of itself. */

struct database {
    const char *path;
    uint64_t index;
};

static struct err see_meta(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct database *database = arg;
    if (slice_eq(key, SLICE("consistent_index")) && value.len == 8) {
        database->index = get_be64(value.data);
    }
    return slice_eq(key, SLICE("storageVersion"))
               ? storage_check_version(value, database->path, why)
               : OK;
}

static struct err index_of(
    struct storage *storage, const char *path, uint64_t *out, struct why *why)
{
    struct snapshot_import *import;
    struct database database = {path, 0};
    TRY(snapshot_import_open(storage->disk, path, SNAPSHOT_HASH_SKIPPED, &import, why));
    struct err err = snapshot_import_rows(import, SNAPSHOT_META, see_meta, &database, why);
    snapshot_import_close(import);
    TRY(err);
    *out = database.index;
    return OK;
}

/* Which file to take. A database behind the log's snapshot cannot be brought up to the log. */
static struct err choose_source(struct adoption *a, struct why *why)
{
    const struct raft_snapshot_meta *snapshot = &a->storage->snapshot.meta;
    TRY(index_of(a->storage, a->db, &a->index, why));
    if (a->index >= snapshot->index) {
        a->source = mem_strdup(a->db);
        return OK;
    }
    a->source = snap_received_path(a->storage->snap_dir, snapshot->index);
    if (!disk_exists(a->storage->disk, a->source)) {
        return why_set(why, ERR(BAD_FORMAT),
            "%s stands at index %llu, behind the log's snapshot at %llu: it lost data; %s", a->db,
            (unsigned long long)a->index, (unsigned long long)snapshot->index,
            storage_repair(a->storage, a->log));
    }
    a->index = snapshot->index;
    return OK;
}

static struct err find_term(struct adoption *a, struct why *why)
{
    const struct raft_snapshot_meta *snapshot = &a->storage->snapshot.meta;
    if (a->index == snapshot->index) {
        a->term = snapshot->term;
        return OK;
    }
    size_t at = (size_t)(a->index - snapshot->index - 1);
    if (at >= a->log->entries_count || a->log->entries[at].index != a->index) {
        return why_set(why, ERR(BAD_FORMAT),
            "%s stands at index %llu, but the log in %s ends before it: the log lost data; %s",
            a->db, (unsigned long long)a->index, a->storage->wal_dir,
            storage_repair(a->storage, a->log));
    }
    a->term = a->log->entries[at].term;
    return OK;
}

static struct err refuse_v2(const struct adoption *a, struct why *why)
{
    return why_set(why, ERR(BAD_CONFIG),
        "the data directory %s holds keys of the v2 API, which this release does not serve (nor "
        "does etcd 3.6); it is left as it is: remove them with the etcd that wrote them",
        a->storage->config->data_dir);
}

/* etcd 3.6 does not start on them either: they would be lost. */
static struct err check_v2(const struct adoption *a, struct why *why)
{
    const struct snap_file *snapshot = &a->storage->snapshot;
    struct snap_cluster cluster = {0};
    struct err err = OK;
    if (snapshot->data_len) {
        struct arena *arena = arena_new(0);
        err = snap_v2_parse(slice_of(snapshot->data, snapshot->data_len), arena, &cluster, why);
        arena_free(arena);
    }
    TRY(err);
    if (cluster.has_v2_keys) {
        return refuse_v2(a, why);
    }
    for (size_t i = 0; i < a->log->entries_count; i++) {
        if (apply_is_v2_write(&a->log->entries[i])) {
            return refuse_v2(a, why);
        }
    }
    return OK;
}

/* Making the store. */

static struct err fill(struct adoption *a, struct backend *backend, struct why *why)
{
    uint8_t index[8];
    const struct snap_file *snapshot = &a->storage->snapshot;
    struct backend_batch *batch = backend_batch_new();
    struct taking taking = {
        .path = a->source,
        .backend = backend,
        .index = a->index,
        .term = a->term,
        .v2 = slice_of(snapshot->data, snapshot->data_len),
        .entries = a->log->entries,
        .entries_count = a->log->entries_count,
        .has_whole_log = snapshot->meta.index == 0,
        .learners_max = a->storage->config->learners_max,
    };
    put_be64(index, a->index);
    backend_batch_put(batch, SLICE("mformat"), slice_str(apply_format));
    backend_batch_put(batch, SLICE("madopted"), slice_of(index, sizeof(index)));
    struct err err = backend_write(backend, batch, why);
    backend_batch_free(batch);
    TRY(err);
    TRY(snapshot_import_open(
        a->storage->disk, a->source, SNAPSHOT_HASH_IF_THERE, &taking.import, why));
    err = take_database(&taking, NULL, why);
    snapshot_import_close(taking.import);
    return err_is(err) ? err : storage_check_cluster(backend, a->source, why);
}

static struct err make_fresh(struct adoption *a, struct why *why)
{
    struct disk *disk = a->storage->disk;
    struct backend *backend = NULL;
    TRY(disk_remove_all(disk, a->fresh, why));
    TRY(disk_mkdir_all(disk, a->fresh, 0700, why));
    struct err err = backend_open(&(struct backend_options){.path = a->fresh}, &backend, why);
    if (!err_is(err)) {
        err = fill(a, backend, why);
        backend_close(backend);
    }
    if (err_is(err)) {
        /* What was half made must not be what keeps a full disk full. */
        struct err removed = disk_remove_all(disk, a->fresh, NULL);
        (void)removed;
        return err;
    }
    return disk_sync_folder(disk, a->fresh, why);
}

static struct err set_aside(const struct adoption *a, struct why *why)
{
    struct storage *storage = a->storage;
    TRY(disk_rename(storage->disk, a->db, a->aside, why));
    TRY(disk_sync_folder(storage->disk, storage->snap_dir, why));
    LOG_INFO("etcd's database was set aside; this member has no more use for it",
        LOG_STR("path", a->aside));
    return OK;
}

/* One that the log does not reach any more. Half a store must not be taken for one. */
static struct err give_up_store(const struct adoption *a, struct why *why)
{
    const struct storage *storage = a->storage;
    if (!disk_exists(storage->disk, storage->store_dir)) {
        return OK;
    }
    TRY(disk_rename(storage->disk, storage->store_dir, a->old, why));
    TRY(disk_sync_folder(storage->disk, storage->member_dir, why));
    return disk_remove_all(storage->disk, a->old, why);
}

static struct err adopt(struct adoption *a, struct why *why)
{
    struct storage *storage = a->storage;
    int64_t began_ns = clock_mono_ns();
    TRY(choose_source(a, why));
    TRY(find_term(a, why));
    TRY(check_v2(a, why));
    LOG_INFO("the data directory is etcd's own: making a store of its database",
        LOG_STR("path", a->source), LOG_UINT("consistent-index", a->index),
        LOG_UINT("snapshot-index", storage->snapshot.meta.index));
    TRY(make_fresh(a, why));
    TRY(give_up_store(a, why));
    TRY(disk_rename(storage->disk, a->fresh, storage->store_dir, why));
    TRY(disk_sync_folder(storage->disk, storage->member_dir, why));
    LOG_INFO("made a store of etcd's database", LOG_STR("path", storage->store_dir),
        LOG_NS("took", clock_mono_ns() - began_ns));
    return set_aside(a, why);
}

/* Where there is a store as well. */

struct found_store {
    uint64_t applied;
    bool is_whole;
    bool is_adopted;
};

static struct err read_rows(struct backend *backend, struct found_store *out, struct why *why)
{
    static const char *const names[] = {"mconsistent_index", "minstalling", "madopted"};
    struct blob *rows[COUNT_OF(names)] = {NULL};
    struct err err = OK;
    for (size_t i = 0; i < COUNT_OF(names) && !err_is(err); i++) {
        err = backend_get(backend, NULL, slice_str(names[i]), &rows[i], why);
    }
    if (!err_is(err)) {
        *out = (struct found_store){
            rows[0] && rows[0]->len == 16 ? get_be64(rows[0]->data) : 0, !rows[1], rows[2] != NULL};
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        blob_unref(rows[i]);
    }
    return err;
}

static struct err look_at_store(
    const struct storage *storage, struct found_store *out, struct why *why)
{
    struct backend *backend = NULL;
    TRY(backend_open(&(struct backend_options){.path = storage->store_dir}, &backend, why));
    struct err err = read_rows(backend, out, why);
    backend_close(backend);
    return err;
}

/* A store that the log still reaches is as good as any database, and newer ones come to the same.
 * Where it does not, because etcd has run here since, the database may. */
static struct err judge_both(struct adoption *a, bool *out_adopts, struct why *why)
{
    struct found_store store;
    uint64_t index = 0;
    uint64_t snapshot = a->storage->snapshot.meta.index;
    TRY(look_at_store(a->storage, &store, why));
    if (store.is_whole && store.applied >= snapshot) {
        return store.is_adopted && !disk_exists(a->storage->disk, a->aside) ? set_aside(a, why)
                                                                            : OK;
    }
    TRY(index_of(a->storage, a->db, &index, why));
    *out_adopts = index >= snapshot && index > store.applied;
    return OK;
}

/* There is no store. A crash may have come just when a received one was to take its place, which
 * storage_finish_install goes on with. */
static struct err judge_database(const struct adoption *a, bool *out_adopts, struct why *why)
{
    struct storage *storage = a->storage;
    uint64_t snapshot = storage->snapshot.meta.index;
    uint64_t index = snapshot;
    char *folder = snapshot_files_folder(storage->disk, storage->snap_dir, snapshot);
    struct err err = folder ? index_of(storage, a->db, &index, why) : OK;
    free(folder);
    TRY(err);
    *out_adopts = index >= snapshot;
    return OK;
}

static struct err decide(struct adoption *a, struct why *why)
{
    bool adopts = false;
    TRY(disk_exists(a->storage->disk, a->storage->store_dir) ? judge_both(a, &adopts, why)
                                                             : judge_database(a, &adopts, why));
    return adopts ? adopt(a, why) : OK;
}

struct err storage_adopt(struct storage *storage, const struct wal_log *log, struct why *why)
{
    struct adoption a = {
        .storage = storage,
        .log = log,
        .db = disk_path(storage->snap_dir, "db"),
        .aside = disk_path(storage->snap_dir, "db.etcd"),
        .fresh = disk_path(storage->member_dir, "store.new"),
        .old = disk_path(storage->member_dir, "store.old"),
    };
    struct err err = disk_remove_all(storage->disk, a.old, why);
    if (!err_is(err) && disk_exists(storage->disk, a.db)) {
        err = decide(&a, why);
    }
    storage_unguard(storage);
    free(a.db);
    free(a.aside);
    free(a.fresh);
    free(a.old);
    free(a.source);
    return err;
}
