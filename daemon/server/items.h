/* SPDX-License-Identifier: Apache-2.0
 *
 * What travels between this room's threads.
 */
#ifndef SERVER_ITEMS_H
#define SERVER_ITEMS_H

#include "base/mailbox.h"
#include "server/server.h"

/* What arrives at core. */
enum core_kind { CORE_PROPOSAL, CORE_READ, CORE_PERSISTED, CORE_CONF, CORE_SNAPSHOT, CORE_ASK };

struct core_item {
    struct list node;
    enum core_kind kind;
};

/* A proposal and a read are filed through an envelope of their own, as their nodes are the
 * caller's. */
struct core_proposal {
    struct core_item item;
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
    struct raft_conf_change change;
    bool is_void;
};

/* The log is covered by a snapshot. */
struct core_snapshot {
    struct core_item item;
    struct raft_snapshot_meta meta;
};

/* Reads that one read index speaks for. */
struct read_group {
    struct list node;
    struct list reads;
    uint64_t id;
};

/* One update on its way through the log. */
struct persist_job {
    struct core_item item;
    struct raft_update update;
};

/* Committed entries on their way to apply. */
struct apply_job {
    struct list node;
    struct raft_entry *entries;
    size_t count;
};

#endif
