/* SPDX-License-Identifier: Apache-2.0
 *
 * What lock and elect stand on: a lease kept alive beside the command, a key of one's own under a
 * prefix, and the wait until all older keys there are gone. SIGINT and SIGTERM end the waits;
 * before there is a lease, and where nothing is held while no member answers, the process.
 */
#ifndef ETCDCTL_SESSION_H
#define ETCDCTL_SESSION_H

#include "watch.h"

struct session;

/* Connects, grants the lease (of 60 s when ttl is none), begins to renew it. Call before any other
 * thread exists: signals are blocked from here on. Gives an exit code. */
int session_open(struct cmd_run *run, int64_t ttl, struct session **out_session);
/* The lease is left to expire, as etcdctl leaves it, and so are the threads: ends the process with
 * that code. */
_Noreturn int session_close(struct session *session, int code);
struct client *session_client(struct session *session);
const struct printer *session_printer(struct session *session);

/* A key of one's own, which lives with the session. */
struct session_key {
    const char *name;
    int64_t revision; /* of its creation */
    bool has_waited;  /* for older ones: whether it is still there has not been looked at since */
};

/* client_call, which nothing ends when no member answers, while nothing is known to be held: a
 * signal ends the process with that code meanwhile. Errors: CANCELED by a signal that came before,
 * or as client_call. */
MUST struct err session_call(struct session *session, const struct client_ask *ask, int code,
    void *out_response, struct why *why);
/* Puts PREFIX/LEASE with that value and waits until it is the oldest key of the prefix. Errors:
 * CANCELED by a signal, LEASE_NOT_FOUND by the end of the lease, or as client_call. */
MUST struct err session_acquire(struct session *session, const char *prefix, const char *value,
    struct session_key *out_key, struct why *why);
/* Deletes the key, if it is still that one. */
MUST struct err session_release(
    struct session *session, const struct session_key *key, struct why *why);
/* Waits for an event on the key (or, with prefix, below it) from a revision on, on another
 * connection when one is lost: a response with at least one.
 * Errors: CANCELED, or as client_call. */
MUST struct err session_wait_events(struct session *session, const struct watch_spec *spec,
    struct arena *arena, const Etcdserverpb__WatchResponse **out_response, struct why *why);
/* Waits for a signal (true) or the end of the lease (false). */
bool session_wait_end(struct session *session);
bool session_is_interrupted(struct session *session);

#endif
