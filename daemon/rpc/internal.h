/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of rpc share. A lane is one completion queue with its threads; core ties each
 * connection to a lane, and its calls stay there.
 */
#ifndef RPC_INTERNAL_H
#define RPC_INTERNAL_H

#include "rpc/count.h"
#include "rpc/poll.h"
#include "rpc/rpc.h"

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

/* What a completion queue gives back: each operation in flight has one. */
struct rpc_tag {
    void (*fn)(struct rpc_tag *tag, bool is_ok);
};

struct rpc_unary;
struct rpc_stream;

struct rpc_lane {
    struct rpc *rpc;
    grpc_completion_queue *cq;
    struct rpc_poll poll;
    _Atomic(struct rpc_unary *) ended; /* the last one first: done, not yet answered */
    struct rpc_tag ended_tag;
    /* Streams that have something to do, the last first; woken_tag comes when it was empty. */
    _Atomic(struct rpc_stream *) woken;
    struct rpc_tag woken_tag;
};

struct rpc_creds;

struct rpc {
    struct api *api;
    char *name;
    size_t message_bytes_max;
    grpc_server *server;
    void *plain_handler;
    void *tls_handler;
    struct rpc_creds *creds; /* NULL: no TLS */
    struct rpc_lane *lanes;
    unsigned lanes_count;
    pthread_t *threads;
    unsigned threads_count;
    struct rpc_method *methods;
    size_t methods_count;
    atomic_size_t calls; /* and one until the server is shut, when no call comes any more */
    atomic_bool is_stopping;
    pthread_rwlock_t adopt_lock; /* adopting (read) against stopping (write) */
    bool is_open;                /* under adopt_lock */
    pthread_mutex_t streams_mutex;
    struct list streams; /* of struct rpc_stream, under streams_mutex */
    struct rpc_tag shutdown_tag;
    pthread_mutex_t idle_mutex;
    pthread_cond_t idle_cond;
    bool is_idle; /* shut, and no call is left; under idle_mutex */
};

/* A registered method of the table. */
struct rpc_method {
    const struct api_method *method;
    void *handle;
    struct rpc_counters counters;
};

/* What one call brings along, unary or stream. */
struct rpc_head {
    struct rpc_lane *lane;
    const struct rpc_method *method;
    grpc_call *call;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
    grpc_byte_buffer *first; /* the request of a unary call or server stream */
};

/* unary.c, stream.c, unknown.c: ask core for one call of the kind, and again as calls arrive. */
void rpc_unary_request(struct rpc_lane *lane, const struct rpc_method *method);
void rpc_stream_request(struct rpc_lane *lane, const struct rpc_method *method);
void rpc_streams_init(struct rpc_lane *lane); /* before its first; in stream_run.c */
void rpc_unknown_request(struct rpc_lane *lane);
/* Ends every stream with UNAVAILABLE. */
void rpc_streams_stop(struct rpc *rpc);

/* In head.c: */
void rpc_head_fini(struct rpc_head *head);
/* The caller as the metadata, the connection and its certificate tell, in the arena. */
void rpc_head_caller(struct rpc_head *head, struct arena *arena, struct api_caller *out_caller);
int64_t rpc_head_deadline_ns(const struct rpc_head *head);

/* In rpc.c: */
void rpc_call_began(struct rpc *rpc);
void rpc_call_ended(struct rpc *rpc);

#endif
