/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1, server side (the client's is in http/client.h): connections that others accepted, plain
 * or TLS, on one thread of its own (libevent). Every limit is held before memory is taken. Requests
 * of one connection are served one after the other.
 *
 * A request belongs to the handler from `serve` until http_respond, http_end or http_abort, each of
 * which gives it back. No callback starts after that. Callbacks run on the server's thread;
 * functions may be called from any thread unless they say "server's thread", but for one request
 * from one thread at a time.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/payload.h"
#include "http/client.h"

#include <openssl/ssl.h>

struct http_server;
struct http_request;

/* 0: the default that stands beside it. */
struct http_options {
    int64_t handshake_ms;   /* 10 s for the TLS handshake */
    int64_t header_ms;      /* 30 s from the first byte of a request to the end of its headers */
    int64_t idle_ms;        /* 300 s between requests */
    int64_t body_ms;        /* 60 s between two pieces of a body that is gathered */
    int64_t write_ms;       /* 120 s without the client taking anything of what waits for it */
    size_t connections_max; /* 4096 */
    size_t handshakes_max;  /* 512 that have not yet sent a whole request head for the first time */
    size_t header_bytes_max;   /* 1 MiB + 4096, as Go */
    size_t header_count_max;   /* 1000 */
    size_t gathered_bytes_max; /* 256 MiB of gathered bodies, of all connections together */
    const char *thread_name;   /* "http" */
};

/* A connection that was turned away before it could ask for anything. Lent for the call. */
struct http_refused {
    const char *peer;        /* as http_adopt had it */
    const char *server_name; /* that it asked for; "" */
    struct err err;          /* CLOSED: it hung up within its own handshake */
    const char *why;
};

/* What stands behind a listener. The caller's; outlives the server. */
struct http_site {
    SSL_CTX *(*tls)(void *arg); /* NULL: plain. Gives a reference for one handshake; NULL from it:
                                   refuse. Server's thread */
    /* After the handshake, whether the verified peer may come in. NULL: every one may. Server's
     * thread. */
    struct err (*admit)(SSL *ssl, void *arg, struct why *why);
    /* Then, where names may have to be looked up for it: on a thread of its own, within the
     * handshake's time. NULL: nothing more to ask. ip: where it comes from; "" on a unix socket. */
    struct err (*vouch)(X509 *cert, const char *ip, void *arg, struct why *why);
    /* Every one that fails its handshake, admit or vouch, or finds no room. NULL: nobody wants to
     * know. However many; server's thread. */
    void (*refused)(const struct http_refused *refused, void *arg);
    void *tls_arg; /* for all four */
    /* The head of a request is there. Must respond, or ask for the body by http_body_gather or
     * http_body_stream, or keep the request and respond later (a body not asked for is not read).
     */
    void (*serve)(struct http_request *request, void *arg);
    void *arg;
    /* Health checks: an eighth more than connections_max for these, so that other sites' clients do
     * not shut them out. */
    bool is_vital;
};

struct http_server *http_server_new(const struct http_options *options);
/* Starts the thread. Errors: INTERNAL. */
MUST struct err http_server_start(struct http_server *server, struct why *why);
/* Waits until every request that is no stream was answered, at most drain_ms; connections that wait
 * for a request are closed, others after their answer. */
void http_server_drain(struct http_server *server, int64_t drain_ms);
/* Breaks every connection (each stream's `closed` is called), waits for the thread. Handlers may
 * still give requests back until http_server_free. */
void http_server_stop(struct http_server *server);
/* All requests must have been given back. NULL is fine. */
void http_server_free(struct http_server *server);
/* Takes a connected socket. What is over the limits is closed. Any thread. peer: "127.0.0.1:1234";
 * copied. */
void http_adopt(struct http_server *server, const struct http_site *site, int fd, const char *peer);
/* The loop that the server's thread runs, for clients and timers of the same thread. After
 * http_server_stop nothing runs on it any more. */
struct event_base *http_server_base(struct http_server *server);
/* Connections now open. */
size_t http_connections(const struct http_server *server);

/* Runs task->run(task) on the server's thread, in the order of the calls. After http_server_stop it
 * runs at once, or behind another thread's on that thread. */
struct http_task {
    struct list node;
    void (*run)(struct http_task *task);
};
void http_run(struct http_server *server, struct http_task *task);

/* The request: lent until it is given back. */

struct http_server *http_request_server(const struct http_request *request);
struct slice http_method(const struct http_request *request);
/* Decoded ("%2F" is "/"); starts with '/'. "*" for OPTIONS *. */
struct slice http_path(const struct http_request *request);
/* As it came: with its escapes, without the query. */
struct slice http_path_raw(const struct http_request *request);
/* Behind the '?', not decoded. */
struct slice http_query(const struct http_request *request);
/* The Host header, or the authority of an absolute target. */
struct slice http_host(const struct http_request *request);
/* The first header of that name (case does not matter); {NULL, 0} when there is none. */
struct slice http_header(const struct http_request *request, const char *name);
/* Walks all headers. False past the last. */
bool http_header_at(
    const struct http_request *request, size_t i, struct slice *out_name, struct slice *out_value);
/* Walks a header's "a, b": the next part without the blanks around it. False at the end. */
bool http_list_next(struct slice *rest, char separator, struct slice *out_part);
/* Whether one of the parts between commas is that token; case does not matter. */
bool http_list_has(struct slice list, const char *token);
bool http_is_tls(const struct http_request *request);
const char *http_peer(const struct http_request *request);
/* Common name of the client's verified certificate; NULL: none. */
const char *http_peer_cn(const struct http_request *request);

/* Walks "a=b&c" : decoded into buf, from *cursor (start with 0). False at the end. Pairs that do
 * not decode are skipped. */
bool http_query_next(struct slice query, size_t *cursor, struct buf *buf, struct slice *out_name,
    struct slice *out_value);

/* Its body; server's thread. */

enum http_body_event {
    HTTP_BODY_BYTES,   /* streamed: a piece */
    HTTP_BODY_END,     /* streamed: that was all; gathered: bytes is all of it */
    HTTP_BODY_BROKEN,  /* bad framing: bytes says what; answer 400 */
    HTTP_BODY_TOO_BIG, /* gathered: answer 413 */
    HTTP_BODY_NO_ROOM, /* gathered: it and all others together are too big; answer 429 or 503 */
    HTTP_BODY_GONE,    /* gathered: the client went away; give the request back */
};

/* Bytes are lent for the call; never NULL when there are none. */
typedef void http_body_fn(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg);

/* Gathers the whole body, then calls done once. */
void http_body_gather(
    struct http_request *request, size_t bytes_max, http_body_fn *done, void *arg);

/* Once its body was gathered: gone is called, once, if the client goes away before the answer. The
 * request must still be given back. */
void http_on_gone(
    struct http_request *request, void (*gone)(struct http_request *request, void *arg), void *arg);

struct http_stream {
    http_body_fn *body; /* pieces as they come, then END or BROKEN */
    /* What waits to be sent fell under HTTP_PENDING_LOW. May be NULL. */
    void (*writable)(struct http_request *request, void *arg);
    /* The client went away; nothing else will be called. The request must still be given back, here
     * or later. */
    void (*closed)(struct http_request *request, void *arg);
};

enum { HTTP_PENDING_LOW = 64 << 10, HTTP_PENDING_HIGH = 1 << 20 };

void http_body_stream(struct http_request *request, const struct http_stream *stream, void *arg);
/* Stops and restarts the pieces, so that a slow taker bounds memory. Server's thread. */
void http_body_pause(struct http_request *request, bool is_paused);

/* The answer. */

/* Before http_respond or http_start. Copied. Names go out as given, in the order Go has: sorted,
 * then Date and the rest. */
void http_set_header(struct http_request *request, const char *name, const char *value);
/* The whole answer. Copies the body. Gives the request back. */
void http_respond(struct http_request *request, int status, struct slice body);
/* http_respond with Go's http.Error shape: text/plain, nosniff, and a line feed behind text. */
void http_respond_error(struct http_request *request, int status, const char *text);

/* An answer in pieces. */
void http_start(struct http_request *request, int status);
/* Takes the buffer's memory; it is empty after. Write while http_pending is under
 * HTTP_PENDING_HIGH, then wait for `writable`. */
void http_write(struct http_request *request, struct buf *bytes);
/* Instead of http_start: the connection becomes one for bytes both ways. head goes out as it is
 * (taken, as by http_write); then http_body_stream, and what comes until the client closes is the
 * body; what is written goes out as it is, and http_end closes. Server's thread. */
void http_upgrade(struct http_request *request, struct buf *head);
size_t http_pending(const struct http_request *request);
/* Released, on any thread, once all that was written is sent or the connection has gone. Takes the
 * home; before what gives the request back, once a request. */
void http_keep(struct http_request *request, struct payload_home home);
/* Ends it; gives the request back. */
void http_end(struct http_request *request);
/* Breaks the connection (an answer that cannot be finished); gives the request back. */
void http_abort(struct http_request *request);

/* "Not Found". */
const char *http_status_text(int status);

#endif
