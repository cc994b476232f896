/* SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot on its way to a remote: one post whose body is the message and the database behind it,
 * made and sent on a thread of its own so that nothing else waits for it.
 */
#ifndef PEER_SNAPSEND_H
#define PEER_SNAPSEND_H

#include "raft/raft.h"

struct remote;

/* Takes over the message's contents. How it ends is reported to raft. */
void snapsend_start(struct remote *remote, struct raft_message *message);

#endif
