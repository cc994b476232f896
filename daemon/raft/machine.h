/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of one member.
 *
 *              timeout               timeout or won pre-vote        won
 *   follower ----------> pre-candidate ----------> candidate ----------> leader
 *      ^  lost, leader or higher term seen  |          |                    |
 *      +------------------------------------+----------+--------------------+
 */
#ifndef RAFT_MACHINE_H
#define RAFT_MACHINE_H

#include "base/rand.h"
#include "raft/log.h"
#include "raft/tracker.h"

/* A growing array; the update takes it whole and leaves an old one. */
struct message_list {
    struct raft_message *items;
    size_t count;
    size_t cap;
};

/* A read that waits for a quorum to acknowledge the heartbeat with its context. */
struct pending_read {
    struct blob *context;
    uint64_t from;
    uint64_t index;
    struct votes acks;
};

struct raft {
    struct raft_options options; /* the borrowed pointers in it are cleared */
    uint64_t id;
    uint64_t term;
    uint64_t vote;
    uint64_t lead;
    enum raft_role role;
    struct raft_log log;
    struct tracker tracker;
    uint64_t transferee;
    uint64_t pending_conf_index; /* no conf change is proposed until this is applied */
    uint64_t conf_index;         /* the conf changes up to here are in force */
    uint64_t applied_reported;   /* counts only up to the first conf change not in force */
    uint64_t uncommitted_bytes;
    uint32_t election_elapsed;
    uint32_t heartbeat_elapsed;
    uint32_t election_timeout; /* randomized */
    struct rand rand;
    /* Outgoing, until the next update. */
    struct message_list messages;
    struct message_list after;
    struct raft_ticket own; /* only what this member tells itself once persisted */
    struct raft_read_state *reads;
    size_t reads_count;
    size_t reads_cap;
    struct raft_soft_state taken_soft;
    struct raft_hard_state taken_hard;
    /* Read index. */
    struct pending_read *pending; /* in the order they came */
    size_t pending_count;
    size_t pending_cap;
    struct message_list held_reads; /* until the first commit of this term */
};

#endif
