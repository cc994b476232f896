/* SPDX-License-Identifier: Apache-2.0
 *
 * A request from its head to the handler and its body; the answer is in response.c.
 */
#include "http/request.h"

struct http_request *request_new(
    struct conn *conn, struct head_reader *reader, struct head_refusal *out_refusal)
{
    struct head head;
    if (!head_parse(buf_slice(&reader->bytes), conn->server->options.header_count_max, &head,
            out_refusal)) {
        return NULL;
    }
    struct http_request *request = mem_new(sizeof(*request));
    request->server = conn->server;
    request->conn = conn;
    request->refs = 1;
    request->head = head;
    request->head_bytes = reader->bytes;
    head_reader_init(reader, conn->server->options.header_bytes_max);
    request->peer = mem_strdup(conn->peer);
    request->peer_cn = conn->peer_cn ? mem_strdup(conn->peer_cn) : NULL;
    request->is_tls = conn->site->tls != NULL;
    body_init(&request->body, head.is_chunked, head.content_length);
    atomic_fetch_add(&conn->server->request_count, 1);
    return request;
}

void request_unref(struct http_request *request)
{
    if (--request->refs > 0) {
        return;
    }
    for (size_t i = 0; i < request->field_count; i++) {
        free(request->fields[i].name);
        free(request->fields[i].value);
    }
    free(request->fields);
    head_fini(&request->head);
    buf_fini(&request->head_bytes);
    atomic_fetch_sub(&request->server->gathered_bytes, request->gathered.len);
    buf_fini(&request->gathered);
    free(request->peer);
    free(request->peer_cn);
    if (request->mode == BODY_STREAMED) {
        atomic_fetch_sub(&request->server->stream_count, 1);
    }
    if (request->home.release) {
        request->home.release(request->home.owner);
    }
    atomic_fetch_sub(&request->server->request_count, 1);
    free(request);
}

struct http_server *http_request_server(const struct http_request *request)
{
    return request->server;
}

struct slice http_method(const struct http_request *request)
{
    return request->head.method;
}

struct slice http_path(const struct http_request *request)
{
    return slice_of(request->head.path_bytes, request->head.path_len);
}

struct slice http_path_raw(const struct http_request *request)
{
    return request->head.path_raw;
}

struct slice http_query(const struct http_request *request)
{
    return request->head.query;
}

struct slice http_host(const struct http_request *request)
{
    return request->head.host;
}

struct slice http_header(const struct http_request *request, const char *name)
{
    return head_field_get(&request->head, name);
}

bool http_header_at(
    const struct http_request *request, size_t i, struct slice *out_name, struct slice *out_value)
{
    if (i >= request->head.field_count) {
        return false;
    }
    *out_name = request->head.fields[i].name;
    *out_value = request->head.fields[i].value;
    return true;
}

bool http_is_tls(const struct http_request *request)
{
    return request->is_tls;
}

const char *http_peer(const struct http_request *request)
{
    return request->peer;
}

const char *http_peer_cn(const struct http_request *request)
{
    return request->peer_cn;
}

static void ask(struct http_request *request, enum body_mode mode, void *arg)
{
    check(request->mode == BODY_UNASKED);
    request->mode = mode;
    request->arg = arg;
    if (request->conn) {
        conn_kick(request->conn);
    } else {
        request_lost(request);
    }
}

void http_body_gather(struct http_request *request, size_t bytes_max, http_body_fn *done, void *arg)
{
    request->done = done;
    buf_init(&request->gathered, bytes_max);
    ask(request, BODY_GATHERED, arg);
}

void http_on_gone(
    struct http_request *request, void (*gone)(struct http_request *request, void *arg), void *arg)
{
    request->gone = gone;
    request->arg = arg;
    if (!request->conn) {
        request_lost(request);
    }
}

void http_body_stream(struct http_request *request, const struct http_stream *stream, void *arg)
{
    request->stream = stream;
    atomic_fetch_add(&request->server->stream_count, 1);
    ask(request, BODY_STREAMED, arg);
}

void http_body_pause(struct http_request *request, bool is_paused)
{
    request->is_paused = is_paused;
    if (!is_paused && request->conn) {
        conn_kick(request->conn);
    }
}

bool request_is_too_big(const struct http_request *request)
{
    return request->mode == BODY_GATHERED && request->head.content_length > 0 &&
           (uint64_t)request->head.content_length > request->gathered.bytes_max;
}

bool request_wants_body(const struct http_request *request)
{
    return request->mode != BODY_UNASKED && !request->is_told && !request->is_paused;
}

static void tell(struct http_request *request, enum http_body_event event, struct slice bytes)
{
    request->is_told = event != HTTP_BODY_BYTES;
    if (atomic_load(&request->is_given_back)) {
        return;
    }
    bytes = bytes.data ? bytes : SLICE("");
    http_body_fn *fn = request->mode == BODY_GATHERED ? request->done : request->stream->body;
    fn(request, event, bytes, request->arg);
}

/* Each body under its own limit, and all of them under one. */
static void gather(struct http_request *request, struct slice piece)
{
    struct http_server *server = request->server;
    if (atomic_load(&server->gathered_bytes) + piece.len > server->options.gathered_bytes_max) {
        request->conn->closes = true;
        tell(request, HTTP_BODY_NO_ROOM, SLICE(""));
        return;
    }
    buf_add_slice(&request->gathered, piece);
    if (request->gathered.is_full) {
        request->conn->closes = true;
        tell(request, HTTP_BODY_TOO_BIG, SLICE(""));
        return;
    }
    atomic_fetch_add(&server->gathered_bytes, piece.len);
}

static void tell_piece(struct http_request *request, struct slice piece)
{
    if (request->mode == BODY_STREAMED) {
        tell(request, HTTP_BODY_BYTES, piece);
        return;
    }
    gather(request, piece);
}

static void tell_end(struct http_request *request)
{
    if (request->body.state == BODY_BROKEN) {
        request->conn->closes = true;
        tell(request, HTTP_BODY_BROKEN, slice_str(request->body.broken));
    } else if (body_is_done(&request->body)) {
        tell(request, HTTP_BODY_END, buf_slice(&request->gathered));
    }
}

size_t request_feed(struct http_request *request, struct slice data)
{
    struct slice piece = {0};
    if (request_is_too_big(request)) {
        request->conn->closes = true;
        tell(request, HTTP_BODY_TOO_BIG, SLICE(""));
        return 0;
    }
    size_t taken = body_take(&request->body, data, &piece);
    if (piece.len) {
        tell_piece(request, piece);
    }
    if (!request->is_told && !request->is_paused) {
        tell_end(request);
    }
    return taken;
}

static void tell_gone(struct http_request *request)
{
    void (*gone)(struct http_request * request, void *arg) = request->gone;
    request->gone = NULL;
    if (gone && !atomic_load(&request->is_given_back)) {
        gone(request, request->arg);
    }
}

void request_cut_off(struct http_request *request)
{
    if (!request->is_told) {
        request->conn->closes = true;
        tell(request, HTTP_BODY_BROKEN, SLICE("unexpected EOF"));
    } else {
        tell_gone(request);
    }
}

void request_lost(struct http_request *request)
{
    if (request->mode == BODY_GATHERED && !request->is_told) {
        tell(request, HTTP_BODY_GONE, SLICE(""));
    } else if (request->mode == BODY_GATHERED) {
        tell_gone(request);
    } else if (request->mode == BODY_STREAMED && request->stream->closed &&
               !atomic_load(&request->is_given_back)) {
        request->is_told = true;
        request->stream->closed(request, request->arg);
    }
}
