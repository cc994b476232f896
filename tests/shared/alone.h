/* SPDX-License-Identifier: Apache-2.0
 *
 * server/server.h without threads, raft or a log, for who links it in the server's stead: what is
 * proposed is applied at once to a store, and what would happen later on another thread happens
 * when alone_run is called, or at once while nothing is held. Any thread may ask; one opens, holds
 * and closes.
 */
#ifndef TEST_SHARED_ALONE_H
#define TEST_SHARED_ALONE_H

#include "server/server.h"
#include "tests/shared/store.h"

enum { ALONE_TERM = 7, ALONE_VALUE_CACHE_BYTES = 1 << 16, ALONE_PROGRESS_MS = 1000 };

/* On a new or found store at that path. */
struct server *alone_open(const char *path);
void alone_close(struct server *server);

struct store *alone_store(struct server *server);
/* No leader: writes and linearizable reads fail. At the start there is one. */
void alone_set_leader(struct server *server, bool has_leader);
/* None for so long that who waits for its loss is told. */
void alone_lose_leader(struct server *server);
/* Refuses what comes and, in alone_run, fails what waits. */
void alone_set_stopping(struct server *server);
/* From now on proposals, read indexes and jobs wait for alone_run, and no read can be made at once.
 */
void alone_hold(struct server *server, bool is_held);
/* Ends what waits; the jobs of the back thread too. */
void alone_run(struct server *server);
/* Moves watchers that catch up until none is behind, or has no room. */
void alone_sync(struct server *server);

#endif
