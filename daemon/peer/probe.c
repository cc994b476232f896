/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/probe.h"

#include "base/clock.h"
#include "base/log.h"
#include "peer/inner.h"
#include "peer/remote.h"

#include <event2/event.h>

enum {
    EVERY_MS = 4000,
    TIMEOUT_MS = 4000,
    TELL_HEALTHY_MS = 30000,
    TELL_SICK_MS = 5000,
    ANSWER_MAX = 4096,
};

static void tell(struct probe *probe, const char *why)
{
    struct remote *remote = probe->remote;
    int64_t now = clock_mono_ms();
    if (now - probe->told_ms < (probe->is_healthy ? TELL_HEALTHY_MS : TELL_SICK_MS)) {
        return;
    }
    probe->told_ms = now;
    if (!probe->is_healthy) {
        LOG_WARN("prober detected unhealthy status", LOG_STR("remote-peer-id", remote->id_text),
            LOG_NS("rtt", probe->smoothed_ns), LOG_ERR(why));
    }
    metric_observe(remote->metrics.round_trip, (double)probe->smoothed_ns / 1e9);
}

static void on_done(void *arg, const struct http_answer *answer)
{
    struct probe *probe = arg;
    int64_t rtt_ns = clock_mono_ns() - probe->start_ns;
    bool is_good = !err_is(answer->err) && answer->status == 200;
    probe->is_busy = false;
    if (is_good) {
        probe->smoothed_ns =
            probe->smoothed_ns ? probe->smoothed_ns + (rtt_ns - probe->smoothed_ns) / 8 : rtt_ns;
    }
    if (is_good != probe->is_healthy) {
        probe->is_healthy = is_good;
        probe->told_ms = clock_mono_ms() - TELL_HEALTHY_MS;
    }
    tell(probe, err_is(answer->err) ? answer->why : http_status_text(answer->status));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct probe *probe = arg;
    (void)fd;
    (void)what;
    if (probe->is_busy) {
        return;
    }
    probe->is_busy = true;
    probe->start_ns = clock_mono_ns();
    probe->target = remote_target(probe->remote);
    struct http_call call = {
        .target = probe->target,
        .method = "GET",
        .path = "/raft/probing",
        .answer_max = ANSWER_MAX,
        .timeout_ms = TIMEOUT_MS,
        .done = on_done,
        .arg = probe,
    };
    http_client_call(probe->client, &call);
}

void probe_init(struct probe *probe, struct remote *remote)
{
    const struct peer_options *options = &remote->peer->options;
    struct timeval every = {EVERY_MS / 1000, 0};
    *probe = (struct probe){.remote = remote, .is_healthy = true, .told_ms = clock_mono_ms()};
    probe->client = http_client_new(remote->peer->base, &options->dialing);
    probe->timer = event_new(remote->peer->base, -1, EV_PERSIST, on_timer, probe);
    check(probe->timer && event_add(probe->timer, &every) == 0);
}

void probe_fini(struct probe *probe)
{
    if (probe->client) {
        http_client_free(probe->client);
        event_free(probe->timer);
    }
}
