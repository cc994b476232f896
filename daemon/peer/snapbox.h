/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a snapshot's post on its way from the peer thread to the thread that writes it:
 * bytes, and then whether they were all. The peer thread looks at how much waits, and is called
 * back when there is room again.
 */
#ifndef PEER_SNAPBOX_H
#define PEER_SNAPBOX_H

#include "base/mailbox.h"
#include "http/http.h"

struct snapbox {
    struct mailbox pieces;
    atomic_size_t waiting; /* bytes */
    atomic_bool wants_resume;
    struct http_server *http;
    struct http_task resume;
};

/* resume runs on the peer thread. */
void snapbox_init(
    struct snapbox *box, struct http_server *http, void (*resume)(struct http_task *task));
void snapbox_fini(struct snapbox *box);

/* Peer thread. A copy is made. */
void snapbox_push(struct snapbox *box, struct slice bytes);
/* The last: the body was whole, or it broke off. */
void snapbox_end(struct snapbox *box, bool is_whole);
bool snapbox_is_full(const struct snapbox *box);
/* Resume is to be run once there is room. True: there is already, and it will not be run. */
bool snapbox_ask_resume(struct snapbox *box);

/* The other thread. Gives take all that comes, until the end or the first error. Errors: TORN (it
 * broke off), those of take. */
MUST struct err snapbox_drain(struct snapbox *box,
    struct err (*take)(void *arg, struct slice bytes, struct why *why), void *arg, struct why *why);

#endif
