/* SPDX-License-Identifier: Apache-2.0
 *
 * How long snapshot files take, under etcd's names.
 */
#ifndef SNAP_METRICS_H
#define SNAP_METRICS_H

#include "base/metric.h"

struct snap_metrics {
    struct metric *marshalling;
    struct metric *save;
    struct metric *sync; /* of a file, and of its name */
};

/* Made by the first call. */
const struct snap_metrics *snap_metrics(void);

#endif
