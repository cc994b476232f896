/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages that wait: a ring that grows up to a bound, in messages and in bytes. Pure.
 */
#ifndef PEER_QUEUE_H
#define PEER_QUEUE_H

#include "raft/raft.h"

struct queue {
    struct raft_message *items;
    size_t head;
    size_t count;
    size_t cap;
    size_t bytes; /* of the entries' data */
    size_t count_max;
};

/* Entries' data that waits in one queue: it is shared with the log, but the log may forget it. */
enum { QUEUE_BYTES_MAX = 128 << 20 };

void queue_init(struct queue *queue, size_t count_max);
void queue_fini(struct queue *queue);
/* Takes over the message's contents. False when full: they stay the caller's. */
bool queue_push(struct queue *queue, struct raft_message *message);
/* False when empty. */
bool queue_pop(struct queue *queue, struct raft_message *out);

#endif
