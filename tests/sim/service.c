/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "net.h"

#include <stdio.h>

enum { ANSWER_LOST_ONE_IN = 200, QUEUED_MAX = 4 };

/* What a process knows of those who wait for it. Never freed: either side may go first. */
struct tie {
    struct list node;
    bool is_stream;
    bool is_lost;
    struct list waiters; /* the client */
    struct list workers; /* the member's fiber */
};

struct call {
    struct tie tie;
    struct process *process;
    const struct api_method *method;
    struct api_caller caller;
    struct slice request;
    bool is_done;
    bool is_answered;
    struct api_status status;
    char text[160];
    struct buf response;
};

struct packet {
    struct list node;
    struct slice bytes;
};

struct stream {
    struct tie tie;
    struct process *process;
    const struct api_method *method;
    struct api_caller caller;
    struct api_stream stream;
    struct list requests;
    struct list responses;
    size_t responses_count;
    bool is_woken;
    bool is_closing; /* by the client */
    bool is_over;
};

static struct service_caller next_caller;
static bool has_next_caller;

void service_as(const struct service_caller *caller)
{
    next_caller = *caller;
    has_next_caller = true;
}

/* Before anything lets others run. */
static struct api_caller take_caller(void)
{
    struct service_caller caller = next_caller;
    if (!has_next_caller) {
        caller = (struct service_caller){run.plan.has_users ? "root" : NULL, NULL};
    }
    has_next_caller = false;
    return (struct api_caller){.cert_cn = caller.name,
        .token = caller.token ? mem_strdup(caller.token) : NULL}; /* never freed */
}

static void tie_init(struct tie *tie, struct process *process, bool is_stream)
{
    tie->is_stream = is_stream;
    list_init(&tie->waiters);
    list_init(&tie->workers);
    list_push(&process->calls, &tie->node);
}

static void flatten(struct payload *payload, struct buf *out)
{
    buf_init(out, SIZE_MAX);
    for (size_t i = 0; i < payload->count; i++) {
        buf_add_slice(out, payload->parts[i].bytes);
    }
    payload_fini(payload);
}

static struct slice pack(const void *message)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    pb_pack(message, &buf);
    return slice_of(buf.data, buf.len); /* never freed */
}

/* Calls. */

static void call_done(struct api_call *api_call)
{
    struct call *call = api_call->edge;
    call->is_done = true;
    fiber_wake_all(&call->tie.workers);
}

static void *serve(void *arg)
{
    struct call *call = arg;
    struct process *process = call->process;
    struct payload payload = {0};
    struct api_call api_call = {.method = call->method,
        .arena = arena_new(0),
        .request = call->request,
        .caller = call->caller,
        .deadline_ns = INT64_MAX,
        .done = call_done,
        .edge = call};
    process->calls_count++;
    api_call_start(process->api, &api_call);
    while (!call->is_done) {
        fiber_wait(&call->tie.workers, NEVER, "an answer of the services");
    }
    api_call_finish(&api_call, &payload, &call->status);
    snprintf(call->text, sizeof(call->text), "%s", call->status.text ? call->status.text : "");
    flatten(&payload, &call->response);
    arena_free(api_call.arena);
    process->calls_count--;
    call->is_answered = true;
    list_remove(&call->tie.node);
    fiber_wake_all(&call->tie.waiters);
    return NULL;
}

static void take_answer(struct call *call, struct arena *arena, struct answer *out)
{
    if (!call->is_answered || (!run.is_healing && world_one_in(ANSWER_LOST_ONE_IN))) {
        out->kind = ANSWER_LOST;
        return;
    }
    out->code = call->status.code;
    snprintf(out->text, sizeof(out->text), "%s", call->text);
    out->kind = out->code == GRPC_CODE_OK ? ANSWER_OK : ANSWER_ERROR;
    if (out->kind == ANSWER_OK && err_is(pb_unpack(call->method->response, arena,
                                      buf_slice(&call->response), &out->message))) {
        run_fail("%s answered what cannot be read", call->method->path);
    }
}

void service_call(struct machine *machine, const char *path, const void *request,
    int64_t timeout_ns, struct arena *arena, struct answer *out)
{
    struct call *call = mem_new(sizeof(*call));
    int64_t deadline_ns = world_now() + timeout_ns;
    *out = (struct answer){.kind = ANSWER_REFUSED};
    call->caller = take_caller();
    run.tally.calls++;
    fiber_sleep(net_delay());
    if (!machine_is_serving(machine)) {
        free(call);
        return;
    }
    call->process = machine->process;
    call->method = api_method_find(slice_str(path));
    call->request = pack(request);
    check(call->method);
    tie_init(&call->tie, machine->process, false);
    fiber_detach(fiber_spawn(&machine->host, "rpc", serve, call));
    while (!call->is_answered && !call->tie.is_lost &&
           fiber_wait(&call->tie.waiters, deadline_ns, "a member's answer")) {
    }
    fiber_sleep(net_delay());
    take_answer(call, arena, out);
    run.tally.calls_ok += out->kind == ANSWER_OK;
    run.tally.calls_unknown += out->kind == ANSWER_LOST;
}

/* Streams. */

static void stream_wake(struct api_stream *api_stream)
{
    struct stream *stream = api_stream->edge;
    stream->is_woken = true;
    fiber_wake_all(&stream->tie.workers);
}

static void pass_requests(struct stream *stream)
{
    struct list *node;
    while ((node = list_pop(&stream->requests))) {
        struct packet *packet = LIST_ITEM(node, struct packet, node);
        api_stream_message(&stream->stream, packet->bytes);
        free(packet);
    }
}

static void queue_response(struct stream *stream, struct payload *payload)
{
    struct packet *packet = mem_new(sizeof(*packet));
    struct buf buf;
    flatten(payload, &buf);
    packet->bytes = slice_of(buf.data, buf.len);
    list_push(&stream->responses, &packet->node);
    stream->responses_count++;
    fiber_wake_all(&stream->tie.waiters);
}

/* Takes what there is, as far as the client reads. False: the end. */
static bool pass_responses(struct stream *stream)
{
    while (stream->responses_count < QUEUED_MAX && !stream->is_closing) {
        struct payload payload = {0};
        struct api_status status;
        enum api_next next = api_stream_next(&stream->stream, &payload, &status);
        if (next == API_NEXT_END) {
            return false;
        }
        if (next == API_NEXT_LATER) {
            return true;
        }
        stream->stream.has_more = false;
        queue_response(stream, &payload);
    }
    return true;
}

static void *run_stream(void *arg)
{
    struct stream *stream = arg;
    bool is_open = true;
    stream->process->calls_count++;
    stream->stream = (struct api_stream){.method = stream->method,
        .arena = arena_new(0),
        .caller = stream->caller,
        .wake = stream_wake,
        .edge = stream};
    api_stream_open(stream->process->api, &stream->stream);
    while (is_open && !stream->is_closing) {
        stream->is_woken = false;
        pass_requests(stream);
        is_open = pass_responses(stream);
        if (is_open && !stream->is_woken && !stream->is_closing) {
            fiber_wait(&stream->tie.workers, NEVER, "a stream's turn");
        }
    }
    api_stream_close(&stream->stream);
    arena_free(stream->stream.arena);
    stream->process->calls_count--;
    stream->is_over = true;
    list_remove(&stream->tie.node);
    fiber_wake_all(&stream->tie.waiters);
    return NULL;
}

struct stream *service_open(struct machine *machine, const char *path)
{
    struct api_caller caller = take_caller();
    fiber_sleep(net_delay());
    if (!machine_is_serving(machine)) {
        return NULL;
    }
    struct stream *stream = mem_new(sizeof(*stream));
    stream->caller = caller;
    stream->process = machine->process;
    stream->method = api_method_find(slice_str(path));
    check(stream->method);
    list_init(&stream->requests);
    list_init(&stream->responses);
    tie_init(&stream->tie, machine->process, true);
    fiber_detach(fiber_spawn(&machine->host, "stream", run_stream, stream));
    return stream;
}

static void wake_worker(struct stream *stream)
{
    stream->is_woken = true;
    fiber_wake_all(&stream->tie.workers);
}

bool service_send(struct stream *stream, const void *message)
{
    fiber_sleep(net_delay());
    if (stream->tie.is_lost || stream->is_over) {
        return false;
    }
    struct packet *packet = mem_new(sizeof(*packet));
    packet->bytes = pack(message);
    list_push(&stream->requests, &packet->node);
    wake_worker(stream);
    return true;
}

void *service_next(
    struct stream *stream, int64_t timeout_ns, struct arena *arena, bool *out_is_over)
{
    int64_t deadline_ns = world_now() + timeout_ns;
    void *message = NULL;
    *out_is_over = false;
    while (list_is_empty(&stream->responses)) {
        if (stream->tie.is_lost || stream->is_over) {
            *out_is_over = true;
            return NULL;
        }
        if (!fiber_wait(&stream->tie.waiters, deadline_ns, "a stream's message")) {
            return NULL;
        }
    }
    struct packet *packet = LIST_ITEM(list_pop(&stream->responses), struct packet, node);
    stream->responses_count--;
    if (!stream->tie.is_lost) {
        wake_worker(stream);
    }
    if (err_is(pb_unpack(stream->method->response, arena, packet->bytes, &message))) {
        run_fail("%s sent what cannot be read", stream->method->path);
    }
    return message;
}

void service_close(struct stream *stream)
{
    stream->is_closing = true;
    if (!stream->tie.is_lost) {
        wake_worker(stream);
    }
}

void service_lost(struct process *process)
{
    struct list *node;
    while ((node = list_pop(&process->calls))) {
        struct tie *tie = LIST_ITEM(node, struct tie, node);
        tie->is_lost = true;
        fiber_wake_all(&tie->waiters);
    }
}

void service_end_streams(struct process *process)
{
    LIST_EACH(node, &process->calls)
    {
        struct tie *tie = LIST_ITEM(node, struct tie, node);
        if (tie->is_stream) {
            service_close(CONTAINER_OF(tie, struct stream, tie));
        }
    }
}
