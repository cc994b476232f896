/* SPDX-License-Identifier: Apache-2.0
 *
 * What the room counts, under etcd's names.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "apply/apply.h"
#include "base/metric.h"

/* When a member was last sent a heartbeat, and in which term; core's. */
struct heartbeat {
    uint64_t to;
    uint64_t term;
    int64_t at_ms;
};

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
    struct metric *wal_write;
    struct metric *slow_reads;
    struct metric *installing;
    struct metric *late_heartbeats;
    struct metric *compact_pause;
    struct metric *compact_total;
    struct metric *compact_last;
    int64_t compact_began_ns; /* the back thread's; 0: none is under way */
    struct heartbeat heartbeats[RAFT_MEMBERS_MAX];
    struct metric *apply_seconds;
    struct metric *applies[APPLY_OPS + 1][2]; /* of the kinds seen, failed and good */
};

#endif
