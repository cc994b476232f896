/* SPDX-License-Identifier: Apache-2.0 */
#include "apply/state.h"

/* Bootstrap entries and additions carry the member as JSON; a promotion is an addition that says
 * so. */
static struct err change_members(
    struct apply *apply, const struct raft_conf_change *change, struct arena *arena)
{
    struct member_table *table = apply->options.members;
    struct member member = {.name = ""};
    bool is_promote = false;
    enum raft_conf_change_type type = change->changes[0].type;
    if (type == RAFT_REMOVE_NODE) {
        return member_remove(table, change->changes[0].node_id, apply->batch);
    }
    TRY(member_from_json(change->context, arena, &member, &is_promote));
    if (member.id != change->changes[0].node_id) {
        return ERR(BAD_FORMAT);
    }
    if (type == RAFT_UPDATE_NODE) {
        return member_update_peers(table, &member, apply->batch);
    }
    if (is_promote) {
        return member_promote(table, member.id, apply->batch);
    }
    member.is_learner = type == RAFT_ADD_LEARNER_NODE;
    return member_add(table, &member, apply->batch);
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
    struct err err = raft_conf_change_decode(entry->type, blob_slice(entry->data), &change);
    if (err_is(err) || change.changes_count > 1) {
        return why_set(why, ERR(BAD_FORMAT), "entry %llu holds a malformed configuration change",
            (unsigned long long)entry->index);
    }
    if (change.changes_count == 0) {
        sink->conf(sink->arg, &change, false);
        return OK;
    }
    struct arena *arena = arena_new(0);
    err = change_members(apply, &change, arena);
    arena_free(arena);
    sink->conf(sink->arg, &change, err_is(err));
    finish(apply, sink, change.id, err);
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
