/* SPDX-License-Identifier: Apache-2.0
 *
 * A call with one answer over a WebSocket: its request is the first value that comes.
 */
#include "gateway/decode.h"
#include "gateway/room.h"
#include "gateway/scan.h"
#include "gateway/websocket.h"

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

void call_start_upgraded(
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
