/* SPDX-License-Identifier: Apache-2.0
 *
 * A blocking gRPC client over C core, and a loopback listener that hands what it accepts to an rpc
 * server. For tests.
 */
#ifndef TESTS_RPC_CLIENT_H
#define TESTS_RPC_CLIENT_H

#include "rpc/rpc.h"

#include <grpc/grpc.h>

/* Accepts on a free port of 127.0.0.1 and adopts. */
struct listener {
    struct rpc *rpc;
    bool is_tls;
    int fd;
    unsigned port;
    pthread_t thread;
};

void listener_start(struct listener *listener, struct rpc *rpc, bool is_tls);
void listener_stop(struct listener *listener);

struct reply {
    grpc_status_code code;
    char text[512];
    uint8_t *bytes; /* free() */
    size_t len;
};

struct client {
    grpc_channel *channel;
    grpc_completion_queue *cq;
};

/* ca_pem NULL: plain; cert and key NULL: no client certificate. */
void client_open(struct client *client, unsigned port, const char *ca_pem, const char *cert_pem,
    const char *key_pem);
/* Plain; its messages are compressed with gzip. */
void client_open_gzip(struct client *client, unsigned port);
void client_close(struct client *client);
/* metadata: name, value, …, NULL; may be NULL. Fails with DeadlineExceeded after 5 s. */
void client_call(struct client *client, const char *method, struct slice request,
    const char *const *metadata, struct reply *out_reply);
void reply_fini(struct reply *reply);

struct client_stream {
    struct client *client;
    grpc_call *call;
    grpc_metadata_array initial; /* until it came, core keeps messages back */
};

void client_stream_open(struct client_stream *stream, struct client *client, const char *method);
/* False when the stream is broken. */
bool client_stream_send(struct client_stream *stream, struct slice message);
void client_stream_half_close(struct client_stream *stream);
/* The length of the next message, -1 at the end. */
ssize_t client_stream_receive(struct client_stream *stream);
/* Waits for the status, frees the stream. */
void client_stream_finish(struct client_stream *stream, struct reply *out_reply);
void client_stream_cancel(struct client_stream *stream);

#endif
