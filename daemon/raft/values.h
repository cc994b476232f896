/* SPDX-License-Identifier: Apache-2.0
 *
 * Part of raft's door: entries, states, snapshots. wal, snap and peer translate them to and from
 * etcd's formats. Include raft/raft.h.
 */
#ifndef RAFT_VALUES_H
#define RAFT_VALUES_H

#include "base/blob.h"
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

/* As of a log that nothing was written to. */
static inline bool raft_hard_state_is_empty(const struct raft_hard_state *hard)
{
    return hard->term == 0 && hard->vote == 0 && hard->commit == 0;
}

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

#endif
