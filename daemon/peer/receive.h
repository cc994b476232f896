/* SPDX-License-Identifier: Apache-2.0
 *
 * A message came in, by whichever way. Peer thread.
 */
#ifndef PEER_RECEIVE_H
#define PEER_RECEIVE_H

#include "raft/raft.h"

struct peer;

/* On all that is dialed: the format of this member's rows. On a snapshot's post: they are its body,
 * of about so many bytes. */
#define PEER_ROWS_HEADER "X-Ketcd-Rows"
#define PEER_ROWS_BODY "X-Ketcd-Rows-Body"
#define PEER_ROWS_BYTES "X-Ketcd-Rows-Bytes"
/* The same of files, whose length is known. */
#define PEER_FILES_HEADER "X-Ketcd-Files"
#define PEER_FILES_BODY "X-Ketcd-Files-Body"

enum receive_result {
    RECEIVE_OK,
    RECEIVE_FROM_REMOVED, /* the sender is no member any more */
    RECEIVE_NOT_OURS,     /* to another member */
    RECEIVE_BAD,          /* of a kind that does not travel this way */
};

enum receive_result receive_check(struct peer *peer, const struct raft_message *message);
/* Checks it and passes it on. Takes over its contents. */
enum receive_result receive_message(struct peer *peer, struct raft_message *message);
/* Others say this member was removed. */
void receive_removed(struct peer *peer);

#endif
