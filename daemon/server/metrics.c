/* SPDX-License-Identifier: Apache-2.0 */
#include "server/parts.h"

static double read_has_leader(void *arg)
{
    return atomic_load(&((struct server *)arg)->leader) != 0;
}

static double read_is_leader(void *arg)
{
    return atomic_load(&((struct server *)arg)->is_leader);
}

static double read_pending(void *arg)
{
    return (double)atomic_load(&((struct server *)arg)->in_flight);
}

static double read_store_bytes(void *arg)
{
    return (double)backend_disk_bytes(((struct server *)arg)->options.backend);
}

static double read_live_bytes(void *arg)
{
    return (double)backend_live_bytes(((struct server *)arg)->options.backend);
}

static double read_quota(void *arg)
{
    return (double)apply_quota_bytes(((struct server *)arg)->options.apply);
}

static double read_keys(void *arg)
{
    return (double)mvcc_keys(((struct server *)arg)->options.mvcc);
}

static double read_revision(void *arg)
{
    return (double)mvcc_revision(((struct server *)arg)->options.mvcc);
}

static double read_compact_revision(void *arg)
{
    revision rev = mvcc_compact_revision(((struct server *)arg)->options.mvcc);
    return rev < 0 ? 0 : (double)rev;
}

static struct watch_stats stats_of(void *arg)
{
    struct watch_stats stats;
    watch_stats(((struct server *)arg)->options.hub, &stats);
    return stats;
}

static double read_watchers(void *arg)
{
    return (double)stats_of(arg).watchers;
}

static double read_watch_streams(void *arg)
{
    return (double)stats_of(arg).streams;
}

static double read_slow_watchers(void *arg)
{
    return (double)stats_of(arg).unsynced;
}

static double read_pending_events(void *arg)
{
    return (double)stats_of(arg).pending_events;
}

static double read_compacted(void *arg)
{
    return (double)mvcc_compacted_rows(((struct server *)arg)->options.mvcc);
}

static double read_is_learner(void *arg)
{
    return member_self_is_learner(((struct server *)arg)->options.members);
}

static double read_committed_index(void *arg)
{
    return (double)atomic_load(&((struct server *)arg)->commit_index);
}

static void init_gauges(struct server *server)
{
    metric_gauge_fn("etcd_server_has_leader",
        "Whether or not a leader exists. 1 is existence, 0 is not.", read_has_leader, server);
    metric_gauge_fn("etcd_server_is_leader",
        "Whether or not this member is a leader. 1 if is, 0 otherwise.", read_is_leader, server);
    metric_gauge_fn("etcd_server_is_learner",
        "Whether or not this member is a learner. 1 if is, 0 otherwise.", read_is_learner, server);
    metric_gauge_fn("etcd_server_proposals_pending",
        "The current number of pending proposals to commit.", read_pending, server);
    metric_gauge_fn("etcd_server_quota_backend_bytes",
        "Current backend storage quota size in bytes.", read_quota, server);
    metric_gauge_fn("etcd_mvcc_db_total_size_in_bytes",
        "Total size of the underlying database physically allocated in bytes.", read_store_bytes,
        server);
    metric_gauge_fn("etcd_mvcc_db_total_size_in_use_in_bytes",
        "Total size of the underlying database logically in use in bytes.", read_live_bytes,
        server);
    metric_gauge_fn("etcd_debugging_mvcc_keys_total", "Total number of keys.", read_keys, server);
    metric_gauge_fn("etcd_debugging_mvcc_current_revision", "The current revision of store.",
        read_revision, server);
    metric_gauge_fn("etcd_debugging_mvcc_compact_revision",
        "The revision of the last compaction in store.", read_compact_revision, server);
    metric_gauge_fn(
        "etcd_debugging_mvcc_watcher_total", "Total number of watchers.", read_watchers, server);
    metric_gauge_fn("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.",
        read_watch_streams, server);
    metric_gauge_fn("etcd_debugging_mvcc_slow_watcher_total",
        "Total number of unsynced slow watchers.", read_slow_watchers, server);
    metric_gauge_fn("etcd_debugging_mvcc_pending_events_total",
        "Total number of pending events to be sent.", read_pending_events, server);
    metric_gauge_fn("etcd_server_raft_committed_index", "The last committed raft index.",
        read_committed_index, server);
}

/* Shared by all servers of a process, of which tests have many. */
static double fsync_buckets[14];
static double commit_buckets[14];
static double apply_buckets[20];
static double pause_buckets[13];
static double compact_buckets[14];

static void fill_buckets(void)
{
    metric_buckets_exponential(0.001, 2, 14, fsync_buckets);
    metric_buckets_exponential(0.001, 2, 14, commit_buckets);
    metric_buckets_exponential(0.0001, 2, 20, apply_buckets);
    metric_buckets_exponential(1, 2, 13, pause_buckets);
    metric_buckets_exponential(100, 2, 14, compact_buckets);
}

static void init_compaction(struct server *server)
{
    server->metrics.compact_pause =
        metric_histogram("etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
            "Bucketed histogram of db compaction pause duration.", pause_buckets, 13, NULL);
    server->metrics.compact_total =
        metric_histogram("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
            "Bucketed histogram of db compaction total duration.", compact_buckets, 14, NULL);
    server->metrics.compact_last = metric_gauge("etcd_debugging_mvcc_db_compaction_last",
        "The unix time of the last db compaction. Resets to 0 on start.", NULL);
    metric_counter_fn("etcd_debugging_mvcc_db_compaction_keys_total",
        "Total number of db keys compacted.", read_compacted, server);
}

static void init_late(struct server *server)
{
    server->metrics.slow_reads = metric_counter("etcd_server_slow_read_indexes_total",
        "The total number of pending read indexes not in sync with leader's or timed out read "
        "index requests.",
        NULL);
    server->metrics.installing = metric_gauge("etcd_server_snapshot_apply_in_progress_total",
        "1 if the server is applying the incoming snapshot. 0 if none.", NULL);
    server->metrics.late_heartbeats = metric_counter("etcd_server_heartbeat_send_failures_total",
        "The total number of leader heartbeat send failures (likely overloaded from slow disk).",
        NULL);
}

static void init_apply(struct server *server)
{
    static const char *const labels[] = {"version", "op", "success", NULL};
    server->metrics.apply_seconds = metric_histogram("etcd_server_apply_duration_seconds",
        "The latency distributions of v2 apply called by backend.", apply_buckets, 20, labels);
}

void server_metrics_init(struct server *server)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_buckets);
    init_gauges(server);
    server->metrics.proposals_failed = metric_counter(
        "etcd_server_proposals_failed_total", "The total number of failed proposals seen.", NULL);
    server->metrics.proposals_committed = metric_gauge("etcd_server_proposals_committed_total",
        "The total number of consensus proposals committed.", NULL);
    server->metrics.proposals_applied = metric_gauge("etcd_server_proposals_applied_total",
        "The total number of consensus proposals applied.", NULL);
    server->metrics.leader_changes = metric_counter(
        "etcd_server_leader_changes_seen_total", "The number of leader changes seen.", NULL);
    server->metrics.slow_applies = metric_counter("etcd_server_slow_apply_total",
        "The total number of slow apply requests (likely overloaded from slow disk).", NULL);
    server->metrics.read_index_failed = metric_counter("etcd_server_read_indexes_failed_total",
        "The total number of failed read indexes seen.", NULL);
    server->metrics.lease_expired = metric_counter(
        "etcd_debugging_server_lease_expired_total", "The total number of expired leases.", NULL);
    server->metrics.wal_bytes = metric_gauge(
        "etcd_disk_wal_write_bytes_total", "Total number of bytes written in WAL.", NULL);
    init_compaction(server);
    init_late(server);
    init_apply(server);
    server->metrics.wal_write = metric_histogram("etcd_disk_wal_write_duration_seconds",
        "The latency distributions of write called by WAL.", fsync_buckets, 14, NULL);
    server->metrics.wal_fsync = metric_histogram("etcd_disk_wal_fsync_duration_seconds",
        "The latency distributions of fsync called by WAL.", fsync_buckets, 14, NULL);
    server->metrics.backend_commit = metric_histogram("etcd_disk_backend_commit_duration_seconds",
        "The latency distributions of commit called by backend.", commit_buckets, 14, NULL);
}
