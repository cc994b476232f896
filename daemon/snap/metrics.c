/* SPDX-License-Identifier: Apache-2.0 */
#include "snap/metrics.h"

#include "snap/snap.h"

#include <pthread.h>

enum { BUCKETS = 14 };

static double bounds[BUCKETS];
static struct snap_metrics metrics;

static void make(void)
{
    metric_buckets_exponential(0.001, 2, BUCKETS, bounds);
    metrics.marshalling = metric_histogram("etcd_debugging_snap_save_marshalling_duration_seconds",
        "The marshalling cost distributions of save called by snapshot.", bounds, BUCKETS, NULL);
    metrics.save = metric_histogram("etcd_debugging_snap_save_total_duration_seconds",
        "The total latency distributions of save called by snapshot.", bounds, BUCKETS, NULL);
    metrics.sync = metric_histogram("etcd_snap_fsync_duration_seconds",
        "The latency distributions of fsync called by snap.", bounds, BUCKETS, NULL);
}

const struct snap_metrics *snap_metrics(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make);
    return &metrics;
}

void snap_metrics_init(void)
{
    (void)snap_metrics();
}
