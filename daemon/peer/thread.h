/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads that come and go: peer_stop waits for them.
 */
#ifndef PEER_THREAD_H
#define PEER_THREAD_H

#include <stdbool.h>

struct peer;

/* Runs fn(arg), which calls thread_end as the last thing it does with the peer. False: there is no
 * thread. */
bool thread_start(struct peer *peer, void *(*fn)(void *arg), void *arg);
void thread_end(struct peer *peer);

#endif
