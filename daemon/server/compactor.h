/* SPDX-License-Identifier: Apache-2.0
 *
 * --auto-compaction: samples revisions and proposes compactions.
 */
#ifndef SERVER_COMPACTOR_H
#define SERVER_COMPACTOR_H

#include "server/server.h"

struct compactor;

struct compactor *compactor_new(const struct server_options *options);
/* Once what it proposed has ended. */
void compactor_free(struct compactor *compactor);
/* Sync thread. */
void compactor_tick(struct server *server, struct compactor *compactor, int64_t now_ms);
/* What came of the compaction that it proposed. Any thread. */
void compactor_told(struct compactor *compactor, struct err err);

/* leader.c: proposes one; the compactor is told. */
void leader_compact(struct server *server, revision rev, struct compactor *compactor);

#endif
