/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads without a log entry (Raft thesis §6.4): the commit index at the time of the request may be
 * read once a quorum has acknowledged, after the request, that this member still leads. One
 * acknowledged heartbeat answers all requests before it, too.
 */
#include "base/mem.h"
#include "base/mutation.h"
#include "raft/parts.h"

static void drop_pending(struct raft *raft, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blob_unref(raft->pending[i].context);
    }
    raft->pending_count -= count;
    memmove(raft->pending, raft->pending + count, raft->pending_count * sizeof(*raft->pending));
}

void read_reset(struct raft *raft)
{
    if (raft->pending_count) {
        drop_pending(raft, raft->pending_count);
    }
    message_list_fini(&raft->held_reads);
}

void read_fini(struct raft *raft)
{
    read_reset(raft);
    free(raft->pending);
    for (size_t i = 0; i < raft->reads_count; i++) {
        blob_unref(raft->reads[i].context);
    }
    free(raft->reads);
}

void read_answer_own(struct raft *raft, uint64_t index, struct blob *context)
{
    if (raft->reads_count == raft->reads_cap) {
        raft->reads_cap = raft->reads_cap ? raft->reads_cap * 2 : 8;
        raft->reads = mem_grow(raft->reads, raft->reads_cap * sizeof(*raft->reads));
    }
    raft->reads[raft->reads_count++] = (struct raft_read_state){index, blob_ref(context)};
}

static void answer(struct raft *raft, uint64_t from, uint64_t index, struct blob *context)
{
    if (from == 0 || from == raft->id) {
        read_answer_own(raft, index, context);
        return;
    }
    struct raft_entry *entry = mem_new(sizeof(*entry));
    entry->data = blob_ref(context);
    send_message(raft, (struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP,
                           .to = from,
                           .index = index,
                           .entries = entry,
                           .entries_count = 1});
}

static struct pending_read *find_pending(struct raft *raft, const struct blob *context)
{
    for (size_t i = 0; i < raft->pending_count; i++) {
        if (slice_eq(blob_slice(raft->pending[i].context), blob_slice(context))) {
            return &raft->pending[i];
        }
    }
    return NULL;
}

static void add_pending(struct raft *raft, uint64_t from, struct blob *context)
{
    if (find_pending(raft, context)) {
        return;
    }
    if (raft->pending_count == raft->pending_cap) {
        raft->pending_cap = raft->pending_cap ? raft->pending_cap * 2 : 4;
        raft->pending = mem_grow(raft->pending, raft->pending_cap * sizeof(*raft->pending));
    }
    struct pending_read *read = &raft->pending[raft->pending_count++];
    read->context = blob_ref(context);
    read->from = from;
    read->index = raft->log.committed;
    votes_reset(&read->acks);
    votes_record(&read->acks, raft->id, true);
}

/* The only voter is its own quorum; a leader that was removed may see only one voter, too. */
static bool is_alone(const struct raft *raft)
{
    return tracker_is_singleton(&raft->tracker) && tracker_is_voter(&raft->tracker, raft->id);
}

static void serve(struct raft *raft, const struct raft_message *request)
{
    struct blob *context = request->entries[0].data;
    if (raft->options.is_lease_read || is_alone(raft) || MUTATE(STALE_READ)) {
        answer(raft, request->from, raft->log.committed, context);
        return;
    }
    add_pending(raft, request->from, context);
    send_heartbeat_all(raft, context);
}

static bool has_committed_in_term(const struct raft *raft)
{
    return raft_log_matches(&raft->log, raft->log.committed, raft->term);
}

void read_request(struct raft *raft, const struct raft_message *request)
{
    if (has_committed_in_term(raft)) {
        serve(raft, request);
    } else {
        /* A new leader does not know the commit index before it commits something itself; alone
         * neither: the commit index is not synced, so a crash may have lost the end of it. */
        struct raft_message held;
        message_copy(&held, request);
        message_list_push(&raft->held_reads, &held);
    }
}

void read_release_held(struct raft *raft)
{
    if (raft->held_reads.count == 0 || !has_committed_in_term(raft)) {
        return;
    }
    struct message_list held = raft->held_reads;
    raft->held_reads = (struct message_list){0};
    for (size_t i = 0; i < held.count; i++) {
        serve(raft, &held.items[i]);
    }
    message_list_fini(&held);
}

void read_take_ack(struct raft *raft, const struct raft_message *message)
{
    const struct raft_conf_state *conf = &raft->tracker.members.conf;
    if (raft->options.is_lease_read || !message->context || message->context->len == 0) {
        return;
    }
    struct pending_read *read = find_pending(raft, message->context);
    if (!read) {
        return;
    }
    votes_record(&read->acks, message->from, true);
    if (joint_vote(&conf->voters, &conf->voters_outgoing, &read->acks) != VOTE_WON) {
        return;
    }
    size_t count = (size_t)(read - raft->pending) + 1;
    for (size_t i = 0; i < count; i++) {
        const struct pending_read *done = &raft->pending[i];
        answer(raft, done->from, done->index, done->context);
    }
    drop_pending(raft, count);
}

struct blob *read_last_context(const struct raft *raft)
{
    return raft->pending_count ? raft->pending[raft->pending_count - 1].context : NULL;
}
