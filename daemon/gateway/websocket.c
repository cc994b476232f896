/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway over a WebSocket, for browsers, as the reference's proxy has it: each message of the
 * client is a piece of the body with a line feed behind it, each line of the answer is a text
 * message; the method is always POST. A token comes as the second subprotocol ("Bearer, TOKEN") or
 * as the cookie "token"; no other header is passed on.
 */
#include "gateway/websocket.h"

#include "gateway/decode.h"
#include "gateway/room.h"
#include "gateway/scan.h"

#include "base/base64.h"
#include "base/utf8.h"

#include <openssl/sha.h>

enum { KEY_BYTES = 16, KEY_LEN = 24, CODE_LEN = 2, CODE_NONE = 1005, PONG_PENDING_MAX = 1024 };

/* The upgrade. */

bool websocket_wants(const struct http_request *request)
{
    return http_list_has(http_header(request, "Connection"), "upgrade") &&
           http_list_has(http_header(request, "Upgrade"), "websocket");
}

static bool is_key(struct slice key)
{
    struct buf bytes;
    buf_init(&bytes, KEY_LEN);
    bool is_good = key.len == KEY_LEN && base64_take(key, &bytes) && bytes.len == KEY_BYTES;
    buf_fini(&bytes);
    return is_good;
}

int websocket_refusal(const struct http_request *request)
{
    if (!slice_eq(http_method(request), SLICE("GET"))) {
        return 405;
    }
    bool is_good = http_list_has(http_header(request, "Sec-Websocket-Version"), "13") &&
                   is_key(http_header(request, "Sec-Websocket-Key"));
    return is_good ? 0 : 400;
}

void websocket_greet(const struct http_request *request, struct buf *head)
{
    static const char secret[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */
    struct slice key = http_header(request, "Sec-Websocket-Key");
    struct slice protocol = http_header(request, "Sec-Websocket-Protocol");
    uint8_t text[KEY_LEN + sizeof(secret) - 1];
    uint8_t hash[SHA_DIGEST_LENGTH];
    memcpy(text, key.data, KEY_LEN);
    memcpy(text + KEY_LEN, secret, sizeof(secret) - 1);
    SHA1(text, sizeof(text), hash);
    buf_add_str(head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                      "Upgrade\r\nSec-WebSocket-Accept: ");
    base64_add(head, slice_of(hash, sizeof(hash)));
    buf_add_str(head, "\r\n");
    if (slice_has_prefix(protocol, SLICE("Bearer"))) {
        buf_add_str(head, "Sec-WebSocket-Protocol: Bearer\r\n");
    }
    buf_add_str(head, "\r\n");
}

/* Who calls. */

/* The value of the first cookie of that name; NULL: none. */
static const char *cookie(const struct http_request *request, struct arena *arena, const char *name)
{
    struct slice list = http_header(request, "Cookie");
    size_t name_len = strlen(name);
    struct slice part;
    while (http_list_next(&list, ';', &part)) {
        if (part.len > name_len && part.data[name_len] == '=' &&
            memcmp(part.data, name, name_len) == 0) {
            struct slice value = slice_of(part.data + name_len + 1, part.len - name_len - 1);
            if (value.len > 1 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
                value = slice_of(value.data + 1, value.len - 2);
            }
            return text_in(arena, value);
        }
    }
    return NULL;
}

struct api_caller websocket_caller(const struct http_request *request, struct arena *arena)
{
    static const char prefix[] = "Bearer,";
    struct slice protocol = http_header(request, "Sec-Websocket-Protocol");
    const uint8_t *bearer =
        protocol.len ? memmem(protocol.data, protocol.len, prefix, sizeof(prefix) - 1) : NULL;
    struct api_caller caller = {.address = arena_strdup(arena, http_peer(request))};
    caller.token = cookie(request, arena, "token");
    if (!caller.token && bearer) {
        const uint8_t *at = bearer + sizeof(prefix) - 1;
        caller.token =
            text_in(arena, slice_trim(slice_of(at, protocol.len - (size_t)(at - protocol.data))));
    }
    return caller;
}

/* Messages. */

void websocket_send(struct http_request *request, struct buf *line)
{
    struct buf out;
    bool has_feed = line->len && line->data[line->len - 1] == '\n';
    buf_init(&out, SIZE_MAX);
    wsframe_add(&out, FRAME_TEXT, slice_of(line->data, line->len - has_feed));
    buf_fini(line);
    http_write(request, &out);
}

static void send_control(struct http_request *request, unsigned opcode, struct slice payload)
{
    struct buf out;
    buf_init(&out, ERROR_BYTES_MAX);
    wsframe_add(&out, opcode, payload);
    http_write(request, &out);
}

static void send_close(struct http_request *request, unsigned code, const char *text)
{
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t len = strlen(text);
    len = len < sizeof(payload) - CODE_LEN ? len : sizeof(payload) - CODE_LEN;
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    memcpy(payload + CODE_LEN, text, len);
    send_control(request, FRAME_CLOSE, slice_of(payload, code == CODE_NONE ? 0 : CODE_LEN + len));
}

/* The codes that a peer may give. */
static bool is_code(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1013) ||
           (code >= 3000 && code <= 4999);
}

static void answer_close(struct http_request *request, struct slice payload)
{
    char text[64];
    unsigned code = CODE_NONE;
    if (payload.len >= CODE_LEN) {
        code = (unsigned)payload.data[0] << 8 | payload.data[1];
        if (!is_code(code)) {
            snprintf(text, sizeof(text), "bad close code %u", code);
            send_close(request, FRAME_CLOSE_PROTOCOL_ERROR, text);
            return;
        }
        if (!utf8_is_valid(slice_of(payload.data + CODE_LEN, payload.len - CODE_LEN))) {
            send_close(request, FRAME_CLOSE_PROTOCOL_ERROR, "invalid utf8 payload in close frame");
            return;
        }
    }
    send_close(request, code, "");
}

/* A client that pings and does not read is owed the answer to its latest ping, no more (RFC 6455,
 * 5.5.3). */
static void answer_ping(
    struct websocket *socket, struct http_request *request, struct slice payload)
{
    socket->owes_pong = http_pending(request) >= PONG_PENDING_MAX;
    if (socket->owes_pong) {
        memcpy(socket->ping, payload.data, payload.len);
        socket->ping_len = payload.len;
    } else {
        send_control(request, FRAME_PONG, payload);
    }
}

void websocket_writable(struct websocket *socket, struct http_request *request)
{
    if (socket->owes_pong) {
        socket->owes_pong = false;
        send_control(request, FRAME_PONG, slice_of(socket->ping, socket->ping_len));
    }
}

/* False: that was the last word. */
static bool take_control(
    struct websocket *socket, struct http_request *request, struct slice payload)
{
    if (socket->frame.opcode == FRAME_PING) {
        answer_ping(socket, request, payload);
    } else if (socket->frame.opcode == FRAME_CLOSE) {
        answer_close(request, payload);
        return false;
    }
    return true;
}

void websocket_init(struct websocket *socket)
{
    wsframe_init(&socket->frame);
    socket->owes_pong = false;
    socket->ping_len = 0;
}

bool websocket_take(struct websocket *socket, struct http_request *request, struct slice bytes,
    bool (*data)(void *arg, struct slice bytes), void *arg)
{
    bool goes_on = true;
    while (goes_on) {
        struct slice payload = {0};
        switch (wsframe_feed(&socket->frame, &bytes, &payload)) {
        case FRAME_NOTHING:
            return true;
        case FRAME_DATA:
            goes_on = data(arg, payload);
            break;
        case FRAME_END:
            goes_on = data(arg, SLICE("\n"));
            break;
        case FRAME_CONTROL:
            if (!take_control(socket, request, payload)) {
                return false;
            }
            break;
        case FRAME_BROKEN:
            send_close(request, FRAME_CLOSE_PROTOCOL_ERROR, socket->frame.error);
            return false;
        }
    }
    return true;
}

/* A call with one answer: its request is the first value that comes. */

struct ws_call {
    struct api_call api;
    struct http_task task;
    struct http_request *request; /* until is_gone */
    struct http_server *server;
    struct gateway *gateway;
    struct websocket socket;
    struct scan scan;
    struct buf input;
    bool is_started; /* the api has it */
    bool is_gone;    /* the request was given back */
};

static void ws_call_free(struct ws_call *call)
{
    buf_fini(&call->input);
    arena_free(call->api.arena);
}

/* The client is gone, or has its answer. */
static void let_go(struct ws_call *call)
{
    call->is_gone = true;
    if (!call->is_started) {
        ws_call_free(call);
    } else if (api_call_is_patient(call->api.method)) {
        api_call_cancel(&call->api);
    }
}

static void run_finish(struct http_task *task)
{
    struct ws_call *call = CONTAINER_OF(task, struct ws_call, task);
    struct buf body;
    struct payload_home home;
    buf_init(&body, JSON_BYTES_MAX);
    (void)call_compose(&call->api, &body, &home);
    if (call->is_gone) {
        buf_fini(&body);
        if (home.release) {
            home.release(home.owner);
        }
    } else {
        http_keep(call->request, home);
        websocket_send(call->request, &body);
        http_end(call->request);
    }
    ws_call_free(call);
}

/* Any thread. */
static void on_done(struct api_call *api)
{
    struct ws_call *call = CONTAINER_OF(api, struct ws_call, api);
    http_run(call->server, &call->task);
}

static bool say_error(struct ws_call *call, enum grpc_code code, const char *text)
{
    struct buf body;
    buf_init(&body, ERROR_BYTES_MAX);
    write_status(&body, code, text);
    websocket_send(call->request, &body);
    return false;
}

/* False: it is over. */
static bool start_call(struct ws_call *call)
{
    struct api_call *api = &call->api;
    const char *text = NULL;
    struct buf packed;
    buf_init(&packed, call->gateway->options.request_bytes_max);
    struct err e =
        decode_json(api->method->request, buf_slice(&call->input), api->arena, &packed, &text);
    bool is_good = !err_is(e);
    if (IS(e, TOO_BIG)) {
        say_error(call, GRPC_CODE_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
    } else if (!is_good) {
        say_error(call, GRPC_CODE_INVALID_ARGUMENT, text);
    } else {
        api->request = arena_dup(api->arena, buf_slice(&packed));
        call->is_started = true;
        api_call_start(call->gateway->options.api, api);
    }
    buf_fini(&packed);
    return is_good;
}

/* False: it is over. */
static bool take(void *arg, struct slice bytes)
{
    struct ws_call *call = arg;
    size_t taken = 0;
    if (call->is_started) {
        return true;
    }
    enum scan_result result = scan_feed(&call->scan, bytes, &taken);
    if (result == SCAN_BROKEN) {
        return say_error(call, GRPC_CODE_INVALID_ARGUMENT, call->scan.error);
    }
    if (call->scan.has_begun) {
        buf_add(&call->input, bytes.data, taken);
    }
    if (call->input.is_full) {
        return say_error(
            call, GRPC_CODE_RESOURCE_EXHAUSTED, "grpc: received message larger than max");
    }
    return result == SCAN_VALUE ? start_call(call) : true;
}

struct taking {
    struct ws_call *call;
    bool is_over;
};

static bool on_data(void *arg, struct slice bytes)
{
    struct taking *taking = arg;
    taking->is_over = !take(taking->call, bytes);
    return !taking->is_over;
}

static void on_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct taking taking = {arg, false};
    (void)event; /* such a body has no end but the connection's */
    bool goes_on = websocket_take(&taking.call->socket, request, bytes, on_data, &taking);
    if (taking.is_over || !goes_on) {
        http_end(request);
        let_go(taking.call);
    }
}

static void on_writable(struct http_request *request, void *arg)
{
    struct ws_call *call = arg;
    websocket_writable(&call->socket, request);
}

static void on_closed(struct http_request *request, void *arg)
{
    http_abort(request);
    let_go(arg);
}

static const struct http_stream handlers = {
    .body = on_body, .writable = on_writable, .closed = on_closed};

static void call_start_upgraded(
    struct gateway *gateway, struct http_request *request, const struct api_method *method)
{
    struct arena *arena = arena_new(0);
    struct ws_call *call = arena_zalloc(arena, sizeof(*call));
    call->gateway = gateway;
    call->request = request;
    call->server = http_request_server(request);
    call->task.run = run_finish;
    call->api.method = method;
    call->api.arena = arena;
    call->api.caller = websocket_caller(request, arena);
    call->api.deadline_ns = INT64_MAX;
    call->api.done = on_done;
    websocket_init(&call->socket);
    scan_init(&call->scan);
    buf_init(&call->input, gateway->options.request_bytes_max * 2);
    http_body_stream(request, &handlers, call);
}

void websocket_serve(
    struct gateway *gateway, struct http_request *request, const struct api_method *method)
{
    struct buf body;
    struct buf head;
    int refusal = websocket_refusal(request);
    if (refusal) {
        http_set_header(request, "Sec-Websocket-Version", "13");
        http_respond_error(request, refusal, http_status_text(refusal));
        return;
    }
    buf_init(&head, ERROR_BYTES_MAX);
    websocket_greet(request, &head);
    http_upgrade(request, &head);
    if (!method) {
        buf_init(&body, ERROR_BYTES_MAX);
        write_status(&body, GRPC_CODE_NOT_FOUND, "Not Found");
        websocket_send(request, &body);
        http_end(request);
    } else if (method->kind == API_UNARY) {
        call_start_upgraded(gateway, request, method);
    } else {
        stream_start_upgraded(gateway, request, method);
    }
}
