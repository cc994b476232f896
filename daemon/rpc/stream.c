/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream, bidi or server side. Everything that happens to it (a message came, a send is done, the
 * api has something, the peer is gone, we stop) is a bit; whoever sets a bit while nobody runs the
 * stream runs it, so that its state is touched by one thread at a time without a lock, though a
 * lane has several threads.
 *
 *   open --- END or refusal or stop ---> status queued --- send in flight is done ---> status sent
 *     \----- the peer is gone -----> api closed                  the close is received: freed with
 * the last operation
 */
#include "rpc/internal.h"
#include "rpc/message.h"
#include "rpc/shim.h"

#include "base/mem.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

enum { QUICK_MAX = 32 }; /* streams that are run without leaving the poll to others */

enum {
    RECEIVED = 1,
    SENT = 2,
    WOKEN = 4,
    CLOSED = 8,
    STOP = 16,
    RUNNING = 32,
};

struct rpc_stream {
    struct list node; /* in rpc->streams */
    struct rpc_head head;
    struct rpc_tag arrived;
    struct rpc_tag received;
    struct rpc_closure sent;
    struct rpc_tag closed;
    struct rpc_stream *next_woken;
    int64_t began_ns;      /* where calls are timed */
    atomic_bool is_listed; /* among the lane's woken */
    atomic_uint bits;
    atomic_uint refs; /* operations in flight, and who handles one */
    grpc_byte_buffer *incoming;
    grpc_byte_buffer *outgoing;
    int is_cancelled;
    /* the runner's */
    bool is_open; /* the api has it */
    bool is_half_closed;
    bool is_sending;
    bool has_sent_headers;
    bool has_status; /* status is what it will end with */
    bool is_gone;    /* status sent or the peer gone: nothing more to send */
    struct api_status status;
    struct api_stream api;
};

static void on_arrived(struct rpc_tag *tag, bool is_ok);
static void on_received(struct rpc_tag *tag, bool is_ok);
static void on_sent(struct rpc_closure *closure);
static void on_closed(struct rpc_tag *tag, bool is_ok);

void rpc_stream_request(struct rpc_lane *lane, const struct rpc_method *method)
{
    struct rpc_stream *stream = mem_new(sizeof(*stream));
    list_init(&stream->node);
    stream->head.lane = lane;
    stream->head.method = method;
    stream->arrived.fn = on_arrived;
    stream->received.fn = on_received;
    stream->sent.fn = on_sent;
    stream->closed.fn = on_closed;
    atomic_store(&stream->refs, 1);
    grpc_metadata_array_init(&stream->head.metadata);
    bool has_first = method->method->kind == API_SERVER_STREAM;
    grpc_call_error rc = grpc_server_request_registered_call(lane->rpc->server, method->handle,
        &stream->head.call, &stream->head.deadline, &stream->head.metadata,
        has_first ? &stream->head.first : NULL, lane->cq, lane->cq, &stream->arrived);
    check(rc == GRPC_CALL_OK);
}

static void stream_unref(struct rpc_stream *stream)
{
    if (atomic_fetch_sub(&stream->refs, 1) != 1) {
        return;
    }
    struct rpc *rpc = stream->head.lane->rpc;
    bool is_counted = stream->head.call != NULL;
    check(!stream->is_open);
    rpc_head_fini(&stream->head);
    if (stream->api.arena) {
        arena_free(stream->api.arena);
    }
    free(stream);
    if (is_counted) {
        rpc_call_ended(rpc);
    }
}

static void batch(struct rpc_stream *stream, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    atomic_fetch_add(&stream->refs, 1);
    grpc_call_error rc = grpc_call_start_batch(stream->head.call, ops, count, tag, NULL);
    check(rc == GRPC_CALL_OK);
}

static void receive_next(struct rpc_stream *stream)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &stream->incoming;
    batch(stream, &op, 1, &stream->received);
}

static void send_ops(struct rpc_stream *stream, grpc_op *op)
{
    grpc_op ops[2] = {0};
    size_t count = 0;
    if (!stream->has_sent_headers) {
        ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
        stream->has_sent_headers = true;
    }
    ops[count++] = *op;
    stream->is_sending = true;
    atomic_fetch_add(&stream->refs, 1);
    grpc_call_error rc = rpc_shim_batch(stream->head.call, ops, count, &stream->sent);
    check(rc == GRPC_CALL_OK);
}

/* What is followed by another message may wait for it and go out in the same write. Not together
 * with the headers: then the other side sees no message. */
static void send_message(struct rpc_stream *stream, struct payload *payload)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    bool may_wait = stream->api.has_more && stream->has_sent_headers;
    op.flags = may_wait ? GRPC_WRITE_BUFFER_HINT : 0;
    rpc_count_sent(&stream->head.method->counters, payload->bytes);
    stream->outgoing = rpc_message_new(payload);
    op.data.send_message.send_message = stream->outgoing;
    send_ops(stream, &op);
}

static void send_status(struct rpc_stream *stream)
{
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    grpc_slice text = grpc_slice_from_static_string(stream->status.text ? stream->status.text : "");
    op.data.send_status_from_server.status = (grpc_status_code)stream->status.code;
    op.data.send_status_from_server.status_details =
        stream->status.code == GRPC_CODE_OK ? NULL : &text;
    stream->is_gone = true;
    send_ops(stream, &op);
}

static void end_with(struct rpc_stream *stream, struct api_status status)
{
    if (!stream->has_status) {
        stream->has_status = true;
        stream->status = status;
    }
}

/* Hands one message to the api, or ends the stream because of it. */
static void take_message(struct rpc_stream *stream, grpc_byte_buffer *message)
{
    struct rpc_message taken;
    struct api_status refusal;
    struct arena *arena = arena_new(0);
    if (rpc_message_take(stream->head.lane->rpc, message, arena, &taken, &refusal)) {
        rpc_count_received(&stream->head.method->counters, taken.bytes.len);
        api_stream_message(&stream->api, taken.bytes);
    } else {
        refusal.text = arena_strdup(stream->api.arena, refusal.text);
        end_with(stream, refusal);
    }
    grpc_slice_unref(taken.keep);
    arena_free(arena);
}

static void half_close(struct rpc_stream *stream)
{
    if (!stream->is_half_closed) {
        stream->is_half_closed = true;
        api_stream_half_close(&stream->api);
    }
}

static void handle_received(struct rpc_stream *stream)
{
    grpc_byte_buffer *message = stream->incoming;
    stream->incoming = NULL;
    if (stream->is_open && !message) {
        half_close(stream);
    } else if (stream->is_open && !stream->has_status) {
        take_message(stream, message);
    }
    if (message) {
        grpc_byte_buffer_destroy(message);
        receive_next(stream);
    }
}

static void pump(struct rpc_stream *stream)
{
    while (stream->is_open && !stream->is_sending && !stream->has_status && !stream->is_gone) {
        struct payload payload;
        struct api_status status = {0};
        payload_init(&payload);
        stream->api.has_more = false;
        enum api_next next = api_stream_next(&stream->api, &payload, &status);
        if (next == API_NEXT_LATER) {
            break;
        }
        if (next == API_NEXT_MESSAGE) {
            send_message(stream, &payload);
        } else {
            end_with(stream, status);
        }
        payload_fini(&payload);
    }
    if (stream->has_status && !stream->is_sending && !stream->is_gone) {
        send_status(stream);
    }
}

static void close_api(struct rpc_stream *stream)
{
    struct rpc *rpc = stream->head.lane->rpc;
    stream->is_open = false;
    rpc_count_handled(&stream->head.method->counters,
        stream->has_status ? stream->status.code : GRPC_CODE_CANCELLED, stream->began_ns);
    pthread_mutex_lock(&rpc->streams_mutex);
    list_remove(&stream->node);
    pthread_mutex_unlock(&rpc->streams_mutex);
    api_stream_close(&stream->api);
}

static void handle(struct rpc_stream *stream, unsigned bits)
{
    if (bits & SENT) {
        stream->is_sending = false;
        if (stream->outgoing) {
            grpc_byte_buffer_destroy(stream->outgoing);
            stream->outgoing = NULL;
        }
    }
    if (bits & CLOSED) {
        stream->is_gone = true;
    }
    if (bits & RECEIVED) {
        handle_received(stream);
    }
    if (bits & STOP) {
        end_with(stream,
            (struct api_status){.code = GRPC_CODE_UNAVAILABLE, .text = err_text(ERR(STOPPED))});
    }
    pump(stream);
    if (stream->is_gone && stream->is_open) {
        close_api(stream);
    }
}

/* Whether the bit falls to the caller to handle: nobody runs the stream. */
static bool run_begin(struct rpc_stream *stream, unsigned bit)
{
    return !(atomic_fetch_or(&stream->bits, bit | RUNNING) & RUNNING);
}

static void run_rest(void *arg)
{
    struct rpc_stream *stream = arg;
    unsigned idle = RUNNING;
    do {
        handle(stream, atomic_exchange(&stream->bits, RUNNING));
        idle = RUNNING;
    } while (!atomic_compare_exchange_strong(&stream->bits, &idle, 0));
}

static void run(struct rpc_stream *stream, unsigned bit)
{
    if (run_begin(stream, bit)) {
        rpc_shim_together(run_rest, stream);
    }
}

/* Any thread: makes the lane run the stream, unless something already will. An event for hundreds
 * of streams wakes the lane once. The stream may be run and gone as soon as it is on the list; who
 * wakes the lane by it holds on to its call. */
static void post(struct rpc_stream *stream, unsigned bit)
{
    struct rpc_lane *lane = stream->head.lane;
    grpc_call *waker = NULL;
    if (atomic_fetch_or(&stream->bits, bit) & RUNNING ||
        atomic_exchange(&stream->is_listed, true)) {
        return;
    }
    atomic_fetch_add(&stream->refs, 1);
    struct rpc_stream *first = atomic_load(&lane->woken);
    do {
        if (!first && !waker) {
            waker = stream->head.call;
            grpc_call_ref(waker);
        }
        stream->next_woken = first;
    } while (!atomic_compare_exchange_weak(&lane->woken, &first, stream));
    if (!first) {
        check(grpc_call_start_batch(waker, NULL, 0, &lane->woken_tag, NULL) == GRPC_CALL_OK);
    }
    if (waker) {
        grpc_call_unref(waker);
    }
}

static void on_wake(struct api_stream *api)
{
    post(api->edge, WOKEN);
}

static void open_api(struct rpc_stream *stream)
{
    struct rpc *rpc = stream->head.lane->rpc;
    struct api_stream *api = &stream->api;
    api->arena = arena_new(0);
    api->method = stream->head.method->method;
    api->wake = on_wake;
    api->edge = stream;
    rpc_head_caller(&stream->head, api->arena, &api->caller);
    stream->is_open = true;
    pthread_mutex_lock(&rpc->streams_mutex);
    list_push(&rpc->streams, &stream->node);
    pthread_mutex_unlock(&rpc->streams_mutex);
    api_stream_open(rpc->api, api);
}

/* Its messages may be chunks of the store. */
static bool is_bulky(const struct rpc_stream *stream)
{
    return stream->head.method->method->kind == API_SERVER_STREAM;
}

static void on_arrived(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, arrived);
    if (!is_ok) {
        stream_unref(stream);
        return;
    }
    struct rpc *rpc = stream->head.lane->rpc;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &stream->is_cancelled;
    rpc_call_began(rpc);
    metric_inc(stream->head.method->counters.started);
    stream->began_ns = rpc_began_ns(&stream->head.method->counters);
    rpc_stream_request(stream->head.lane, stream->head.method);
    atomic_store(&stream->bits, RUNNING); /* what happens from here on waits for the end of this */
    batch(stream, &op, 1, &stream->closed);
    if (is_bulky(stream)) {
        rpc_poll_leave(&stream->head.lane->poll);
    }
    open_api(stream);
    if (!is_bulky(stream)) {
        receive_next(stream);
    } else if (stream->head.first) {
        take_message(stream, stream->head.first);
        half_close(stream);
    } else {
        half_close(stream);
    }
    atomic_fetch_and(&stream->bits, ~(unsigned)RUNNING);
    run(stream, atomic_load(&rpc->is_stopping) ? STOP : WOKEN);
    stream_unref(stream);
}

static void on_received(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, received);
    (void)is_ok; /* a failure leaves no message */
    run(stream, RECEIVED);
    stream_unref(stream);
}

/* On a thread of core's. A failure is followed by the close. */
static void on_sent(struct rpc_closure *closure)
{
    struct rpc_stream *stream = CONTAINER_OF(closure, struct rpc_stream, sent);
    post(stream, SENT);
    stream_unref(stream);
}

static void run_listed(void *arg)
{
    struct rpc_stream *stream = arg;
    while (stream) {
        struct rpc_stream *next = stream->next_woken;
        atomic_store(&stream->is_listed, false); /* from here on it may be listed again */
        if (run_begin(stream, WOKEN)) {
            run_rest(stream);
        }
        stream_unref(stream);
        stream = next;
    }
}

static void on_lane_woken(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_lane *lane = CONTAINER_OF(tag, struct rpc_lane, woken_tag);
    struct rpc_stream *stream = atomic_exchange(&lane->woken, NULL);
    struct rpc_stream *oldest = NULL;
    unsigned count = 0;
    bool is_long = false;
    (void)is_ok;
    while (stream) {
        struct rpc_stream *next = stream->next_woken;
        stream->next_woken = oldest;
        oldest = stream;
        is_long |= ++count > QUICK_MAX || is_bulky(stream);
        stream = next;
    }
    if (is_long) {
        rpc_poll_leave(&lane->poll);
    }
    if (oldest) {
        rpc_shim_together(run_listed, oldest);
    }
}

void rpc_streams_init(struct rpc_lane *lane)
{
    lane->woken_tag.fn = on_lane_woken;
}

static void on_closed(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, closed);
    (void)is_ok;
    run(stream, CLOSED);
    stream_unref(stream);
}

void rpc_streams_stop(struct rpc *rpc)
{
    pthread_mutex_lock(&rpc->streams_mutex);
    LIST_EACH(node, &rpc->streams)
    {
        post(LIST_ITEM(node, struct rpc_stream, node), STOP);
    }
    pthread_mutex_unlock(&rpc->streams_mutex);
}
