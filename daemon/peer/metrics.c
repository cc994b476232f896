/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/metrics.h"

#include <pthread.h>
#include <stddef.h>

enum { SNAPSHOT_BOUNDS = 10, RTT_BUCKETS = 16, SYNC_BUCKETS = 14 };

static double snapshot_bounds[SNAPSHOT_BOUNDS];
static double rtt_bounds[RTT_BUCKETS];
static double sync_bounds[SYNC_BUCKETS];
static const char *const to[] = {"To", NULL};
static const char *const from[] = {"From", NULL};
static const char *const both[] = {"Local", "Remote", NULL};

static void make_bounds(void)
{
    metric_buckets_exponential(0.1, 2, SNAPSHOT_BOUNDS, snapshot_bounds);
    metric_buckets_exponential(0.0001, 2, RTT_BUCKETS, rtt_bounds);
    metric_buckets_exponential(0.001, 2, SYNC_BUCKETS, sync_bounds);
}

static void init_databases(struct metrics *metrics)
{
    metrics->database_save_seconds = metric_histogram("etcd_snap_db_save_total_duration_seconds",
        "The total latency distributions of v3 snapshot save", snapshot_bounds, SNAPSHOT_BOUNDS,
        NULL);
    metrics->database_sync_seconds = metric_histogram("etcd_snap_db_fsync_duration_seconds",
        "The latency distributions of fsyncing .snap.db file", sync_bounds, SYNC_BUCKETS, NULL);
}

static void init_snapshots(struct metrics *metrics)
{
    init_databases(metrics);
    metrics->snapshot_send = metric_counter(
        "etcd_network_snapshot_send_success", "Total number of successful snapshot sends", to);
    metrics->snapshot_send_inflights = metric_gauge("etcd_network_snapshot_send_inflights_total",
        "Total number of inflight snapshot sends", to);
    metrics->snapshot_send_failures = metric_counter(
        "etcd_network_snapshot_send_failures", "Total number of snapshot send failures", to);
    metrics->snapshot_send_seconds = metric_histogram(
        "etcd_network_snapshot_send_total_duration_seconds",
        "Total latency distributions of v3 snapshot sends", snapshot_bounds, SNAPSHOT_BOUNDS, to);
    metrics->snapshot_receive = metric_counter("etcd_network_snapshot_receive_success",
        "Total number of successful snapshot receives", from);
    metrics->snapshot_receive_inflights =
        metric_gauge("etcd_network_snapshot_receive_inflights_total",
            "Total number of inflight snapshot receives", from);
    metrics->snapshot_receive_failures = metric_counter("etcd_network_snapshot_receive_failures",
        "Total number of snapshot receive failures", from);
    metrics->snapshot_receive_seconds =
        metric_histogram("etcd_network_snapshot_receive_total_duration_seconds",
            "Total latency distributions of v3 snapshot receives", snapshot_bounds, SNAPSHOT_BOUNDS,
            from);
}

void metrics_init(struct metrics *metrics)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bounds);
    metrics->active = metric_gauge(
        "etcd_network_active_peers", "The current number of active peer connections.", both);
    metrics->disconnected = metric_counter(
        "etcd_network_disconnected_peers_total", "The total number of disconnected peers.", both);
    metrics->known =
        metric_gauge("etcd_network_known_peers", "The current number of known peers.", both);
    metrics->sent_bytes = metric_counter(
        "etcd_network_peer_sent_bytes_total", "The total number of bytes sent to peers.", to);
    metrics->received_bytes = metric_counter("etcd_network_peer_received_bytes_total",
        "The total number of bytes received from peers.", from);
    metrics->sent_failures = metric_counter("etcd_network_peer_sent_failures_total",
        "The total number of send failures from peers.", to);
    metrics->received_failures = metric_counter("etcd_network_peer_received_failures_total",
        "The total number of receive failures from peers.", from);
    metrics->round_trip = metric_histogram("etcd_network_peer_round_trip_time_seconds",
        "Round-Trip-Time histogram between peers", rtt_bounds, RTT_BUCKETS, to);
    init_snapshots(metrics);
}

struct metric *metrics_of(struct metric *metric, const char *label)
{
    return metric_with(metric, (const char *const[]){label, NULL});
}

void remote_metrics_init(struct remote_metrics *remote_metrics, const struct metrics *metrics,
    const char *self, const char *remote)
{
    const char *const pair[] = {self, remote, NULL};
    remote_metrics->active = metric_with(metrics->active, pair);
    remote_metrics->disconnected = metric_with(metrics->disconnected, pair);
    remote_metrics->known = metric_with(metrics->known, pair);
    remote_metrics->sent_bytes = metrics_of(metrics->sent_bytes, remote);
    remote_metrics->received_bytes = metrics_of(metrics->received_bytes, remote);
    remote_metrics->sent_failures = metrics_of(metrics->sent_failures, remote);
    remote_metrics->received_failures = metrics_of(metrics->received_failures, remote);
    remote_metrics->round_trip = metrics_of(metrics->round_trip, remote);
}
