/* SPDX-License-Identifier: Apache-2.0
 *
 * What is said to whoever runs a member whose data directory lost something. One of several that
 * came back restored would have its ids and not the vote it gave, nor what it acknowledged: the
 * members' data could part ways. So only one that is alone is told to.
 */
#include "boot/storage.h"

#define ALONE "restore the member from a snapshot"
#define SEVERAL                                                                                    \
    "remove this member from the cluster and add it again with an empty data directory (etcdctl "  \
    "member remove, member add; --initial-cluster-state=existing); if no majority is left, "       \
    "restore all members from one snapshot"

static size_t members_of_store(const struct storage *storage)
{
    struct member *members;
    struct arena *arena = arena_new(0);
    size_t count = storage->members ? member_list(storage->members, arena, &members) : 0;
    arena_free(arena);
    return count;
}

/* The store may know of one that the log lost. */
static size_t members_known(const struct storage *storage, const struct wal_log *log)
{
    struct raft_ids ids = {{0}, 0};
    size_t of_store = members_of_store(storage);
    struct err err = storage_ids(storage, log, &ids, NULL);
    return err_is(err) || ids.count < of_store ? of_store : ids.count;
}

const char *storage_repair(const struct storage *storage, const struct wal_log *log)
{
    static const struct wal_log none = {0};
    size_t count = members_known(storage, log ? log : &none);
    if (count > 1) {
        return SEVERAL;
    }
    return log && count == 1 ? ALONE
                             : "if it is the only member of its cluster, " ALONE "; else " SEVERAL;
}
