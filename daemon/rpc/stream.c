/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream, bidi or server side: what happens to it, on whatever thread runs it (stream_run.c).
 *
 *   open --- END or refusal or stop ---> status queued --- send in flight is done ---> status sent
 *     \----- the peer is gone -----> api closed                  the close is received: freed with
 * the last operation
 */
#include "rpc/stream.h"
#include "rpc/message.h"

#include "base/mem.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

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

void rpc_stream_unref(struct rpc_stream *stream)
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

void rpc_stream_handle(struct rpc_stream *stream, unsigned bits)
{
    if (bits & STREAM_SENT) {
        stream->is_sending = false;
        if (stream->outgoing) {
            grpc_byte_buffer_destroy(stream->outgoing);
            stream->outgoing = NULL;
        }
    }
    if (bits & STREAM_CLOSED) {
        stream->is_gone = true;
    }
    if (bits & STREAM_RECEIVED) {
        handle_received(stream);
    }
    if (bits & STREAM_STOP) {
        end_with(stream,
            (struct api_status){.code = GRPC_CODE_UNAVAILABLE, .text = err_text(ERR(STOPPED))});
    }
    pump(stream);
    if (stream->is_gone && stream->is_open) {
        close_api(stream);
    }
}

static void on_wake(struct api_stream *api)
{
    rpc_stream_post(api->edge, STREAM_WOKEN);
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

static void on_arrived(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, arrived);
    if (!is_ok) {
        rpc_stream_unref(stream);
        return;
    }
    struct rpc *rpc = stream->head.lane->rpc;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &stream->is_cancelled;
    rpc_call_began(rpc);
    metric_inc(stream->head.method->counters.started);
    stream->began_ns = rpc_began_ns(&stream->head.method->counters);
    rpc_stream_request(stream->head.lane, stream->head.method);
    rpc_stream_hold(stream); /* what happens from here on waits for the end of this */
    batch(stream, &op, 1, &stream->closed);
    if (rpc_stream_is_bulky(stream)) {
        rpc_poll_leave(&stream->head.lane->poll);
    }
    open_api(stream);
    if (!rpc_stream_is_bulky(stream)) {
        receive_next(stream);
    } else if (stream->head.first) {
        take_message(stream, stream->head.first);
        half_close(stream);
    } else {
        half_close(stream);
    }
    rpc_stream_let_go(stream);
    rpc_stream_run(stream, atomic_load(&rpc->is_stopping) ? STREAM_STOP : STREAM_WOKEN);
    rpc_stream_unref(stream);
}

static void on_received(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, received);
    (void)is_ok; /* a failure leaves no message */
    rpc_stream_run(stream, STREAM_RECEIVED);
    rpc_stream_unref(stream);
}

/* On a thread of core's. A failure is followed by the close. */
static void on_sent(struct rpc_closure *closure)
{
    struct rpc_stream *stream = CONTAINER_OF(closure, struct rpc_stream, sent);
    rpc_stream_post(stream, STREAM_SENT);
    rpc_stream_unref(stream);
}

static void on_closed(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_stream *stream = CONTAINER_OF(tag, struct rpc_stream, closed);
    (void)is_ok;
    rpc_stream_run(stream, STREAM_CLOSED);
    rpc_stream_unref(stream);
}

void rpc_streams_stop(struct rpc *rpc)
{
    pthread_mutex_lock(&rpc->streams_mutex);
    LIST_EACH(node, &rpc->streams)
    {
        rpc_stream_post(LIST_ITEM(node, struct rpc_stream, node), STREAM_STOP);
    }
    pthread_mutex_unlock(&rpc->streams_mutex);
}
