/* SPDX-License-Identifier: Apache-2.0
 *
 * A member's store on its way back to a database of etcd's. One thread. */
#ifndef ETCDUTL_MIGRATE_H
#define ETCDUTL_MIGRATE_H

#include "backend/backend.h"
#include "ctl/etcdutl/command.h"
#include "member/member.h"
#include "snap/snap.h"
#include "wal/wal.h"

struct migrate {
    struct arena *arena;
    struct disk *disk;
    const char *data_dir;
    const char *member_dir;
    const char *wal_dir;
    const char *snap_dir;
    const char *store_dir;
    const char *db;
    const char *fresh; /* the database while it is written */
    struct member_version target;
    bool is_forced;
    struct disk_file *lock;
    struct backend *backend;
    struct member_table *members;
    struct wal *wal;
    struct wal_log log;
    uint64_t snapshot_index;        /* the log's newest */
    struct raft_snapshot_meta meta; /* what the store stands at */
    struct snap_cluster cluster;
};

/* The store as a bbolt file under that name, synced. */
MUST struct err migrate_export(struct migrate *migrate, const char *path, struct why *why);

#endif
