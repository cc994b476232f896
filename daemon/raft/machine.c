/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/parts.h"

#include "base/mutation.h"
#include "raft/confchange.h"

/* What every change of role or term begins with. */
static void reset(struct raft *raft, uint64_t term)
{
    if (raft->term != term) {
        raft->term = term;
        raft->vote = 0;
    }
    raft->lead = 0;
    raft->election_elapsed = 0;
    raft->heartbeat_elapsed = 0;
    uint32_t ticks = raft->options.election_ticks;
    raft->election_timeout = ticks + (uint32_t)rand_below(&raft->rand, ticks);
    raft->transferee = 0;
    votes_reset(&raft->tracker.votes);
    for (size_t i = 0; i < raft->tracker.members.count; i++) {
        struct progress *progress = &raft->tracker.members.progress[i];
        struct inflights inflights = progress->inflights;
        inflights_reset(&inflights);
        uint64_t last = raft_log_last(&raft->log);
        *progress = (struct progress){
            .id = progress->id,
            .match = progress->id == raft->id ? last : 0,
            .next = last + 1,
            .is_learner = progress->is_learner,
            .inflights = inflights,
        };
    }
    raft->pending_conf_index = 0;
    raft->uncommitted_bytes = 0;
    read_reset(raft);
}

void machine_become_follower(struct raft *raft, uint64_t term, uint64_t lead)
{
    reset(raft, term);
    raft->lead = lead;
    raft->role = RAFT_FOLLOWER;
}

void machine_become_candidate(struct raft *raft)
{
    check(raft->role != RAFT_LEADER);
    reset(raft, raft->term + 1);
    raft->vote = raft->id;
    raft->role = RAFT_CANDIDATE;
}

/* Neither term nor vote change: nothing is promised by asking. */
void machine_become_pre_candidate(struct raft *raft)
{
    check(raft->role != RAFT_LEADER);
    votes_reset(&raft->tracker.votes);
    raft->lead = 0;
    raft->role = RAFT_PRE_CANDIDATE;
}

void machine_become_leader(struct raft *raft)
{
    check(raft->role != RAFT_FOLLOWER);
    reset(raft, raft->term);
    raft->lead = raft->id;
    raft->role = RAFT_LEADER;
    struct progress *own = tracker_find(&raft->tracker, raft->id);
    progress_become_replicate(own);
    own->is_recent_active = true;
    /* There may be a conf change among the entries that are not applied yet. */
    raft->pending_conf_index = raft_log_last(&raft->log);
    struct raft_entry empty = {.type = RAFT_ENTRY_NORMAL};
    check(replicate_append_own(raft, &empty, 1));
}

bool machine_is_promotable(struct raft *raft)
{
    struct progress *own = tracker_find(&raft->tracker, raft->id);
    return own && !own->is_learner && !raft->log.incoming;
}

bool machine_maybe_commit(struct raft *raft)
{
    uint64_t index = tracker_committed(&raft->tracker);
    /* Only entries of the leader's own term are committed by counting (Raft §5.4.2). */
    bool is_own = raft_log_matches(&raft->log, index, raft->term) || MUTATE(COMMIT_OLD_TERM);
    if (index <= raft->log.committed || !is_own) {
        return false;
    }
    raft->log.committed = index;
    return true;
}

void machine_switch(struct raft *raft, const struct membership *next)
{
    tracker_adopt(&raft->tracker, next);
    struct progress *own = tracker_find(&raft->tracker, raft->id);
    if (raft->role != RAFT_LEADER) {
        return;
    }
    if (!own || own->is_learner) {
        if (raft->options.step_down_on_removal) {
            machine_become_follower(raft, raft->term, 0);
        }
        return;
    }
    if (next->conf.voters.count == 0) {
        return;
    }
    if (machine_maybe_commit(raft)) {
        /* A smaller quorum may have it already. */
        send_append_all(raft);
    } else {
        /* A new peer is probed at once instead of at the next heartbeat. */
        for (size_t i = 0; i < raft->tracker.members.count; i++) {
            struct progress *progress = &raft->tracker.members.progress[i];
            if (progress->id != raft->id) {
                send_append(raft, progress, false);
            }
        }
    }
    if (raft->transferee && !tracker_is_voter(&raft->tracker, raft->transferee)) {
        raft->transferee = 0;
    }
}

static bool conf_has(const struct raft_conf_state *conf, uint64_t id)
{
    return ids_has(&conf->voters, id) || ids_has(&conf->learners, id) ||
           ids_has(&conf->voters_outgoing, id);
}

struct err machine_restore(struct raft *raft, struct raft_snapshot *snapshot, bool *out_restored)
{
    const struct raft_snapshot_meta *meta = &snapshot->meta;
    *out_restored = false;
    if (meta->index <= raft->log.committed || !conf_has(&meta->conf, raft->id)) {
        return OK;
    }
    if (raft_log_matches(&raft->log, meta->index, meta->term)) {
        /* The entries are here already. */
        return raft_log_commit_to(&raft->log, meta->index);
    }
    struct tracker blank = raft->tracker;
    blank.members = (struct membership){.count = 0};
    struct changer changer = {&blank, meta->index};
    struct membership members;
    TRY(confchange_restore(&changer, &meta->conf, &members, NULL));
    raft_log_restore(&raft->log, snapshot);
    raft->conf_index = meta->index;
    machine_switch(raft, &members);
    *out_restored = true;
    return OK;
}
