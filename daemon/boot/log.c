/* SPDX-License-Identifier: Apache-2.0
 *
 * The log and the consensus machine over it: bootstrapped where there is none, else read back.
 */
#include "boot/discover.h"
#include "boot/install.h"
#include "boot/storage.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>

/* What etcd's members use. */
enum { MESSAGE_BYTES_MAX = 1024 * 1024, INFLIGHT_MAX = 512 };

static struct wal_options wal_options_of(const struct storage *storage)
{
    return (struct wal_options){.disk = storage->disk,
        .dir = storage->wal_dir,
        .is_unsafe_no_sync = storage->config->unsafe_no_fsync};
}

static struct raft_options raft_options_of(const struct storage *storage, uint64_t id)
{
    const struct config *config = storage->config;
    uint64_t seed;
    rand_secret(&seed, sizeof(seed));
    return (struct raft_options){
        .id = id,
        .election_ticks = config->election_ms / config->heartbeat_ms,
        .heartbeat_ticks = 1,
        .seed = seed,
        .pre_vote = config->pre_vote,
        .check_quorum = true,
        .message_bytes_max = MESSAGE_BYTES_MAX,
        .inflight_messages_max = INFLIGHT_MAX,
    };
}

/* The first entries of the log say who the members are. */
static struct err bootstrap_raft(struct storage *storage, struct why *why)
{
    const struct founding *founding = &storage->founding;
    struct raft_options options = raft_options_of(storage, founding->self_id);
    struct raft_peer peers[RAFT_MEMBERS_MAX];
    TRY(raft_new(&options, &storage->raft, why));
    if (founding->is_join) {
        return OK; /* they come from whoever leads */
    }
    for (size_t i = 0; i < founding->members_count; i++) {
        const struct member *member = &founding->members[i];
        peers[i] = (struct raft_peer){member->id, member_to_json(member, founding->arena)};
    }
    return raft_bootstrap(storage->raft, peers, founding->members_count);
}

/* Without their log neither says which member of which cluster it is, nor since when. */
static struct err refuse_lone_store(struct storage *storage, struct why *why)
{
    char *db = disk_path(storage->snap_dir, "db");
    const char *found = disk_exists(storage->disk, storage->store_dir) ? storage->store_dir
                        : disk_exists(storage->disk, db)               ? db
                                                                       : NULL;
    struct err err = OK;
    if (found) {
        err = why_set(why, ERR(BAD_FORMAT),
            "%s holds no log, but there is a store, %s: one of them was lost; %s", storage->wal_dir,
            found, storage_repair(storage, NULL));
    }
    free(db);
    return err;
}

static struct err bootstrap(struct storage *storage, struct why *why)
{
    struct wal_options options = wal_options_of(storage);
    struct founding *founding = &storage->founding;
    TRY(refuse_lone_store(storage, why));
    TRY(found_cluster(storage->config, &storage->dialing, founding, why));
    struct wal_identity identity = {founding->self_id, founding->cluster_id};
    TRY(wal_create(&options, &identity, &storage->wal, why));
    LOG_INFO("starting local member", LOG_HEX("local-member-id", identity.node_id),
        LOG_HEX("cluster-id", identity.cluster_id));
    TRY(storage_store(storage, &identity, why));
    return bootstrap_raft(storage, why);
}

/* A crash between the log's first file and its first entries: begin again, as the same member. One
 * that was joining when it crashed joins again. */
static struct err begin_again(
    struct storage *storage, const struct wal_identity *identity, struct why *why)
{
    struct founding *founding = &storage->founding;
    TRY(found_new(storage->config, founding, why));
    if (!storage->config->is_new_cluster || founding->self_id != identity->node_id ||
        founding->cluster_id != identity->cluster_id) {
        TRY(found_cluster(storage->config, &storage->dialing, founding, why));
    }
    if (founding->self_id != identity->node_id || founding->cluster_id != identity->cluster_id) {
        return why_set(why, ERR(BAD_CONFIG),
            "%s belongs to member %llx of cluster %llx, which --initial-cluster does not lead to",
            storage->wal_dir, (unsigned long long)identity->node_id,
            (unsigned long long)identity->cluster_id);
    }
    return bootstrap_raft(storage, why);
}

/* How many files in the snapshots' folder were found to be broken, this time or before. */
static size_t count_broken(struct storage *storage)
{
    struct disk_names names;
    size_t count = 0;
    if (err_is(disk_list(storage->disk, storage->snap_dir, &names, NULL))) {
        return 0;
    }
    for (size_t i = 0; i < names.count; i++) {
        const char *end = strrchr(names.names[i], '.');
        count += end && strcmp(end, ".broken") == 0;
    }
    disk_names_fini(&names);
    return count;
}

/* The newest snapshot that the log knows and whose file is whole; from the log's beginning when
 * there is none. */
static struct err newest_snapshot(struct storage *storage, struct why *why)
{
    size_t broken = count_broken(storage);
    struct err err = snap_load_known(
        storage->disk, storage->snap_dir, storage->wal_dir, &storage->snapshot, why);
    broken = count_broken(storage) - broken;
    if (broken) {
        LOG_WARN("a broken snapshot file was set aside as .broken",
            LOG_STR("path", storage->snap_dir), LOG_UINT("files", broken));
    }
    return err;
}

/* Of snapshots that a crash kept from counting. */
static struct err set_aside(struct storage *storage, struct why *why)
{
    size_t count = 0;
    TRY(snap_set_aside(storage->disk, storage->snap_dir, &storage->snapshot.meta, &count, why));
    if (count) {
        LOG_WARN("a snapshot file that the log does not know was set aside as .void",
            LOG_STR("path", storage->snap_dir), LOG_UINT("files", count));
    }
    return OK;
}

/* What lies behind a received snapshot in the log with an older term was void before. */
static void drop_stale(struct wal_log *log, const struct raft_snapshot_meta *snapshot)
{
    bool is_stale = log->entries_count && log->entries[0].term < snapshot->term;
    while (is_stale && log->entries_count) {
        blob_unref(log->entries[--log->entries_count].data);
    }
}

/* What a member was restored from is in no entry: whoever joins it would get all entries, and none
 * of that. */
static struct err check_restored(
    struct storage *storage, uint64_t snapshot, const struct wal_log *log, struct why *why)
{
    uint64_t restored = 0;
    TRY(storage_read_index(storage, "mrestored", &restored, why));
    if (snapshot >= restored) {
        return OK;
    }
    bool has_run = log->hard.term > 1; /* a restored log is of the first term */
    return why_set(why, ERR(BAD_FORMAT),
        "%s was restored at index %llu, but there is no snapshot file in %s that the log begins "
        "with: %s",
        storage->store_dir, (unsigned long long)restored, storage->snap_dir,
        has_run ? storage_repair(storage, log) : "restore the member again");
}

/* Whether store and log belong together. Of the log as it was found: what a start puts behind its
 * end would take indices that the store counts as applied. */
static struct err check_store(struct storage *storage, const struct raft_snapshot_meta *snapshot,
    const struct wal_log *log, struct why *why)
{
    uint64_t applied = apply_index(storage->apply);
    size_t count = log->entries_count;
    uint64_t last = count ? log->entries[count - 1].index : snapshot->index;
    TRY(check_restored(storage, snapshot->index, log, why));
    if (applied < snapshot->index) {
        return why_set(why, ERR(BAD_FORMAT),
            "%s stands at index %llu, behind the log's snapshot at %llu: it lost data; %s",
            storage->store_dir, (unsigned long long)applied, (unsigned long long)snapshot->index,
            storage_repair(storage, log));
    }
    if (applied > last) {
        return why_set(why, ERR(BAD_FORMAT),
            "%s stands at index %llu, but the log in %s ends at %llu: the log lost data; %s",
            storage->store_dir, (unsigned long long)applied, storage->wal_dir,
            (unsigned long long)last, storage_repair(storage, log));
    }
    return OK;
}

static struct err restart_raft(struct storage *storage, const struct raft_snapshot_meta *snapshot,
    const struct wal_log *log, struct why *why)
{
    uint64_t applied = apply_index(storage->apply);
    struct raft_options options = raft_options_of(storage, log->identity.node_id);
    struct raft_conf_state conf;
    apply_conf_state(storage->members, &conf);
    options.snapshot = snapshot->index ? snapshot : NULL;
    options.conf = applied ? &conf : NULL;
    options.entries = log->entries;
    options.entries_count = log->entries_count;
    options.hard_state = log->hard;
    options.applied = applied;
    /* What was applied was committed, though the log may not have been told before the crash. */
    if (options.hard_state.commit < applied) {
        options.hard_state.commit = applied;
    }
    return raft_new(&options, &storage->raft, why);
}

static struct err restart(struct storage *storage, struct why *why)
{
    struct wal_log log = {0};
    struct wal_options options = wal_options_of(storage);
    const struct raft_snapshot_meta *snapshot = &storage->snapshot.meta;
    TRY(newest_snapshot(storage, why));
    TRY(wal_open(&options, snapshot->index, snapshot->term, &storage->wal, &log, why));
    drop_stale(&log, snapshot);
    storage->snapshot_index = snapshot->index;
    discover_ignored(storage->config, storage->wal_dir);
    LOG_INFO("restarting local member", LOG_HEX("cluster-id", log.identity.cluster_id),
        LOG_HEX("local-member-id", log.identity.node_id),
        LOG_UINT("commit-index", log.hard.commit));
    if (log.torn_bytes) {
        LOG_WARN("repaired the end of the log", LOG_UINT("bytes-cut-off", log.torn_bytes));
    }
    struct err err = storage_adopt(storage, &log, why);
    if (!err_is(err)) {
        err = storage_store(storage, &log.identity, why);
    }
    if (!err_is(err)) {
        err = check_store(storage, snapshot, &log, why);
    }
    if (!err_is(err) && storage->config->force_new_cluster) {
        err = storage_force_alone(storage, &log, why);
    }
    if (!err_is(err)) {
        bool is_empty = log.entries_count == 0 && snapshot->index == 0 && log.hard.term == 0 &&
                        apply_index(storage->apply) == 0;
        err = is_empty ? begin_again(storage, &log.identity, why)
                       : restart_raft(storage, snapshot, &log, why);
    }
    if (!err_is(err)) {
        err = set_aside(storage, why);
    }
    wal_log_fini(&log);
    return err;
}

struct err storage_log(struct storage *storage, struct why *why)
{
    return wal_exists(storage->disk, storage->wal_dir) ? restart(storage, why)
                                                       : bootstrap(storage, why);
}
