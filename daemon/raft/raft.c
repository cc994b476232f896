/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft.h"

#include "base/mem.h"
#include "raft/confchange.h"
#include "raft/parts.h"

static struct err check_options(const struct raft_options *o, struct why *why)
{
    const char *text = NULL;
    if (o->id == 0) {
        text = "cannot use none as id";
    } else if (o->id >= UINT64_MAX - 1) {
        text = "cannot use local target as id";
    } else if (o->heartbeat_ticks == 0) {
        text = "heartbeat tick must be greater than 0";
    } else if (o->election_ticks <= o->heartbeat_ticks) {
        text = "election tick must be greater than heartbeat tick";
    } else if (o->inflight_messages_max == 0) {
        text = "max inflight messages must be greater than 0";
    } else if (o->inflight_bytes_max != 0 && o->inflight_bytes_max < o->message_bytes_max) {
        text = "max inflight bytes must be >= max message size";
    } else if (o->is_lease_read && !o->check_quorum) {
        text = "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased";
    }
    return text ? why_set(why, ERR(BAD_CONFIG), "%s", text) : OK;
}

static struct err check_state(const struct raft_options *o, struct why *why)
{
    uint64_t first = o->snapshot ? o->snapshot->index : 0;
    uint64_t last = first + o->entries_count;
    for (size_t i = 0; i < o->entries_count; i++) {
        if (o->entries[i].index != first + 1 + i) {
            return why_set(why, ERR(BAD_FORMAT), "entry %llu stands where %llu is due",
                (unsigned long long)o->entries[i].index, (unsigned long long)first + 1 + i);
        }
    }
    const struct raft_hard_state *hard = &o->hard_state;
    bool is_empty = raft_hard_state_is_empty(hard);
    if (!is_empty && (hard->commit < first || hard->commit > last)) {
        return why_set(why, ERR(BAD_FORMAT), "state.commit %llu is out of range [%llu, %llu]",
            (unsigned long long)hard->commit, (unsigned long long)first, (unsigned long long)last);
    }
    uint64_t commit = is_empty ? first : hard->commit;
    if (o->applied != 0 && (o->applied > commit || o->applied < first)) {
        return why_set(why, ERR(BAD_FORMAT), "applied(%llu) is out of range [%llu, %llu]",
            (unsigned long long)o->applied, (unsigned long long)first, (unsigned long long)commit);
    }
    return OK;
}

static void set_limits(struct raft *raft)
{
    struct raft_options *o = &raft->options;
    o->uncommitted_bytes_max = o->uncommitted_bytes_max ? o->uncommitted_bytes_max : UINT64_MAX;
    if (o->applying_bytes_max == 0) {
        o->applying_bytes_max = o->message_bytes_max ? o->message_bytes_max : UINT64_MAX;
    }
    raft->log.applying_bytes_max = o->applying_bytes_max;
    raft->tracker.inflight_messages_max = o->inflight_messages_max;
    raft->tracker.inflight_bytes_max = o->inflight_bytes_max;
}

static struct err load(struct raft *raft, const struct raft_options *o, struct why *why)
{
    static const struct raft_snapshot_meta nothing;
    const struct raft_snapshot_meta *base = o->snapshot ? o->snapshot : &nothing;
    raft_log_init(&raft->log, base, o->entries, o->entries_count);
    set_limits(raft);
    struct changer changer = {&raft->tracker, raft_log_last(&raft->log)};
    struct membership members;
    TRY(confchange_restore(&changer, o->conf ? o->conf : &base->conf, &members, why));
    machine_switch(raft, &members);
    if (!raft_hard_state_is_empty(&o->hard_state)) {
        raft->term = o->hard_state.term;
        raft->vote = o->hard_state.vote;
        raft->log.committed = o->hard_state.commit;
    }
    if (o->applied > 0) {
        raft_log_applied(&raft->log, o->applied);
    }
    raft->conf_index = raft->log.applied;
    machine_become_follower(raft, raft->term, 0);
    raft->taken_hard = raft_hard_state_get(raft);
    raft->taken_soft = raft_soft_state_get(raft);
    return OK;
}

struct err raft_new(const struct raft_options *options, struct raft **out, struct why *why)
{
    TRY(check_options(options, why));
    TRY(check_state(options, why));
    struct raft *raft = mem_new(sizeof(*raft));
    raft->options = *options;
    raft->options.snapshot = NULL;
    raft->options.conf = NULL;
    raft->options.entries = NULL;
    raft->id = options->id;
    rand_init(&raft->rand, options->seed);
    struct err e = load(raft, options, why);
    if (err_is(e)) {
        raft_free(raft);
        return e;
    }
    *out = raft;
    return OK;
}

void raft_free(struct raft *raft)
{
    if (!raft) {
        return;
    }
    raft_log_fini(&raft->log);
    tracker_fini(&raft->tracker);
    message_list_fini(&raft->messages);
    message_list_fini(&raft->after);
    read_fini(raft);
    free(raft);
}

struct blob *conf_change_blob(const struct raft_conf_change *change)
{
    struct buf buf;
    buf_init(&buf, UINT32_MAX);
    raft_conf_change_encode(change, &buf);
    struct blob *blob = blob_new(buf_slice(&buf));
    buf_fini(&buf);
    return blob;
}

static struct err put_in_force(struct raft *raft, const struct raft_conf_change *change,
    struct raft_conf_state *out, struct why *why)
{
    struct changer changer = {&raft->tracker, raft_log_last(&raft->log)};
    struct membership next;
    TRY(confchange_apply(&changer, change, &next, why));
    machine_switch(raft, &next);
    *out = next.conf;
    return OK;
}

struct err raft_bootstrap(struct raft *raft, const struct raft_peer *peers, size_t count)
{
    if (count == 0 || count > RAFT_MEMBERS_MAX || raft_log_last(&raft->log) != 0) {
        return ERR(BAD_INPUT);
    }
    machine_become_follower(raft, 1, 0);
    for (size_t i = 0; i < count; i++) {
        struct raft_conf_change change = {.is_v1 = true,
            .changes = {{RAFT_ADD_NODE, peers[i].id}},
            .changes_count = 1,
            .context = peers[i].context};
        struct raft_entry entry = {.term = 1,
            .index = i + 1,
            .type = RAFT_ENTRY_CONF_CHANGE,
            .data = conf_change_blob(&change)};
        raft_log_append(&raft->log, &entry, 1);
        blob_unref(entry.data);
    }
    raft->log.committed = count;
    raft->taken_hard = (struct raft_hard_state){0};
    for (size_t i = 0; i < count; i++) {
        struct raft_conf_change change = {
            .is_v1 = true, .changes = {{RAFT_ADD_NODE, peers[i].id}}, .changes_count = 1};
        struct raft_conf_state conf;
        TRY(put_in_force(raft, &change, &conf, NULL));
    }
    return OK;
}

struct err raft_apply_conf_change(struct raft *raft, uint64_t index,
    const struct raft_conf_change *change, struct raft_conf_state *out, struct why *why)
{
    if (index <= raft->conf_index) {
        return why_set(why, ERR(BAD_INPUT), "a snapshot at index %llu overtook the one at %llu",
            (unsigned long long)raft->conf_index, (unsigned long long)index);
    }
    check(index == raft_log_conf_change(&raft->log, raft->conf_index, raft->log.applying));
    raft->conf_index = index;
    struct err e = put_in_force(raft, change, out, why);
    if (raft->applied_reported > raft->log.applied) {
        machine_applied(raft, raft->applied_reported);
    }
    return e;
}
