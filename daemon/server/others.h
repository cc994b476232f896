/* SPDX-License-Identifier: Apache-2.0
 *
 * Part of server's door: the other members, as the server needs them. Include server/server.h.
 */
#ifndef SERVER_OTHERS_H
#define SERVER_OTHERS_H

#include "base/list.h"
#include "raft/raft.h"

/* Where messages go: peer's network, or a simulator's. All NULL: a group of one. The first four are
 * called on core and must only queue; what they need of their arguments they copy, but for what
 * messages own. Nothing is called after server_stop. */
struct server_transport {
    /* Takes over what the messages own and zeroes them. A MsgSnap's snapshot has no data: the
     * transport makes its own of the store as it is when it sends, at the snapshot's index or
     * later, and says so in the message. */
    void (*send)(void *arg, struct raft_message *messages, size_t count);
    /* A member or learner that is not this one; known ids may be added again. */
    void (*add)(void *arg, uint64_t id, const char *const *peer_urls, size_t count);
    void (*update)(void *arg, uint64_t id, const char *const *peer_urls, size_t count);
    void (*remove)(void *arg, uint64_t id);
    /* clock_mono_ms of when the member became reachable; 0: it is not. Any thread. */
    int64_t (*active_since_ms)(void *arg, uint64_t id);
    /* Since when the member's host says that its process is gone; 0: it does not. NULL: nobody can
     * tell. Any thread. */
    int64_t (*refused_since_ms)(void *arg, uint64_t id);
    void *arg;
};

/* A lease as its leader sees it; seconds. */
struct server_lease {
    int64_t ttl_s; /* remaining */
    int64_t granted_s;
    const struct slice *keys;
    size_t keys_count;
};

/* A renewal on the leader, whoever asked it: server_renew. */
struct server_renewal {
    struct list node;
    int64_t id;
    int64_t ttl_s;
    struct err err;
    void (*done)(struct server_renewal *renewal); /* once, any thread, must only queue */
};

/* What other members are asked; done comes once, now or later, from any thread, and borrows for the
 * call. NULL: they cannot be asked. */
struct server_asking {
    /* Errors: LEASE_NOT_FOUND; with any other the leader is asked again. */
    void (*lease_renew)(void *arg, uint64_t leader, int64_t id, int64_t timeout_ms,
        void (*done)(void *done_arg, struct err err, int64_t ttl_s), void *done_arg);
    void (*lease_look)(void *arg, uint64_t leader, int64_t id, bool with_keys, int64_t timeout_ms,
        void (*done)(void *done_arg, struct err err, const struct server_lease *lease),
        void *done_arg);
    /* The server versions of all members but this one, "3.6.1"; NULL: not known. */
    void (*versions)(void *arg,
        void (*done)(void *done_arg, const char *const *versions, size_t count), void *done_arg);
    void *arg;
};

#endif
