/* SPDX-License-Identifier: Apache-2.0
 *
 * A question every four seconds that only asks how far away the remote is. Peer thread.
 */
#ifndef PEER_PROBE_H
#define PEER_PROBE_H

#include "http/http.h"

struct event;
struct remote;

struct probe {
    struct remote *remote;
    struct http_client *client;
    struct event *timer;
    int64_t start_ns;
    int64_t smoothed_ns; /* 0: none yet */
    int64_t told_ms;     /* when the metric was last told */
    bool is_busy;
    bool is_healthy;
    struct http_target target;
};

void probe_init(struct probe *probe, struct remote *remote);
void probe_fini(struct probe *probe);

#endif
