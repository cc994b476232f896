/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server's thread holds: the server, its connections, the request that each is serving.
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
    struct mailbox tasks;
    struct list conns;
    struct list fresh; /* of those, the ones that have not yet sent a whole head; oldest first */
    size_t fresh_count;
    atomic_size_t conn_count;
    atomic_size_t request_count;
};

/* HANDSHAKE -> IDLE <-> HEAD -> SERVING -> (DRAIN ->) IDLE …, or from anywhere -> CLOSING -> freed. */
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
    char *peer;
    char *peer_cn;
    bool is_fresh;
    bool is_shut; /* our side; waiting for the client's */
    bool has_ended; /* the client's side */
    bool closes;  /* after this answer */
};

enum body_mode { BODY_UNASKED, BODY_GATHERED, BODY_STREAMED };

struct field_set {
    char *name;
    char *value;
};

struct http_request {
    struct http_server *server;
    struct conn *conn; /* NULL once the connection is gone or the answer is through */
    unsigned refs;     /* the handler's, and one for each piece that waits to be sent */
    struct buf head_bytes;
    struct head head;
    char *peer;
    char *peer_cn;
    bool is_tls;
    enum body_mode mode;
    struct body body;
    struct buf gathered;
    http_body_fn *done;
    const struct http_stream *stream;
    void *arg;
    bool is_paused;
    bool is_told; /* the end of the body, whichever */
    bool has_continued;
    atomic_bool is_given_back; /* no callback starts after this */
    struct field_set *fields;
    size_t field_count;
    bool is_chunked;
    atomic_size_t pending;
};

/* Takes fd; closes it over the limits. */
void conn_open(struct http_server *server, const struct http_site *site, int fd, const char *peer);
void conn_close(struct conn *conn);
/* The answer is through; the request is no longer the connection's. */
void conn_answered(struct conn *conn);
/* Looks at the input again, soon: the handler asked for the body. */
void conn_kick(struct conn *conn);

/* Takes the reader's bytes. NULL: *out_refusal says why. */
struct http_request *request_new(struct conn *conn, struct head_reader *reader, struct head_refusal *out_refusal);
void request_unref(struct http_request *request);
/* Hands input to whoever wants the body. Returns the bytes taken. */
size_t request_feed(struct http_request *request, struct slice data);
/* No more of the body will come. */
void request_cut_off(struct http_request *request);
/* The connection is gone. */
void request_lost(struct http_request *request);
bool request_wants_body(const struct http_request *request);
/* The body is announced bigger than its limit: refused before any of it is read. */
bool request_is_too_big(const struct http_request *request);

/* Appends the head and text of an answer without a handler, as Go gives it to a request that does not parse. */
void refusal_add(struct evbuffer *out, const struct head_refusal *refusal);

#endif
