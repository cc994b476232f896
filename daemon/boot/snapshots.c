/* SPDX-License-Identifier: Apache-2.0
 *
 * From this member's tables and rows to snapshots in etcd's formats.
 */
#include "boot/install.h"
#include "boot/storage.h"

#include "base/version.h"

#include <stdio.h>

enum { FILES_SLACK = 64 * 1024 * 1024, FILES_KEPT_MIN = 3 };

/* The members, as snapshots want them. */

static void cluster_of(struct storage *storage, struct arena *arena, struct snap_cluster *out)
{
    struct member *members;
    size_t count = member_list(storage->members, arena, &members);
    struct snap_member *list = arena_alloc(arena, count * sizeof(*list));
    const char *version = member_cluster_version(storage->members);
    struct member_downgrade downgrade;
    uint64_t *removed;
    size_t removed_count = member_removed(storage->members, arena, &removed);
    member_downgrade_get(storage->members, &downgrade);
    for (size_t i = 0; i < count; i++) {
        list[i] = (struct snap_member){
            .id = members[i].id,
            .name = members[i].name,
            .peer_urls = members[i].peer_urls,
            .peer_urls_count = members[i].peer_urls_count,
            .client_urls = members[i].client_urls,
            .client_urls_count = members[i].client_urls_count,
            .is_learner = members[i].is_learner,
        };
    }
    *out = (struct snap_cluster){
        .members = list,
        .members_count = count,
        .removed = removed,
        .removed_count = removed_count,
        .version = strcmp(version, "not_decided") == 0 ? NULL : version,
        .downgrade = downgrade.is_enabled ? arena_strdup(arena, downgrade.target) : NULL,
    };
}

/* The log does not know the newest file yet, nor perhaps the one before it: this member's own
 * snapshots and a leader's are saved by a thread each. What it does know must not go first. */
static size_t files_kept(const struct config *config)
{
    size_t max = (size_t)config->snapshots_max;
    return max && max < FILES_KEPT_MIN ? FILES_KEPT_MIN : max;
}

struct err storage_keep_snapshot(
    void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why)
{
    struct storage *storage = arg;
    uint64_t applied = apply_index(storage->apply);
    storage_forget_reading(storage, applied);
    TRY(snap_save(storage->disk, storage->snap_dir, meta, v2, why));
    /* A received database that is not taken in yet is above what is applied, though another may
     * already have come after it. */
    return snap_purge(storage->disk, storage->snap_dir, files_kept(storage->config),
        meta->index < applied ? meta->index : applied, why);
}

struct blob *storage_snapshot_v2(void *arg)
{
    struct arena *arena = arena_new(0);
    struct snap_cluster cluster;
    struct buf json;
    cluster_of(arg, arena, &cluster);
    buf_init(&json, SNAP_FILE_MAX);
    snap_v2_json(&cluster, &json);
    check(!json.is_full);
    struct blob *v2 = blob_new(buf_slice(&json));
    buf_fini(&json);
    arena_free(arena);
    return v2;
}

struct exporting {
    struct storage *storage;
    const struct snapshot_order *order;
    struct arena *arena;
    struct snapshot_export *export;
    struct backend_snapshot *view;
    struct snap_cluster cluster;
    struct raft_snapshot_meta meta;
    const char *storage_row; /* NULL: none */
    struct err err;          /* of files */
    struct why *why;
};

static void capture_tables(struct exporting *e)
{
    cluster_of(e->storage, e->arena, &e->cluster);
    apply_conf_state(e->storage->members, &e->meta.conf);
    e->meta.index = apply_index(e->storage->apply);
    e->meta.term = apply_term(e->storage->apply);
    e->storage_row = member_storage_row(e->storage->members);
}

/* Between applies: the view of the store and the tables in memory agree. */
static void capture(void *arg)
{
    struct exporting *e = arg;
    e->view = backend_snapshot_take(e->storage->backend);
    capture_tables(e);
}

static void capture_files(void *arg)
{
    struct exporting *e = arg;
    struct storage *storage = e->storage;
    e->err = snapshot_export_files(
        storage->disk, storage->snap_dir, storage->backend, &e->export, e->why);
    capture_tables(e);
}

struct key_walk {
    const struct snapshot_order *order;
    struct snapshot_export *export;
    struct err err;
    struct why *why;
};

static bool add_key(
    void *arg, revision main, int64_t sub, bool is_tombstone, const struct mvcc_kv *kv)
{
    struct key_walk *walk = arg;
    struct snapshot_key key = {
        .main = main,
        .sub = sub,
        .is_tombstone = is_tombstone,
        .key = kv->key,
        .value = kv->value,
        .create = kv->create,
        .mod = kv->mod,
        .version = kv->version,
        .lease = kv->lease,
    };
    if (walk->order->is_over && walk->order->is_over(walk->order->arg)) {
        walk->err = why_set(walk->why, ERR(STOPPED), "nobody waits for the database any more");
    } else {
        walk->err = snapshot_export_key(walk->export, &key, walk->why);
    }
    return !err_is(walk->err);
}

static struct err add_keys(void *arg, struct snapshot_export *export, struct why *why)
{
    struct exporting *e = arg;
    struct key_walk walk = {e->order, export, OK, why};
    TRY(mvcc_export(e->storage->mvcc, e->view, add_key, &walk, why));
    return walk.err;
}

/* Fills the rest of *e, whose arena is the caller's. */
static struct err export(struct exporting *e, struct why *why)
{
    TRY(snapshot_export_open(e->storage->disk, e->storage->snap_dir, &e->export, why));
    server_between_applies(e->storage->server, capture, e);
    snapshot_export_cluster(e->export, &e->cluster);
    snapshot_export_conf(e->export, &e->meta.conf);
    if (e->storage_row) {
        snapshot_export_storage_version(e->export, e->storage_row);
    }
    struct err err = snapshot_export_store(e->export, e->storage->backend, e->view, why);
    if (!err_is(err)) {
        err = snapshot_export_finish(e->export, add_keys, e, why);
    }
    backend_snapshot_release(e->storage->backend, e->view);
    if (err_is(err)) {
        snapshot_export_close(e->export);
    }
    return err;
}

struct err storage_snapshot_open(
    void *arg, const struct snapshot_order *order, struct snapshot_export **out, struct why *why)
{
    struct exporting e = {.storage = arg, .order = order, .arena = arena_new(0)};
    struct err err = export(&e, why);
    arena_free(e.arena);
    if (!err_is(err)) {
        *out = e.export;
    }
    return err;
}

/* Nothing is made: the view itself is sent. */
static void export_rows(struct exporting *e)
{
    server_between_applies(e->storage->server, capture, e);
    e->export = snapshot_export_rows(e->storage->backend, e->view);
}

const char *storage_files_format(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "%s %s", apply_format, backend_files_format());
    return text;
}

/* What was deleted and not merged away yet would be sent along. */
static bool are_files_worth_it(struct backend *backend)
{
    uint64_t live = backend_live_bytes(backend);
    return backend_disk_bytes(backend) <= live + live / 2 + FILES_SLACK;
}

/* Most of what is in memory goes to files before anyone has to wait for it. */
static struct err export_files(struct exporting *e)
{
    TRY(backend_flush(e->storage->backend, e->why));
    server_between_applies(e->storage->server, capture_files, e);
    return e->err;
}

static struct err export_as(struct exporting *e)
{
    enum snapshot_form form = e->order->best;
    if (form == SNAPSHOT_FILES && are_files_worth_it(e->storage->backend)) {
        struct err err = export_files(e);
        if (!IS(err, TOO_BIG)) {
            return err;
        }
    }
    if (form != SNAPSHOT_DATABASE) {
        export_rows(e);
        return OK;
    }
    return export(e, e->why);
}

struct err storage_snapshot_message(struct storage *storage, struct raft_message *message,
    const struct snapshot_order *order, struct snapshot_export **out, struct why *why)
{
    struct exporting e = {.storage = storage, .order = order, .arena = arena_new(0), .why = why};
    struct buf json;
    buf_init(&json, SNAP_FILE_MAX);
    struct err err = export_as(&e);
    if (!err_is(err)) {
        snap_v2_json(&e.cluster, &json);
        struct blob *data = blob_new(buf_slice(&json));
        raft_snapshot_unref(message->snapshot);
        message->snapshot = raft_snapshot_new(&e.meta, data);
        blob_unref(data);
        *out = e.export;
    }
    buf_fini(&json);
    arena_free(e.arena);
    return err;
}
