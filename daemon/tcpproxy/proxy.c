/* SPDX-License-Identifier: Apache-2.0
 *
 * Connecting to remotes, and looking for those that were lost. done is never called before
 * remote_dial_start returns: what is known at once is told by the loop.
 */
#include "tcpproxy/inner.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <sys/socket.h>
#include <unistd.h>

struct dial {
    struct proxy *proxy;
    dial_fn *done;
    void *arg;
    struct evdns_getaddrinfo_request *asking;
    struct evutil_addrinfo *addresses;
    struct evutil_addrinfo *at; /* the next to try */
    struct bufferevent *trying;
    struct event *later; /* tells the end */
    char error[128];
    bool is_cancelled;
};

static void dial_free(struct dial *dial)
{
    if (dial->trying) {
        bufferevent_free(dial->trying);
    }
    if (dial->addresses) {
        evutil_freeaddrinfo(dial->addresses);
    }
    if (dial->later) {
        event_free(dial->later);
    }
    free(dial);
}

void remote_dial_cancel(struct dial *dial)
{
    dial->is_cancelled = true;
    if (dial->asking) {
        evdns_getaddrinfo_cancel(dial->asking); /* it is still called back, and freed there */
    } else {
        dial_free(dial);
    }
}

static void fail_now(evutil_socket_t fd, short what, void *arg)
{
    struct dial *dial = arg;
    (void)fd;
    (void)what;
    dial->done(dial->arg, -1, dial->error);
    dial_free(dial);
}

static void fail(struct dial *dial, const char *error)
{
    struct timeval now = {0, 0};
    snprintf(dial->error, sizeof(dial->error), "%s", error);
    dial->later = event_new(dial->proxy->base, -1, 0, fail_now, dial);
    event_add(dial->later, &now);
}

static void try_next(struct dial *dial, const char *error);

static void on_tried(struct bufferevent *side, short what, void *arg)
{
    struct dial *dial = arg;
    if (!(what & BEV_EVENT_CONNECTED)) {
        try_next(dial, strerror(errno));
        return;
    }
    int fd = dup(bufferevent_getfd(side)); /* the bufferevent closes its own */
    evutil_make_socket_closeonexec(fd);
    if (fd < 0) {
        fail(dial, strerror(errno));
        return;
    }
    dial->done(dial->arg, fd, NULL);
    dial_free(dial);
}

static void try_next(struct dial *dial, const char *error)
{
    if (dial->trying) {
        bufferevent_free(dial->trying);
        dial->trying = NULL;
    }
    while (dial->at) {
        struct evutil_addrinfo *at = dial->at;
        dial->at = at->ai_next;
        dial->trying = bufferevent_socket_new(dial->proxy->base, -1, BEV_OPT_CLOSE_ON_FREE);
        bufferevent_setcb(dial->trying, NULL, NULL, on_tried, dial);
        if (bufferevent_socket_connect(dial->trying, at->ai_addr, (int)at->ai_addrlen) == 0) {
            return;
        }
        error = strerror(errno);
        bufferevent_free(dial->trying);
        dial->trying = NULL;
    }
    fail(dial, error);
}

static void on_found(int result, struct evutil_addrinfo *addresses, void *arg)
{
    struct dial *dial = arg;
    dial->asking = NULL;
    dial->addresses = addresses;
    dial->at = addresses;
    if (dial->is_cancelled) {
        dial_free(dial);
    } else if (result) {
        fail(dial, evutil_gai_strerror(result));
    } else {
        try_next(dial, "no address");
    }
}

struct dial *remote_dial_start(
    struct proxy *proxy, const struct remote *remote, dial_fn *done, void *arg)
{
    struct dial *dial = mem_new(sizeof(*dial));
    struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    dial->proxy = proxy;
    dial->done = done;
    dial->arg = arg;
    struct evdns_getaddrinfo_request *asking =
        evdns_getaddrinfo(proxy->dns, remote->host, remote->port, &hints, on_found, dial);
    dial->asking = asking; /* NULL: on_found was called, which only leaves things to the loop */
    return dial;
}

void proxy_deactivate(struct proxy *proxy, struct remote *remote, const char *error)
{
    remote->is_inactive = true;
    LOG_WARN("deactivated endpoint", LOG_STR("address", remote->address),
        LOG_NS("interval", proxy->retry_ns), LOG_ERR(error));
}

struct probe {
    struct proxy *proxy;
    struct remote *remote;
};

static void probed(void *arg, int fd, const char *error)
{
    struct probe *probe = arg;
    struct remote *remote = probe->remote;
    remote->is_probed = false;
    if (fd < 0) {
        LOG_WARN("failed to activate endpoint (stay inactive for another interval)",
            LOG_STR("address", remote->address), LOG_NS("interval", probe->proxy->retry_ns),
            LOG_ERR(error));
    } else {
        evutil_closesocket(fd);
        remote->is_inactive = false;
        LOG_INFO("activated", LOG_STR("address", remote->address));
    }
    free(probe);
}

void proxy_probe(struct proxy *proxy)
{
    for (size_t i = 0; i < proxy->remotes_count; i++) {
        struct remote *remote = &proxy->remotes[i];
        if (remote->is_inactive && !remote->is_probed) {
            struct probe *probe = mem_new(sizeof(*probe));
            *probe = (struct probe){proxy, remote};
            remote->is_probed = true;
            (void)remote_dial_start(proxy, remote, probed, probe);
        }
    }
}
