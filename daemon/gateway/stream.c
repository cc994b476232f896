/* SPDX-License-Identifier: Apache-2.0
 *
 * A call whose answers (and, for some, requests) are many: JSON values in the body one behind the
 * other, answers as lines
 * {"result":…}, an error as a last line {"error":…}. Requests are read while answers go out.
 *
 * As in the reference a request that does not decode ends the requests quietly where there can be
 * many, and is answered as an error where there is one.
 */
#include "gateway/decode.h"
#include "gateway/encode.h"
#include "gateway/room.h"
#include "gateway/scan.h"
#include "gateway/websocket.h"

struct stream {
    struct api_stream api;
    struct http_task task;
    struct http_request *request;
    struct gateway *gateway;
    struct scan scan;
    struct buf input; /* of the value that is being scanned */
    bool is_open;     /* api_stream_open was called */
    bool has_sent;    /* the one request of a server stream */
    bool has_closed;  /* no more requests */
    bool has_started; /* the head of the answer is out */
    bool is_dead;
    bool is_busy; /* frames are being taken: it is freed after that */
    atomic_bool is_queued;
    struct websocket *socket; /* NULL: it is none */
};

static void stream_free(struct stream *stream)
{
    buf_fini(&stream->input);
    arena_free(stream->api.arena);
}

/* After this api does not wake; a task that is queued already frees. */
static void stream_close(struct stream *stream)
{
    if (stream->is_open) {
        api_stream_close(&stream->api);
    }
    stream->is_dead = true;
    if (!stream->is_busy && !atomic_load(&stream->is_queued)) {
        stream_free(stream);
    }
}

static void start_answer(struct stream *stream, int status)
{
    if (!stream->has_started) {
        stream->has_started = true;
        http_start(stream->request, status);
    }
}

static void send_line(struct stream *stream, struct buf *line)
{
    if (stream->socket) {
        websocket_send(stream->request, line);
    } else {
        http_write(stream->request, line);
    }
}

/* {"error":{"code":3,"message":"…"}} as the last line. */
static void send_error(struct stream *stream, const struct api_status *status)
{
    struct buf line;
    struct json json;
    buf_init(&line, ERROR_BYTES_MAX);
    json_init(&json, &line, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "error");
    add_status(&json, status->code, status->text);
    json_close(&json, '}');
    buf_add_byte(&line, '\n');
    if (!stream->has_started) {
        http_set_header(stream->request, "Content-Type", "application/json");
    }
    start_answer(stream, http_status_of(status->code));
    send_line(stream, &line);
}

static void end(struct stream *stream, const struct api_status *status)
{
    if (status->code != GRPC_CODE_OK) {
        send_error(stream, status);
    }
    start_answer(stream, 200);
    http_end(stream->request);
    stream_close(stream);
}

/* {"result":…} as a line. */
static bool send_message(struct stream *stream, const struct payload *payload)
{
    struct arena *arena = arena_new(0);
    struct buf packed;
    struct buf line;
    struct json json;
    buf_init(&packed, JSON_BYTES_MAX);
    buf_init(&line, JSON_BYTES_MAX);
    for (size_t i = 0; i < payload->count; i++) {
        buf_add_slice(&packed, payload->parts[i].bytes);
    }
    json_init(&json, &line, JSON_HTML_SAFE);
    json_open(&json, '{');
    json_add_key(&json, "result");
    bool is_good =
        !err_is(encode_json(stream->api.method->response, buf_slice(&packed), arena, &json));
    json_close(&json, '}');
    buf_add_byte(&line, '\n');
    is_good = is_good && !line.is_full;
    if (is_good) {
        if (!stream->has_started) {
            set_good_headers(stream->request);
        }
        start_answer(stream, 200);
        send_line(stream, &line);
    }
    buf_fini(&line);
    buf_fini(&packed);
    arena_free(arena);
    return is_good;
}

/* Sends while there is something to send and the client takes it. The stream may be gone after. */
static void pump(struct stream *stream)
{
    while (stream->is_open && http_pending(stream->request) < HTTP_PENDING_HIGH) {
        struct payload payload;
        struct api_status status = {0};
        payload_init(&payload);
        enum api_next next = api_stream_next(&stream->api, &payload, &status);
        if (next == API_NEXT_LATER) {
            return;
        }
        bool is_good = next == API_NEXT_END || send_message(stream, &payload);
        payload_fini(&payload);
        if (!is_good) {
            status = (struct api_status){
                GRPC_CODE_INTERNAL, "gateway: the answer cannot be written as JSON"};
        }
        if (next == API_NEXT_END || !is_good) {
            end(stream, &status);
            return;
        }
    }
}

static void run_pump(struct http_task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, task);
    atomic_store(&stream->is_queued, false);
    if (stream->is_dead) {
        stream_free(stream); /* a task never runs while the stream is busy */
    } else {
        pump(stream);
    }
}

/* Any thread. */
static void on_wake(struct api_stream *api)
{
    struct stream *stream = CONTAINER_OF(api, struct stream, api);
    if (!atomic_exchange(&stream->is_queued, true)) {
        http_run(http_request_server(stream->request), &stream->task);
    }
}

static void half_close(struct stream *stream)
{
    if (!stream->has_closed) {
        stream->has_closed = true;
        api_stream_half_close(&stream->api);
    }
}

/* The only request of a server stream is wrong: the call never starts. */
static void refuse(struct stream *stream, enum grpc_code code, const char *text)
{
    struct buf line;
    if (stream->socket) {
        buf_init(&line, ERROR_BYTES_MAX);
        write_status(&line, code, text);
        websocket_send(stream->request, &line);
        http_end(stream->request);
    } else {
        respond_status(stream->request, code, text);
    }
    stream_close(stream);
}

static void open_stream(struct stream *stream)
{
    stream->is_open = true;
    api_stream_open(stream->gateway->options.api, &stream->api);
    on_wake(&stream->api); /* a refusal may be there already */
}

static void give_message(struct stream *stream, struct slice packed)
{
    if (stream->api.method->kind == API_SERVER_STREAM) {
        stream->has_sent = true;
        open_stream(stream);
        api_stream_message(&stream->api, packed);
        half_close(stream);
    } else {
        api_stream_message(&stream->api, packed);
    }
}

/* False: nothing more is to be read. */
static bool take_bad(struct stream *stream, enum grpc_code code, const char *text)
{
    if (stream->api.method->kind == API_SERVER_STREAM) {
        refuse(stream, code, text);
    } else {
        half_close(stream);
    }
    return false;
}

/* False: nothing more is to be read (the stream may be gone). */
static bool take_value(struct stream *stream)
{
    struct arena *arena = arena_new(0);
    struct buf packed;
    const char *text = NULL;
    bool goes_on = stream->api.method->kind == API_BIDI;
    buf_init(&packed, stream->gateway->options.request_bytes_max);
    struct err e =
        decode_json(stream->api.method->request, buf_slice(&stream->input), arena, &packed, &text);
    if (IS(e, TOO_BIG)) {
        goes_on = take_bad(
            stream, GRPC_CODE_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
    } else if (err_is(e)) {
        goes_on = take_bad(stream, GRPC_CODE_INVALID_ARGUMENT, text);
    } else {
        buf_reset(&stream->input);
        scan_init(&stream->scan);
        give_message(stream, buf_slice(&packed));
    }
    buf_fini(&packed);
    arena_free(arena);
    return goes_on;
}

/* Takes values out of a piece of the body. False: nothing more is to be read. */
static bool take_piece(struct stream *stream, struct slice piece)
{
    while (piece.len) {
        size_t taken = 0;
        enum scan_result result = scan_feed(&stream->scan, piece, &taken);
        if (result == SCAN_BROKEN) {
            return take_bad(stream, GRPC_CODE_INVALID_ARGUMENT, stream->scan.error);
        }
        if (stream->scan.has_begun) {
            buf_add(&stream->input, piece.data, taken);
        }
        piece = slice_of(piece.data + taken, piece.len - taken);
        if (stream->input.is_full) {
            return take_bad(
                stream, GRPC_CODE_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
        }
        if (result == SCAN_VALUE && !take_value(stream)) {
            return false;
        }
    }
    return true;
}

static bool has_all(const struct stream *stream)
{
    return stream->has_closed || stream->has_sent;
}

static void take_end(struct stream *stream, struct slice broken)
{
    enum scan_result result = scan_end(&stream->scan);
    if (broken.len) {
        take_bad(stream, GRPC_CODE_INVALID_ARGUMENT,
            arena_printf(stream->api.arena, "%.*s", (int)broken.len, broken.data));
    } else if (result == SCAN_BROKEN) {
        take_bad(stream, GRPC_CODE_INVALID_ARGUMENT, stream->scan.error);
    } else if (result == SCAN_VALUE && !take_value(stream)) {
        return;
    } else if (stream->api.method->kind == API_BIDI) {
        half_close(stream);
    } else {
        give_message(stream, (struct slice){0}); /* an empty body is a message with nothing set */
    }
}

static void on_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct stream *stream = arg;
    (void)request;
    if (has_all(stream)) {
        return;
    }
    if (event == HTTP_BODY_BYTES) {
        take_piece(stream, bytes);
    } else {
        take_end(stream, event == HTTP_BODY_BROKEN ? bytes : (struct slice){0});
    }
}

static void on_writable(struct http_request *request, void *arg)
{
    struct stream *stream = arg;
    if (stream->socket) {
        websocket_writable(stream->socket, request);
    }
    pump(stream);
}

static void on_closed(struct http_request *request, void *arg)
{
    http_abort(request);
    stream_close(arg);
}

static const struct http_stream handlers = {
    .body = on_body, .writable = on_writable, .closed = on_closed};

static struct stream *stream_new(
    struct gateway *gateway, struct http_request *request, const struct api_method *method)
{
    struct arena *arena = arena_new(0);
    struct stream *stream = arena_zalloc(arena, sizeof(*stream));
    stream->gateway = gateway;
    stream->request = request;
    stream->task.run = run_pump;
    stream->api.method = method;
    stream->api.arena = arena;
    stream->api.wake = on_wake;
    scan_init(&stream->scan);
    buf_init(&stream->input, gateway->options.request_bytes_max * 2);
    return stream;
}

void stream_start(
    struct gateway *gateway, struct http_request *request, const struct api_method *method)
{
    struct stream *stream = stream_new(gateway, request, method);
    stream->api.caller = caller_of(request, stream->api.arena);
    if (method->kind == API_BIDI) {
        open_stream(stream);
    }
    http_body_stream(request, &handlers, stream);
}

/* Messages of a WebSocket are the pieces of the body. */

static bool on_data(void *arg, struct slice bytes)
{
    struct stream *stream = arg;
    if (!has_all(stream)) {
        take_piece(stream, bytes);
    }
    return !stream->is_dead;
}

static void on_frames(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct stream *stream = arg;
    (void)event; /* such a body has no end but the connection's */
    stream->is_busy = true;
    bool goes_on = websocket_take(stream->socket, request, bytes, on_data, stream);
    stream->is_busy = false;
    if (stream->is_dead) {
        if (!atomic_load(&stream->is_queued)) {
            stream_free(stream);
        }
    } else if (!goes_on) {
        http_end(request);
        stream_close(stream);
    }
}

static const struct http_stream upgraded = {
    .body = on_frames, .writable = on_writable, .closed = on_closed};

void stream_start_upgraded(
    struct gateway *gateway, struct http_request *request, const struct api_method *method)
{
    struct stream *stream = stream_new(gateway, request, method);
    stream->api.caller = websocket_caller(request, stream->api.arena);
    stream->socket = arena_alloc(stream->api.arena, sizeof(*stream->socket));
    websocket_init(stream->socket);
    stream->has_started = true;
    if (method->kind == API_BIDI) {
        open_stream(stream);
    }
    http_body_stream(request, &upgraded, stream);
}
