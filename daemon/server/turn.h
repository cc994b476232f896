/* SPDX-License-Identifier: Apache-2.0
 *
 * The proposals that raft is given as one, so that they share a sync; and those that wait because
 * it cannot take them now (server->unsent). Core.
 */
#ifndef SERVER_TURN_H
#define SERVER_TURN_H

#include "server/state.h"

/* A follower passes a turn on as one message, and readers take no more than a peer's frame: the
 * bytes end a turn that has as much, so that it is over them by less than a request. */
enum { TURN_PROPOSALS_MAX = 1024, TURN_BYTES_MAX = 8 << 20 };

struct turn {
    struct raft_entry entries[TURN_PROPOSALS_MAX];
    struct core_proposal *proposals[TURN_PROPOSALS_MAX];
    size_t count;
    size_t bytes;
};

/* Takes the envelope: into the turn, or behind those that wait. A full turn is proposed at once. */
void turn_take(struct server *server, struct turn *turn, struct core_proposal *envelope);
/* Takes those that wait once more; ends them whose time is over. */
void turn_retry(struct server *server, struct turn *turn, int64_t now_ms);
/* Gives raft what the turn has. */
void turn_propose(struct server *server, struct turn *turn);
/* Ends one that raft is not given. Takes the envelope. */
void turn_refuse(struct server *server, struct core_proposal *envelope, struct err err);
void turn_refuse_waiting(struct server *server, struct err err);

#endif
