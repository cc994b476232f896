/* SPDX-License-Identifier: Apache-2.0
 * Commands that work on etcd's own database file in place. A ketcd member has none: it says so
 * instead of touching what it does not understand. */
#include "ctl/etcdutl/command.h"

static int refuse_backup(struct cmd_run *run)
{
    (void)run;
    return cmd_fail(CMD_EXIT_BAD_FEATURE,
        "offline backup is not supported; use `etcdctl snapshot save` on the running member");
}

static const struct cmd_option backup_options[] = {
    {"data-dir", CMD_STRING, "", "Path to the etcd data dir", 0, false},
    {"wal-dir", CMD_STRING, "", "Path to the etcd wal dir", 0, false},
    {"backup-dir", CMD_STRING, "", "Path to the backup dir", 0, false},
    {"backup-wal-dir", CMD_STRING, "", "Path to the backup wal dir", 0, false},
    {"with-v3", CMD_BOOL, "true", "Backup v3 backend data", 0, false},
    {0},
};

const struct cmd cmd_backup = {
    .use = "backup",
    .brief = "[legacy] offline backup of etcd directory",
    .options = backup_options,
    .run = refuse_backup,
};
