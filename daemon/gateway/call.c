/* SPDX-License-Identifier: Apache-2.0
 *
 * A call with one request and one answer.
 */
#include "gateway/decode.h"
#include "gateway/encode.h"
#include "gateway/room.h"
#include "gateway/scan.h"

#include "base/clock.h"

enum { CALL_BODY_FACTOR = 4 }; /* JSON over packed bytes: base 64, escapes and names */

static const int64_t TIMEOUT_NS_MAX = INT64_MAX / 4;

struct call {
    struct api_call api;
    struct http_task task;
    struct http_request *request;
    struct gateway *gateway;
};

int http_status_of(enum grpc_code code)
{
    static const int statuses[] = {
        200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};
    return (size_t)code < COUNT_OF(statuses) ? statuses[code] : 500;
}

void add_status(struct json *json, enum grpc_code code, const char *text)
{
    json_open(json, '{');
    json_add_key(json, "code");
    json_add_int(json, code);
    if (text && *text) {
        json_add_key(json, "message");
        json_add_str(json, text);
    }
    json_close(json, '}');
}

void write_status(struct buf *body, enum grpc_code code, const char *text)
{
    struct json json;
    json_init(&json, body, JSON_SPACED);
    add_status(&json, code, text);
}

static void respond_error(
    struct http_request *request, enum grpc_code code, const char *text, struct slice body)
{
    http_set_header(request, "Content-Type", "application/json");
    if (code == GRPC_CODE_UNAUTHENTICATED) {
        http_set_header(request, "Www-Authenticate", text);
    }
    http_respond(request, http_status_of(code), body);
}

void respond_status(struct http_request *request, enum grpc_code code, const char *text)
{
    struct buf body;
    buf_init(&body, ERROR_BYTES_MAX);
    write_status(&body, code, text);
    respond_error(request, code, text, buf_slice(&body));
    buf_fini(&body);
}

void set_good_headers(struct http_request *request)
{
    http_set_header(request, "Content-Type", "application/json");
    http_set_header(request, "Grpc-Metadata-Content-Type", "application/grpc");
}

const char *text_in(struct arena *arena, struct slice bytes)
{
    return bytes.data ? (const char *)arena_dup(arena, bytes).data : NULL;
}

/* A value that gRPC's metadata cannot carry is passed over, as grpc-gateway does. */
static const char *metadata_in(
    const struct http_request *request, const char *name, struct arena *arena)
{
    struct slice value = http_header(request, name);
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~') {
            return NULL;
        }
    }
    return text_in(arena, value);
}

/* The token travels as "Authorization: TOKEN", the rest of gRPC's metadata as "Grpc-Metadata-…".
 * The common name of a certificate is not passed on, as in the reference. */
struct api_caller caller_of(const struct http_request *request, struct arena *arena)
{
    struct api_caller caller = {.address = arena_strdup(arena, http_peer(request))};
    caller.token = metadata_in(request, "Grpc-Metadata-Token", arena);
    if (!caller.token) {
        caller.token = text_in(arena, http_header(request, "Authorization"));
    }
    if (!caller.token) {
        caller.token = metadata_in(request, "Grpc-Metadata-Authorization", arena);
    }
    caller.client_version = metadata_in(request, "Grpc-Metadata-Client-Api-Version", arena);
    caller.has_leader = slice_eq(http_header(request, "Grpc-Metadata-Hasleader"), SLICE("true"));
    return caller;
}

/* A number and a unit, as gRPC has it; longer and with a sign, as grpc-gateway takes it. */
bool parse_timeout(struct slice text, int64_t *out_ns)
{
    static const char units[] = "HMSmun";
    static const int64_t unit_ns[] = {3600000000000, 60000000000, 1000000000, 1000000, 1000, 1};
    int64_t number = 0;
    size_t at = text.len && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    bool is_negative = at && text.data[0] == '-';
    if (text.len < at + 2 || text.len > at + 19) {
        return false;
    }
    for (; at + 1 < text.len; at++) {
        if (text.data[at] < '0' || text.data[at] > '9') {
            return false;
        }
        number = number * 10 + (text.data[at] - '0');
    }
    const char *unit = text.data[at] ? strchr(units, text.data[at]) : NULL;
    if (!unit) {
        return false;
    }
    if (__builtin_mul_overflow(number, unit_ns[unit - units], &number) || number > TIMEOUT_NS_MAX) {
        number = TIMEOUT_NS_MAX;
    }
    *out_ns = is_negative ? -number : number;
    return true;
}

/* Frees the packed bytes; the answer is weighed until it is sent, though as JSON it is larger. */
static struct payload_home empty(struct payload *payload)
{
    struct payload_home home = payload_take_home(payload);
    payload_fini(payload);
    if (home.empty) {
        home.empty(home.owner);
    }
    return home;
}

struct api_status call_compose(
    struct api_call *call, struct buf *body, struct payload_home *out_home)
{
    struct payload payload;
    struct api_status status;
    struct buf packed;
    struct json json;
    payload_init(&payload);
    buf_init(&packed, JSON_BYTES_MAX);
    json_init(&json, body, JSON_SPACED);
    api_call_finish(call, &payload, &status);
    for (size_t i = 0; i < payload.count; i++) {
        buf_add_slice(&packed, payload.parts[i].bytes);
    }
    if (status.code == GRPC_CODE_OK &&
        (err_is(encode_json(call->method->response, buf_slice(&packed), call->arena, &json)) ||
            body->is_full)) {
        status = (struct api_status){
            GRPC_CODE_INTERNAL, "gateway: the answer cannot be written as JSON"};
        buf_reset(body);
    }
    if (status.code != GRPC_CODE_OK) {
        write_status(body, status.code, status.text);
    }
    *out_home = empty(&payload);
    buf_fini(&packed);
    return status;
}

static void finish(struct call *call)
{
    struct arena *arena = call->api.arena;
    struct buf body;
    struct payload_home home;
    buf_init(&body, JSON_BYTES_MAX);
    struct api_status status = call_compose(&call->api, &body, &home);
    http_keep(call->request, home);
    if (status.code != GRPC_CODE_OK) {
        respond_error(call->request, status.code, status.text, buf_slice(&body));
    } else {
        set_good_headers(call->request);
        http_respond(call->request, 200, buf_slice(&body));
    }
    buf_fini(&body);
    arena_free(arena);
}

static void run_finish(struct http_task *task)
{
    finish(CONTAINER_OF(task, struct call, task));
}

/* Any thread. */
static void on_done(struct api_call *api_call)
{
    struct call *call = CONTAINER_OF(api_call, struct call, api);
    http_run(http_request_server(call->request), &call->task);
}

static void refuse(struct call *call, enum grpc_code code, const char *text)
{
    respond_status(call->request, code, text);
    arena_free(call->api.arena);
}

static void refuse_size(struct call *call, size_t bytes)
{
    refuse(call, GRPC_CODE_RESOURCE_EXHAUSTED,
        arena_printf(call->api.arena, "grpc: received message larger than max (%zu vs. %zu)", bytes,
            call->gateway->options.request_bytes_max));
}

/* The first JSON value of the body; what stands behind it is not looked at, and nothing is a
 * message with nothing set. */
static bool decode_body(
    struct call *call, struct slice body, struct buf *out, const char **out_text)
{
    struct scan scan;
    size_t taken = 0;
    scan_init(&scan);
    enum scan_result result = scan_feed(&scan, body, &taken);
    result = result == SCAN_MORE ? scan_end(&scan) : result;
    if (result == SCAN_BROKEN) {
        *out_text = arena_strdup(call->api.arena, scan.error);
        return false;
    }
    if (result == SCAN_NONE) {
        return true;
    }
    struct err e = decode_json(
        call->api.method->request, slice_of(body.data, taken), call->api.arena, out, out_text);
    return !IS(e, BAD_INPUT);
}

static void on_gone(struct http_request *request, void *arg)
{
    struct call *call = arg;
    (void)request;
    api_call_cancel(&call->api);
}

static void start(struct call *call, struct slice body)
{
    struct api_call *api = &call->api;
    const char *text = NULL;
    struct buf packed;
    buf_init(&packed, body.len * 2 + 64);
    if (!decode_body(call, body, &packed, &text)) {
        refuse(call, GRPC_CODE_INVALID_ARGUMENT, text);
    } else if (packed.len > call->gateway->options.request_bytes_max) {
        refuse_size(call, packed.len);
    } else {
        api->request = arena_dup(api->arena, buf_slice(&packed));
        api_call_start(call->gateway->options.api, api);
        if (api_call_is_patient(api->method)) {
            http_on_gone(call->request, on_gone, call);
        }
    }
    buf_fini(&packed);
}

static void on_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct call *call = arg;
    switch (event) {
    case HTTP_BODY_END:
        start(call, bytes);
        break;
    case HTTP_BODY_TOO_BIG:
        refuse_size(call, call->gateway->options.request_bytes_max * CALL_BODY_FACTOR);
        break;
    case HTTP_BODY_NO_ROOM:
        refuse(call, GRPC_CODE_RESOURCE_EXHAUSTED, err_text(ERR(REQUEST_TOO_MANY_REQUESTS)));
        break;
    case HTTP_BODY_BROKEN:
        refuse(call, GRPC_CODE_INVALID_ARGUMENT,
            arena_printf(call->api.arena, "%.*s", (int)bytes.len, bytes.data));
        break;
    case HTTP_BODY_GONE:
    case HTTP_BODY_BYTES:
        http_abort(request);
        arena_free(call->api.arena);
        break;
    }
}

void call_start(
    struct gateway *gateway, struct http_request *request, const struct api_method *method)
{
    struct arena *arena = arena_new(0);
    struct call *call = arena_zalloc(arena, sizeof(*call));
    struct slice timeout = http_header(request, "Grpc-Timeout");
    int64_t timeout_ns = 0;
    call->gateway = gateway;
    call->request = request;
    call->task.run = run_finish;
    call->api.method = method;
    call->api.arena = arena;
    call->api.caller = caller_of(request, arena);
    call->api.deadline_ns = INT64_MAX;
    call->api.done = on_done;
    if (timeout.len && !parse_timeout(timeout, &timeout_ns)) {
        refuse(call, GRPC_CODE_INVALID_ARGUMENT,
            arena_printf(arena, "invalid grpc-timeout: %.*s", (int)timeout.len, timeout.data));
        return;
    }
    if (timeout.len) {
        call->api.deadline_ns = clock_mono_ns() + timeout_ns;
    }
    http_body_gather(request, gateway->options.request_bytes_max * CALL_BODY_FACTOR, on_body, call);
}
