/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of raft's door that is plain values: entries, states, messages, conf changes. wal, snap
 * and peer translate them to and from etcd's formats. Include raft/raft.h.
 */
#ifndef RAFT_VALUES_H
#define RAFT_VALUES_H

#include "base/blob.h"
#include "base/buf.h"
#include "base/err.h"

enum raft_entry_type {
    RAFT_ENTRY_NORMAL = 0,
    RAFT_ENTRY_CONF_CHANGE = 1,
    RAFT_ENTRY_CONF_CHANGE_V2 = 2
};

/* data is shared by the log, the wal and apply; NULL is empty. */
struct raft_entry {
    uint64_t term;
    uint64_t index;
    enum raft_entry_type type;
    struct blob *data;
};

struct raft_hard_state {
    uint64_t term;
    uint64_t vote;
    uint64_t commit;
};

/* Ids ascending. Fixed room: a cluster of more than this many members of one kind is refused. */
enum { RAFT_MEMBERS_MAX = 64 };

struct raft_ids {
    uint64_t ids[RAFT_MEMBERS_MAX];
    size_t count;
};

struct raft_conf_state {
    struct raft_ids voters;
    struct raft_ids learners;
    struct raft_ids voters_outgoing;
    struct raft_ids learners_next;
    bool auto_leave;
};

struct raft_snapshot_meta {
    uint64_t index;
    uint64_t term;
    struct raft_conf_state conf;
};

/* Immutable and shared between threads; data is the sender's, opaque here, NULL is fine. */
struct raft_snapshot {
    atomic_uint refs;
    struct raft_snapshot_meta meta;
    struct blob *data;
};

/* Gives one reference; copies meta, takes its own reference of data. */
struct raft_snapshot *raft_snapshot_new(const struct raft_snapshot_meta *meta, struct blob *data);
struct raft_snapshot *raft_snapshot_ref(struct raft_snapshot *snapshot);
void raft_snapshot_unref(struct raft_snapshot *snapshot);

/* etcd's numbers. The storage types never leave a member; tests narrate with them. */
enum raft_message_type {
    RAFT_MSG_HUP = 0,
    RAFT_MSG_BEAT = 1,
    RAFT_MSG_PROP = 2,
    RAFT_MSG_APP = 3,
    RAFT_MSG_APP_RESP = 4,
    RAFT_MSG_VOTE = 5,
    RAFT_MSG_VOTE_RESP = 6,
    RAFT_MSG_SNAP = 7,
    RAFT_MSG_HEARTBEAT = 8,
    RAFT_MSG_HEARTBEAT_RESP = 9,
    RAFT_MSG_UNREACHABLE = 10,
    RAFT_MSG_SNAP_STATUS = 11,
    RAFT_MSG_CHECK_QUORUM = 12,
    RAFT_MSG_TRANSFER_LEADER = 13,
    RAFT_MSG_TIMEOUT_NOW = 14,
    RAFT_MSG_READ_INDEX = 15,
    RAFT_MSG_READ_INDEX_RESP = 16,
    RAFT_MSG_PRE_VOTE = 17,
    RAFT_MSG_PRE_VOTE_RESP = 18,
    RAFT_MSG_STORAGE_APPEND = 19,
    RAFT_MSG_STORAGE_APPEND_RESP = 20,
    RAFT_MSG_STORAGE_APPLY = 21,
    RAFT_MSG_STORAGE_APPLY_RESP = 22,
    RAFT_MSG_FORGET_LEADER = 23,
};

/* Owns its entries array and one reference of each blob and of the snapshot. May be moved by struct
 * copy: zero the place it came from. */
struct raft_message {
    enum raft_message_type type;
    bool reject;
    uint64_t to;
    uint64_t from;
    uint64_t term;
    uint64_t log_term;
    uint64_t index;
    uint64_t commit;
    uint64_t vote;
    uint64_t reject_hint;
    struct raft_entry *entries;
    size_t entries_count;
    struct blob *context;
    struct raft_snapshot *snapshot;
};

void raft_message_fini(struct raft_message *message);

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
