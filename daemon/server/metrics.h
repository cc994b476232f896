/* SPDX-License-Identifier: Apache-2.0
 *
 * What the room counts, under etcd's names.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "base/metric.h"

struct server_metrics {
    struct metric *proposals_failed;
    struct metric *proposals_committed;
    struct metric *proposals_applied;
    struct metric *leader_changes;
    struct metric *slow_applies;
    struct metric *read_index_failed;
    struct metric *wal_fsync;
    struct metric *wal_bytes;
    struct metric *backend_commit;
    struct metric *lease_expired;
};

#endif
