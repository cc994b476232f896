/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/state.h"

/* Bootstrap entries and additions carry the member as JSON; a promotion is an addition that says
 * so. */
static struct err change_members(struct member_table *table, struct backend_batch *batch,
    const struct raft_conf_change *change, struct arena *arena)
{
    struct member member = {.name = ""};
    bool is_promote = false;
    enum raft_conf_change_type type = change->changes[0].type;
    if (type == RAFT_REMOVE_NODE) {
        return member_remove(table, change->changes[0].node_id, batch);
    }
    TRY(member_from_json(change->context, arena, &member, &is_promote));
    if (member.id != change->changes[0].node_id) {
        return ERR(BAD_FORMAT);
    }
    if (type == RAFT_UPDATE_NODE) {
        return member_update_peers(table, &member, batch);
    }
    if (is_promote) {
        return member_promote(table, member.id, batch);
    }
    member.is_learner = type == RAFT_ADD_LEARNER_NODE;
    return member_add(table, &member, batch);
}

static MUST struct err decode(
    const struct raft_entry *entry, struct raft_conf_change *out, struct why *why)
{
    struct err err = raft_conf_change_decode(entry->type, blob_slice(entry->data), out);
    return err_is(err) || out->changes_count > 1
               ? why_set(why, ERR(BAD_FORMAT), "entry %llu holds a malformed configuration change",
                     (unsigned long long)entry->index)
               : OK;
}

static void finish(struct apply *apply, const struct apply_sink *sink, uint64_t id, struct err err)
{
    struct apply_result *result = id ? sink->find(sink->arg, id) : NULL;
    if (!result) {
        return;
    }
    result->err = err;
    result->members_count = member_list(apply->options.members, result->arena, &result->members);
    sink->done(sink->arg, result);
}

struct err apply_conf_entry(struct apply *apply, const struct raft_entry *entry,
    const struct apply_sink *sink, struct why *why)
{
    struct raft_conf_change change;
    TRY(decode(entry, &change, why));
    if (change.changes_count == 0) {
        sink->conf(sink->arg, entry->index, &change, false);
        return OK;
    }
    struct arena *arena = arena_new(0);
    struct err err = change_members(apply->options.members, apply->batch, &change, arena);
    arena_free(arena);
    sink->conf(sink->arg, entry->index, &change, err_is(err));
    finish(apply, sink, change.id, err);
    return OK;
}

struct err apply_members_conf(struct member_table *table, struct backend_batch *batch,
    const struct raft_entry *entry, struct why *why)
{
    struct raft_conf_change change;
    TRY(decode(entry, &change, why));
    if (change.changes_count) {
        struct arena *arena = arena_new(0);
        struct err refused = change_members(table, batch, &change, arena);
        (void)refused; /* then it changed nothing, there as here */
        arena_free(arena);
    }
    return OK;
}

void apply_conf_state(struct member_table *members, struct raft_conf_state *out)
{
    struct arena *arena = arena_new(0);
    struct member *list;
    size_t count = member_list(members, arena, &list);
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        struct raft_ids *ids = list[i].is_learner ? &out->learners : &out->voters;
        if (ids->count < RAFT_MEMBERS_MAX) {
            ids->ids[ids->count++] = list[i].id;
        }
    }
    arena_free(arena);
}
