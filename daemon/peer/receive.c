/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/receive.h"

#include "base/log.h"
#include "peer/codec.h"
#include "peer/inner.h"

static bool travels(enum raft_message_type type)
{
    switch (type) {
    case RAFT_MSG_PROP:
    case RAFT_MSG_APP:
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_VOTE:
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_SNAP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_HEARTBEAT_RESP:
    case RAFT_MSG_TRANSFER_LEADER:
    case RAFT_MSG_TIMEOUT_NOW:
    case RAFT_MSG_READ_INDEX:
    case RAFT_MSG_READ_INDEX_RESP:
    case RAFT_MSG_PRE_VOTE:
    case RAFT_MSG_PRE_VOTE_RESP:
        return true;
    case RAFT_MSG_HUP:
    case RAFT_MSG_BEAT:
    case RAFT_MSG_UNREACHABLE:
    case RAFT_MSG_SNAP_STATUS:
    case RAFT_MSG_CHECK_QUORUM:
    case RAFT_MSG_STORAGE_APPEND:
    case RAFT_MSG_STORAGE_APPEND_RESP:
    case RAFT_MSG_STORAGE_APPLY:
    case RAFT_MSG_STORAGE_APPLY_RESP:
    case RAFT_MSG_FORGET_LEADER:
        break;
    }
    return false;
}

enum receive_result receive_check(struct peer *peer, const struct raft_message *message)
{
    const struct peer_options *options = &peer->options;
    if (options->is_removed(options->arg, message->from)) {
        LOG_WARN("rejected Raft message from removed member",
            LOG_STR("local-member-id", peer->self_text),
            LOG_HEX("removed-member-id", message->from));
        return RECEIVE_FROM_REMOVED;
    }
    if (message->to != options->self_id) {
        LOG_WARN("rejected Raft message to mismatch member",
            LOG_STR("local-member-id", peer->self_text),
            LOG_HEX("mismatch-member-id", message->to));
        return RECEIVE_NOT_OURS;
    }
    return travels(message->type) ? RECEIVE_OK : RECEIVE_BAD;
}

enum receive_result receive_message(struct peer *peer, struct raft_message *message)
{
    if (codec_is_link_heartbeat(message)) {
        raft_message_fini(message);
        return RECEIVE_OK;
    }
    enum receive_result result = receive_check(peer, message);
    /* A snapshot comes with its database, or not at all. */
    if (result == RECEIVE_OK && message->type == RAFT_MSG_SNAP) {
        result = RECEIVE_BAD;
    }
    if (result == RECEIVE_OK) {
        peer->options.receive(peer->options.arg, message);
    } else {
        raft_message_fini(message);
    }
    return result;
}

void receive_removed(struct peer *peer)
{
    if (!atomic_exchange(&peer->is_removed, true)) {
        LOG_ERROR("the member has been permanently removed from the cluster",
            LOG_STR("local-member-id", peer->self_text));
        peer->options.on_self_removed(peer->options.arg);
    }
}
