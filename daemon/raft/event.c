/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/parts.h"

static bool is_response(enum raft_message_type type)
{
    return type == RAFT_MSG_APP_RESP || type == RAFT_MSG_VOTE_RESP ||
           type == RAFT_MSG_HEARTBEAT_RESP || type == RAFT_MSG_READ_INDEX_RESP ||
           type == RAFT_MSG_PRE_VOTE_RESP;
}

static bool is_bare(enum raft_message_type type)
{
    return type == RAFT_MSG_PROP || type == RAFT_MSG_READ_INDEX ||
           type == RAFT_MSG_TRANSFER_LEADER || type == RAFT_MSG_FORGET_LEADER;
}

/* Messages come from outside: each kind has what its handler takes for granted. */
static bool is_acceptable(const struct raft_message *message)
{
    enum raft_message_type type = message->type;
    switch (type) {
    case RAFT_MSG_HUP:
    case RAFT_MSG_BEAT:
    case RAFT_MSG_UNREACHABLE:
    case RAFT_MSG_SNAP_STATUS:
    case RAFT_MSG_CHECK_QUORUM:
    case RAFT_MSG_STORAGE_APPEND:
    case RAFT_MSG_STORAGE_APPEND_RESP:
    case RAFT_MSG_STORAGE_APPLY:
    case RAFT_MSG_STORAGE_APPLY_RESP:
        return false;
    case RAFT_MSG_PROP:
        return message->entries_count > 0;
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_READ_INDEX_RESP:
        return message->entries_count == 1 && blob_slice(message->entries[0].data).len > 0;
    case RAFT_MSG_APP:
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_SNAP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_TRANSFER_LEADER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
    case RAFT_MSG_FORGET_LEADER:
        break;
    default:
        return false;
    }
    bool has_sender = message->from != 0 && message->term != 0;
    return has_sender || is_bare(type) || is_response(type);
}

/* Requests may come back to where they began, by way of others; promises and orders may not. */
static bool is_forged(const struct raft *raft, const struct raft_message *message)
{
    bool is_handed_back = is_response(message->type) && raft->options.keep_self_messages;
    return message->from == raft->id && !is_bare(message->type) && !is_handed_back;
}

static struct err receive(struct raft *raft, const struct raft_message *message)
{
    if (!is_acceptable(message) || is_forged(raft, message)) {
        return ERR(BAD_INPUT);
    }
    if (is_response(message->type) && !tracker_find(&raft->tracker, message->from)) {
        return ERR(PEER_UNKNOWN);
    }
    struct err e = machine_step(raft, message);
    return IS(e, NO_LEADER) ? OK : e;
}

static struct err propose_conf(struct raft *raft, const struct raft_conf_change *change)
{
    struct raft_entry entry = {.type = RAFT_ENTRY_CONF_CHANGE_V2};
    if (change) {
        entry.type = change->is_v1 ? RAFT_ENTRY_CONF_CHANGE : RAFT_ENTRY_CONF_CHANGE_V2;
        entry.data = conf_change_blob(change);
    }
    struct raft_message message = {
        .type = RAFT_MSG_PROP, .from = raft->id, .entries = &entry, .entries_count = 1};
    struct err e = machine_step(raft, &message);
    blob_unref(entry.data);
    return e;
}

static struct err propose(struct raft *raft, const struct raft_event *event)
{
    struct raft_message message = {.type = RAFT_MSG_PROP,
        .from = raft->id,
        .entries = (struct raft_entry *)event->entries,
        .entries_count = event->entries_count};
    return message.entries_count ? machine_step(raft, &message) : ERR(BAD_INPUT);
}

static struct err read_index(struct raft *raft, struct blob *context)
{
    struct raft_entry entry = {.data = context};
    struct raft_message message = {
        .type = RAFT_MSG_READ_INDEX, .entries = &entry, .entries_count = 1};
    return blob_slice(context).len ? machine_step(raft, &message) : ERR(BAD_INPUT);
}

void machine_applied(struct raft *raft, uint64_t index)
{
    struct raft_log *log = &raft->log;
    if (raft->applied_reported < index) {
        raft->applied_reported = index;
    }
    /* The application may be ahead of its own reports of conf changes; raft is not. */
    uint64_t in_force = raft->conf_index > log->applied ? raft->conf_index : log->applied;
    uint64_t waiting = raft_log_conf_change(log, in_force, index);
    uint64_t applied = waiting ? waiting - 1 : index;
    applied = applied > log->applied ? applied : log->applied;
    uint64_t payload = raft_log_applied(log, applied);
    raft->uncommitted_bytes -=
        payload < raft->uncommitted_bytes ? payload : raft->uncommitted_bytes;
    if (raft->tracker.members.conf.auto_leave && applied >= raft->pending_conf_index &&
        raft->role == RAFT_LEADER) {
        /* Dropped only when this is tried again: after the next entry, or by the next leader. */
        (void)err_is(propose_conf(raft, NULL));
    }
}

static struct err take_applied(struct raft *raft, uint64_t index)
{
    if (index > raft->log.committed) {
        return ERR(BAD_INPUT);
    }
    machine_applied(raft, index);
    return OK;
}

static struct err take_ticket(struct raft *raft, const struct raft_ticket *ticket)
{
    if (ticket->vote_term) {
        TRY(machine_step(
            raft, &(struct raft_message){
                      .type = ticket->is_pre_vote ? RAFT_MSG_PRE_VOTE_RESP : RAFT_MSG_VOTE_RESP,
                      .from = raft->id,
                      .to = raft->id,
                      .term = ticket->vote_term}));
    }
    if (ticket->ack_index) {
        TRY(machine_step(raft, &(struct raft_message){.type = RAFT_MSG_APP_RESP,
                                   .from = raft->id,
                                   .to = raft->id,
                                   .term = ticket->ack_term,
                                   .index = ticket->ack_index}));
    }
    if (ticket->index && ticket->term == raft->term) {
        raft_log_stable_to(&raft->log, ticket->index, ticket->log_term);
    }
    if (ticket->snapshot_index) {
        raft_log_snapshot_stable(&raft->log, ticket->snapshot_index);
        machine_applied(raft, ticket->snapshot_index);
    }
    return OK;
}

static struct err compact(struct raft *raft, uint64_t index)
{
    if (index > raft->log.applied || index > raft_log_last(&raft->log)) {
        return ERR(BAD_INPUT);
    }
    raft_log_compact(&raft->log, index);
    return OK;
}

static struct err step_own(
    struct raft *raft, enum raft_message_type type, const struct raft_event *event)
{
    struct raft_message message = {.type = type, .from = event->peer, .reject = !event->is_ok};
    return machine_step(raft, &message);
}

struct err raft_step(struct raft *raft, const struct raft_event *event)
{
    switch (event->type) {
    case RAFT_TICK:
        election_tick(raft);
        break;
    case RAFT_RECEIVE:
        return receive(raft, event->message);
    case RAFT_PROPOSE:
        return propose(raft, event);
    case RAFT_PROPOSE_CONF:
        return propose_conf(raft, event->conf_change);
    case RAFT_READ_INDEX:
        return read_index(raft, event->context);
    case RAFT_TRANSFER:
        return step_own(raft, RAFT_MSG_TRANSFER_LEADER, event);
    case RAFT_CAMPAIGN:
        election_start(raft, raft->options.pre_vote ? CAMPAIGN_PRE_ELECTION : CAMPAIGN_ELECTION);
        break;
    case RAFT_FORGET_LEADER:
        return step_own(raft, RAFT_MSG_FORGET_LEADER, event);
    case RAFT_PERSISTED:
        return take_ticket(raft, event->ticket);
    case RAFT_APPLIED:
        return take_applied(raft, event->index);
    case RAFT_UNREACHABLE:
        return step_own(raft, RAFT_MSG_UNREACHABLE, event);
    case RAFT_SNAPSHOT_STATUS:
        return step_own(raft, RAFT_MSG_SNAP_STATUS, event);
    case RAFT_SNAPSHOT_MADE:
        raft_log_snapshot_made(&raft->log, event->snapshot);
        break;
    case RAFT_COMPACT:
        return compact(raft, event->index);
    }
    return OK;
}
