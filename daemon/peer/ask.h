/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to a remote: a few at a time, the others wait their turn. Peer thread.
 */
#ifndef PEER_ASK_H
#define PEER_ASK_H

#include "http/http.h"

struct ask;
struct remote;

enum { ASKER_SLOTS = 8 };

struct ask_slot {
    struct remote *remote;
    struct http_client *client; /* NULL: not needed yet */
    struct ask *ask;            /* NULL: free */
    struct http_target target;
};

struct asker {
    struct ask_slot slots[ASKER_SLOTS];
    struct list waiting;
    size_t waiting_count;
};

void asker_init(struct asker *asker, struct remote *remote);
/* Ends what is under way, with CLOSED. */
void asker_fini(struct asker *asker);

#endif
