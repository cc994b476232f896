/* SPDX-License-Identifier: Apache-2.0
 *
 * What the peer thread holds: the transport. Its remotes are in remote.h.
 */
#ifndef PEER_INNER_H
#define PEER_INNER_H

#include "base/list.h"
#include "peer/metrics.h"
#include "peer/peer.h"

struct event_base;

/* Member ids, and since when each is reachable; read by any thread. */
enum { SLOTS = 2 * RAFT_MEMBERS_MAX };

struct slot {
    _Atomic uint64_t id; /* 0: free */
    _Atomic int64_t since_ms;
    _Atomic int64_t refused_ms; /* 0: nothing says that its process is gone */
    atomic_int
        takes; /* enum snapshot_form: the best, as it said when it dialed; while it listens */
};

struct peer {
    struct peer_options options;
    char self_text[17];
    char cluster_text[17];
    char *fields; /* of every request to another member */
    struct http_server *http;
    struct event_base *base;
    struct metrics metrics;
    struct list remotes;  /* struct remote */
    struct list receives; /* of snapshots */
    struct slot slots[SLOTS];
    atomic_bool is_stopped;
    atomic_bool is_removed;  /* from the cluster; told once */
    atomic_size_t threads;   /* for snapshots, and calls they still make */
    atomic_size_t waiting;   /* messages on their way to the peer thread */
    atomic_uint sending;     /* snapshots */
    atomic_uint receiving;   /* snapshots */
    atomic_uint sends_ended; /* times that all under way were told to end */
};

/* The best form that a member is known to take now; any thread. */
enum snapshot_form peer_taken_by(struct peer *peer, uint64_t id);
/* In which form, by a request's two fields, a store goes between its sender and this member. */
enum snapshot_form peer_form_of(const struct peer *peer, struct http_request *request,
    const char *files_field, const char *rows_field);

#endif
