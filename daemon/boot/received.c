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
    struct err err = row && slice_eq(blob_slice(row), slice_str(apply_format))
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

/* With the mutex. */
static void forget(struct storage_received *received)
{
    mvcc_reading_free(received->reading);
    free(received->folder);
    received->reading = NULL;
    received->folder = NULL;
}

/* A new member's index comes ready this way. One that has much would have to hold both. */
static struct err check_rows(
    struct storage *storage, uint64_t index, struct backend *store, struct why *why)
{
    enum { MUCH = 32 << 20 };
    struct mvcc_reading *reading = NULL;
    struct storage_received *received = &storage->received;
    pthread_mutex_lock(&received->turn);
    storage_forget_reading(storage, UINT64_MAX); /* it may be large */
    bool has_much = mvcc_memory_bytes(storage->mvcc) > MUCH;
    struct err err = mvcc_check(store, has_much ? NULL : &reading, why);
    if (reading) {
        pthread_mutex_lock(&received->mutex);
        received->folder = mem_strdup(backend_path(store));
        received->index = index;
        received->reading = reading;
        pthread_mutex_unlock(&received->mutex);
    }
    pthread_mutex_unlock(&received->turn);
    return err;
}

struct mvcc_reading *storage_take_reading(struct storage *storage, const char *folder)
{
    struct mvcc_reading *reading = NULL;
    struct storage_received *received = &storage->received;
    pthread_mutex_lock(&received->mutex);
    if (received->folder && folder && strcmp(received->folder, folder) == 0) {
        reading = received->reading;
        received->reading = NULL;
    }
    forget(received);
    pthread_mutex_unlock(&received->mutex);
    return reading;
}

void storage_forget_reading(struct storage *storage, uint64_t applied)
{
    struct storage_received *received = &storage->received;
    pthread_mutex_lock(&received->mutex);
    if (received->index <= applied) {
        forget(received);
    }
    pthread_mutex_unlock(&received->mutex);
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
    TRY(check_tables(storage, store, why));
    return check_rows(storage, snapshot->meta.index, store, why);
}
