/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd's services without a transport: packed request bytes in, packed response bytes and a status
 * out. rpc (gRPC) and gateway (JSON) are thin edges over this door, so that both check, answer and
 * fail alike.
 *
 * Threads: the functions here are called on the edge's threads; `done` and `wake` are called back
 * on any thread and must only queue.
 */
#ifndef API_API_H
#define API_API_H

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/payload.h"

#include <stdatomic.h>

struct api;

/* Making one: for boot. */

struct server;
struct snapshot_export;
struct snapshot_order;

/* The other members, as far as services need them. All NULL: there are none. */
struct api_peers {
    /* clock_mono_ms of when the member became reachable; 0: it is not. Any thread. */
    int64_t (*active_since_ms)(void *arg, uint64_t id);
    /* Asks the leader to promote the learner; done is called once, on any thread. json: the
     * members, lent for the call. Errors: MEMBER_NOT_FOUND, MEMBER_NOT_LEARNER, LEARNER_NOT_READY
     * (final); others: ask again. */
    void (*promote)(void *arg, uint64_t leader, uint64_t learner, int64_t timeout_ms,
        void (*done)(void *done_arg, struct err err, struct slice json), void *done_arg);
    void *arg;
};

struct api_options {
    struct server *server; /* borrowed */
    struct api_peers peers;
    bool strict_reconfig_check;
    int txn_ops_max;
    size_t request_bytes_max;
    size_t range_bytes_max;   /* of answers to ranges under way; 0: no bound */
    int64_t warning_unary_ns; /* slower unary calls are logged; 0: never */
    /* Makes a bbolt file of everything, written and ready to be read; not for long any more once
     * order->is_over says so. Back thread. Gives. */
    struct err (*snapshot_open)(void *arg, const struct snapshot_order *order,
        struct snapshot_export **out, struct why *why);
    void *snapshot_arg;
    unsigned bcrypt_cost;
    bool is_cert_required; /* of clients: then its common name says who they are */
};

struct api *api_new_service(const struct api_options *options);
/* Ends calls that wait for other clients, with STOPPED; before the edges stop. */
void api_end_waiting(struct api *api);
/* Ends calls that wait for the back thread or have it rewrite files, with STOPPED: the edges have
 * waited for them as long as for the others. Then no file of the store is rewritten any more. */
void api_end_jobs(struct api *api);
/* Ends what still works for calls; after the edges took their last one. */
void api_stop(struct api *api);
void api_free(struct api *api);

/* The table of methods. */

enum api_kind {
    API_UNARY,
    API_SERVER_STREAM, /* one request, many responses */
    API_BIDI,          /* many, many */
};

struct api_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    enum api_kind kind;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    const struct api_ops *ops; /* private to api */
};

/* Every method of every service. Static. */
const struct api_method *api_methods(size_t *out_count);
/* NULL when there is no such method: gRPC answers UNIMPLEMENTED "unknown service …" / "unknown
 * method …". */
const struct api_method *api_method_find(struct slice path);

/* Who calls. */

struct api_caller {
    const char *address;        /* "127.0.0.1:1234"; may be NULL */
    const char *cert_cn;        /* common name of the verified client certificate, "": it has
                                   none; NULL: no certificate */
    bool is_gateway;            /* metadata "grpcgateway-accept": the certificate is a gateway's */
    const char *token;          /* from the metadata "token" or "authorization"; NULL: none */
    const char *client_version; /* metadata "client-api-version"; NULL: none */
    /* metadata "hasleader: true": refused without a leader; a stream ends when there is none for
     * three election timeouts */
    bool has_leader;
    bool is_internal; /* the member's own checks (health): no authentication */
    bool is_counted;  /* part of a call that stands in the metrics already */
};

/* How a call ended. text is err_text(err) or, where etcd says more, a text of its own (arena or
 * static). */
struct api_status {
    enum grpc_code code;
    const char *text;
};

/* Unary. */

/* Made by the edge in call->arena; everything in it lives there. The edge frees the arena after
 * api_call_finish. */
struct api_call {
    struct list node; /* free for whoever holds the call: the edge before and after, api between */
    const struct api_method *method;
    struct arena *arena;
    struct slice request; /* packed; lives as long as the arena */
    struct api_caller caller;
    int64_t deadline_ns; /* clock_mono_ns(); INT64_MAX: none */
    /* Called exactly once, on any thread, perhaps before api_call_start returns. Must only queue
     * the call, unless it is made. */
    void (*done)(struct api_call *call);
    void *edge; /* the edge's own */
    /* Set before done: a large answer, made on the thread that calls done, which has nothing better
     * to do than to send it. */
    bool is_made;
    /* Set before done: api_call_finish takes microseconds, unless it has to read the disk. */
    bool is_quick;
    /* private to api */
    struct api *api;
    void *state;
    struct api_status status;
    atomic_bool is_cancelled;
};

/* Starts the call. */
void api_call_start(struct api *api, struct api_call *call);
/* Whether a call of this method may wait for long: then the edge says when its client is gone. */
bool api_call_is_patient(const struct api_method *method);
/* The client is gone: a patient call that waits ends soon (done is called as ever). Between
 * api_call_start and the arena's end; any thread. */
void api_call_cancel(struct api_call *call);
/* After done, on a thread of the edge: encodes the response (real work, unless it is made).
 * *out_payload is the caller's to fini; it is empty when out_status is not OK. */
void api_call_finish(
    struct api_call *call, struct payload *out_payload, struct api_status *out_status);

/* Streams. */

struct api_stream {
    const struct api_method *method;
    struct arena *arena; /* the edge's; freed after api_stream_close */
    struct api_caller caller;
    /* Something to send, or the end, is there: call api_stream_next until it says LATER or END. Any
     * thread. */
    void (*wake)(struct api_stream *stream);
    void *edge;
    /* Beside API_NEXT_MESSAGE: another message, or the end, is there already. The edge resets it.
     */
    bool has_more;
    /* private to api */
    struct api *api;
    void *state;
    struct err refusal; /* it was never begun */
    struct list led;    /* among those that want a leader */
    atomic_bool is_leaderless;
    _Atomic(struct held *) held; /* until its token is known */
    bool has_message;
};

enum api_next {
    API_NEXT_MESSAGE, /* *out_payload is the caller's */
    API_NEXT_LATER,   /* nothing now; wake will be called */
    API_NEXT_END,     /* *out_status; nothing more will come */
};

/* Always succeeds; a refusal is an END with a status. */
void api_stream_open(struct api *api, struct api_stream *stream);
/* One message came in. For API_SERVER_STREAM call it once, then half_close. Borrows the bytes for
 * the call only. */
void api_stream_message(struct api_stream *stream, struct slice message);
/* The client will send no more. */
void api_stream_half_close(struct api_stream *stream);
/* The edge asks for one message at a time, when it can send it: what waits, waits in bounded room
 * in api. Messages out of one stream are asked for by one thread at a time. */
enum api_next api_stream_next(
    struct api_stream *stream, struct payload *out_payload, struct api_status *out_status);
/* The end, whoever wanted it (END was given, the client cancelled, the connection broke). wake is
 * not called after this returns. */
void api_stream_close(struct api_stream *stream);

/* A promotion that another member forwarded: done is called once, on any thread. json: the members,
 * lent for the call. Errors: MEMBER_NOT_FOUND, MEMBER_NOT_LEARNER, LEARNER_NOT_READY, NOT_LEADER
 * and what proposing gives. */
void api_promote(struct api *api, uint64_t learner,
    void (*done)(void *arg, struct err err, struct slice json), void *arg);

/* For /version and the like. */

/* "3.6.x" and the cluster version "3.6.0" ("not_decided" before one is known). Static or lent until
 * the next change. */
const char *api_server_version(void);
const char *api_cluster_version(struct api *api);
/* NULL: not decided. */
const char *api_storage_version(struct api *api);
bool api_is_auth_enabled(struct api *api);
/* Before metrics are exposed: sets those that follow the state. */
void api_measure(struct api *api);

#endif
