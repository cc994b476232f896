/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that another member sent as files: whether it says what its message says, and whether all
 * that is read when it takes this one's place can be read. Before that nothing is given up for it.
 */
#include "boot/install.h"
#include "boot/storage.h"

#include "base/mem.h"

static struct err check_format(struct backend *store, struct why *why)
{
    struct blob *row = NULL;
    TRY(backend_get(store, NULL, SLICE("mformat"), &row, why));
    struct err err = row && slice_eq(blob_slice(row), slice_str(storage_format))
                         ? OK
                         : why_set(why, ERR(BAD_FORMAT), "a received store is of another format");
    blob_unref(row);
    return err;
}

/* The message tells of the members and the cluster's version as the store does. */
static struct err check_version(
    struct backend *store, const struct raft_snapshot *snapshot, struct why *why)
{
    struct blob *row = NULL;
    struct snap_cluster cluster = {0};
    struct arena *arena = arena_new(0);
    struct err err = snap_v2_parse(blob_slice(snapshot->data), arena, &cluster, why);
    if (!err_is(err)) {
        err = backend_get(store, NULL, SLICE("mcluster_version"), &row, why);
    }
    struct slice told = slice_str(cluster.version ? cluster.version : "");
    struct slice found = row ? blob_slice(row) : (struct slice){0};
    if (!err_is(err) && !slice_eq(told, found)) {
        err = why_set(why, ERR(BAD_FORMAT),
            "a received store is of another cluster version than its message says");
    }
    blob_unref(row);
    arena_free(arena);
    return err;
}

/* Into tables that nobody uses. */
static struct err check_tables(struct storage *storage, struct backend *store, struct why *why)
{
    struct lease_table *leases = lease_table_new(1);
    struct auth_table *auth = auth_table_new();
    struct member_table *members =
        member_table_new(member_cluster_id(storage->members), member_self_id(storage->members));
    struct err err = lease_load(leases, store, why);
    err = err_is(err) ? err : auth_load(auth, store, why);
    err = err_is(err) ? err : member_load(members, store, why);
    member_table_free(members);
    auth_table_free(auth);
    lease_table_free(leases);
    return err;
}

struct err storage_check_received(struct storage *storage, const struct raft_snapshot *snapshot,
    struct backend *store, struct why *why)
{
    TRY(check_format(store, why));
    TRY(storage_check_cluster(store, "a received store", why));
    TRY(check_version(store, snapshot, why));
    TRY(mvcc_check(store, why));
    return check_tables(storage, store, why);
}
