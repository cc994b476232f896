/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/describe.h"

#include "base/mem.h"

#include <inttypes.h>

static const char *const role_names[] = {
    [RAFT_FOLLOWER] = "StateFollower",
    [RAFT_CANDIDATE] = "StateCandidate",
    [RAFT_LEADER] = "StateLeader",
    [RAFT_PRE_CANDIDATE] = "StatePreCandidate",
};

static const char *const message_names[] = {
    [RAFT_MSG_HUP] = "MsgHup",
    [RAFT_MSG_BEAT] = "MsgBeat",
    [RAFT_MSG_PROP] = "MsgProp",
    [RAFT_MSG_APP] = "MsgApp",
    [RAFT_MSG_APP_RESP] = "MsgAppResp",
    [RAFT_MSG_VOTE] = "MsgVote",
    [RAFT_MSG_VOTE_RESP] = "MsgVoteResp",
    [RAFT_MSG_SNAP] = "MsgSnap",
    [RAFT_MSG_HEARTBEAT] = "MsgHeartbeat",
    [RAFT_MSG_HEARTBEAT_RESP] = "MsgHeartbeatResp",
    [RAFT_MSG_UNREACHABLE] = "MsgUnreachable",
    [RAFT_MSG_SNAP_STATUS] = "MsgSnapStatus",
    [RAFT_MSG_CHECK_QUORUM] = "MsgCheckQuorum",
    [RAFT_MSG_TRANSFER_LEADER] = "MsgTransferLeader",
    [RAFT_MSG_TIMEOUT_NOW] = "MsgTimeoutNow",
    [RAFT_MSG_READ_INDEX] = "MsgReadIndex",
    [RAFT_MSG_READ_INDEX_RESP] = "MsgReadIndexResp",
    [RAFT_MSG_PRE_VOTE] = "MsgPreVote",
    [RAFT_MSG_PRE_VOTE_RESP] = "MsgPreVoteResp",
    [RAFT_MSG_STORAGE_APPEND] = "MsgStorageAppend",
    [RAFT_MSG_STORAGE_APPEND_RESP] = "MsgStorageAppendResp",
    [RAFT_MSG_STORAGE_APPLY] = "MsgStorageApply",
    [RAFT_MSG_STORAGE_APPLY_RESP] = "MsgStorageApplyResp",
    [RAFT_MSG_FORGET_LEADER] = "MsgForgetLeader",
};

static const char *const progress_names[] = {
    [RAFT_PROBE] = "StateProbe",
    [RAFT_REPLICATE] = "StateReplicate",
    [RAFT_SNAPSHOT] = "StateSnapshot",
};

static const char *const entry_names[] = {
    [RAFT_ENTRY_NORMAL] = "EntryNormal",
    [RAFT_ENTRY_CONF_CHANGE] = "EntryConfChange",
    [RAFT_ENTRY_CONF_CHANGE_V2] = "EntryConfChangeV2",
};

const char *raft_role_name(enum raft_role role)
{
    return role_names[role];
}

const char *raft_message_type_name(enum raft_message_type type)
{
    return message_names[type];
}

static void describe_quoted(struct buf *out, struct slice data)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < data.len; i++) {
        uint8_t byte = data.data[i];
        if (byte == '"' || byte == '\\') {
            buf_printf(out, "\\%c", byte);
        } else if (byte >= ' ' && byte < 0x7f) {
            buf_add_byte(out, byte);
        } else {
            buf_printf(out, "\\x%02x", byte);
        }
    }
    buf_add_byte(out, '"');
}

static void describe_changes(struct buf *out, const struct raft_entry *entry)
{
    static const char letters[] = "vrul";
    struct raft_conf_change change;
    if (err_is(raft_conf_change_decode(entry->type, blob_slice(entry->data), &change))) {
        buf_add_str(out, " malformed");
        return;
    }
    for (size_t i = 0; i < change.changes_count; i++) {
        buf_printf(out, " %c%" PRIu64, letters[change.changes[i].type], change.changes[i].node_id);
    }
}

void describe_entry(struct buf *out, const struct raft_entry *entry)
{
    buf_printf(
        out, "%" PRIu64 "/%" PRIu64 " %s", entry->term, entry->index, entry_names[entry->type]);
    if (entry->type == RAFT_ENTRY_NORMAL) {
        buf_add_byte(out, ' ');
        describe_quoted(out, blob_slice(entry->data));
    } else {
        describe_changes(out, entry);
    }
}

void describe_target(struct buf *out, uint64_t id)
{
    if (id == 0) {
        buf_add_str(out, "None");
    } else if (id == UINT64_MAX) {
        buf_add_str(out, "AppendThread");
    } else if (id == UINT64_MAX - 1) {
        buf_add_str(out, "ApplyThread");
    } else {
        buf_printf(out, "%" PRIx64, id);
    }
}

static void describe_entries(struct buf *out, const struct raft_message *message, int indent)
{
    if (message->entries_count == 0) {
        return;
    }
    buf_add_str(out, " Entries:[");
    if (message->entries_count == 1) {
        describe_entry(out, &message->entries[0]);
        buf_add_byte(out, ']');
        return;
    }
    for (size_t i = 0; i < message->entries_count; i++) {
        buf_printf(out, "\n%*s  ", indent, "");
        describe_entry(out, &message->entries[i]);
    }
    buf_printf(out, "\n%*s]", indent, "");
}

void describe_message(struct buf *out, const struct raft_message *message, int indent)
{
    describe_target(out, message->from);
    buf_add_str(out, "->");
    describe_target(out, message->to);
    buf_printf(out, " %s Term:%" PRIu64 " Log:%" PRIu64 "/%" PRIu64,
        raft_message_type_name(message->type), message->term, message->log_term, message->index);
    if (message->reject) {
        buf_printf(out, " Rejected (Hint: %" PRIu64 ")", message->reject_hint);
    }
    if (message->commit) {
        buf_printf(out, " Commit:%" PRIu64, message->commit);
    }
    if (message->vote) {
        buf_printf(out, " Vote:%" PRIu64, message->vote);
    }
    describe_entries(out, message, indent);
    if (message->snapshot && message->snapshot->meta.index) {
        buf_printf(out, "\n%*s  Snapshot: ", indent, "");
        describe_snapshot(out, message->snapshot);
    }
}

static void describe_ids(
    struct buf *out, const struct raft_ids *ids, const char *open, const char *end)
{
    buf_add_str(out, open);
    for (size_t i = 0; i < ids->count; i++) {
        buf_printf(out, "%s%" PRIu64, i ? " " : "", ids->ids[i]);
    }
    buf_add_str(out, end);
}

void describe_snapshot(struct buf *out, const struct raft_snapshot *snapshot)
{
    const struct raft_snapshot_meta *meta = &snapshot->meta;
    buf_printf(out, "Index:%" PRIu64 " Term:%" PRIu64 " ConfState:", meta->index, meta->term);
    describe_ids(out, &meta->conf.voters, "Voters:[", "]");
    describe_ids(out, &meta->conf.voters_outgoing, " VotersOutgoing:[", "]");
    describe_ids(out, &meta->conf.learners, " Learners:[", "]");
    describe_ids(out, &meta->conf.learners_next, " LearnersNext:[", "]");
    buf_printf(out, " AutoLeave:%s", meta->conf.auto_leave ? "true" : "false");
}

void describe_hard_state(struct buf *out, const struct raft_hard_state *state)
{
    buf_printf(out, "Term:%" PRIu64, state->term);
    if (state->vote) {
        buf_printf(out, " Vote:%" PRIu64, state->vote);
    }
    buf_printf(out, " Commit:%" PRIu64, state->commit);
}

void describe_conf(struct buf *out, const struct raft_conf_state *conf)
{
    describe_ids(out, &conf->voters, "voters=(", ")");
    if (conf->voters_outgoing.count) {
        describe_ids(out, &conf->voters_outgoing, "&&(", ")");
    }
    if (conf->learners.count) {
        describe_ids(out, &conf->learners, " learners=(", ")");
    }
    if (conf->learners_next.count) {
        describe_ids(out, &conf->learners_next, " learners_next=(", ")");
    }
    buf_add_str(out, conf->auto_leave ? " autoleave" : "");
}

void describe_progress(struct buf *out, const struct raft_peer_status *peer)
{
    buf_printf(out, "%s match=%" PRIu64 " next=%" PRIu64, progress_names[peer->state], peer->match,
        peer->next);
    buf_add_str(out, peer->is_learner ? " learner" : "");
    buf_add_str(out, peer->is_paused ? " paused" : "");
    if (peer->pending_snapshot) {
        buf_printf(out, " pendingSnap=%" PRIu64, peer->pending_snapshot);
    }
    buf_add_str(out, peer->is_recent_active ? "" : " inactive");
    if (peer->inflight) {
        buf_printf(out, " inflight=%zu%s", peer->inflight, peer->is_inflight_full ? "[full]" : "");
    }
}
