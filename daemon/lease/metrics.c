/* SPDX-License-Identifier: Apache-2.0 */
#include "lease/metrics.h"

#include <pthread.h>

enum { TTL_BUCKETS = 24 }; /* a second to three months */

static double ttl_bounds[TTL_BUCKETS];

static void fill_bounds(void)
{
    metric_buckets_exponential(1, 2, TTL_BUCKETS, ttl_bounds);
}

void lease_metrics_init(struct lease_metrics *metrics)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_bounds);
    metrics->granted = metric_counter(
        "etcd_debugging_lease_granted_total", "The total number of granted leases.", NULL);
    metrics->revoked = metric_counter(
        "etcd_debugging_lease_revoked_total", "The total number of revoked leases.", NULL);
    metrics->renewed = metric_counter("etcd_debugging_lease_renewed_total",
        "The number of renewed leases seen by the leader.", NULL);
    metrics->ttls = metric_histogram("etcd_debugging_lease_ttl_total",
        "Bucketed histogram of lease TTLs.", ttl_bounds, TTL_BUCKETS, NULL);
}
