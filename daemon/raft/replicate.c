/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "raft/parts.h"

/* Proposals that are not committed yet are bounded by their payload; a lone one always passes, and
 * so do empty ones. */
static bool may_grow(struct raft *raft, uint64_t bytes)
{
    uint64_t max = raft->options.uncommitted_bytes_max;
    if (raft->uncommitted_bytes > 0 && bytes > 0 && raft->uncommitted_bytes + bytes > max) {
        return false;
    }
    raft->uncommitted_bytes += bytes;
    return true;
}

/* Numbers a stack's worth at a time, so that proposing needs no memory of its own. */
bool replicate_append_own(struct raft *raft, const struct raft_entry *entries, size_t count)
{
    struct raft_entry numbered[32];
    if (!may_grow(raft, raft_payload_size(entries, count))) {
        return false;
    }
    while (count > 0) {
        size_t some = count < COUNT_OF(numbered) ? count : COUNT_OF(numbered);
        uint64_t next = raft_log_last(&raft->log) + 1;
        for (size_t i = 0; i < some; i++) {
            numbered[i] = entries[i];
            numbered[i].term = raft->term;
            numbered[i].index = next + i;
        }
        raft_log_append(&raft->log, numbered, some);
        entries += some;
        count -= some;
    }
    /* The leader counts itself once its own disk has the entries. */
    send_message(
        raft, (struct raft_message){
                  .type = RAFT_MSG_APP_RESP, .to = raft->id, .index = raft_log_last(&raft->log)});
    return true;
}

static bool may_change_conf(const struct raft *raft, const struct raft_conf_change *change)
{
    bool is_pending = raft->pending_conf_index > raft->log.applied;
    bool is_joint = tracker_is_joint(&raft->tracker);
    bool wants_leave = change->changes_count == 0;
    return raft->options.disable_conf_change_validation || (!is_pending && is_joint == wants_leave);
}

/* One conf change at a time: those that may not be made now become empty entries. */
static struct err vet_conf_changes(struct raft *raft, struct raft_entry *entries, size_t count)
{
    uint64_t before = raft->pending_conf_index;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].type == RAFT_ENTRY_NORMAL) {
            continue;
        }
        struct raft_conf_change change;
        struct slice data = blob_slice(entries[i].data);
        if (err_is(raft_conf_change_decode(entries[i].type, data, &change))) {
            raft->pending_conf_index = before;
            return ERR(BAD_INPUT);
        }
        if (may_change_conf(raft, &change)) {
            raft->pending_conf_index = raft_log_last(&raft->log) + i + 1;
        } else {
            entries[i] = (struct raft_entry){.type = RAFT_ENTRY_NORMAL};
        }
    }
    return OK;
}

static bool has_conf_change(const struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].type != RAFT_ENTRY_NORMAL) {
            return true;
        }
    }
    return false;
}

struct err replicate_propose(struct raft *raft, const struct raft_message *proposal)
{
    const struct raft_entry *entries = proposal->entries;
    size_t count = proposal->entries_count;
    struct raft_entry *vetted = NULL;
    struct err e = OK;
    if (count == 0) {
        return ERR(BAD_INPUT);
    }
    if (!tracker_find(&raft->tracker, raft->id) || raft->transferee) {
        return ERR(PROPOSAL_DROPPED);
    }
    if (has_conf_change(entries, count)) {
        entries = vetted = mem_dup(entries, count * sizeof(*entries));
        e = vet_conf_changes(raft, vetted, count);
    }
    if (!err_is(e) && !replicate_append_own(raft, entries, count)) {
        e = ERR(PROPOSAL_DROPPED);
    }
    free(vetted);
    if (!err_is(e)) {
        send_append_all(raft);
    }
    return e;
}

static bool is_well_formed(const struct raft_message *append)
{
    uint64_t term = append->log_term;
    for (size_t i = 0; i < append->entries_count; i++) {
        const struct raft_entry *entry = &append->entries[i];
        if (entry->index != append->index + 1 + i || entry->term < term ||
            entry->term > append->term) {
            return false;
        }
        term = entry->term;
    }
    return true;
}

struct err replicate_take_append(struct raft *raft, const struct raft_message *append)
{
    struct raft_log *log = &raft->log;
    struct raft_message answer = {.type = RAFT_MSG_APP_RESP, .to = append->from};
    if (!is_well_formed(append)) {
        return ERR(BAD_INPUT);
    }
    if (append->index < log->committed) {
        answer.index = log->committed;
        send_message(raft, answer);
        return OK;
    }
    bool is_matched;
    TRY(raft_log_maybe_append(log, append, &is_matched));
    if (is_matched) {
        answer.index = append->index + append->entries_count;
        send_message(raft, answer);
        return OK;
    }
    /* The hint lets the leader skip all of its entries of higher terms than ours at that place, as
     * its hint back lets us: one round a term instead of one an entry. */
    uint64_t last = raft_log_last(log);
    uint64_t hint = append->index < last ? append->index : last;
    answer.index = append->index;
    answer.reject = true;
    answer.reject_hint = raft_log_conflict_by_term(log, hint, append->log_term, &answer.log_term);
    send_message(raft, answer);
    return OK;
}

struct err replicate_take_heartbeat(struct raft *raft, const struct raft_message *beat)
{
    TRY(raft_log_commit_to(&raft->log, beat->commit));
    send_message(raft,
        (struct raft_message){
            .type = RAFT_MSG_HEARTBEAT_RESP, .to = beat->from, .context = blob_ref(beat->context)});
    return OK;
}

struct err replicate_take_snapshot(struct raft *raft, const struct raft_message *message)
{
    bool is_restored = false;
    if (message->snapshot) {
        TRY(machine_restore(raft, message->snapshot, &is_restored));
    }
    send_message(raft, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                           .to = message->from,
                           .index = is_restored ? raft_log_last(&raft->log) : raft->log.committed});
    return OK;
}

static void take_rejection(
    struct raft *raft, struct progress *from, const struct raft_message *answer)
{
    uint64_t probe = answer->reject_hint;
    if (answer->log_term > 0) {
        uint64_t term;
        probe = raft_log_conflict_by_term(&raft->log, probe, answer->log_term, &term);
    }
    if (progress_maybe_decrease(from, answer->index, probe)) {
        if (from->state == RAFT_REPLICATE) {
            progress_become_probe(from);
        }
        send_append(raft, from, true);
    }
}

static void advance_state(struct raft *raft, struct progress *from, uint64_t index)
{
    switch (from->state) {
    case RAFT_PROBE:
        progress_become_replicate(from);
        break;
    case RAFT_SNAPSHOT:
        /* Whichever way it caught up, the log here goes on from there. */
        if (from->match + 1 >= raft_log_first(&raft->log)) {
            progress_become_probe(from);
            progress_become_replicate(from);
        }
        break;
    case RAFT_REPLICATE:
        inflights_free_to(&from->inflights, index);
        break;
    }
}

struct err replicate_take_answer(
    struct raft *raft, struct progress *from, const struct raft_message *answer)
{
    if (!answer->reject && answer->index > raft_log_last(&raft->log)) {
        return ERR(BAD_INPUT);
    }
    from->is_recent_active = true;
    if (answer->reject) {
        take_rejection(raft, from, answer);
        return OK;
    }
    bool is_probed = from->match == answer->index && from->state == RAFT_PROBE;
    if (!progress_maybe_update(from, answer->index) && !is_probed) {
        return OK;
    }
    advance_state(raft, from, answer->index);
    bool is_peer = from->id != raft->id;
    if (machine_maybe_commit(raft)) {
        read_release_held(raft);
        send_append_all(raft);
    } else if (is_peer && progress_can_bump_commit(from, raft->log.committed)) {
        send_append(raft, from, true);
    }
    /* The window has room again: more than one message may fit. */
    while (is_peer && send_append(raft, from, false)) {
    }
    if (from->id == raft->transferee && from->match == raft_log_last(&raft->log)) {
        send_message(raft, (struct raft_message){.type = RAFT_MSG_TIMEOUT_NOW, .to = from->id});
    }
    return OK;
}

void replicate_take_heartbeat_answer(
    struct raft *raft, struct progress *from, const struct raft_message *answer)
{
    from->is_recent_active = true;
    from->is_flow_paused = false;
    if (from->match < raft_log_last(&raft->log) || from->state == RAFT_PROBE) {
        send_append(raft, from, true);
    }
    read_take_ack(raft, answer);
}

void replicate_transfer(struct raft *raft, struct progress *to)
{
    if (to->is_learner || raft->transferee == to->id) {
        return;
    }
    raft->transferee = 0;
    if (to->id == raft->id) {
        return;
    }
    raft->election_elapsed = 0;
    raft->transferee = to->id;
    if (to->match == raft_log_last(&raft->log)) {
        send_message(raft, (struct raft_message){.type = RAFT_MSG_TIMEOUT_NOW, .to = to->id});
    } else {
        send_append(raft, to, true);
    }
}
