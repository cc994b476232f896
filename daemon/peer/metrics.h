/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd's metrics of the network between members.
 */
#ifndef PEER_METRICS_H
#define PEER_METRICS_H

#include "base/metric.h"

struct metrics {
    struct metric *active;
    struct metric *disconnected;
    struct metric *known;
    struct metric *sent_bytes;
    struct metric *received_bytes;
    struct metric *sent_failures;
    struct metric *received_failures;
    struct metric *round_trip;
    struct metric *snapshot_send;
    struct metric *snapshot_send_inflights;
    struct metric *snapshot_send_failures;
    struct metric *snapshot_send_seconds;
    struct metric *snapshot_receive;
    struct metric *snapshot_receive_inflights;
    struct metric *snapshot_receive_failures;
    struct metric *snapshot_receive_seconds;
    struct metric *database_save_seconds;
    struct metric *database_sync_seconds;
};

/* Those of one remote, looked up once. */
struct remote_metrics {
    struct metric *active;
    struct metric *disconnected;
    struct metric *known;
    struct metric *sent_bytes;
    struct metric *received_bytes;
    struct metric *sent_failures;
    struct metric *received_failures;
    struct metric *round_trip;
};

void metrics_init(struct metrics *metrics);
/* self, remote: ids in hex. */
void remote_metrics_init(struct remote_metrics *remote_metrics, const struct metrics *metrics,
    const char *self, const char *remote);
/* The child of a metric with one label. */
struct metric *metrics_of(struct metric *metric, const char *label);

#endif
