/* SPDX-License-Identifier: Apache-2.0
 *
 * A request on the server's thread: its head, where its body goes, what is known of its answer.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http/body.h"
#include "http/conn.h"
#include "http/head.h"
#include "http/http.h"

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
    void (*gone)(struct http_request *request, void *arg);
    bool is_paused;
    bool is_told; /* the end of the body, whichever */
    bool has_continued;
    atomic_bool is_given_back; /* no callback starts after this */
    struct field_set *fields;
    size_t field_count;
    bool is_chunked;
    atomic_size_t pending;
    atomic_uint queued;       /* pieces of the answer on their way to the server's thread */
    struct payload_home home; /* released last */
};

/* Takes the reader's bytes. NULL: *out_refusal says why. */
struct http_request *request_new(
    struct conn *conn, struct head_reader *reader, struct head_refusal *out_refusal);
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

/* Appends the head and text of an answer without a handler, as Go gives it to a request that does
 * not parse. */
void refusal_add(struct evbuffer *out, const struct head_refusal *refusal);

#endif
