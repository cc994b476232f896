/* SPDX-License-Identifier: Apache-2.0
 *
 * What the room counts, under etcd's names.
 */
#ifndef LEASE_METRICS_H
#define LEASE_METRICS_H

#include "base/metric.h"

struct lease_metrics {
    struct metric *granted;
    struct metric *revoked;
    struct metric *renewed;
    struct metric *ttls;
};

void lease_metrics_init(struct lease_metrics *metrics);

#endif
