/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/count.h"

#include "base/metric.h"

#include <pthread.h>

static struct {
    struct metric *ranges;
    struct metric *puts;
    struct metric *deletes;
    struct metric *txns;
    struct metric *put_bytes;
} counts;

static void make(void)
{
    counts.ranges = metric_counter(
        "etcd_mvcc_range_total", "Total number of ranges seen by this member.", NULL);
    counts.puts =
        metric_counter("etcd_mvcc_put_total", "Total number of puts seen by this member.", NULL);
    counts.deletes = metric_counter(
        "etcd_mvcc_delete_total", "Total number of deletes seen by this member.", NULL);
    counts.txns =
        metric_counter("etcd_mvcc_txn_total", "Total number of txns seen by this member.", NULL);
    counts.put_bytes = metric_gauge("etcd_debugging_mvcc_total_put_size_in_bytes",
        "The total size of put kv pairs seen by this member.", NULL);
}

void count_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make);
}

static void add(struct metric *metric, unsigned count)
{
    if (count) {
        metric_add(metric, count);
    }
}

/* As the reference: more than one operation is a transaction. */
void count_view(const struct view *view)
{
    count_init();
    add(counts.ranges, view->ranges);
    add(counts.puts, view->puts);
    add(counts.deletes, view->deletes);
    add(counts.txns, view->ranges + view->puts + view->deletes > 1);
    if (view->put_bytes) {
        metric_add(counts.put_bytes, (double)view->put_bytes);
    }
}
