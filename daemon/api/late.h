/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream that waits for one answer from another thread, and may be closed before it comes: then
 * whoever comes last frees.
 */
#ifndef API_LATE_H
#define API_LATE_H

#include <pthread.h>
#include <stdbool.h>

struct late {
    pthread_mutex_t mutex;
    bool is_awaited;
    bool is_closed;
};

void late_init(struct late *late);
void late_fini(struct late *late);
/* Before the question is asked. */
void late_await(struct late *late);
/* The question could not be asked: no answer comes. */
void late_give_up(struct late *late);
bool late_is_closed(struct late *late);
/* The answer's thread: calls deliver(arg), unless the stream is closed, which cannot happen during
 * the call. False: it is, and the caller frees what the stream had. */
bool late_arrive(struct late *late, void (*deliver)(void *arg), void *arg);
/* The stream's end. False: an answer is on its way, and its thread frees. */
bool late_close(struct late *late);

#endif
