/* SPDX-License-Identifier: Apache-2.0
 *
 * The only way between threads: a bounded first-in first-out queue of intrusive nodes. Pushing
 * moves ownership to the taker. Many pushers, one taker.
 */
#ifndef BASE_MAILBOX_H
#define BASE_MAILBOX_H

#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    struct list items;
    size_t count;
    size_t items_max;
    bool is_closed;
    bool is_waiting;
    bool is_woken; /* by mailbox_wake, since the last take */
};

void mailbox_init(struct mailbox *box, size_t items_max);
/* The queue must be empty: its items have owners elsewhere. */
void mailbox_fini(struct mailbox *box);
/* False when full or closed: the item stays the caller's. */
bool mailbox_push(struct mailbox *box, struct list *item);
/* As push, but ignores the bound: for messages that bounded work elsewhere has already paid for.
 * False when closed. */
bool mailbox_push_always(struct mailbox *box, struct list *item);
/* Moves all waiting items to the end of out, in order; waits up to timeout_ms (-1: for ever, 0: not
 * at all) for the first. Returns how many. 0 with a closed box means: nothing more will come. */
size_t mailbox_take(struct mailbox *box, struct list *out, int64_t timeout_ms);
/* Wakes the taker though nothing was pushed: the take that waits, or else the next one, does not
 * wait. */
void mailbox_wake(struct mailbox *box);
void mailbox_close(struct mailbox *box);
bool mailbox_is_closed(struct mailbox *box);
size_t mailbox_count(struct mailbox *box);

#endif
