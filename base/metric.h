/* SPDX-License-Identifier: Apache-2.0
 *
 * Prometheus metrics. Created once at start (by the room that owns the thing measured), updated
 * from any thread without a lock, written by metric_expose in the text format (families sorted by
 * name, as Go's client prints them). Names, labels and buckets are etcd's wherever etcd has one.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include "base/buf.h"

struct metric;

/* label_names: NULL-terminated, or NULL for none. The strings must be static. Creating a name twice
 * gives the first. */
struct metric *metric_counter(const char *name, const char *help, const char *const *label_names);
struct metric *metric_gauge(const char *name, const char *help, const char *const *label_names);
/* bounds: upper bounds in ascending order without +Inf; static. */
struct metric *metric_histogram(const char *name, const char *help, const double *bounds,
    size_t bounds_count, const char *const *label_names);
/* A gauge or counter whose value is read when exposed. */
void metric_gauge_fn(const char *name, const char *help, double (*read)(void *arg), void *arg);
void metric_counter_fn(const char *name, const char *help, double (*read)(void *arg), void *arg);

/* The child with these label values (NULL-terminated, in the order of the names): found or made,
 * the same pointer for ever after, so hot paths look it up once. For a metric without labels pass
 * the metric itself to the update calls. */
struct metric *metric_with(struct metric *metric, const char *const *label_values);

void metric_add(struct metric *metric, double by);
void metric_inc(struct metric *metric);
void metric_set(struct metric *metric, double to);
/* Sets every child to zero: before those that hold now are set. */
void metric_zero(struct metric *metric);
void metric_observe(struct metric *metric, double value);

/* Buckets from start, each factor times the one before, as prometheus.ExponentialBuckets. */
void metric_buckets_exponential(double start, double factor, size_t count, double *out);

void metric_expose(struct buf *out);
/* Forgets all. For tests. */
void metric_reset(void);

#endif
