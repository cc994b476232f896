/* SPDX-License-Identifier: Apache-2.0
 *
 * The front door: listens on the client URLs, looks at the first bytes of each connection without
 * taking them, and hands the socket to the gRPC or the HTTP/1.1 side. Speaks no protocol itself.
 *
 * Threads: one of its own, named front, on which the adopt callbacks run; they must not block.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include "base/err.h"
#include "base/url.h"

struct front;

/* Whose first bytes were seen. Lent for the call. */
struct front_peer {
    const char *address; /* "127.0.0.1:1234", "[::1]:1234"; "@" for a unix socket, as Go says it */
    bool is_tls;         /* what follows is a TLS handshake, not begun */
    void *tag;           /* the listener's */
};

/* Takes the socket: connected, non-blocking, close-on-exec, nothing read from it. */
typedef void front_adopt_fn(void *arg, int fd, const struct front_peer *peer);

enum front_serves {
    FRONT_BOTH,
    FRONT_HTTP, /* --listen-metrics-urls, --listen-client-http-urls */
    FRONT_GRPC, /* the client URLs when there are --listen-client-http-urls */
};

struct front_listener {
    const struct url *url; /* http, https, unix, unixs; its scheme says plain or TLS */
    enum front_serves serves;
    void *tag;
};

struct front_options {
    const struct front_listener *listeners;
    size_t listeners_count;
    front_adopt_fn *adopt_grpc;
    front_adopt_fn *adopt_http;
    void *arg;            /* for both */
    bool reuse_port;      /* --socket-reuse-port */
    int64_t sniff_ms;     /* a connection that did not say what it is by then is closed; 0: 10 s */
    size_t half_open_max; /* that have not said it yet: the oldest gives way; 0: 1024 */
    const char *name;     /* whose connections, in the log: "client", "peer"; borrowed for life */
    /* Peers and health checks: they have descriptors left when the clients have used up theirs. */
    bool is_vital;
    /* A connection is refused when its descriptor would have this number or a higher one, so that
     * the disk always finds one; 0: RLIMIT_NOFILE less a sixteenth, 64 at least, where is_vital,
     * else less an eighth, but 150 at least (as etcd keeps; of a low limit, half). */
    int fd_max;
};

/* Binds and listens; nobody is accepted yet. Borrows options for the call, but the tags and arg for
 * life. Errors: BAD_CONFIG, and IO with Go's text ("listen tcp 127.0.0.1:2379: bind: address
 * already in use"). */
MUST struct err front_open(
    const struct front_options *options, struct front **out_front, struct why *why);
/* Begins to accept. */
void front_start(struct front *front);
/* Stops listening, closes what was not handed over yet, removes unix sockets; from then on nothing
 * is adopted. */
void front_stop(struct front *front);
/* Stops first. NULL is fine. */
void front_close(struct front *front);

/* Where listener i is bound: "127.0.0.1:2379", or the path. Lent for the front's life. */
const char *front_address(const struct front *front, size_t i);
/* Connections that have not said yet what they are. Any thread. */
size_t front_half_open(const struct front *front);

#endif
