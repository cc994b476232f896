/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "raft/parts.h"

void message_list_push(struct message_list *list, const struct raft_message *message)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 8;
        list->items = mem_grow(list->items, list->cap * sizeof(*list->items));
    }
    list->items[list->count++] = *message;
}

void message_list_fini(struct message_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        raft_message_fini(&list->items[i]);
    }
    free(list->items);
    *list = (struct message_list){0};
}

static struct raft_entry *copy_entries(const struct raft_entry *entries, size_t count)
{
    if (count == 0) {
        return NULL;
    }
    struct raft_entry *copy = mem_dup(entries, count * sizeof(*entries));
    for (size_t i = 0; i < count; i++) {
        blob_ref(copy[i].data);
    }
    return copy;
}

void message_copy(struct raft_message *out, const struct raft_message *message)
{
    *out = *message;
    out->entries = copy_entries(message->entries, message->entries_count);
    blob_ref(out->context);
    raft_snapshot_ref(out->snapshot);
}

/* What this member tells itself waits in the ticket; only the latest of each kind can matter, for
 * terms and the leader's log only grow. */
static void note_own(struct raft *raft, const struct raft_message *message)
{
    if (message->type == RAFT_MSG_APP_RESP) {
        raft->own.ack_index = message->index;
        raft->own.ack_term = message->term;
    } else {
        raft->own.vote_term = message->term;
        raft->own.is_pre_vote = message->type == RAFT_MSG_PRE_VOTE_RESP;
    }
}

void send_message(struct raft *raft, struct raft_message message)
{
    enum raft_message_type type = message.type;
    bool is_vote_answer = type == RAFT_MSG_VOTE_RESP || type == RAFT_MSG_PRE_VOTE_RESP;
    bool is_vote = is_vote_answer || type == RAFT_MSG_VOTE || type == RAFT_MSG_PRE_VOTE;
    if (message.from == 0) {
        message.from = raft->id;
    }
    /* Votes carry the term they are about. Proposals and reads have none: who gets them at whatever
     * term treats them as its own. */
    if (!is_vote && type != RAFT_MSG_PROP && type != RAFT_MSG_READ_INDEX) {
        message.term = raft->term;
    }
    if (!is_vote_answer && type != RAFT_MSG_APP_RESP) {
        check(message.to != raft->id);
        message_list_push(&raft->messages, &message);
    } else if (message.to == raft->id && !raft->options.keep_self_messages) {
        note_own(raft, &message);
    } else {
        message_list_push(&raft->after, &message);
    }
}

static bool send_snapshot(struct raft *raft, struct progress *to)
{
    struct raft_log *log = &raft->log;
    struct raft_snapshot *snapshot = log->incoming ? log->incoming : log->made;
    if (!to->is_recent_active || !snapshot || snapshot->meta.index == 0) {
        return false;
    }
    progress_become_snapshot(to, snapshot->meta.index);
    send_message(
        raft, (struct raft_message){
                  .type = RAFT_MSG_SNAP, .to = to->id, .snapshot = raft_snapshot_ref(snapshot)});
    return true;
}

bool send_append(struct raft *raft, struct progress *to, bool if_empty)
{
    struct raft_log *log = &raft->log;
    uint64_t before = to->next - 1;
    uint64_t before_term;
    if (progress_is_paused(to)) {
        return false;
    }
    if (!raft_log_term(log, before, &before_term)) {
        return send_snapshot(raft, to);
    }
    const struct raft_entry *entries = NULL;
    size_t count = 0;
    bool has_window = to->state != RAFT_REPLICATE || !inflights_is_full(&to->inflights);
    if (has_window && to->next <= raft_log_last(log)) {
        entries = raft_log_slice(
            log, to->next, raft_log_last(log) + 1, raft->options.message_bytes_max, &count);
    }
    if (count == 0 && !if_empty) {
        return false;
    }
    send_message(raft, (struct raft_message){.type = RAFT_MSG_APP,
                           .to = to->id,
                           .index = before,
                           .log_term = before_term,
                           .entries = copy_entries(entries, count),
                           .entries_count = count,
                           .commit = log->committed});
    progress_sent_entries(to, count, raft_payload_size(entries, count));
    to->sent_commit = log->committed;
    return true;
}

void send_append_all(struct raft *raft)
{
    for (size_t i = 0; i < raft->tracker.members.count; i++) {
        struct progress *progress = &raft->tracker.members.progress[i];
        if (progress->id != raft->id) {
            send_append(raft, progress, true);
        }
    }
}

void send_heartbeat_all(struct raft *raft, struct blob *context)
{
    for (size_t i = 0; i < raft->tracker.members.count; i++) {
        struct progress *progress = &raft->tracker.members.progress[i];
        if (progress->id == raft->id) {
            continue;
        }
        /* Never more than it is known to have: it may have lost what it acknowledged to others. */
        uint64_t committed = raft->log.committed;
        uint64_t commit = progress->match < committed ? progress->match : committed;
        send_message(raft, (struct raft_message){.type = RAFT_MSG_HEARTBEAT,
                               .to = progress->id,
                               .commit = commit,
                               .context = blob_ref(context)});
        progress->sent_commit = commit;
    }
}
