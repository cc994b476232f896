/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the machine offer each other.
 */
#ifndef RAFT_PARTS_H
#define RAFT_PARTS_H

#include "raft/machine.h"

enum campaign { CAMPAIGN_PRE_ELECTION, CAMPAIGN_ELECTION, CAMPAIGN_TRANSFER };

/* machine.c: roles and configuration */
void machine_become_follower(struct raft *raft, uint64_t term, uint64_t lead);
void machine_become_candidate(struct raft *raft);
void machine_become_pre_candidate(struct raft *raft);
void machine_become_leader(struct raft *raft);
bool machine_is_promotable(struct raft *raft);
void machine_switch(struct raft *raft, const struct membership *next);
MUST struct err machine_restore(
    struct raft *raft, struct raft_snapshot *snapshot, bool *out_restored);

/* election.c */
/* In a vote request that the leader asked for: it is heard in spite of that leader. */
extern const struct slice election_transfer_context;
void election_start(struct raft *raft, enum campaign campaign);
void election_take_vote(struct raft *raft, const struct raft_message *vote);
void election_count(struct raft *raft, const struct raft_message *answer);
void election_tick(struct raft *raft);

/* send.c: messages and appends to peers */
void message_list_push(struct message_list *list, const struct raft_message *message);
void message_list_fini(struct message_list *list);
/* A copy with its own array and references. */
void message_copy(struct raft_message *out, const struct raft_message *message);
/* Stamps sender and term, moves the message (entries, context and snapshot are given). */
void send_message(struct raft *raft, struct raft_message message);
/* False when nothing was sent. */
bool send_append(struct raft *raft, struct progress *to, bool if_empty);
void send_append_all(struct raft *raft);
void send_heartbeat_all(struct raft *raft, struct blob *context);
bool machine_maybe_commit(struct raft *raft);

/* replicate.c: both ends of replication */
bool replicate_append_own(struct raft *raft, const struct raft_entry *entries, size_t count);
MUST struct err replicate_take_append(struct raft *raft, const struct raft_message *append);
MUST struct err replicate_take_heartbeat(struct raft *raft, const struct raft_message *beat);
MUST struct err replicate_take_snapshot(struct raft *raft, const struct raft_message *message);
MUST struct err replicate_take_answer(
    struct raft *raft, struct progress *from, const struct raft_message *answer);
void replicate_take_heartbeat_answer(
    struct raft *raft, struct progress *from, const struct raft_message *answer);
void replicate_transfer(struct raft *raft, struct progress *to);
MUST struct err replicate_propose(struct raft *raft, const struct raft_message *proposal);

/* readindex.c */
void read_reset(struct raft *raft);
void read_fini(struct raft *raft);
void read_request(struct raft *raft, const struct raft_message *request);
void read_release_held(struct raft *raft);
void read_take_ack(struct raft *raft, const struct raft_message *message);
struct blob *read_last_context(const struct raft *raft);
void read_answer_own(struct raft *raft, uint64_t index, struct blob *context);

/* raft.c: the data of an entry that carries the change. Gives. */
struct blob *conf_change_blob(const struct raft_conf_change *change);

/* event.c: entries up to index were applied. */
void machine_applied(struct raft *raft, uint64_t index);

/* step.c */
MUST struct err machine_step(struct raft *raft, const struct raft_message *message);

#endif
