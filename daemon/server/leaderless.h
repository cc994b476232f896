/* SPDX-License-Identifier: Apache-2.0
 *
 * How long there has been no leader, by looks; the sync thread's.
 */
#ifndef SERVER_LEADERLESS_H
#define SERVER_LEADERLESS_H

#include "server/state.h"

/* Begins as zeros. */
struct leaderless {
    int64_t look_at_ms;
    unsigned looks; /* in a row that found no leader */
};

/* Looks when it is time, and calls whom server_on_leaderless named. */
void leaderless_tick(struct server *server, struct leaderless *leaderless, int64_t now_ms);

#endif
