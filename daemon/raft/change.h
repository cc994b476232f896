/* SPDX-License-Identifier: Apache-2.0
 *
 * Part of raft's door: changes of the member set. Include raft/raft.h.
 */
#ifndef RAFT_CHANGE_H
#define RAFT_CHANGE_H

#include "base/buf.h"
#include "raft/values.h"

enum raft_conf_change_type {
    RAFT_ADD_NODE = 0,
    RAFT_REMOVE_NODE = 1,
    RAFT_UPDATE_NODE = 2,
    RAFT_ADD_LEARNER_NODE = 3,
};

enum raft_transition {
    RAFT_TRANSITION_AUTO = 0,
    RAFT_TRANSITION_JOINT_IMPLICIT = 1,
    RAFT_TRANSITION_JOINT_EXPLICIT = 2
};

struct raft_conf_change_single {
    enum raft_conf_change_type type;
    uint64_t node_id; /* 0: the change was refused by the application, nothing happens */
};

/* Both versions. v1 has exactly one change and an id; v2 without changes and with transition auto
 * leaves the joint configuration. context is borrowed. */
struct raft_conf_change {
    bool is_v1;
    uint64_t id;
    enum raft_transition transition;
    struct raft_conf_change_single changes[RAFT_MEMBERS_MAX];
    size_t changes_count;
    struct slice context;
};

/* The data of a conf change entry, etcd's protobuf bytes. Decoding borrows context from data.
 * Errors: BAD_FORMAT, TOO_BIG. */
MUST struct err raft_conf_change_decode(
    enum raft_entry_type type, struct slice data, struct raft_conf_change *out);
void raft_conf_change_encode(const struct raft_conf_change *change, struct buf *out);

#endif
