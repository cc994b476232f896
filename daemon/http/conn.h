/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server's thread holds: the server and its connections.
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include "base/mailbox.h"
#include "http/body.h"
#include "http/head.h"
#include "http/http.h"

#include <event2/bufferevent.h>
#include <event2/event.h>

struct http_server {
    struct http_options options;
    struct event_base *base;
    struct event *wake;
    int wake_fd;
    pthread_t thread;
    bool is_started;
    bool is_stopping; /* server's thread */
    bool is_draining; /* server's thread */
    struct mailbox tasks;
    atomic_bool is_woken; /* and has not yet taken the tasks */
    pthread_mutex_t late_mutex;
    struct list late;  /* tasks that came after those */
    bool is_late_busy; /* somebody runs them */
    struct list conns;
    struct list fresh; /* of those, the ones that have not yet sent a whole head; oldest first */
    size_t fresh_count;
    atomic_size_t conn_count;
    atomic_size_t vouch_count; /* threads that ask a site */
    atomic_size_t request_count;
    atomic_size_t stream_count; /* of those */
    atomic_size_t gathered_bytes;
};

/* HANDSHAKE -> IDLE <-> HEAD -> SERVING -> (DRAIN ->) IDLE …, or from anywhere -> CLOSING. */
enum conn_state { CONN_HANDSHAKE, CONN_IDLE, CONN_HEAD, CONN_SERVING, CONN_DRAIN, CONN_CLOSING };

struct conn {
    struct list node;
    struct list fresh_node;
    struct http_server *server;
    const struct http_site *site;
    struct bufferevent *bev;
    struct event *timer;
    enum conn_state state;
    struct head_reader reader;
    struct http_request *request;
    struct body drained; /* the rest of a body nobody wanted */
    size_t drain_left;
    struct vouch *vouch; /* under way */
    char *peer;
    char *peer_cn;
    bool is_fresh;
    bool is_shut;   /* our side; waiting for the client's */
    bool has_ended; /* the client's side */
    bool closes;    /* after this answer */
    bool is_direct; /* nothing waits to be sent; the loop is not asked to look when it could be */
    bool is_deaf;   /* as much input waits as may, and its handler does not want it yet */
    bool is_held_back; /* a request is there that begins once the client has read more */
};

/* Whether this is the server's thread. */
bool server_is_here(const struct http_server *server);
/* Takes fd; closes it over the limits. */
void conn_open(struct http_server *server, const struct http_site *site, int fd, const char *peer);
void conn_close(struct conn *conn);
/* No more requests on this one: closes it now, or after the answer it owes. */
void conn_drain(struct conn *conn);
/* The answer is through; the request is no longer the connection's. */
void conn_answered(struct conn *conn);
/* Where output goes that the loop sends when the socket takes it. */
struct evbuffer *conn_output(struct conn *conn);
/* Output that is tried on the socket at once: two turns of the kernel's event table less for each
 * piece of a stream. TLS goes by the loop. */
struct evbuffer *conn_write_begin(struct conn *conn);
void conn_write_end(struct conn *conn);
/* Looks at the input again, soon: the handler asked for the body. */
void conn_kick(struct conn *conn);
/* A whole head came: no longer one of those that make room for others. */
void conn_no_longer_fresh(struct conn *conn);
/* Waits for the next request. */
void conn_begin_idle(struct conn *conn);
/* Ends once what waits is sent. */
void conn_begin_closing(struct conn *conn);
/* Of the state it is in. */
void conn_set_deadline(struct conn *conn, int64_t ms);

#endif
