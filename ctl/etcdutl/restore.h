/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot restore, in the order it goes: options and cluster (restore_cluster.c), the store
 * (restore_store.c), the log that begins at it (restore_log.c). */
#ifndef ETCDUTL_RESTORE_H
#define ETCDUTL_RESTORE_H

#include "ctl/etcdutl/command.h"
#include "member/member.h"
#include "raft/raft.h"

struct restore {
    struct arena *arena;
    const char *path;
    const char *name;
    const char *data_dir;
    const char *wal_dir;
    const char *snap_dir;
    const char *store_dir;
    bool skips_hash;
    int64_t bump;
    /* Ascending ids; from --initial-cluster. */
    struct member *members;
    size_t members_count;
    uint64_t member_id;
    uint64_t cluster_id;
};

/* Reads the options that say who the members are. Errors: BAD_INPUT with etcd's text. */
MUST struct err restore_cluster(
    struct restore *restore, const struct cmd_run *run, struct why *why);
/* Rows of the snapshot into a new store, with these members and applied to the log's end. */
MUST struct err restore_store(struct restore *restore, struct why *why);
/* The log's first entries, one a member, and the snapshot behind them. */
MUST struct err restore_log(const struct restore *restore, struct why *why);

#endif
