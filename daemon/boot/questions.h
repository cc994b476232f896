/* SPDX-License-Identifier: Apache-2.0
 *
 * What this member asks others over their peers' port, for the server and for the checks against
 * corruption.
 */
#ifndef BOOT_QUESTIONS_H
#define BOOT_QUESTIONS_H

#include "member/member.h"
#include "peer/peer.h"
#include "server/server.h"

struct questions {
    struct peer *peer;
    struct member_table *members;
    int64_t timeout_ms;
};

/* For the server's options; arg: the questions. */
struct server_asking questions_asking(struct questions *questions);

/* What one member hashed to. */
struct peer_answered {
    uint64_t id;
    struct err err;
    struct peer_hash hash;
};

/* Asks every other member for its hash at rev and waits until all have answered or did not in time.
 * Gives (free()). Not on the peer thread. */
size_t questions_hashes(struct questions *questions, int64_t rev, struct peer_answered **out);

#endif
