/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/parts.h"

#include "base/mutation.h"

const struct slice election_transfer_context = {(const uint8_t *)"CampaignTransfer", 16};

static void ask_for_votes(struct raft *raft, enum campaign campaign)
{
    bool is_pre = campaign == CAMPAIGN_PRE_ELECTION;
    uint64_t term = is_pre ? raft->term + 1 : raft->term;
    struct raft_ids voters;
    tracker_voters(&raft->tracker, &voters);
    for (size_t i = 0; i < voters.count; i++) {
        struct raft_message vote = {.to = voters.ids[i], .term = term};
        if (vote.to == raft->id) {
            /* Counted once the vote is on disk. */
            vote.type = is_pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP;
            send_message(raft, vote);
            continue;
        }
        vote.type = is_pre ? RAFT_MSG_PRE_VOTE : RAFT_MSG_VOTE;
        vote.index = raft_log_last(&raft->log);
        vote.log_term = raft_log_last_term(&raft->log);
        if (campaign == CAMPAIGN_TRANSFER) {
            vote.context = blob_new(election_transfer_context);
        }
        send_message(raft, vote);
    }
}

static void run_for_election(struct raft *raft, enum campaign campaign)
{
    if (campaign == CAMPAIGN_PRE_ELECTION) {
        machine_become_pre_candidate(raft);
    } else {
        machine_become_candidate(raft);
    }
    ask_for_votes(raft, campaign);
}

void election_start(struct raft *raft, enum campaign campaign)
{
    if (raft->role == RAFT_LEADER || !machine_is_promotable(raft) ||
        raft_log_conf_change(&raft->log, raft->log.applied, raft->log.committed)) {
        /* A change that is committed and not in force might ask for another quorum. */
        return;
    }
    run_for_election(raft, campaign);
}

void election_take_vote(struct raft *raft, const struct raft_message *vote)
{
    bool is_pre = vote->type == RAFT_MSG_PRE_VOTE;
    /* Again for the same one; for anybody when free and without leader; a pre-vote of the future
     * always, since it promises nothing. A learner votes too: the candidate may know that it was
     * promoted while it does not yet. */
    bool may_vote = raft->vote == vote->from || MUTATE(VOTE_TWICE) ||
                    (raft->vote == 0 && raft->lead == 0) || (is_pre && vote->term > raft->term);
    bool is_granted = may_vote && (MUTATE(BLIND_VOTE) || raft_log_is_up_to_date(&raft->log,
                                                             vote->index, vote->log_term));
    /* Grants answer with the asked term: a pre-vote's is ahead of this member's own. */
    send_message(
        raft, (struct raft_message){.type = is_pre ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP,
                  .to = vote->from,
                  .term = is_granted ? vote->term : raft->term,
                  .reject = !is_granted});
    if (is_granted && !is_pre) {
        raft->election_elapsed = 0;
        raft->vote = vote->from;
    }
}

void election_count(struct raft *raft, const struct raft_message *answer)
{
    votes_record(&raft->tracker.votes, answer->from, !answer->reject);
    switch (tracker_tally(&raft->tracker)) {
    case VOTE_WON:
        if (raft->role == RAFT_PRE_CANDIDATE) {
            run_for_election(raft, CAMPAIGN_ELECTION);
        } else {
            machine_become_leader(raft);
            send_append_all(raft);
        }
        break;
    case VOTE_LOST:
        /* The pre-vote of a higher term may have been refused: keep our own. */
        machine_become_follower(raft, raft->term, 0);
        break;
    case VOTE_PENDING:
        break;
    }
}

static void check_quorum(struct raft *raft)
{
    if (!tracker_is_quorum_active(&raft->tracker)) {
        machine_become_follower(raft, raft->term, 0);
    }
    for (size_t i = 0; i < raft->tracker.members.count; i++) {
        struct progress *progress = &raft->tracker.members.progress[i];
        if (progress->id != raft->id) {
            progress->is_recent_active = false;
        }
    }
}

static void leader_tick(struct raft *raft)
{
    raft->heartbeat_elapsed++;
    raft->election_elapsed++;
    if (raft->election_elapsed >= raft->options.election_ticks) {
        raft->election_elapsed = 0;
        if (raft->options.check_quorum) {
            check_quorum(raft);
        }
        /* A transfer that takes longer than an election is given up. */
        raft->transferee = 0;
    }
    if (raft->role != RAFT_LEADER) {
        return;
    }
    if (raft->heartbeat_elapsed >= raft->options.heartbeat_ticks) {
        raft->heartbeat_elapsed = 0;
        send_heartbeat_all(raft, read_last_context(raft));
    }
}

void election_tick(struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        leader_tick(raft);
        return;
    }
    raft->election_elapsed++;
    if (machine_is_promotable(raft) && raft->election_elapsed >= raft->election_timeout) {
        raft->election_elapsed = 0;
        bool is_asking = raft->options.pre_vote && !MUTATE(PRE_VOTE_FORGOTTEN);
        election_start(raft, is_asking ? CAMPAIGN_PRE_ELECTION : CAMPAIGN_ELECTION);
    }
}
