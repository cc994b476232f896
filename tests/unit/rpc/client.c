/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* core's arguments are not const, though it only reads them. */
#define TEXT(literal) ((char *)(uintptr_t)(literal))

static void *accept_all(void *arg)
{
    struct listener *listener = arg;
    int fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        rpc_adopt(listener->rpc, fd, listener->is_tls);
    }
    return NULL;
}

void listener_start(struct listener *listener, struct rpc *rpc, bool is_tls)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *listener = (struct listener){.rpc = rpc, .is_tls = is_tls};
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(listener->fd, (struct sockaddr *)&at, len) == 0);
    check(listen(listener->fd, 64) == 0);
    check(getsockname(listener->fd, (struct sockaddr *)&at, &len) == 0);
    listener->port = ntohs(at.sin_port);
    check(pthread_create(&listener->thread, NULL, accept_all, listener) == 0);
}

void listener_stop(struct listener *listener)
{
    shutdown(listener->fd, SHUT_RDWR);
    pthread_join(listener->thread, NULL);
    close(listener->fd);
}

void client_open(struct client *client, unsigned port, const char *ca_pem, const char *cert_pem,
    const char *key_pem)
{
    char target[64];
    grpc_ssl_pem_key_cert_pair pair = {key_pem, cert_pem};
    grpc_channel_credentials *creds =
        ca_pem ? grpc_ssl_credentials_create(ca_pem, cert_pem ? &pair : NULL, NULL, NULL)
               : grpc_insecure_credentials_create();
    const grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER,
            .key = TEXT(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL),
            .value.integer = 1},
        {.type = GRPC_ARG_INTEGER,
            .key = TEXT(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH),
            .value.integer = -1},
        {.type = GRPC_ARG_STRING,
            .key = TEXT(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG),
            .value.string = TEXT("localhost")},
    };
    grpc_channel_args all = {ca_pem ? 3 : 2, (grpc_arg *)(uintptr_t)args};
    snprintf(target, sizeof(target), "127.0.0.1:%u", port);
    client->channel = grpc_channel_create(target, creds, &all);
    client->cq = grpc_completion_queue_create_for_pluck(NULL);
    grpc_channel_credentials_release(creds);
}

void client_open_gzip(struct client *client, unsigned port)
{
    char target[64];
    grpc_arg arg = {.type = GRPC_ARG_INTEGER,
        .key = TEXT(GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM),
        .value.integer = GRPC_COMPRESS_GZIP};
    grpc_channel_args all = {1, &arg};
    grpc_channel_credentials *creds = grpc_insecure_credentials_create();
    snprintf(target, sizeof(target), "127.0.0.1:%u", port);
    client->channel = grpc_channel_create(target, creds, &all);
    client->cq = grpc_completion_queue_create_for_pluck(NULL);
    grpc_channel_credentials_release(creds);
}

void client_close(struct client *client)
{
    grpc_channel_destroy(client->channel);
    grpc_completion_queue_shutdown(client->cq);
    grpc_completion_queue_destroy(client->cq);
}

static grpc_byte_buffer *pack(struct slice bytes)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    grpc_byte_buffer *out = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return out;
}

static bool pluck(struct client *client, void *tag)
{
    return grpc_completion_queue_pluck(client->cq, tag, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
               .success != 0;
}

static grpc_call *call_new(struct client *client, const char *method)
{
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(60, GPR_TIMESPAN));
    grpc_slice path = grpc_slice_from_copied_string(method);
    grpc_call *call =
        grpc_channel_create_call(client->channel, NULL, 0, client->cq, path, NULL, deadline, NULL);
    grpc_slice_unref(path);
    return call;
}

static size_t metadata_from(const char *const *texts, grpc_metadata *out)
{
    size_t count = 0;
    for (size_t i = 0; texts && texts[i]; i += 2) {
        out[count].key = grpc_slice_from_static_string(texts[i]);
        out[count++].value = grpc_slice_from_static_string(texts[i + 1]);
    }
    return count;
}

static void keep_status(struct reply *reply, grpc_slice details)
{
    snprintf(reply->text, sizeof(reply->text), "%.*s", (int)GRPC_SLICE_LENGTH(details),
        (const char *)GRPC_SLICE_START_PTR(details));
    grpc_slice_unref(details);
}

static void keep_message(struct reply *reply, grpc_byte_buffer *message)
{
    grpc_byte_buffer_reader reader;
    if (!message) {
        return;
    }
    check(grpc_byte_buffer_reader_init(&reader, message));
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    reply->len = GRPC_SLICE_LENGTH(all);
    reply->bytes = mem_dup(GRPC_SLICE_START_PTR(all), reply->len);
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(message);
}

void client_call(struct client *client, const char *method, struct slice request,
    const char *const *metadata, struct reply *out_reply)
{
    grpc_metadata sent[8] = {0};
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_slice details = grpc_empty_slice();
    grpc_byte_buffer *message = pack(request);
    grpc_byte_buffer *answer = NULL;
    grpc_call *call = call_new(client, method);
    grpc_op ops[6] = {0};
    *out_reply = (struct reply){0};
    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = metadata_from(metadata, sent);
    ops[0].data.send_initial_metadata.metadata = sent;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = message;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &answer;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[5].data.recv_status_on_client.status = &out_reply->code;
    ops[5].data.recv_status_on_client.status_details = &details;
    check(grpc_call_start_batch(call, ops, 6, call, NULL) == GRPC_CALL_OK);
    pluck(client, call);
    keep_status(out_reply, details);
    keep_message(out_reply, answer);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_byte_buffer_destroy(message);
    grpc_call_unref(call);
}

void reply_fini(struct reply *reply)
{
    free(reply->bytes);
    *reply = (struct reply){0};
}

void client_stream_open(struct client_stream *stream, struct client *client, const char *method)
{
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    stream->client = client;
    stream->call = call_new(client, method);
    check(grpc_call_start_batch(stream->call, &op, 1, stream, NULL) == GRPC_CALL_OK);
    pluck(client, stream);
    grpc_metadata_array_init(&stream->initial);
    op = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = &stream->initial;
    check(grpc_call_start_batch(stream->call, &op, 1, &stream->initial, NULL) == GRPC_CALL_OK);
}

bool client_stream_send(struct client_stream *stream, struct slice message)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    grpc_byte_buffer *packed = pack(message);
    op.data.send_message.send_message = packed;
    check(grpc_call_start_batch(stream->call, &op, 1, packed, NULL) == GRPC_CALL_OK);
    bool is_sent = pluck(stream->client, packed);
    grpc_byte_buffer_destroy(packed);
    return is_sent;
}

void client_stream_half_close(struct client_stream *stream)
{
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    check(grpc_call_start_batch(stream->call, &op, 1, stream, NULL) == GRPC_CALL_OK);
    pluck(stream->client, stream);
}

ssize_t client_stream_receive(struct client_stream *stream)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    grpc_byte_buffer *message = NULL;
    ssize_t len = -1;
    op.data.recv_message.recv_message = &message;
    check(grpc_call_start_batch(stream->call, &op, 1, &message, NULL) == GRPC_CALL_OK);
    pluck(stream->client, &message);
    if (message) {
        len = (ssize_t)grpc_byte_buffer_length(message);
        grpc_byte_buffer_destroy(message);
    }
    return len;
}

void client_stream_cancel(struct client_stream *stream)
{
    grpc_call_cancel(stream->call, NULL);
}

void client_stream_finish(struct client_stream *stream, struct reply *out_reply)
{
    grpc_metadata_array trailing;
    grpc_slice details = grpc_empty_slice();
    grpc_op ops[1] = {0};
    *out_reply = (struct reply){0};
    grpc_metadata_array_init(&trailing);
    ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[0].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[0].data.recv_status_on_client.status = &out_reply->code;
    ops[0].data.recv_status_on_client.status_details = &details;
    check(grpc_call_start_batch(stream->call, ops, 1, stream, NULL) == GRPC_CALL_OK);
    pluck(stream->client, stream);
    pluck(stream->client, &stream->initial);
    keep_status(out_reply, details);
    grpc_metadata_array_destroy(&stream->initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_call_unref(stream->call);
}
