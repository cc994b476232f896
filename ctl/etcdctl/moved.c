/* SPDX-License-Identifier: Apache-2.0
 *
 * What etcdctl did itself until 3.5 and etcdutl does now: scripts still ask for it here. etcdutl,
 * the one beside this program or else the one in PATH, takes its place. */
#include "moved.h"
#include "etcdctl.h"

#include <errno.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static const struct cmd_option restore_options[] = {
    {"data-dir", CMD_STRING, "", "Path to the data directory", 0, false},
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
        "Ignore snapshot integrity hash value (required if copied from data directory)", 0, true},
    {"initial-memory-map-size", CMD_UINT, "0",
        "Initial memory map size of the database in bytes. It uses the default value if not "
        "defined or defined to 0",
        0, false},
    {"bump-revision", CMD_UINT, "0", "How much to increase the latest revision after restore", 0,
        false},
    {"mark-compacted", CMD_BOOL, "false",
        "Mark the latest revision after restore as the point of scheduled compaction (required if "
        "--bump-revision > 0, disallowed otherwise)",
        0, true},
    {0},
};

/* "--name=value", where it was given. */
static void pass_on(struct cmd_run *run, const char *name, const char **argv, size_t *count)
{
    const struct cmd_value *value = cmd_value(run, name);
    if (value->is_changed) {
        argv[(*count)++] =
            arena_printf(run->arena, "--%s=%s", name, cmd_value_text(value, run->arena));
    }
}

static const char *beside_this(struct arena *arena)
{
    char path[PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (len <= 0) {
        return "etcdutl";
    }
    path[len] = '\0';
    *strrchr(path, '/') = '\0';
    return arena_printf(arena, "%s/etcdutl", path);
}

/* Does not come back but with an exit code. */
static int become(struct cmd_run *run, const char **argv)
{
    char *const *words = (char *const *)(uintptr_t)argv; /* exec only reads them */
    fflush(stdout);
    execv(beside_this(run->arena), words);
    execvp("etcdutl", words);
    return cmd_fail(CMD_EXIT_ERROR, "etcdutl: %s", strerror(errno));
}

static const char **begin(
    struct cmd_run *run, const char *command, const char *verb, size_t *out_count)
{
    size_t most = run->args_count + COUNT_OF(restore_options) + 8;
    const char **argv = arena_zalloc(run->arena, most * sizeof(*argv));
    *out_count = 0;
    argv[(*out_count)++] = "etcdutl";
    argv[(*out_count)++] = command;
    if (verb) {
        argv[(*out_count)++] = verb;
    }
    pass_on(run, "write-out", argv, out_count);
    return argv;
}

static int snapshot(struct cmd_run *run, const char *verb, const struct cmd_option *options)
{
    size_t count;
    const char **argv = begin(run, "snapshot", verb, &count);
    fprintf(stderr, "Deprecated: Use `etcdutl snapshot %s` instead.\n\n", verb);
    for (size_t i = 0; options && options[i].name; i++) {
        pass_on(run, options[i].name, argv, &count);
    }
    argv[count++] = "--";
    for (size_t i = 0; i < run->args_count; i++) {
        argv[count++] = run->args[i];
    }
    return become(run, argv);
}

static int snapshot_status(struct cmd_run *run)
{
    return snapshot(run, "status", NULL);
}

static int snapshot_restore(struct cmd_run *run)
{
    return snapshot(run, "restore", restore_options);
}

int moved_defrag(struct cmd_run *run)
{
    size_t count;
    const char **argv = begin(run, "defrag", NULL, &count);
    fputs("Use `etcdutl defrag` instead. The --data-dir is going to be decomissioned in v3.6.\n\n",
        stderr);
    pass_on(run, "data-dir", argv, &count);
    return become(run, argv);
}

const struct cmd moved_status = {
    .use = "status <filename>",
    .brief = "[deprecated] Gets backend snapshot status of a given file",
    .text = "Moved to 'etcdutl snapshot status ...'",
    .run = snapshot_status,
};

const struct cmd moved_restore = {
    .use = "restore <filename> [options]",
    .brief = "Restores an etcd member snapshot to an etcd directory",
    .text = "Moved to `etcdutl snapshot restore ...`",
    .options = restore_options,
    .run = snapshot_restore,
};

static int migrate(struct cmd_run *run)
{
    (void)run;
    return cmd_fail(CMD_EXIT_BAD_FEATURE,
        "keys of the v2 API are not migrated here: use the etcdctl of etcd 3.4 (ETCDCTL_API=3 "
        "etcdctl migrate) before the data directory comes to this release");
}

static const struct cmd_option migrate_options[] = {
    {"data-dir", CMD_STRING, "", "Path to the data directory", 0, false},
    {"wal-dir", CMD_STRING, "", "Path to the WAL directory", 0, false},
    {"no-ttl", CMD_BOOL, "false", "Do not convert TTL keys", 0, false},
    {"transformer", CMD_STRING, "", "Path to the user-provided transformer program", 0, false},
    {0},
};

const struct cmd moved_migrate = {
    .use = "migrate",
    .brief = "[removed] Migrates keys in a v2 store to a mvcc store",
    .options = migrate_options,
    .run = migrate,
};
