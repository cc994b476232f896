/* SPDX-License-Identifier: Apache-2.0
 *
 * A health check under way, and its probes: each is one call through api as the member itself.
 */
#ifndef GATEWAY_HEALTH_H
#define GATEWAY_HEALTH_H

#include "gateway/room.h"

enum probe {
    PROBE_ALARMS,
    PROBE_CORRUPT,
    PROBE_LEADER,
    PROBE_LEARNER,
    PROBE_READ_LOCAL,
    PROBE_READ
};

struct check {
    const char *name;
    enum probe probe;
};

struct page {
    const char *path;
    const char *type;
    const char *read_prefix; /* of what is wrong with a read */
    const struct check *checks;
    size_t check_count;
};

struct run {
    struct api_call call;
    struct http_task task;
    struct http_request *request;
    struct gateway *gateway;
    struct arena *arena;
    const struct page *page;
    const struct check *only; /* a path of its own; NULL: all that are not excluded */
    size_t next;
    bool is_serializable;
    bool is_verbose;
    bool has_failed;
    struct buf excluded; /* names, each with a NUL behind */
    struct buf report;
    const char *reason; /* of /health; in the arena */
};

/* In health.c: whether the request leaves out what has this name. */
bool health_excludes(const struct run *run, const char *name);

/* In probe.c: */

/* Starts run->call, in an arena of its own; run->task is queued when it is done. */
void probe_start(struct run *run, enum probe probe);
/* What is wrong by an answer, as the page says it; in run->arena. NULL: nothing. */
const char *probe_judge(
    struct run *run, enum probe probe, struct slice packed, const struct api_status *status);

#endif
