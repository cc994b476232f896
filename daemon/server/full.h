/* SPDX-License-Identifier: Apache-2.0
 *
 * The alarm of a member whose store is full. */
#ifndef SERVER_FULL_H
#define SERVER_FULL_H

#include "server/state.h"

/* Some of what was applied did not fit the quota, and no alarm was up: raises it. Results that are
 * kept until then are taken out; returns how many are left. Whoever has the apply turn. */
size_t full_raise(struct server *server, struct apply_result **results, size_t count);

#endif
