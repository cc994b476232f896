/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/parts.h"

/* Passes a message on to the leader; false when none is known. */
static bool forward(struct raft *raft, const struct raft_message *message)
{
    if (raft->lead == 0) {
        return false;
    }
    struct raft_message copy;
    message_copy(&copy, message);
    copy.to = raft->lead;
    send_message(raft, copy);
    return true;
}

static struct err leader_hear(struct raft *raft, const struct raft_message *message)
{
    struct progress *from = tracker_find(&raft->tracker, message->from);
    if (!from) {
        return OK;
    }
    switch ((int)message->type) {
    case RAFT_MSG_APP_RESP:
        return replicate_take_answer(raft, from, message);
    case RAFT_MSG_HEARTBEAT_RESP:
        replicate_take_heartbeat_answer(raft, from, message);
        break;
    case RAFT_MSG_SNAP_STATUS:
        if (from->state == RAFT_SNAPSHOT) {
            if (message->reject) {
                from->pending_snapshot = 0;
            }
            progress_become_probe(from);
            /* Sent: wait for its answer to an append. Failed: for a heartbeat. */
            from->is_flow_paused = true;
        }
        break;
    case RAFT_MSG_UNREACHABLE:
        /* What was on its way is probably lost. */
        if (from->state == RAFT_REPLICATE) {
            progress_become_probe(from);
        }
        break;
    case RAFT_MSG_TRANSFER_LEADER:
        replicate_transfer(raft, from);
        break;
    default:
        break;
    }
    return OK;
}

static struct err step_leader(struct raft *raft, const struct raft_message *message)
{
    switch ((int)message->type) {
    case RAFT_MSG_PROP:
        return replicate_propose(raft, message);
    case RAFT_MSG_READ_INDEX:
        read_request(raft, message);
        return OK;
    default:
        return leader_hear(raft, message);
    }
}

/* What a leader of this term sends; candidates have become followers by then. */
static struct err hear_leader(struct raft *raft, const struct raft_message *message)
{
    raft->election_elapsed = 0;
    raft->lead = message->from;
    if (message->type == RAFT_MSG_APP) {
        return replicate_take_append(raft, message);
    }
    if (message->type == RAFT_MSG_HEARTBEAT) {
        return replicate_take_heartbeat(raft, message);
    }
    return replicate_take_snapshot(raft, message);
}

/* A grant carries the term that it was asked for. One that comes after its campaign was won, and
 * lost again, says nothing about the next; etcd counts it. */
static bool is_late_grant(const struct raft *raft, const struct raft_message *message)
{
    return message->type == RAFT_MSG_PRE_VOTE_RESP && !message->reject &&
           message->term <= raft->term;
}

static struct err step_candidate(struct raft *raft, const struct raft_message *message)
{
    enum raft_message_type counted =
        raft->role == RAFT_PRE_CANDIDATE ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP;
    switch ((int)message->type) {
    case RAFT_MSG_PROP:
        return ERR(PROPOSAL_DROPPED);
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_TRANSFER_LEADER:
        return ERR(NO_LEADER);
    case RAFT_MSG_APP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAP:
        machine_become_follower(raft, message->term, message->from);
        return hear_leader(raft, message);
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_PRE_VOTE_RESP:
        if (message->type == counted && !is_late_grant(raft, message)) {
            election_count(raft, message);
        }
        break;
    default:
        break;
    }
    return OK;
}

static struct err step_follower(struct raft *raft, const struct raft_message *message)
{
    switch ((int)message->type) {
    case RAFT_MSG_PROP:
        if (raft->options.disable_proposal_forwarding || !forward(raft, message)) {
            return ERR(PROPOSAL_DROPPED);
        }
        break;
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_TRANSFER_LEADER:
        return forward(raft, message) ? OK : ERR(NO_LEADER);
    case RAFT_MSG_APP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAP:
        return hear_leader(raft, message);
    case RAFT_MSG_FORGET_LEADER:
        /* A lease would be broken by voting for another one. */
        if (!raft->options.is_lease_read) {
            raft->lead = 0;
        }
        break;
    case RAFT_MSG_TIMEOUT_NOW:
        /* The leader asked: no pre-vote. */
        election_start(raft, CAMPAIGN_TRANSFER);
        break;
    case RAFT_MSG_READ_INDEX_RESP:
        read_answer_own(raft, message->index, message->entries[0].data);
        break;
    default:
        break;
    }
    return OK;
}

/* While it hears from a leader, a member does not help to depose it, unless that leader asked. */
static bool is_in_lease(const struct raft *raft, const struct raft_message *message)
{
    bool is_vote = message->type == RAFT_MSG_VOTE || message->type == RAFT_MSG_PRE_VOTE;
    return is_vote && !slice_eq(blob_slice(message->context), election_transfer_context) &&
           raft->options.check_quorum && raft->lead != 0 &&
           raft->election_elapsed < raft->options.election_ticks;
}

static void hear_higher_term(struct raft *raft, const struct raft_message *message)
{
    enum raft_message_type type = message->type;
    bool is_pre_vote =
        type == RAFT_MSG_PRE_VOTE || (type == RAFT_MSG_PRE_VOTE_RESP && !message->reject);
    if (is_pre_vote) {
        return;
    }
    bool is_leader = type == RAFT_MSG_APP || type == RAFT_MSG_HEARTBEAT || type == RAFT_MSG_SNAP;
    machine_become_follower(raft, message->term, is_leader ? message->from : 0);
}

static void hear_lower_term(struct raft *raft, const struct raft_message *message)
{
    enum raft_message_type type = message->type;
    bool is_leader = type == RAFT_MSG_APP || type == RAFT_MSG_HEARTBEAT;
    if (is_leader && (raft->options.check_quorum || raft->options.pre_vote)) {
        /* A member that came back from a partition with a higher term would never hear a leader
         * again, for nobody votes for it: the answer makes that leader step down. */
        send_message(raft, (struct raft_message){.type = RAFT_MSG_APP_RESP, .to = message->from});
    } else if (type == RAFT_MSG_PRE_VOTE) {
        send_message(raft, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_RESP,
                               .to = message->from,
                               .term = raft->term,
                               .reject = true});
    }
}

struct err machine_step(struct raft *raft, const struct raft_message *message)
{
    if (message->term > raft->term) {
        if (is_in_lease(raft, message)) {
            return OK;
        }
        hear_higher_term(raft, message);
    } else if (message->term != 0 && message->term < raft->term) {
        hear_lower_term(raft, message);
        return OK;
    }
    if (message->type == RAFT_MSG_VOTE || message->type == RAFT_MSG_PRE_VOTE) {
        election_take_vote(raft, message);
        return OK;
    }
    switch (raft->role) {
    case RAFT_LEADER:
        return step_leader(raft, message);
    case RAFT_FOLLOWER:
        return step_follower(raft, message);
    case RAFT_CANDIDATE:
    case RAFT_PRE_CANDIDATE:
        break;
    }
    return step_candidate(raft, message);
}
