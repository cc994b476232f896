/* SPDX-License-Identifier: Apache-2.0
 * check v2store: does a directory hold keys of the v2 API? Who comes from etcd asks before the
 * member refuses to start on them. */
#include "apply/apply.h"
#include "base/arena.h"
#include "ctl/etcdutl/command.h"
#include "disk/disk.h"
#include "snap/snap.h"
#include "wal/wal.h"

struct looking {
    struct disk *disk;
    const char *wal_dir;
    const char *snap_dir;
    struct wal_snapshot from; /* where the log is read from */
    bool has_v2_keys;
};

static struct err look_at_snapshot(struct cmd_run *run, struct looking *l, struct why *why)
{
    struct snap_file file = {0};
    struct snap_cluster cluster = {0};
    struct err e = OK;
    TRY(snap_load_known(l->disk, l->snap_dir, l->wal_dir, &file, why));
    l->from = (struct wal_snapshot){.index = file.meta.index, .term = file.meta.term};
    if (file.data_len) {
        e = snap_v2_parse(slice_of(file.data, file.data_len), run->arena, &cluster, why);
    }
    l->has_v2_keys = cluster.has_v2_keys;
    snap_file_fini(&file);
    return e;
}

/* What the next snapshot would hold: a member does not start on it either. */
static struct err look_at_log(struct looking *l, struct why *why)
{
    struct wal_log log;
    TRY(wal_read(l->disk, l->wal_dir, l->from.index, l->from.term, &log, why));
    for (size_t i = 0; i < log.entries_count && !l->has_v2_keys; i++) {
        l->has_v2_keys = apply_is_v2_write(&log.entries[i]);
    }
    wal_log_fini(&log);
    return OK;
}

static struct err look(struct cmd_run *run, struct looking *l, struct why *why)
{
    if (!disk_exists(l->disk, l->wal_dir)) {
        return why_set(why, ERR(ABSENT), "open %s: no such file or directory", l->wal_dir);
    }
    if (!wal_exists(l->disk, l->wal_dir)) {
        return OK;
    }
    TRY(look_at_snapshot(run, l, why));
    return look_at_log(l, why);
}

static int check_v2store(struct cmd_run *run)
{
    const char *data_dir = cmd_text(run, "data-dir");
    const char *wal_dir = cmd_text(run, "wal-dir");
    struct why why = {""};
    if (!*data_dir) {
        return fail_required(run, "\"data-dir\"");
    }
    struct looking l = {
        .disk = disk_real(),
        .wal_dir = *wal_dir ? wal_dir : arena_printf(run->arena, "%s/member/wal", data_dir),
        .snap_dir = arena_printf(run->arena, "%s/member/snap", data_dir),
    };
    struct err e = look(run, &l, &why);
    if (err_is(e)) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    if (l.has_v2_keys) {
        return cmd_fail(CMD_EXIT_ERROR, "detected custom content in v2store");
    }
    printf("No custom content found in v2store.\n");
    return CMD_EXIT_OK;
}

static const struct cmd_option options[] = {
    {"data-dir", CMD_STRING, "", "Required. A data directory not in use by etcd.", 0, false},
    {"wal-dir", CMD_STRING, "", "Optional. A dedicated WAL directory.", 0, false},
    {0},
};

static const struct cmd v2store = {
    .use = "v2store",
    .brief = "Check custom content in v2store",
    .options = options,
    .run = check_v2store,
};

static const struct cmd *const children[] = {&v2store, NULL};

const struct cmd cmd_check = {
    .use = "check <subcommand>",
    .brief = "commands for checking properties",
    .children = children,
};
