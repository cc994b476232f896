/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway over a WebSocket, for browsers, as the reference's proxy has it: each message of the
 * client is a piece of the body with a line feed behind it, each line of the answer is a text
 * message; the method is always POST. A token comes as the second subprotocol ("Bearer, TOKEN") or
 * as the cookie "token"; no other header is passed on.
 */
#include "gateway/websocket.h"

#include "gateway/room.h"

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

/* Serving one. */

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
