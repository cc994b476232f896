/* SPDX-License-Identifier: Apache-2.0
 *
 * The heart: takes proposals, runs raft, the log and the applying of what was committed, answers
 * read indexes, and does the leader's duties (leases, publishing, compaction, snapshots of the
 * log).
 *
 * Threads of its own: core (raft, proposals, waiters, and on a group of one the log too), wal,
 * apply, back (compaction, snapshots, jobs), sync (watchers that catch up, ticks). The functions
 * here may be called from any thread unless said.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "apply/apply.h"
#include "base/list.h"
#include "disk/disk.h"
#include "raft/raft.h"
#include "server/others.h"
#include "wal/wal.h"

struct server;

enum server_compaction {
    SERVER_COMPACTION_OFF,
    SERVER_COMPACTION_PERIODIC,
    SERVER_COMPACTION_REVISION
};

struct server_options {
    /* Borrowed; they outlive the server. */
    struct disk *disk;
    struct raft *raft;
    struct wal *wal;
    struct backend *backend;
    struct mvcc *mvcc;
    struct lease_table *leases;
    struct member_table *members;
    struct watch_hub *hub;
    struct apply *apply;
    /* The members as a v2 store, as of what is applied. With the apply turn; short. Gives. */
    struct blob *(*snapshot_v2)(void *arg);
    /* Writes the snapshot file that covers the log up to meta->index, synced: with a v2 store of
     * snapshot_v2's (back thread), or of the leader's as it came (wal thread). */
    struct err (*keep_snapshot)(
        void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why);
    /* Makes the store, and all that is read from it, what the received database says, while nothing
     * is applied, compacted or read for watchers. It has to survive a crash at any moment: what
     * keep_snapshot wrote is there by then. Back thread. */
    struct err (*install_snapshot)(
        void *arg, const struct raft_snapshot_meta *meta, struct slice v2, struct why *why);
    void *snapshot_arg; /* of all three */
    struct server_transport transport;
    const struct member *founders; /* whom a member that joins knows before its log tells of any */
    size_t founders_count;
    struct server_asking asking;
    uint64_t snapshot_index; /* of the log, at start */
    uint64_t snapshot_count;
    uint64_t catch_up_entries; /* kept in the log behind a snapshot for slow followers */
    size_t wals_max;
    int64_t tick_ms; /* heartbeat interval */
    int64_t election_ticks;
    bool initial_tick_advance; /* the first wait for a leader is cut short once others are there */
    int64_t tick_advance_ms;   /* or not, when they are not there by then */
    size_t max_request_bytes;
    int64_t request_ms; /* until a request times out; 0: etcd's, 5 s and two election timeouts */
    int64_t warning_apply_ns; /* slower applies are logged; 0: never */
    const char *name;         /* published */
    const char *const *client_urls;
    size_t client_urls_count;
    size_t compaction_rows;      /* dropped in one slice; 0: a default */
    int64_t compaction_pause_ms; /* between two slices; 0: a default */
    int64_t sync_tick_ms;        /* how often watchers' time is looked at; 0: a default */
    enum server_compaction compaction_mode;
    int64_t compaction_retention; /* periodic: milliseconds; revision: revisions kept */
    /* Called once, from any thread, when the member cannot go on (a failed sync, an unreadable
     * store). */
    void (*on_fatal)(void *arg, const char *what);
    void *on_fatal_arg;
    /* Called once, from any thread, when this member was removed from the cluster: it has to
     * stop. Must only queue. */
    void (*on_removed)(void *arg);
    void *on_removed_arg;
};

struct server *server_start(const struct server_options *options);
/* Before the stop: a leader hands over to the voter that is reachable and furthest, and waits until
 * that one leads, at most a request's timeout. */
void server_hand_over(struct server *server);
/* Refuses what comes, fails what waits with STOPPED, ends the threads. */
void server_stop(struct server *server);
void server_free(struct server *server);

/* Blocks until the member has applied everything it found committed, knows a leader and has told
 * the cluster its client URLs (whoever is served first may ask for them), up to
 * timeout_ms. */
bool server_wait_ready(struct server *server, int64_t timeout_ms);

/* Other members. */

/* A message that the transport has checked (this cluster's, to this member, from one that was not
 * removed). Takes over its contents; dropped when core cannot keep up. */
void server_receive(struct server *server, struct raft_message *message);
/* Messages to it were lost. */
void server_report_unreachable(struct server *server, uint64_t id);
/* How sending a MsgSnap ended; once for each. */
void server_report_snapshot(struct server *server, uint64_t id, bool is_ok);
/* A MsgSnap whose database lies complete and synced where install_snapshot looks for it. Takes over
 * the contents; done(arg, err) once raft took it or refused it. */
void server_receive_snapshot(struct server *server, struct raft_message *message,
    void (*done)(void *arg, struct err err), void *arg);

/* Writing. */

/* The caller's memory until done. */
struct server_proposal {
    struct list node;
    uint32_t field;       /* of InternalRaftRequest */
    struct slice request; /* that field's packed message; borrowed until done */
    const char *username; /* who asks; NULL: nobody */
    uint64_t auth_revision;
    /* Instead of field: a bare v2 request that puts request there; what members before 3.5 know. */
    const char *v2_path;
    /* Instead of field and request: a change of the members, which is given the proposal's id.
     * Borrowed for the call of server_propose. */
    const struct raft_conf_change *conf;
    struct apply_result result;                     /* set arena before */
    void (*done)(struct server_proposal *proposal); /* once, any thread, must only queue */
    /* private */
    uint64_t leader_term; /* only for the leader of that term to make; 0: anybody */
    uint64_t id;
    enum raft_entry_type type;
    struct blob *data;
    int64_t deadline_ms;
};

/* Errors, in result.err: REQUEST_TOO_LARGE, REQUEST_TOO_MANY_REQUESTS, TIMEOUT and its like,
 * NEVER_PROPOSED for want of a leader, STOPPED, UNSUPPORTED (members before 3.5 would end at it),
 * and what applying gives. */
void server_propose(struct server *server, struct server_proposal *proposal);
/* A number that no other request of this member has. */
uint64_t server_next_id(struct server *server);

/* Reading. */

struct server_read {
    struct list node;
    struct err err;
    void (*done)(struct server_read *read); /* once, any thread, must only queue */
    uint64_t index;                         /* private */
    int64_t deadline_ms;
};

/* Whether what is applied now is linearizable without asking: the leader of a group of one that has
 * applied an entry of its own term acknowledged nothing that is not applied; nor did the others,
 * once all is applied that was committed when the last of them went. */
bool server_can_read_now(struct server *server);
/* What a call that wanted a leader's word is told instead of TIMEOUT: that there is none. */
struct err server_timeout(struct server *server);
/* done when all committed by now is applied. Errors: TIMEOUT, LEADER_CHANGED, STOPPED. */
void server_read_index(struct server *server, struct server_read *read);

/* Here, on who leads and made sure of it. done when whoever leads next gives the lease its whole
 * time too. Errors: NOT_LEADER, LEASE_NOT_FOUND, and those of server_propose. */
void server_renew(struct server *server, struct server_renewal *renewal);

/* Leases are kept by the leader: it answers once it knows that it still leads and has applied what
 * was committed; the others ask it, until it answers or the request's time is over. */
struct server_lease_ask {
    struct list node;
    int64_t id;
    bool is_look; /* else a renewal */
    bool with_keys;
    struct arena *arena; /* the caller's, for keys */
    struct err err;
    struct server_lease lease;                    /* a renewal: ttl_s */
    void (*done)(struct server_lease_ask *asked); /* once, any thread, must only queue */
    struct server_read read;                      /* private, as what follows */
    struct server_renewal renewal;
    struct server *server;
    int64_t deadline_ms;
};
/* Errors: LEASE_NOT_FOUND, TIMEOUT, NO_LEADER when none came in time, STOPPED. */
void server_lease_ask(struct server *server, struct server_lease_ask *asked);
/* done when the entry of that index is applied here. Errors: TIMEOUT, STOPPED,
 * REQUEST_TOO_MANY_REQUESTS when a thousand wait already: anybody may name an index. */
void server_wait_applied(struct server *server, struct server_read *read, uint64_t index);

/* State. */

struct server_status {
    uint64_t member_id;
    uint64_t cluster_id;
    uint64_t leader; /* 0: none */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t ticks;      /* of core since the start: they stand still when core does */
    bool is_writing_log; /* core itself, and waits for the disk: so do ticks */
    bool is_leader, is_learner;
};
void server_status_get(struct server *server, struct server_status *out);
uint64_t server_term(struct server *server);
/* fn is called, on the sync thread, when no leader was known for three election timeouts, and after
 * each further one; it must only queue. Once, before the edges start. */
void server_on_leaderless(struct server *server, void (*fn)(void *arg), void *arg);

const struct server_options *server_options_get(const struct server *server);

/* Whether a received snapshot is to become the store, once nobody reads it. */
bool server_is_installing(const struct server *server);
/* Calls fn, which must be short, while nothing is applied: store and tables then agree. */
void server_between_applies(struct server *server, void (*fn)(void *arg), void *arg);

/* Looks at raft, or steps it, on core; must be quick. The ask is the runner's from then on. */
struct server_ask {
    struct list node;
    void (*run)(struct server_ask *ask, struct raft *raft);
};
/* False when the server stops: the ask stays the caller's. */
bool server_on_core(struct server *server, struct server_ask *ask);

/* Hands leadership to another voter. */
struct server_transfer {
    struct list node;
    uint64_t target;
    int64_t deadline_ms; /* clock_mono_ms() */
    struct err err;
    void (*done)(struct server_transfer *transfer); /* once, any thread, must only queue */
    void *arg;
    struct server_ask ask; /* private */
    struct server *server;
};
/* done when the target leads. Errors: TIMEOUT_LEADER_TRANSFER, STOPPED. */
void server_transfer_leader(struct server *server, struct server_transfer *transfer);

/* Work for the back thread. */

struct server_job {
    struct list node;
    void (*run)(
        struct server_job *job); /* on the back thread; the job is the runner's from then on */
};
/* False when the server stops: the job stays the caller's. */
bool server_run(struct server *server, struct server_job *job);
/* Calls fn when the compaction that is under way now is done (at once when none is). Any thread;
 * must only queue. */
void server_after_compaction(struct server *server, struct server_job *job);

#endif
