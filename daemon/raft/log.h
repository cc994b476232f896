/* SPDX-License-Identifier: Apache-2.0
 *
 * The log in memory: every entry since the last truncation, and the marks on it.
 *
 *   base < [first ... applied ... applying ... committed ... last]
 *   stable_next: the first entry not reported persisted; taken_next: the first not given to persist
 *
 * An incoming snapshot replaces all; until it is reported persisted nothing is given to apply.
 */
#ifndef RAFT_LOG_H
#define RAFT_LOG_H

#include "raft/raft.h"

struct raft_log {
    struct raft_entry *entries; /* entries[start] has index base_index + 1 */
    size_t cap;
    size_t start;
    size_t count;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t committed;
    uint64_t applying;
    uint64_t applied;
    uint64_t stable_next;
    uint64_t taken_next;
    struct raft_snapshot *incoming; /* not persisted yet */
    bool is_incoming_taken;
    struct raft_snapshot *made; /* what peers get */
    uint64_t applying_bytes_max;
    uint64_t applying_bytes;
    bool is_applying_paused;
};

/* The log begins behind base; takes references of entries, which are gapless behind it. */
void raft_log_init(struct raft_log *log, const struct raft_snapshot_meta *base,
    const struct raft_entry *entries, size_t count);
void raft_log_fini(struct raft_log *log);

static inline uint64_t raft_log_first(const struct raft_log *log)
{
    return log->base_index + 1;
}

static inline uint64_t raft_log_last(const struct raft_log *log)
{
    return log->base_index + log->count;
}

/* False when index is truncated away (below the base) or not there yet. */
bool raft_log_term(const struct raft_log *log, uint64_t index, uint64_t *out_term);
uint64_t raft_log_last_term(const struct raft_log *log);
bool raft_log_matches(const struct raft_log *log, uint64_t index, uint64_t term);
/* Whether a log that ends there is at least as complete as this one (Raft §5.4.1). */
bool raft_log_is_up_to_date(const struct raft_log *log, uint64_t index, uint64_t term);
/* The highest index <= index whose term is <= term, and its term (0: unknown). */
uint64_t raft_log_conflict_by_term(
    const struct raft_log *log, uint64_t index, uint64_t term, uint64_t *out_term);

/* Appends at entries[0].index, cutting off what is there; takes references. */
void raft_log_append(struct raft_log *log, const struct raft_entry *entries, size_t count);
/* A follower's append behind (index, term). False: that entry is not in the log. Errors: CORRUPT
 * when it contradicts a committed entry or commits what is not there. */
MUST struct err raft_log_maybe_append(
    struct raft_log *log, const struct raft_message *append, bool *out_matched);
/* Never moves back. Errors: CORRUPT when the log is shorter. */
MUST struct err raft_log_commit_to(struct raft_log *log, uint64_t index);

/* Lends entries [lo, hi), cut to bytes_max of encoding but at least one. */
const struct raft_entry *raft_log_slice(
    const struct raft_log *log, uint64_t lo, uint64_t hi, uint64_t bytes_max, size_t *out_count);
const struct raft_entry *raft_log_to_persist(const struct raft_log *log, size_t *out_count);
const struct raft_entry *raft_log_to_apply(
    const struct raft_log *log, bool allow_unstable, size_t *out_count);
/* The update was taken: what raft_log_to_persist lent, and the incoming snapshot, are on their way.
 */
void raft_log_taken(struct raft_log *log);
/* Entries up to last were given to apply. */
void raft_log_applying(struct raft_log *log, uint64_t last, uint64_t bytes, bool allow_unstable);
/* They were applied. index <= committed. Gives their payload bytes. */
uint64_t raft_log_applied(struct raft_log *log, uint64_t index);
void raft_log_stable_to(struct raft_log *log, uint64_t index, uint64_t term);
void raft_log_snapshot_stable(struct raft_log *log, uint64_t index);
/* Takes a reference; all entries go. */
void raft_log_restore(struct raft_log *log, struct raft_snapshot *snapshot);
/* Keeps the snapshot for peers if it is newer. */
void raft_log_snapshot_made(struct raft_log *log, struct raft_snapshot *snapshot);
/* Forgets entries up to and with index <= applied. */
void raft_log_compact(struct raft_log *log, uint64_t index);

/* The first conf change in (from, to] that the log still has; 0: none. */
uint64_t raft_log_conf_change(const struct raft_log *log, uint64_t from, uint64_t to);

/* Bytes of entries in etcd's encoding; what size limits count. */
uint64_t raft_entry_size(const struct raft_entry *entry);
uint64_t raft_entries_size(const struct raft_entry *entries, size_t count);
uint64_t raft_payload_size(const struct raft_entry *entries, size_t count);

#endif
