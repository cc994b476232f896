/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "raft/machine.h"

static bool is_same_hard(const struct raft_hard_state *a, const struct raft_hard_state *b)
{
    return a->term == b->term && a->vote == b->vote && a->commit == b->commit;
}

static bool is_same_soft(struct raft_soft_state a, struct raft_soft_state b)
{
    return a.lead == b.lead && a.role == b.role;
}

struct raft_soft_state raft_soft_state_get(const struct raft *raft)
{
    return (struct raft_soft_state){raft->lead, raft->role};
}

struct raft_hard_state raft_hard_state_get(const struct raft *raft)
{
    return (struct raft_hard_state){raft->term, raft->vote, raft->log.committed};
}

static bool has_own(const struct raft *raft)
{
    return raft->own.ack_index != 0 || raft->own.vote_term != 0;
}

bool raft_has_update(const struct raft *raft)
{
    struct raft_hard_state hard = raft_hard_state_get(raft);
    size_t persist;
    size_t apply;
    raft_log_to_persist(&raft->log, &persist);
    raft_log_to_apply(&raft->log, raft->options.apply_unstable, &apply);
    return persist || apply || raft->messages.count || raft->after.count || raft->reads_count ||
           has_own(raft) || (raft->log.incoming && !raft->log.is_incoming_taken) ||
           !is_same_hard(&hard, &raft->taken_hard) ||
           !is_same_soft(raft_soft_state_get(raft), raft->taken_soft);
}

static size_t copy_entries(
    struct raft_entry **out, size_t *cap, const struct raft_entry *entries, size_t count)
{
    if (count > *cap) {
        *cap = count > *cap * 2 ? count : *cap * 2;
        free(*out);
        *out = mem_alloc(*cap * sizeof(**out));
    }
    for (size_t i = 0; i < count; i++) {
        (*out)[i] = entries[i];
        blob_ref(entries[i].data);
    }
    return count;
}

/* Gives the messages to the update and takes its empty array. */
static void swap_messages(
    struct message_list *list, struct raft_message **items, size_t *count, size_t *cap)
{
    struct message_list old = *list;
    *list = (struct message_list){.items = *items, .cap = *cap};
    *items = old.items;
    *count = old.count;
    *cap = old.cap;
}

static void swap_reads(struct raft *raft, struct raft_update *update)
{
    struct raft_read_state *reads = raft->reads;
    size_t cap = raft->reads_cap;
    update->reads_count = raft->reads_count;
    raft->reads = update->reads;
    raft->reads_cap = update->caps[4];
    raft->reads_count = 0;
    update->reads = reads;
    update->caps[4] = cap;
}

static void take_states(struct raft *raft, struct raft_update *update)
{
    update->hard_state = raft_hard_state_get(raft);
    update->soft_state = raft_soft_state_get(raft);
    update->has_hard_state = !is_same_hard(&update->hard_state, &raft->taken_hard);
    update->has_soft_state = !is_same_soft(update->soft_state, raft->taken_soft);
    update->must_sync = update->entries_count > 0 ||
                        update->hard_state.term != raft->taken_hard.term ||
                        update->hard_state.vote != raft->taken_hard.vote;
    raft->taken_hard = update->hard_state;
    raft->taken_soft = update->soft_state;
}

/* The ticket names the end of the log whenever anything is unstable, not only when this update has
 * entries: a report that comes in a later term is ignored, because entries of that term may
 * overwrite these on their way; the report of the update with the new hard state then stands for
 * them. */
static void take_ticket(struct raft *raft, struct raft_update *update)
{
    update->ticket = raft->own;
    raft->own = (struct raft_ticket){0};
    update->ticket.term = raft->term;
    if (raft_log_last(&raft->log) >= raft->log.stable_next) {
        update->ticket.index = raft_log_last(&raft->log);
        update->ticket.log_term = raft_log_last_term(&raft->log);
    }
    update->ticket.snapshot_index = update->snapshot ? update->snapshot->meta.index : 0;
}

void raft_take_update(struct raft *raft, struct raft_update *update)
{
    struct raft_log *log = &raft->log;
    bool allow_unstable = raft->options.apply_unstable;
    size_t count;
    raft_update_reset(update);
    const struct raft_entry *entries = raft_log_to_persist(log, &count);
    update->entries_count = copy_entries(&update->entries, &update->caps[0], entries, count);
    entries = raft_log_to_apply(log, allow_unstable, &count);
    update->committed_count = copy_entries(&update->committed, &update->caps[1], entries, count);
    if (count > 0) {
        uint64_t bytes =
            log->applying_bytes_max == UINT64_MAX ? 0 : raft_entries_size(entries, count);
        raft_log_applying(log, entries[count - 1].index, bytes, allow_unstable);
    }
    if (log->incoming && !log->is_incoming_taken) {
        update->snapshot = raft_snapshot_ref(log->incoming);
    }
    take_states(raft, update);
    bool is_own = has_own(raft);
    take_ticket(raft, update);
    swap_messages(&raft->messages, &update->messages, &update->messages_count, &update->caps[2]);
    swap_messages(&raft->after, &update->after, &update->after_count, &update->caps[3]);
    swap_reads(raft, update);
    update->needs_persist = update->entries_count || update->has_hard_state || update->snapshot ||
                            update->after_count || is_own;
    raft_log_taken(log);
}
