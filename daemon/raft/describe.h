/* SPDX-License-Identifier: Apache-2.0
 *
 * States and messages as one line of text each, in the words of etcd's traces. For tests and
 * simulations; nothing here is on the way of a request.
 */
#ifndef RAFT_DESCRIBE_H
#define RAFT_DESCRIBE_H

#include "raft/progress.h"

const char *raft_role_name(enum raft_role role);
const char *raft_message_type_name(enum raft_message_type type);

/* Each appends to out, without a newline at the end. */
void describe_entry(struct buf *out, const struct raft_entry *entry);
/* UINT64_MAX stands for the disk, the number below it for the apply thread. */
void describe_target(struct buf *out, uint64_t id);
/* Every line but the first begins with indent spaces. */
void describe_message(struct buf *out, const struct raft_message *message, int indent);
void describe_snapshot(struct buf *out, const struct raft_snapshot *snapshot);
void describe_hard_state(struct buf *out, const struct raft_hard_state *state);
void describe_conf(struct buf *out, const struct raft_conf_state *conf);
void describe_progress(struct buf *out, const struct raft_peer_status *peer);

#endif
