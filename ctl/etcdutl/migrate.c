/* SPDX-License-Identifier: Apache-2.0
 * migrate: a data directory that etcd's own program of that version starts from; the way back from
 * what a member does at its first start on one of etcd's. Log and snapshot files are etcd's
 * already. In this order, and all that was done before is harmless where it ends early:
 *   1. a snapshot file at what the store stands at, and the log's record of it: the program need
 *      not understand older entries, and need not have them
 *   2. member/snap/db, made beside it, synced, looked through and renamed
 *   3. member/store is renamed to member/store.old, and removed */
#include "ctl/etcdutl/migrate.h"
#include "apply/apply.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/pb.h"
#include "bolt/bolt.h"

#include <raft_internal.pb-c.h>

/* What is there. */

static struct err take_lock(struct migrate *migrate, struct why *why)
{
    const char *path = arena_printf(migrate->arena, "%s/lock", migrate->member_dir);
    if (!disk_exists(migrate->disk, migrate->store_dir)) {
        return disk_exists(migrate->disk, migrate->db)
                   ? why_set(why, ERR(BAD_INPUT),
                         "%s is etcd's own: %s is not touched; use etcd's etcdutl",
                         migrate->data_dir, migrate->db)
                   : why_set(why, ERR(ABSENT), "stat %s: no such file or directory",
                         migrate->store_dir);
    }
    TRY(disk_open(migrate->disk, path, DISK_WRITE | DISK_CREATE, 0600, &migrate->lock, why));
    struct err err = disk_lock(migrate->lock, why);
    return IS(err, LOCKED)
               ? why_set(why, err, "%s is in use: stop the member first", migrate->data_dir)
               : err;
}

static struct err open_log(struct migrate *migrate, struct why *why)
{
    struct snap_file newest = {0};
    struct wal_options options = {.disk = migrate->disk, .dir = migrate->wal_dir};
    struct err err =
        snap_load_known(migrate->disk, migrate->snap_dir, migrate->wal_dir, &newest, why);
    if (!err_is(err)) {
        migrate->snapshot_index = newest.meta.index;
        err = wal_open(
            &options, newest.meta.index, newest.meta.term, &migrate->wal, &migrate->log, why);
    }
    snap_file_fini(&newest);
    return err;
}

static void fill_cluster(struct migrate *migrate)
{
    struct member *members;
    struct arena *arena = migrate->arena;
    struct member_downgrade downgrade;
    uint64_t *removed;
    const char *version = member_cluster_version(migrate->members);
    size_t count = member_list(migrate->members, arena, &members);
    size_t removed_count = member_removed(migrate->members, arena, &removed);
    struct snap_member *list = arena_zalloc(arena, (count + 1) * sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        const struct member *from = &members[i];
        list[i] = (struct snap_member){from->id, from->name, from->peer_urls, from->peer_urls_count,
            from->client_urls, from->client_urls_count, from->is_learner};
        struct raft_conf_state *conf = &migrate->meta.conf;
        struct raft_ids *ids = from->is_learner ? &conf->learners : &conf->voters;
        if (ids->count < RAFT_MEMBERS_MAX) {
            ids->ids[ids->count++] = from->id;
        }
    }
    member_downgrade_get(migrate->members, &downgrade);
    migrate->cluster = (struct snap_cluster){
        .members = list,
        .members_count = count,
        .removed = removed,
        .removed_count = removed_count,
        .version = strcmp(version, "not_decided") == 0 ? NULL : version,
        .downgrade = downgrade.is_enabled ? arena_strdup(arena, downgrade.target) : NULL,
    };
}

static struct err read_point(struct migrate *migrate, struct why *why)
{
    struct blob *index = NULL;
    struct blob *mark = NULL;
    struct err err = backend_get(migrate->backend, NULL, SLICE("mconsistent_index"), &index, why);
    if (!err_is(err)) {
        err = backend_get(migrate->backend, NULL, SLICE("minstalling"), &mark, why);
    }
    if (!err_is(err) && (!index || index->len != 16 || mark)) {
        err = why_set(why, ERR(BAD_FORMAT), "%s is not whole: let the member start and stop once",
            migrate->store_dir);
    }
    if (!err_is(err)) {
        migrate->meta.index = get_be64(index->data);
        migrate->meta.term = get_be64(index->data + 8);
    }
    blob_unref(index);
    blob_unref(mark);
    return err;
}

static struct err check_format(struct migrate *migrate, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(migrate->backend, NULL, SLICE("mformat"), &row, why));
    struct err err = row && slice_eq(blob_slice(row), slice_str(apply_format))
                         ? OK
                         : why_set(why, ERR(BAD_FORMAT),
                               "%s was written by another version, or no member ever started on it",
                               migrate->store_dir);
    blob_unref(row);
    return err;
}

static struct err open_store(struct migrate *migrate, struct why *why)
{
    const struct wal_log *log = &migrate->log;
    struct backend_options options = {.path = migrate->store_dir};
    TRY(backend_open(&options, &migrate->backend, why));
    TRY(check_format(migrate, why));
    TRY(read_point(migrate, why));
    uint64_t last =
        log->entries_count ? log->entries[log->entries_count - 1].index : migrate->snapshot_index;
    if (migrate->meta.index < migrate->snapshot_index || migrate->meta.index > last) {
        return why_set(why, ERR(BAD_FORMAT),
            "%s stands at index %llu, but the log has %llu to %llu", migrate->store_dir,
            (unsigned long long)migrate->meta.index, (unsigned long long)migrate->snapshot_index,
            (unsigned long long)last);
    }
    migrate->members = member_table_new(log->identity.cluster_id, log->identity.node_id);
    TRY(member_load(migrate->members, migrate->backend, why));
    fill_cluster(migrate);
    return OK;
}

/* Whether that version may start. */

static bool is_above(const struct migrate *migrate, const char *text)
{
    struct member_version version;
    return text && member_version_parse(text, &version) &&
           member_version_cmp(version, migrate->target) > 0;
}

static bool raises_version(const struct migrate *migrate, const struct raft_entry *entry)
{
    Etcdserverpb__InternalRaftRequest *request;
    struct slice data = entry->data ? blob_slice(entry->data) : (struct slice){0};
    if (entry->type != RAFT_ENTRY_NORMAL || !data.len) {
        return false;
    }
    struct arena *arena = arena_new(0);
    bool raises = !err_is(pb_unpack_log(
                      &etcdserverpb__internal_raft_request__descriptor, arena, data, &request)) &&
                  request->cluster_version_set &&
                  is_above(migrate, request->cluster_version_set->ver);
    arena_free(arena);
    return raises;
}

static struct err check_target(const struct migrate *migrate, struct why *why)
{
    bool is_too_new = is_above(migrate, migrate->cluster.version);
    for (size_t i = 0; i < migrate->log.entries_count && !is_too_new; i++) {
        const struct raft_entry *entry = &migrate->log.entries[i];
        is_too_new = entry->index > migrate->meta.index && raises_version(migrate, entry);
    }
    if (!is_too_new) {
        return OK;
    }
    if (migrate->is_forced) {
        LOG_WARN("the cluster's version is above the target; etcd of that version will not start");
        return OK;
    }
    return why_set(why, ERR(BAD_INPUT),
        "cluster version %s is above the target %u.%u: run `etcdctl downgrade enable %u.%u` first, "
        "then stop the member",
        migrate->cluster.version ? migrate->cluster.version : "(in the log)", migrate->target.major,
        migrate->target.minor, migrate->target.major, migrate->target.minor);
}

/* Doing it. */

static struct err write_snapshot(struct migrate *migrate, struct why *why)
{
    struct buf json;
    struct wal_snapshot record = {
        migrate->meta.index, migrate->meta.term, true, migrate->meta.conf};
    struct raft_hard_state hard = migrate->log.hard;
    if (migrate->meta.index == migrate->snapshot_index) {
        return OK;
    }
    if (hard.commit < migrate->meta.index) { /* what was applied was committed */
        hard.commit = migrate->meta.index;
        struct wal_batch batch = {.hard = &hard, .must_sync = true};
        TRY(wal_append(migrate->wal, &batch, NULL, why));
    }
    buf_init(&json, SNAP_FILE_MAX);
    snap_v2_json(&migrate->cluster, &json);
    struct err err =
        snap_save(migrate->disk, migrate->snap_dir, &migrate->meta, buf_slice(&json), why);
    buf_fini(&json);
    TRY(err);
    return wal_save_snapshot(migrate->wal, &record, why);
}

static struct err check_database(struct migrate *migrate, struct why *why)
{
    struct bolt *bolt;
    TRY(bolt_open(migrate->disk, migrate->fresh, &bolt, why));
    struct err err = bolt_check(bolt, why);
    bolt_close(bolt);
    return err;
}

/* At once, and only then bit by bit: half a store must not be taken for one. */
static struct err drop_store(struct migrate *migrate, struct why *why)
{
    const char *old = arena_printf(migrate->arena, "%s.old", migrate->store_dir);
    TRY(disk_remove_all(migrate->disk, old, why));
    TRY(disk_rename(migrate->disk, migrate->store_dir, old, why));
    TRY(disk_sync_folder(migrate->disk, migrate->member_dir, why));
    return disk_remove_all(migrate->disk, old, why);
}

static struct err make_database(struct migrate *migrate, struct why *why)
{
    TRY(migrate_export(migrate, migrate->fresh, why));
    TRY(check_database(migrate, why));
    return disk_rename(migrate->disk, migrate->fresh, migrate->db, why);
}

static struct err migrate_all(struct migrate *migrate, struct why *why)
{
    TRY(take_lock(migrate, why));
    TRY(open_log(migrate, why));
    TRY(open_store(migrate, why));
    TRY(check_target(migrate, why));
    TRY(write_snapshot(migrate, why));
    struct err err = make_database(migrate, why);
    if (err_is(err)) {
        struct err removed = disk_remove(migrate->disk, migrate->fresh, NULL);
        (void)removed; /* the member's next start does it */
        return err;
    }
    TRY(disk_sync_folder(migrate->disk, migrate->snap_dir, why));
    backend_close(migrate->backend);
    migrate->backend = NULL;
    TRY(drop_store(migrate, why));
    LOG_INFO("made a database of the member's store", LOG_STR("path", migrate->db),
        LOG_UINT("consistent-index", migrate->meta.index),
        LOG_STR("target-version",
            arena_printf(migrate->arena, "%u.%u", migrate->target.major, migrate->target.minor)));
    return OK;
}

static void fini(struct migrate *migrate)
{
    wal_log_fini(&migrate->log);
    wal_close(migrate->wal);
    member_table_free(migrate->members);
    backend_close(migrate->backend);
    disk_close(migrate->lock);
}

static int check_flags(struct cmd_run *run, struct migrate *migrate)
{
    const char *text = cmd_text(run, "target-version");
    const char *dot = strchr(text, '.');
    if (!dot || strchr(dot + 1, '.')) {
        return cmd_fail(
            CMD_EXIT_BAD_ARGS, "wrong target version format, expected \"X.Y\", got \"%s\"", text);
    }
    if (!member_version_parse(text, &migrate->target)) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "failed to parse target version: %s", text);
    }
    if (member_version_cmp(migrate->target, (struct member_version){3, 5}) < 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "target version \"%u.%u\" not supported. Minimal \"3.5\"", migrate->target.major,
            migrate->target.minor);
    }
    if (member_version_cmp(migrate->target, (struct member_version){3, 7}) > 0) {
        return cmd_fail(CMD_EXIT_ERROR,
            "cannot create migration plan: version \"%u.%u.0\" is not supported",
            migrate->target.major, migrate->target.minor);
    }
    return CMD_EXIT_OK;
}

static int check_required(struct cmd_run *run)
{
    bool has_dir = *cmd_text(run, "data-dir");
    bool has_target = *cmd_text(run, "target-version");
    const char *missing = has_dir      ? "\"target-version\""
                          : has_target ? "\"data-dir\""
                                       : "\"data-dir\", \"target-version\"";
    if (has_dir && has_target) {
        return CMD_EXIT_OK;
    }
    return fail_required(run, missing);
}

static int migrate_run(struct cmd_run *run)
{
    struct why why = {""};
    struct arena *arena = run->arena;
    const char *dir = cmd_text(run, "data-dir");
    struct migrate migrate = {
        .arena = arena,
        .disk = disk_real(),
        .data_dir = dir,
        .member_dir = arena_printf(arena, "%s/member", dir),
        .wal_dir = arena_printf(arena, "%s/member/wal", dir),
        .snap_dir = arena_printf(arena, "%s/member/snap", dir),
        .store_dir = arena_printf(arena, "%s/member/store", dir),
        .db = arena_printf(arena, "%s/member/snap/db", dir),
        .fresh = arena_printf(arena, "%s/member/snap/db.new", dir),
        .is_forced = cmd_bool(run, "force"),
    };
    int code = check_required(run);
    code = code == CMD_EXIT_OK ? check_flags(run, &migrate) : code;
    if (code != CMD_EXIT_OK) {
        return code;
    }
    struct err err = migrate_all(&migrate, &why);
    fini(&migrate);
    return err_is(err) ? cmd_fail(CMD_EXIT_ERROR, "%s", why.text) : CMD_EXIT_OK;
}

static const struct cmd_option options[] = {
    {"data-dir", CMD_STRING, "", "Path to the etcd data dir", 0, false},
    {"target-version", CMD_STRING, "",
        "Target etcd version to migrate contents of data dir. Minimal value 3.5. Format \"X.Y\" "
        "for "
        "example 3.6.",
        0, false},
    {"force", CMD_BOOL, "false",
        "Ignore migration failure and forcefully override storage version. Not recommended.", 0,
        false},
    {0},
};

const struct cmd cmd_migrate = {
    .use = "migrate",
    .brief = "Migrates schema of etcd data dir files to make them compatible with different etcd "
             "version",
    .options = options,
    .run = migrate_run,
};
