/* SPDX-License-Identifier: Apache-2.0
 *
 * The gRPC edge: every method of api_methods() served by gRPC C core, plain and TLS at once, on
 * connections that somebody else accepted. Encodes nothing on the thread that ends a call; sends
 * one message a stream at a time.
 *
 * Threads: its own, named rpc/N. rpc_adopt may be called by any thread; the rest by the one that
 * made it.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "api/api.h"
#include "base/tls.h"

struct rpc;

struct rpc_options {
    struct api *api;
    const char *name;              /* in logs and thread names; NULL: "rpc" */
    const struct tls_options *tls; /* for connections adopted as TLS; NULL: there are none */
    uint32_t request_bytes_max; /* --max-request-bytes; messages may be 512 KiB longer, as etcd's;
                                   0: 1.5 MiB */
    uint32_t streams_max;       /* concurrent streams a connection; 0: no limit */
    uint32_t headers_bytes_max; /* 0: 64 KiB */
    size_t memory_bytes_max;  /* of what core reads and was not handed to the api yet; 0: 512 MiB */
    int64_t keepalive_min_ms; /* clients that ping more often are told to go away; 0: 5 s */
    int64_t keepalive_interval_ms; /* ping a silent client; 0: 2 h */
    int64_t keepalive_timeout_ms;  /* and drop it when it does not answer; 0: 20 s */
    int64_t handshake_timeout_ms;  /* TLS and the HTTP/2 preface; 0: 10 s */
    bool is_extensive;             /* --metrics=extensive: how long calls took */
    unsigned threads;              /* 0: one a core, at least two */
};

/* Borrows options for the call, the api for life. Errors: BAD_TLS and those of reading files (why
 * says which). */
MUST struct err rpc_new(const struct rpc_options *options, struct rpc **out_rpc, struct why *why);
/* NULL and never started are fine; calls rpc_stop(rpc, 0) when it was not stopped. */
void rpc_free(struct rpc *rpc);

/* From here on connections may be adopted. */
void rpc_start(struct rpc *rpc);
/* Takes the connected, non-blocking socket, of which nothing was read (peeked at most). Closes it
 * when stopped, and when is_tls without TLS options. */
void rpc_adopt(struct rpc *rpc, int fd, bool is_tls);
/* Says goodbye to every connection (GOAWAY), ends streams with UNAVAILABLE "etcdserver: server
 * stopped", lets no call in and unary calls finish until drain_ms have passed; those that are left
 * are still answered when they end. Again: only waits for them. */
void rpc_drain(struct rpc *rpc, int64_t drain_ms);
/* Drains what was not drained yet, cancels what is left and returns when the last call is gone: the
 * api must end every call it holds. */
void rpc_stop(struct rpc *rpc, int64_t drain_ms);

/* Calls and streams in progress. Any thread. */
size_t rpc_calls(const struct rpc *rpc);

#endif
