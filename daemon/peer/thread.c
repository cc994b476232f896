/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/thread.h"

#include "peer/inner.h"

#include <pthread.h>

bool thread_start(struct peer *peer, void *(*fn)(void *arg), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    atomic_fetch_add(&peer->threads, 1);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int failure = pthread_create(&thread, &attr, fn, arg);
    pthread_attr_destroy(&attr);
    if (failure) {
        thread_end(peer);
    }
    return failure == 0;
}

void thread_end(struct peer *peer)
{
    atomic_fetch_sub(&peer->threads, 1);
}
