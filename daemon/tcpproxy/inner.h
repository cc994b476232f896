/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the proxy share.
 */
#ifndef TCPPROXY_INNER_H
#define TCPPROXY_INNER_H

#include "base/err.h"
#include "base/list.h"
#include "base/text.h"
#include "tcpproxy/tcpproxy.h"

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

struct evdns_base;
struct evutil_addrinfo;

struct remote {
    const char *host;
    const char *port;
    const char *address; /* host:port, as it was given */
    uint16_t priority;   /* of its SRV record, or 0 */
    uint16_t weight;
    bool is_inactive;
    bool is_probed;
};

struct proxy {
    struct event_base *base;
    struct evdns_base *dns;
    struct remote *remotes;
    size_t remotes_count;
    size_t picked; /* how many were looked at, for turns */
    int64_t retry_ns;
    struct list links;
};

/* The next that is active, by priority, weight and in turns; NULL: none is. */
struct remote *pick_remote(struct proxy *proxy);
/* proxy.c: leaves the remote out until it is found again. */
void proxy_deactivate(struct proxy *proxy, struct remote *remote, const char *error);
/* Asks the inactive ones whether they are there. */
void proxy_probe(struct proxy *proxy);
/* Carries bytes between the accepted socket, which it takes, and a remote. */
void link_start(struct proxy *proxy, int fd);
void links_close(struct proxy *proxy);

/* Looks the remote up and connects: done is called once, perhaps at once, with a connected socket,
 * or -1 and why not. */
typedef void dial_fn(void *arg, int fd, const char *error);
struct dial;
struct dial *remote_dial_start(
    struct proxy *proxy, const struct remote *remote, dial_fn *done, void *arg);
/* done is not called any more. */
void remote_dial_cancel(struct dial *dial);

#endif
