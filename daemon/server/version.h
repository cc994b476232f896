/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_VERSION_H
#define SERVER_VERSION_H

#include "server/server.h"

/* Core, each tick of a leader. */
void version_tick(struct server *server, int64_t now_ms);
/* Members before 3.5 end at an entry that they do not know, all of them at once; while one is left
 * the cluster's version is its. Any thread. */
bool version_has_old_members(struct server *server);

#endif
