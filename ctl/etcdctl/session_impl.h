/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a session: what its life, its waits and its key share. The main thread's, but for what
 * the lock guards, which the threads of signals and of renewals change.
 */
#ifndef ETCDCTL_SESSION_IMPL_H
#define ETCDCTL_SESSION_IMPL_H

#include "session.h"

#include <pthread.h>

enum { STAYS = -1 };

struct session {
    struct client *client;
    struct client *renewer; /* of the renewing thread only */
    struct printer printer;
    struct arena *arena;
    int64_t ttl;
    pthread_mutex_t lock; /* guards what is below */
    pthread_cond_t changed;
    int64_t lease;                 /* changed once, before the thread that renews it begins */
    struct client_stream *waiting; /* cancelled by a signal, and by the end of the lease */
    int code;                      /* of the process at a signal; STAYS: it ends a wait instead */
    bool is_acquiring;             /* if it waits for a key of its own, which that takes away */
    bool is_interrupted;
    bool is_expired;
};

#endif
