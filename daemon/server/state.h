/* SPDX-License-Identifier: Apache-2.0
 * The server. Comments name the one thread that owns a field; atomics are read by all. */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include "server/items.h"
#include "server/metrics.h"

#include <stdatomic.h>

enum {
    SLOTS = 16384, /* proposals in flight, a power of two */
    CORE_BOX_MAX = 65536,
    UNAPPLIED_MAX = 5000,   /* etcd's bound: past it, too many requests */
    INLINE_ENTRIES_MAX = 8, /* applied by the core thread itself when apply is idle */
};

struct slot {
    _Atomic(struct server_proposal *) proposal;
    _Atomic uint64_t id;
    int64_t deadline_ms; /* core */
    uint64_t term;       /* core; in which it was proposed */
};

struct server {
    struct server_options options;
    uint64_t member_id, cluster_id;
    pthread_t core_thread, wal_thread, apply_thread, back_thread, sync_thread, spare_thread;
    struct mailbox core_box, wal_box, apply_box, back_box, sync_box, spare_box;
    atomic_bool is_stopping, has_failed;

    /* core */
    struct slot slots[SLOTS];
    struct list unsent; /* core_proposals that wait for a leader that can be reached */
    struct list kept;   /* core_messages: others' proposals that raft cannot take now */
    size_t kept_count;
    struct list reads_new;   /* server_reads that no read index was asked for yet */
    struct list read_groups; /* asked, not yet answered */
    size_t read_groups_count;
    struct list transfers;
    uint64_t noted_applied;
    struct list jobs_free;
    size_t persisting; /* jobs at the wal thread */
    int64_t next_tick_ms;
    int64_t advance_until_ms; /* 0: not begun; below: over */
    int64_t gone_ms;          /* of the leader whose end was last taken note of */
    int64_t versions_at_ms;
    _Atomic uint64_t ticks;
    atomic_bool is_published, is_publishing, is_asking_versions;
    struct raft_soft_state soft;
    int64_t elected_ms;       /* when the present leader became known */
    int64_t leaderless_ms;    /* when the last one was lost; 0: none was ever known */
    int64_t heard_ms;         /* when the last message of a leader's came */
    size_t revokes;           /* at a time: leader_revokes */
    struct raft_ids known;    /* to the transport */
    size_t snapshots_sending; /* MsgSnaps that no report came for */
    uint64_t submitted;       /* the last index given to apply */

    /* whoever holds the turn: the apply thread, or core when it applies a small batch itself */
    pthread_mutex_t apply_turn;
    pthread_mutex_t sync_turn; /* whoever reads history for watchers, or replaces the store */
    /* whoever writes the log: the wal thread, core on a group of one; back, spare */
    pthread_mutex_t wal_turn;
    struct list reads_at_index; /* server_reads that wait for applied */
    pthread_mutex_t reads_mutex;
    struct list waits; /* the same of server_wait_applied, by index; under reads_mutex */
    size_t waits_count;
    struct list leases_waiting; /* server_lease_asks to try again; under reads_mutex */
    struct list renewals;       /* server_renewals that wait for a checkpoint; likewise */
    bool is_taking_back;        /* one for others is under way; likewise */
    bool is_taking_lost;        /* one was given up, and may be applied yet; likewise */
    uint64_t taking_lost_until; /* core; the index up to which that may be */

    /* everyone */
    _Atomic uint64_t next_id, term, leader, commit_index;
    _Atomic uint64_t applied_term; /* term of the last applied entry */
    atomic_bool is_leader;
    atomic_bool is_writing_log;   /* core; with ticks that stand still until the disk is done */
    atomic_bool is_removed;       /* from the cluster; told */
    atomic_bool is_alone;         /* the only voter, and nobody learns */
    _Atomic uint64_t alone_from;  /* up to here others may have acknowledged what is not applied */
    atomic_int apply_jobs;        /* at the apply thread */
    atomic_bool is_apply_awaited; /* more is committed than apply was given */
    _Atomic int64_t in_flight;
    atomic_int revoking, raising; /* own revokes, alarms of a full store: under way */
    void *on_leaderless_arg;      /* set before on_leaderless */
    void (*_Atomic on_leaderless)(void *arg);
    /* back */
    _Atomic uint64_t snapshot_index;        /* the last one taken of the log */
    _Atomic int64_t snapshot_rest_until_ms; /* none begins before */
    atomic_bool is_snapshotting, is_installing;
    pthread_mutex_t compact_mutex;
    struct list after_compaction;
    bool is_compacting;          /* under compact_mutex */
    struct compactor *compactor; /* sync */
    struct server_metrics metrics;
};

#endif
