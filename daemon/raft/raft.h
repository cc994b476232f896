/* SPDX-License-Identifier: Apache-2.0
 *
 * The consensus machine, feature for feature etcd's raft: events in, one update out. Pure: no clock, no random number of
 * its own (a seed comes in), no I/O, no log line, no thread. Called by the core thread only.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "base/blob.h"
#include "base/err.h"

/* ---- values that wal, snap and peer translate to and from etcd's formats ---- */

enum raft_entry_type { RAFT_ENTRY_NORMAL = 0, RAFT_ENTRY_CONF_CHANGE = 1, RAFT_ENTRY_CONF_CHANGE_V2 = 2 };

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

#endif
