/* SPDX-License-Identifier: Apache-2.0
 * snapshot restore: a data directory that a member starts from, made of a snapshot of etcd's or
 * ketcd's. */
#include "ctl/etcdutl/restore.h"
#include "base/log.h"

#include <errno.h>

/* Absent or empty. */
static bool is_free(const char *dir)
{
    struct disk_names names;
    if (!disk_exists(disk_real(), dir)) {
        return true;
    }
    if (err_is(disk_list(disk_real(), dir, &names, NULL))) {
        return false;
    }
    bool is_empty = names.count == 0;
    disk_names_fini(&names);
    return is_empty;
}

static struct err check_places(const struct restore *restore, bool has_wal_dir, struct why *why)
{
    if (!is_free(restore->data_dir)) {
        return why_set(
            why, ERR(EXISTS), "data-dir \"%s\" not empty or could not be read", restore->data_dir);
    }
    if (has_wal_dir && disk_exists(disk_real(), restore->wal_dir)) {
        return why_set(why, ERR(EXISTS), "wal-dir \"%s\" exists", restore->wal_dir);
    }
    return OK;
}

static void log_restore(const char *message, const struct restore *restore)
{
    LOG_INFO(message, LOG_STR("path", restore->path), LOG_STR("wal-dir", restore->wal_dir),
        LOG_STR("data-dir", restore->data_dir), LOG_STR("snap-dir", restore->snap_dir));
}

/* Opened first: a file that is not there leaves no folders behind. */
static struct err check_source(const struct restore *restore, struct why *why)
{
    char words[TEXT_ERRNO_SIZE];
    FILE *file = fopen(restore->path, "re");
    if (!file) {
        return why_set(
            why, err_errno(errno), "open %s: %s", restore->path, text_errno(errno, words));
    }
    fclose(file);
    return OK;
}

static struct err restore_all(struct restore *restore, struct why *why)
{
    log_restore("restoring snapshot", restore);
    TRY(check_source(restore, why));
    TRY(disk_mkdir_all(disk_real(), restore->snap_dir, 0700, why));
    TRY(restore_store(restore, why));
    for (size_t i = 0; i < restore->members_count; i++) {
        const struct member *member = &restore->members[i];
        LOG_INFO("added member", LOG_HEX("cluster-id", restore->cluster_id),
            LOG_STR("local-member-id", "0"), LOG_HEX("added-peer-id", member->id),
            LOG_STRS("added-peer-peer-urls", member->peer_urls),
            LOG_BOOL("added-peer-is-learner", false));
    }
    TRY(restore_log(restore, why));
    log_restore("restored snapshot", restore);
    return OK;
}

/* As it is named beside others: no slash behind it. */
static const char *without_slash(struct arena *arena, const char *dir)
{
    char *bare = arena_strdup(arena, dir);
    for (size_t len = strlen(bare); len > 1 && bare[len - 1] == '/'; len--) {
        bare[len - 1] = '\0';
    }
    return bare;
}

static struct restore read_options(struct cmd_run *run)
{
    struct arena *arena = run->arena;
    const char *name = cmd_text(run, "name");
    const char *data_dir = cmd_text(run, "data-dir");
    const char *wal_dir = cmd_text(run, "wal-dir");
    data_dir = *data_dir ? data_dir : arena_printf(arena, "%s.etcd", name);
    return (struct restore){
        .arena = arena,
        .path = run->args[0],
        .name = name,
        .data_dir = data_dir,
        .wal_dir = *wal_dir ? without_slash(arena, wal_dir)
                            : arena_printf(arena, "%s/member/wal", data_dir),
        .snap_dir = arena_printf(arena, "%s/member/snap", data_dir),
        .store_dir = arena_printf(arena, "%s/member/store", data_dir),
        .skips_hash = cmd_bool(run, "skip-hash-check"),
        .bump = cmd_int(run, "bump-revision"),
    };
}

static int restore_run(struct cmd_run *run)
{
    struct why why = {""};
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "snapshot restore requires exactly one argument");
    }
    struct restore restore = read_options(run);
    if ((restore.bump != 0) != cmd_bool(run, "mark-compacted")) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "--mark-compacted required if --revision-bump > 0");
    }
    struct err e = restore_cluster(&restore, run, &why);
    if (!err_is(e)) {
        e = check_places(&restore, *cmd_text(run, "wal-dir"), &why);
    }
    if (!err_is(e)) {
        e = restore_all(&restore, &why);
    }
    return err_is(e) ? cmd_fail(CMD_EXIT_ERROR, "%s", why.text) : CMD_EXIT_OK;
}

static const struct cmd_option options[] = {
    {"data-dir", CMD_STRING, "", "Path to the output data directory", 0, false},
    {"wal-dir", CMD_STRING, "", "Path to the WAL directory (use --data-dir if none given)", 0,
        false},
    {"initial-cluster", CMD_STRING, "default=http://localhost:2380",
        "Initial cluster configuration for restore bootstrap", 0, false},
    {"initial-cluster-token", CMD_STRING, "etcd-cluster",
        "Initial cluster token for the etcd cluster during restore bootstrap", 0, false},
    {"initial-advertise-peer-urls", CMD_STRING, "http://localhost:2380",
        "List of this member's peer URLs to advertise to the rest of the cluster", 0, false},
    {"name", CMD_STRING, "default", "Human-readable name for this member", 0, false},
    {"skip-hash-check", CMD_BOOL, "false",
        "Ignore snapshot integrity hash value (required if copied from data directory)", 0, false},
    {"initial-memory-map-size", CMD_UINT, "10737418240",
        "Initial memory map size of the database in bytes. It uses the default value if not "
        "defined "
        "or defined to 0",
        0, false},
    {"bump-revision", CMD_UINT, "0", "How much to increase the latest revision after restore", 0,
        false},
    {"mark-compacted", CMD_BOOL, "false",
        "Mark the latest revision after restore as the point of scheduled compaction (required if "
        "--bump-revision > 0, disallowed otherwise)",
        0, false},
    {0},
};

const struct cmd cmd_snapshot_restore = {
    .use = "restore <filename> --data-dir {output dir} [options]",
    .brief = "Restores an etcd member snapshot to an etcd directory",
    .options = options,
    .run = restore_run,
};
