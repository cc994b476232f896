/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"
#include "etcdctl.h"
#include "moved.h"

static const struct cmd *const children[] = {
    &cmd_get,
    &cmd_put,
    &cmd_del,
    &cmd_txn,
    &cmd_compaction,
    &cmd_alarm,
    &cmd_defrag,
    &cmd_endpoint,
    &cmd_move_leader,
    &cmd_watch,
    &cmd_version,
    &cmd_lease,
    &cmd_member,
    &cmd_snapshot,
    &cmd_make_mirror,
    &cmd_lock,
    &cmd_elect,
    &cmd_auth,
    &cmd_user,
    &cmd_role,
    &cmd_check,
    &cmd_completion,
    &cmd_downgrade,
    &moved_migrate,
    &cmd_help,
    NULL,
};

const struct cmd cmd_root = {
    .use = "etcdctl",
    .brief = "A simple command line client for etcd3.",
    .options = global_options,
    .children = children,
};

int main(int argc, char **argv)
{
    static const struct cmd_versions versions = {KETCD_ETCD_VERSION, "3.6"};

    if (argc < 1) {
        return CMD_EXIT_ERROR;
    }
    return cmd_main(&cmd_root, &versions, argc, argv);
}
