/* SPDX-License-Identifier: Apache-2.0
 *
 * An etcd client over gRPC C core with clientv3's manners: several endpoints, the dead ones passed
 * over; calls wait for a connection until their deadline; reads are repeated while the server is
 * unavailable; a user's token is fetched at connect and again when it has expired. Errors come back
 * as a code and, in why, the text that clientv3's error has. One thread, except that a stream may
 * send in one thread and receive in another.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "base/arena.h"
#include "base/err.h"

#include <protobuf-c/protobuf-c.h>

struct client;

struct client_config {
    const char *const *endpoints;
    size_t endpoints_count;
    const char *cert; /* "" when not given; likewise below */
    const char *key;
    const char *cacert;
    const char *server_name;
    const char *user; /* with a password: the token is fetched */
    const char *password;
    const char *token; /* sent as it is, without a user */
    bool is_insecure;  /* no TLS unless the endpoint asks for it or there are certificates */
    bool skips_verify;
    int64_t dial_timeout_ns;
    int64_t keepalive_time_ns;
    int64_t keepalive_timeout_ns;
    int64_t send_max;   /* bytes; 0: 2 MiB */
    int64_t recv_max;   /* bytes; 0: 2 GiB */
    const char *logger; /* "logger" of its log lines */
};

/* A row of the API: how it is called, what it answers, whether it may simply be sent again. */
struct client_method {
    const char *path; /* "/etcdserverpb.KV/Range" */
    const ProtobufCMessageDescriptor *response;
    bool is_repeatable;
};

#define CLIENT_METHODS(X)                                                                          \
    X(range)                                                                                       \
    X(put)                                                                                         \
    X(delete_range)                                                                                \
    X(txn)                                                                                         \
    X(compact)                                                                                     \
    X(watch) X(lease_grant) X(lease_revoke) X(lease_keep_alive) X(lease_time_to_live)              \
        X(lease_leases) X(member_add) X(member_remove) X(member_update) X(member_list)             \
            X(member_promote) X(alarm) X(status) X(defragment) X(hash_kv) X(snapshot)              \
                X(move_leader) X(downgrade) X(auth_enable) X(auth_disable) X(auth_status)          \
                    X(authenticate) X(user_add) X(user_get) X(user_list) X(user_delete)            \
                        X(user_change_password) X(user_grant_role) X(user_revoke_role) X(role_add) \
                            X(role_get) X(role_list) X(role_delete) X(role_grant_permission)       \
                                X(role_revoke_permission)

#define X(name) extern const struct client_method client_##name;
CLIENT_METHODS(X)
#undef X

enum client_stage { CLIENT_BAD_CONFIG, CLIENT_BAD_CONNECTION };

/* Borrows nothing. Does not wait for a connection, but for a token. *out_stage: what failed (files
 * and limits, or the rest). Errors: BAD_CONFIG, IO, what the server says to Authenticate. */
MUST struct err client_open(const struct client_config *config, struct client **out_client,
    enum client_stage *out_stage, struct why *why);
/* Cancels nothing: close streams before. NULL is fine. */
void client_close(struct client *client);

/* A deadline on the monotonic clock, in ns; 0 is never. */
typedef int64_t client_deadline;

/* What is asked, and how long an answer is waited for. */
struct client_ask {
    const struct client_method *method;
    const void *request; /* not for streams */
    client_deadline deadline;
    bool needs_leader; /* streams: the server shall end it while it has no leader */
    bool is_kept;      /* streams: they outlive the deadline, which is that of the next wait */
};
#define CLIENT_ASK(method, request, deadline)                                                      \
    (&(const struct client_ask){(method), (request), (deadline), false, false})
#define CLIENT_ASK_LEADER(method, deadline)                                                        \
    (&(const struct client_ask){(method), NULL, (deadline), true, false})

/* One question, one answer, which lives as long as the client, or until client_forget.
 * Errors: etcd's own by their text; DEADLINE_EXCEEDED; IO for anything else ("rpc error: code = …
 * desc = …"). */
MUST struct err client_call(
    struct client *client, const struct client_ask *ask, void *out_response, struct why *why);
/* Frees the answers so far: for clients that live long. */
void client_forget(struct client *client);

#endif
