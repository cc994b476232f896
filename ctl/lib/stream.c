/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that stream. The status is asked for at the start, so that a send or a receive that fails
 * can say why. */
#include "base/mem.h"
#include "ctl/lib/client_impl.h"

#include <grpc/byte_buffer.h>
#include <pthread.h>

struct client_stream {
    struct client *client;
    const struct client_method *method;
    client_deadline deadline; /* of the call */
    client_deadline patience; /* of each wait, where the call has no deadline */
    grpc_call *call;
    grpc_metadata_array received;
    grpc_metadata_array trailing;
    grpc_status_code code;
    grpc_slice details;
    pthread_mutex_t lock; /* guards has_status: sender and receiver may both ask for it */
    bool has_status;
    char send_tag, recv_tag, status_tag, close_tag;
};

/* The end of the stream; waits for it. */
static struct err stream_status(struct client_stream *stream, struct why *why)
{
    pthread_mutex_lock(&stream->lock);
    if (!stream->has_status) {
        (void)grpc_completion_queue_pluck(
            stream->client->queue, &stream->status_tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        stream->has_status = true;
    }
    pthread_mutex_unlock(&stream->lock);
    if (stream->code == GRPC_STATUS_OK) {
        return OK;
    }
    return client_error(stream->code, stream->details, stream->deadline, why);
}

/* Starts the op and waits for it. */
static bool run_op(struct client_stream *stream, const grpc_op *op, void *tag)
{
    grpc_completion_queue *queue = stream->client->queue;

    check(grpc_call_start_batch(stream->call, op, 1, tag, NULL) == GRPC_CALL_OK);
    grpc_event event = grpc_completion_queue_pluck(queue, tag, client_time(stream->patience), NULL);
    if (event.type == GRPC_QUEUE_TIMEOUT) {
        client_stream_cancel(stream);
        event = grpc_completion_queue_pluck(queue, tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    }
    return event.success != 0;
}

static void start(struct client_stream *stream, bool needs_leader)
{
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    grpc_op hello[2] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
            .flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                     GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET},
        {.op = GRPC_OP_RECV_INITIAL_METADATA},
    };
    grpc_metadata sent[4];

    status.data.recv_status_on_client.trailing_metadata = &stream->trailing;
    status.data.recv_status_on_client.status = &stream->code;
    status.data.recv_status_on_client.status_details = &stream->details;
    check(
        grpc_call_start_batch(stream->call, &status, 1, &stream->status_tag, NULL) == GRPC_CALL_OK);
    hello[0].data.send_initial_metadata.count = client_metadata(stream->client, needs_leader, sent);
    hello[0].data.send_initial_metadata.metadata = sent;
    hello[1].data.recv_initial_metadata.recv_initial_metadata = &stream->received;
    (void)run_op(stream, &hello[0], &stream->send_tag);
    check(grpc_call_start_batch(stream->call, &hello[1], 1, &stream->close_tag, NULL) ==
          GRPC_CALL_OK);
}

struct err client_stream_open(struct client *client, const struct client_ask *ask,
    struct client_stream **out_stream, struct why *why)
{
    TRY(client_login(client, ask->deadline, why));
    struct client_stream *stream = mem_new(sizeof(*stream));
    struct client_lane *lane = client_pick(client, ask->deadline);

    stream->client = client;
    stream->method = ask->method;
    stream->deadline = ask->is_kept ? 0 : ask->deadline;
    stream->patience = ask->is_kept ? ask->deadline : 0;
    stream->details = grpc_empty_slice();
    pthread_mutex_init(&stream->lock, NULL);
    grpc_metadata_array_init(&stream->received);
    grpc_metadata_array_init(&stream->trailing);
    stream->call = grpc_channel_create_call(lane->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
        client->queue, grpc_slice_from_static_string(ask->method->path), NULL,
        client_time(stream->deadline), NULL);
    start(stream, ask->needs_leader);
    *out_stream = stream;
    return OK;
}

struct err client_stream_send(struct client_stream *stream, const void *message, struct why *why)
{
    size_t size;
    grpc_byte_buffer *bytes = client_pack(message, &size);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

    op.data.send_message.send_message = bytes;
    bool is_sent = run_op(stream, &op, &stream->send_tag);
    grpc_byte_buffer_destroy(bytes);
    if (is_sent) {
        return OK;
    }
    struct err err = stream_status(stream, why);
    return err_is(err) ? err : why_set(why, ERR(IO), "EOF");
}

void client_stream_set_deadline(struct client_stream *stream, client_deadline deadline)
{
    stream->patience = deadline;
}

void client_stream_done(struct client_stream *stream)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    (void)run_op(stream, &op, &stream->send_tag);
}

struct err client_stream_recv(
    struct client_stream *stream, struct arena *arena, void *out_message, struct why *why)
{
    grpc_byte_buffer *bytes = NULL;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    op.data.recv_message.recv_message = &bytes;
    (void)run_op(stream, &op, &stream->recv_tag);
    if (!bytes) {
        TRY(stream_status(stream, why));
        *(void **)out_message = NULL;
        return OK;
    }
    if (err_is(client_unpack(stream->method->response, arena, bytes, out_message))) {
        client_stream_cancel(stream);
        return why_set(why, ERR(IO),
            "rpc error: code = Internal desc = grpc: failed to unmarshal the received message");
    }
    return OK;
}

bool client_stream_may_retry(const struct client_stream *stream)
{
    return stream->has_status &&
           (stream->code == GRPC_STATUS_UNAVAILABLE || stream->code == GRPC_STATUS_INTERNAL);
}

void client_stream_cancel(struct client_stream *stream)
{
    grpc_call_cancel(stream->call, NULL);
}

void client_stream_close(struct client_stream *stream)
{
    struct why why;

    if (!stream) {
        return;
    }
    client_stream_cancel(stream);
    (void)stream_status(stream, &why);
    (void)grpc_completion_queue_pluck(
        stream->client->queue, &stream->close_tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_metadata_array_destroy(&stream->received);
    grpc_metadata_array_destroy(&stream->trailing);
    grpc_slice_unref(stream->details);
    grpc_call_unref(stream->call);
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}
