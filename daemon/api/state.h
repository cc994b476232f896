/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room share. */
#ifndef API_STATE_H
#define API_STATE_H

#include "api/api.h"
#include "api/gate.h"
#include "api/metrics.h"
#include "base/pb.h"
#include "server/server.h"
#include "snapshot/snapshot.h"

struct api {
    struct api_options options;
    struct server *server;
    struct mvcc *mvcc;
    struct apply *apply;
    struct auth_table *auth;
    struct auth_tokens *tokens;
    struct worker *passwords;
    struct worker *readers; /* make large answers */
    struct desk *desk;
    _Atomic bool is_stopping;
    pthread_mutex_t led_mutex;
    struct list led; /* streams that want a leader; under led_mutex */
    uint64_t cluster_id;
    uint64_t member_id;
    struct gate gate;
    size_t response_bytes_max; /* what a client may be able to take */
    atomic_size_t held_bytes;  /* held.h */
    struct api_metrics metrics;
};

/* A unary call between start and finish; in its arena. */
struct call_state {
    struct api_call *call;
    int64_t began_ns;
    struct err err;
    const char *text; /* instead of the error's */
    ProtobufCMessage *request;
    ProtobufCMessage *response; /* in the arena */
    struct server_proposal proposal;
    struct server_read read;
    struct server_lease_ask lease;
    struct server_job job;
    struct gate_pass pass;  /* its bytes: what the call has of the gate */
    struct payload payload; /* once it is made */
    void *own;              /* the method's */
    void (*work)(struct call_state *state);
    uint64_t checked_revision; /* of users, when the password was looked at */
    struct apply_guard guard;  /* what the answer was checked against */
};

/* What a caller must be for a method at all; keys are another matter. */
enum api_right {
    API_RIGHT_OPEN,
    API_RIGHT_KNOWN, /* somebody */
    API_RIGHT_ADMIN, /* somebody with the root role */
};

/* A service's part in a method. */
struct api_ops {
    enum api_right right;     /* asked before start or open's message */
    bool is_patient;          /* may wait for long, and is told when its client is gone */
    bool is_without_revision; /* the response's header says nothing of the store */
    /* unary: ends in api_done, now or later, from any thread */
    void (*start)(struct api *api, struct call_state *state);
    /* unary, optional, on the edge's thread: makes the response, or adds it to *out, packed */
    struct err (*execute)(struct api *api, struct call_state *state);
    struct err (*reply)(struct api *api, struct call_state *state, struct payload *out);
    /* streams */
    void (*open)(struct api *api, struct api_stream *stream);
    void (*message)(struct api_stream *stream, struct slice message);
    void (*half_close)(struct api_stream *stream);
    enum api_next (*next)(
        struct api_stream *stream, struct payload *out, struct api_status *out_status);
    void (*close)(struct api_stream *stream);
};

/* call.c */
void api_done(struct call_state *state, struct err err);
/* Proposes the request as that field of InternalRaftRequest; ends the call with its result. */
void api_propose(struct api *api, struct call_state *state, uint32_t field, struct slice request);
/* Waits until a linearizable read may be made, then ends the call (execute follows). */
void api_read(struct api *api, struct call_state *state);
/* False when the store is full: then an alarm was proposed and the call will end with NO_SPACE. */
bool api_has_space(struct api *api, struct call_state *state);
struct api_status api_status_of(struct err err);
/* cluster.c: members as messages, in the arena; NULL: too big */
Etcdserverpb__Member **api_members(struct arena *arena, const struct member *members, size_t count);
void api_fill_header(struct api *api, Etcdserverpb__ResponseHeader *header);
Etcdserverpb__ResponseHeader *api_new_header(struct api *api, struct arena *arena);
void *api_new(struct arena *arena, const ProtobufCMessageDescriptor *type);
/* Appends field 1 of a response: the header, filled. */
void api_add_header(struct api *api, struct buf *out, revision rev);

#endif
