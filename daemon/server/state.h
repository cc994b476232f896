/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room share. Comments name the one thread that owns a field; atomics are
 * read by all.
 */
#ifndef SERVER_STATE_H
#define SERVER_STATE_H

#include "base/mailbox.h"
#include "base/metric.h"
#include "server/server.h"

#include <stdatomic.h>

enum {
    SLOTS = 16384, /* proposals in flight, a power of two */
    CORE_BOX_MAX = 65536,
    UNAPPLIED_MAX = 5000,   /* etcd's bound: past it, too many requests */
    INLINE_ENTRIES_MAX = 8, /* applied by the core thread itself when apply is idle */
};

/* What arrives at core. */
enum core_kind { CORE_PROPOSAL, CORE_READ, CORE_PERSISTED, CORE_CONF, CORE_SNAPSHOT };

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

struct slot {
    _Atomic(struct server_proposal *) proposal;
    _Atomic uint64_t id;
    int64_t deadline_ms; /* core */
};

struct server {
    struct server_options options;
    uint64_t member_id;
    uint64_t cluster_id;
    pthread_t core_thread;
    pthread_t wal_thread;
    pthread_t apply_thread;
    pthread_t back_thread;
    pthread_t sync_thread;
    struct mailbox core_box;
    struct mailbox wal_box;
    struct mailbox apply_box;
    struct mailbox back_box;
    struct mailbox sync_box;
    atomic_bool is_stopping;
    atomic_bool has_failed;

    /* core */
    struct slot slots[SLOTS];
    struct list unsent;      /* core_proposals that wait for a leader */
    struct list reads_new;   /* server_reads that no read index was asked for yet */
    struct list read_groups; /* asked, not yet answered */
    uint64_t next_read_id;
    uint64_t noted_applied;
    struct list jobs_free;
    size_t persisting; /* jobs at the wal thread */
    int64_t next_tick_ms;
    uint64_t ticks;
    atomic_bool is_published;
    atomic_bool is_publishing;
    struct raft_soft_state soft;
    uint64_t log_snapshot_index;

    /* whoever holds the turn: the apply thread, or core when it applies a small batch itself */
    pthread_mutex_t apply_turn;
    /* whoever writes the log: the wal thread, core on a group of one, back for snapshot records */
    pthread_mutex_t wal_turn;
    struct list reads_at_index; /* server_reads that wait for applied */
    pthread_mutex_t reads_mutex;

    /* everyone */
    _Atomic uint64_t next_id;
    _Atomic uint64_t term;
    _Atomic uint64_t leader;
    _Atomic uint64_t commit_index;
    _Atomic uint64_t applied_term; /* term of the last applied entry */
    atomic_bool is_leader;
    atomic_bool is_alone;  /* the only voter */
    atomic_int apply_jobs; /* at the apply thread */
    _Atomic int64_t in_flight;
    void (*on_leader)(void *arg, bool has_leader);
    void *on_leader_arg;

    /* back */
    _Atomic uint64_t snapshot_index; /* the last one taken of the log */
    atomic_bool is_snapshotting;
    pthread_mutex_t compact_mutex;
    struct list after_compaction;
    bool is_compacting; /* under compact_mutex */

    struct {
        struct metric *proposals_pending;
        struct metric *proposals_failed;
        struct metric *proposals_committed;
        struct metric *proposals_applied;
        struct metric *leader_changes;
        struct metric *slow_applies;
        struct metric *read_index_failed;
        struct metric *wal_fsync;
        struct metric *wal_bytes;
        struct metric *backend_commit;
        struct metric *lease_expired;
    } metrics;
};

/* waiter.c: core files, apply takes, core times out. */
bool waiter_file(struct server *server, struct server_proposal *proposal);
struct apply_result *waiter_find(void *arg, uint64_t request_id);
void waiter_done(void *arg, struct apply_result *result);
void waiter_expire(struct server *server, int64_t now_ms);
void waiter_fail_all(struct server *server, struct err err);
void proposal_finish(struct server *server, struct server_proposal *proposal, struct err err);

/* pump.c */
void *core_main(void *arg);
void pump_update(struct server *server);

/* persist.c */
void *wal_main(void *arg);
/* Writes the jobs' updates as one batch; false: the member has failed. */
bool persist_jobs(struct server *server, struct list *jobs);

/* applier.c */
void *apply_main(void *arg);
/* Hands the entries to apply: the thread, or at once when that is idle and they are few. Core. */
void applier_submit(struct server *server, const struct raft_entry *entries, size_t count);

/* read.c */
void read_arrived(struct server *server, struct server_read *read);
/* Asks raft for one read index for all that came since the last. */
void read_ask(struct server *server);
void read_states(struct server *server, const struct raft_update *update);
void read_complete_applied(struct server *server);
void read_expire(struct server *server, int64_t now_ms, struct err err);

/* leader.c: core, each tick and on changes. */
void leader_changed(struct server *server, struct raft_soft_state soft);
/* Samples and proposes compactions; sync thread. */
struct compactor *compactor_new(const struct server_options *options);
void compactor_free(struct compactor *compactor);
void compactor_tick(struct server *server, struct compactor *compactor, int64_t now_ms);
void leader_tick(struct server *server, int64_t now_ms);
/* A request of the member's own. message is packed now. */
void leader_propose(struct server *server, uint32_t field, const ProtobufCMessage *message);

/* snapshot.c: whether the log has grown enough; queues the job. Whoever has the apply turn. */
void snapshot_consider(struct server *server);

/* back.c */
void *back_main(void *arg);
void *sync_main(void *arg);
/* A compaction was begun by apply: get to work. */
void back_compact(struct server *server);
void sync_wake(void *arg);

/* metrics.c */
void server_metrics_init(struct server *server);

/* The end, once; logs and tells the owner. */
void server_fail(struct server *server, const char *what);

#endif
