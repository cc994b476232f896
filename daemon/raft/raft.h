/* SPDX-License-Identifier: Apache-2.0
 *
 * The consensus machine, feature for feature etcd's raft: events in, one update out. Pure: no
 * clock, no random number of its own (a seed comes in), no I/O, no log line, no thread. Called by
 * the core thread only.
 *
 * The turn: raft_step() any number of events; then, if raft_has_update(), one raft_take_update():
 *
 * 1. Send its messages at once.
 *
 * 2. If needs_persist: hand snapshot, entries, hard state, after and ticket to the disk, in the
 * order of the updates. Several may be on their way. When an update and all before it are on disk
 * (synced if must_sync), send its after messages and step RAFT_PERSISTED with its ticket; one with
 * a snapshot only when that is saved and will be installed ahead of all entries that follow.
 *
 * 3. Apply committed entries in order, calling raft_apply_conf_change() once for each conf change
 * entry, in their order; step RAFT_APPLIED with the last index of the batch. Entries from a conf
 * change on count as applied only after that call, so the two may be on their way separately.
 *
 * 4. Answer reads once their index is applied.
 */
#ifndef RAFT_RAFT_H
#define RAFT_RAFT_H

#include "raft/change.h"
#include "raft/message.h"

struct raft;

enum raft_role { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER, RAFT_PRE_CANDIDATE };

struct raft_options {
    uint64_t id;
    uint32_t election_ticks;  /* > heartbeat_ticks; real timeouts are random in [1, 2) of it */
    uint32_t heartbeat_ticks; /* > 0 */
    uint64_t seed;            /* differs between members */
    bool pre_vote;
    bool check_quorum;
    bool is_lease_read; /* read index without a quorum round; needs check_quorum */
    bool step_down_on_removal;
    bool disable_proposal_forwarding;
    bool disable_conf_change_validation;
    /* Committed entries may come before they are on this disk: the caller persists an update before
     * it applies it. Off: only what was reported persisted is given to apply. */
    bool apply_unstable;
    /* For traces: messages to this member itself stay in after, to be received by hand. Off: the
     * ticket carries them. */
    bool keep_self_messages;
    uint64_t message_bytes_max;     /* encoded entries of one append; 0: one entry each */
    uint64_t applying_bytes_max;    /* encoded entries handed to apply and not yet applied; 0:
                                       message_bytes_max */
    uint64_t uncommitted_bytes_max; /* payload; 0: no limit */
    size_t inflight_messages_max;   /* > 0, appends on their way to one peer */
    uint64_t inflight_bytes_max;    /* 0: no limit, else >= message_bytes_max */
    /* The state to go on from; all borrowed, blobs are referenced. */
    const struct raft_snapshot_meta *snapshot; /* the log begins behind it; NULL: at index 1 */
    const struct raft_conf_state *conf;        /* as of applied; NULL: the snapshot's */
    const struct raft_entry *entries;          /* gapless from snapshot->index + 1 */
    size_t entries_count;
    struct raft_hard_state hard_state;
    uint64_t applied; /* what the store has already; 0: the snapshot's index */
};

/* Gives a follower without leader. Errors: BAD_CONFIG (options), BAD_FORMAT (the state does not fit
 * together). */
MUST struct err raft_new(const struct raft_options *options, struct raft **out, struct why *why);
void raft_free(struct raft *raft);

struct raft_peer {
    uint64_t id;
    struct slice context;
};

/* For the first member set of a new cluster: committed conf change entries 1..count at term 1,
 * applied here at once and still to be applied by the caller. Errors: BAD_INPUT when the log is not
 * empty. */
MUST struct err raft_bootstrap(struct raft *raft, const struct raft_peer *peers, size_t count);

/* What RAFT_PERSISTED hands back: a plain value. */
struct raft_ticket {
    uint64_t term;
    uint64_t index; /* last entry of the log at that time, 0: all were stable */
    uint64_t log_term;
    uint64_t snapshot_index; /* 0: none */
    uint64_t ack_index;      /* the leader's own acknowledgement, 0: none */
    uint64_t ack_term;
    uint64_t vote_term; /* the candidate's vote for itself, 0: none */
    bool is_pre_vote;
};

enum raft_event_type {
    RAFT_TICK,
    RAFT_RECEIVE,      /* message */
    RAFT_PROPOSE,      /* entries: only type and data count */
    RAFT_PROPOSE_CONF, /* conf_change; NULL leaves the joint configuration */
    RAFT_READ_INDEX,   /* context: unique bytes, given back in the read state */
    RAFT_TRANSFER,     /* peer */
    RAFT_CAMPAIGN,
    RAFT_FORGET_LEADER,
    RAFT_PERSISTED,       /* ticket */
    RAFT_APPLIED,         /* index */
    RAFT_UNREACHABLE,     /* peer: the last message to it was lost */
    RAFT_SNAPSHOT_STATUS, /* peer, is_ok: how sending the snapshot ended */
    RAFT_SNAPSHOT_MADE,   /* snapshot: what peers that are too far behind get from now on; index <=
                             applied */
    RAFT_COMPACT, /* index <= applied and <= the snapshot made: forget entries up to and with it */
};

/* Everything is borrowed for the call. */
struct raft_event {
    enum raft_event_type type;
    const struct raft_message *message;
    const struct raft_entry *entries;
    size_t entries_count;
    const struct raft_conf_change *conf_change;
    struct blob *context;
    const struct raft_ticket *ticket;
    struct raft_snapshot *snapshot;
    uint64_t peer;
    uint64_t index;
    bool is_ok;
};

/* Errors: PROPOSAL_DROPPED (no leader, transfer under way, too much uncommitted), NO_LEADER (read
 * index, transfer), PEER_UNKNOWN (a response from a stranger), BAD_INPUT (a malformed, local or
 * forged message, an index out of range), CORRUPT (the leader contradicts what is committed here,
 * or this log has lost entries: stop). Nothing is appended, committed or promised then. */
MUST struct err raft_step(struct raft *raft, const struct raft_event *event);

struct raft_read_state {
    uint64_t index;
    struct blob *context;
};

struct raft_soft_state {
    uint64_t lead; /* 0: none known */
    enum raft_role role;
};

/* The caller's, reusable, any number at a time; owns arrays and references, so it may go to another
 * thread. */
struct raft_update {
    bool needs_persist; /* anything of: hard state, entries, snapshot, after, ticket */
    bool must_sync;
    bool has_hard_state;
    bool has_soft_state; /* it changed */
    struct raft_hard_state hard_state;
    struct raft_soft_state soft_state;
    struct raft_ticket ticket;
    struct raft_snapshot *snapshot; /* to save and install; replaces the whole log */
    /* To persist. The first may overwrite an index written before: all from there on is void. */
    struct raft_entry *entries;
    size_t entries_count;
    struct raft_entry *committed;
    size_t committed_count;
    struct raft_message *messages;
    size_t messages_count;
    struct raft_message *after;
    size_t after_count;
    struct raft_read_state *reads;
    size_t reads_count;
    size_t caps[5]; /* private: room in the arrays above */
};

void raft_update_init(struct raft_update *update);
/* Drops what it holds, keeps the memory. */
void raft_update_reset(struct raft_update *update);
void raft_update_fini(struct raft_update *update);
bool raft_has_update(const struct raft *raft);
/* Resets update and moves all that is outstanding into it. */
void raft_take_update(struct raft *raft, struct raft_update *update);

/* Puts the conf change of the committed entry at index, the next one, into force; one that the
 * application refuses is given with node ids 0. Errors: BAD_INPUT, with why, when the change does
 * not fit the configuration (it counts as done and changed nothing), or a snapshot overtook it (the
 * snapshot's members have it; nothing changed). */
MUST struct err raft_apply_conf_change(struct raft *raft, uint64_t index,
    const struct raft_conf_change *change, struct raft_conf_state *out, struct why *why);

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };

struct raft_peer_status {
    uint64_t id;
    uint64_t match;
    uint64_t next;
    uint64_t pending_snapshot;
    size_t inflight;
    enum raft_progress_state state;
    bool is_learner;
    bool is_paused;
    bool is_recent_active;
    bool is_inflight_full;
};

struct raft_status {
    uint64_t id;
    uint64_t applied;
    uint64_t first_index;
    uint64_t last_index;
    uint64_t transferee;
    struct raft_hard_state hard_state;
    struct raft_soft_state soft_state;
    struct raft_conf_state conf;
    struct raft_peer_status peers[RAFT_MEMBERS_MAX]; /* only on the leader, by id */
    size_t peers_count;
};

void raft_status_get(const struct raft *raft, struct raft_status *out);
/* Cheap enough for every turn. */
struct raft_soft_state raft_soft_state_get(const struct raft *raft);
struct raft_hard_state raft_hard_state_get(const struct raft *raft);
uint64_t raft_last_index(const struct raft *raft);
/* Term of an entry that is still in the log (or of the snapshot it begins behind); 0: unknown. */
uint64_t raft_term_at(const struct raft *raft, uint64_t index);

#endif
