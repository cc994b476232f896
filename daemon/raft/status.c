/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/machine.h"

void progress_status(const struct progress *progress, struct raft_peer_status *out)
{
    *out = (struct raft_peer_status){
        .id = progress->id,
        .match = progress->match,
        .next = progress->next,
        .pending_snapshot = progress->pending_snapshot,
        .inflight = progress->inflights.count,
        .state = progress->state,
        .is_learner = progress->is_learner,
        .is_paused = progress_is_paused(progress),
        .is_recent_active = progress->is_recent_active,
        .is_inflight_full = inflights_is_full(&progress->inflights),
    };
}

void raft_status_get(const struct raft *raft, struct raft_status *out)
{
    const struct membership *members = &raft->tracker.members;
    out->id = raft->id;
    out->applied = raft->log.applied;
    out->first_index = raft_log_first(&raft->log);
    out->last_index = raft_log_last(&raft->log);
    out->transferee = raft->transferee;
    out->hard_state = raft_hard_state_get(raft);
    out->soft_state = raft_soft_state_get(raft);
    out->conf = members->conf;
    out->peers_count = raft->role == RAFT_LEADER ? members->count : 0;
    for (size_t i = 0; i < out->peers_count; i++) {
        progress_status(&members->progress[i], &out->peers[i]);
    }
}

uint64_t raft_last_index(const struct raft *raft)
{
    return raft_log_last(&raft->log);
}

uint64_t raft_term_at(const struct raft *raft, uint64_t index)
{
    uint64_t term;
    return raft_log_term(&raft->log, index, &term) ? term : 0;
}
