/* SPDX-License-Identifier: Apache-2.0
 *
 * What the leader knows of one peer's log, and how much it has on its way to it.
 *
 *   probe:     one append at a time, until it is known where the logs agree
 *   replicate: appends flow, within the window of inflights
 *   snapshot:  nothing is sent until the snapshot arrived or failed
 */
#ifndef RAFT_PROGRESS_H
#define RAFT_PROGRESS_H

#include "raft/raft.h"

struct inflight {
    uint64_t index; /* of the last entry in the message */
    uint64_t bytes;
};

/* A ring of the appends on their way, born empty, grown up to count_max. */
struct inflights {
    struct inflight *ring;
    size_t cap;
    size_t start;
    size_t count;
    size_t count_max;
    uint64_t bytes;
    uint64_t bytes_max; /* 0: no limit */
};

void inflights_fini(struct inflights *inflights);
/* It is not full. */
void inflights_add(struct inflights *inflights, uint64_t index, uint64_t bytes);
/* Frees all up to and with index. */
void inflights_free_to(struct inflights *inflights, uint64_t index);
bool inflights_is_full(const struct inflights *inflights);
void inflights_reset(struct inflights *inflights);

/* match < next. */
struct progress {
    uint64_t id;
    uint64_t match;
    uint64_t next;
    uint64_t sent_commit; /* highest commit index it was told */
    uint64_t pending_snapshot;
    enum raft_progress_state state;
    bool is_learner;
    bool is_recent_active;
    bool is_flow_paused;
    struct inflights inflights;
};

void progress_become_probe(struct progress *progress);
void progress_become_replicate(struct progress *progress);
void progress_become_snapshot(struct progress *progress, uint64_t index);
bool progress_is_paused(const struct progress *progress);
void progress_sent_entries(struct progress *progress, size_t count, uint64_t bytes);
/* Whether telling it of commit index may move it. */
bool progress_can_bump_commit(const struct progress *progress, uint64_t index);
/* The peer has all up to index. False: it said so before. */
bool progress_maybe_update(struct progress *progress, uint64_t index);
/* The peer refused an append behind rejected and hints where it might match. False: outdated. */
bool progress_maybe_decrease(struct progress *progress, uint64_t rejected, uint64_t hint);

void progress_status(const struct progress *progress, struct raft_peer_status *out);

#endif
