/* SPDX-License-Identifier: Apache-2.0
 *
 * What the room counts, under etcd's names. Any thread.
 */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "base/err.h"
#include "base/metric.h"

struct api;
struct api_caller;

struct api_metrics {
    struct metric *events;
    struct metric *ranges[2]; /* failed, good */
    struct metric *requests;
    struct metric *defrag_seconds;
    struct metric *defrag_inflight;
    struct metric *snapshot_seconds;
    struct metric *hash_seconds;
    struct metric *hash_rev_seconds;
    struct metric *promoted;
    struct metric *promote_failed;
    struct metric *cluster_version;
    _Atomic(struct metric *) version_now; /* its child that was set last */
    struct metric *alarms;
};

void api_metrics_init(struct api *api);
/* A call or stream of a client, by what it says of its version. Errors:
 * INVALID_CLIENT_API_VERSION (that is no text). */
MUST struct err api_count_request(
    struct api *api, const char *kind, const struct api_caller *caller);
/* Seconds since. */
void api_observe_since(struct metric *histogram, int64_t began_ns);

#endif
