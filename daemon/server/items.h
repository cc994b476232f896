/* SPDX-License-Identifier: Apache-2.0
 *
 * What travels between this room's threads; core's items first.
 */
#ifndef SERVER_ITEMS_H
#define SERVER_ITEMS_H

#include "base/mailbox.h"
#include "server/server.h"

enum core_kind {
    CORE_PROPOSAL,
    CORE_READ,
    CORE_PERSISTED,
    CORE_CONF,
    CORE_SNAPSHOT,
    CORE_MESSAGE,
    CORE_REPORT,
    CORE_INSTALLED,
    CORE_ASK,
};

struct core_item {
    struct list node;
    enum core_kind kind;
};

/* Envelopes, as the nodes of what is in them are the caller's. */
struct core_proposal {
    struct core_item item;
    uint64_t id; /* the proposal's: it may be gone once it is filed */
    struct server_proposal *proposal;
};

struct core_read {
    struct core_item item;
    struct server_read *read;
};

struct core_ask {
    struct core_item item;
    struct server_ask *ask;
};

struct core_conf {
    struct core_item item;
    uint64_t index; /* its entry's */
    struct raft_conf_change change;
    bool is_void;
};

/* The log is covered by a snapshot. */
struct core_snapshot {
    struct core_item item;
    struct raft_snapshot_meta meta;
};

/* From another member; done only for snapshots. */
struct core_message {
    struct core_item item;
    struct raft_message message;
    void (*done)(void *arg, struct err err);
    void *arg;
    int64_t deadline_ms; /* of one that is kept */
};

/* RAFT_UNREACHABLE or RAFT_SNAPSHOT_STATUS. */
struct core_report {
    struct core_item item;
    enum raft_event_type type;
    uint64_t peer;
    bool is_ok;
};

/* The store is now what a received snapshot says. */
struct core_installed {
    struct core_item item;
    uint64_t index;
};

/* One update on its way through the log. */
struct persist_job {
    struct core_item item;
    struct raft_update update;
    bool holds_messages; /* they too go out only when it is on disk */
};

/* On its way to apply: committed entries, or a snapshot to install. */
struct apply_job {
    struct list node;
    struct raft_snapshot *snapshot;
    struct raft_entry *entries;
    size_t count;
};

#endif
