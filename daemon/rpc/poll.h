/* SPDX-License-Identifier: Apache-2.0
 *
 * Which threads of a lane ask core for events. Two that do so at once read from one connection and
 * write to it in each other's way; so it is one, as long as one keeps up. Who has a place and is
 * about to be long gives it away; the others sleep until there is one. Private to rpc.
 */
#ifndef RPC_POLL_H
#define RPC_POLL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct rpc_poll {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned threads;
    unsigned places; /* of 1 to threads: how many may ask */
    unsigned taken;
    unsigned waiting;
    bool is_over;
};

void rpc_poll_init(struct rpc_poll *poll, unsigned threads);
void rpc_poll_fini(struct rpc_poll *poll);

/* Between two events: whether the thread that calls still has its place. Looks now and then whether
 * the lane has too few or too many of them. */
bool rpc_poll_stays(struct rpc_poll *poll);
/* Waits for a place. False: it is over. */
bool rpc_poll_wait(struct rpc_poll *poll);
/* Gives away what place the calling thread has: it will be long. */
void rpc_poll_leave(struct rpc_poll *poll);
/* No event will come any more. */
void rpc_poll_end(struct rpc_poll *poll);
/* The calling thread answered calls for so long, computing or waiting for a disk. */
void rpc_poll_worked(int64_t ns);

#endif
