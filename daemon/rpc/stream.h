/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream: what is in it, what happens to it (stream.c), who runs it (stream_run.c). Private to
 * rpc.
 */
#ifndef RPC_STREAM_H
#define RPC_STREAM_H

#include "rpc/internal.h"
#include "rpc/shim.h"

/* What happened to it. RUNNING is no news: somebody runs it, and sees the others. */
enum {
    STREAM_RECEIVED = 1,
    STREAM_SENT = 2,
    STREAM_WOKEN = 4,
    STREAM_CLOSED = 8,
    STREAM_STOP = 16,
    STREAM_RUNNING = 32,
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

/* Its messages may be chunks of the store. */
static inline bool rpc_stream_is_bulky(const struct rpc_stream *stream)
{
    return stream->head.method->method->kind == API_SERVER_STREAM;
}

/* In stream.c: */
/* What the bits call for. Only who runs it. */
void rpc_stream_handle(struct rpc_stream *stream, unsigned bits);
void rpc_stream_unref(struct rpc_stream *stream);

/* In stream_run.c: */
/* On a thread of its lane: handles the bit, unless somebody runs it, who will. */
void rpc_stream_run(struct rpc_stream *stream, unsigned bit);
/* On any thread: the lane will. */
void rpc_stream_post(struct rpc_stream *stream, unsigned bit);
/* A stream that nobody else knows yet is run by the caller until it lets go. What came meanwhile
 * waits for the next run. */
void rpc_stream_hold(struct rpc_stream *stream);
void rpc_stream_let_go(struct rpc_stream *stream);

#endif
