/* SPDX-License-Identifier: Apache-2.0
 *
 * A database of etcd's (or an export of ours) as rows of a store that holds none.
 */
#ifndef BOOT_TAKE_H
#define BOOT_TAKE_H

#include "backend/backend.h"
#include "mvcc/mvcc.h"
#include "raft/raft.h"
#include "snapshot/snapshot.h"

struct taking {
    struct snapshot_import *import; /* the database */
    const char *path;               /* its name, for the log */
    struct backend *backend;
    uint64_t index; /* the last entry that is in it */
    uint64_t term;
    struct slice v2; /* the v2 store of the log's snapshot; empty: there is none */
    /* The log behind that snapshot, where the database is newer than it. */
    const struct raft_entry *entries;
    size_t entries_count;
    bool has_whole_log; /* it begins with the cluster: nothing but it tells of members */
    size_t learners_max;
};

/* All of it, durable on return. The row "minstalling" leaves with the last ones. out_rows: not
 * NULL: the ended import, for who has the store open. Errors: the database's, the store's. */
MUST struct err take_database(
    const struct taking *taking, struct mvcc_import **out_rows, struct why *why);

#endif
