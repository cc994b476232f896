/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/confchange.h"

static struct err refuse(struct why *why, const char *text)
{
    return why_set(why, ERR(BAD_INPUT), "%s", text);
}

static bool is_joint(const struct membership *members)
{
    return members->conf.voters_outgoing.count > 0;
}

static struct err check_learner(const struct membership *members, uint64_t id, struct why *why)
{
    const struct raft_conf_state *conf = &members->conf;
    if (ids_has(&conf->voters_outgoing, id) || ids_has(&conf->voters, id)) {
        return why_set(
            why, ERR(BAD_INPUT), "%llu is in Learners and Voters", (unsigned long long)id);
    }
    return OK;
}

static struct err check_ids_known(
    struct membership *members, const struct raft_ids *ids, struct why *why)
{
    for (size_t i = 0; i < ids->count; i++) {
        if (!membership_find(members, ids->ids[i])) {
            return why_set(
                why, ERR(BAD_INPUT), "no progress for %llu", (unsigned long long)ids->ids[i]);
        }
    }
    return OK;
}

/* What holds of every configuration: learners are no voters, staged learners are outgoing voters.
 */
static struct err check_invariants(struct membership *members, struct why *why)
{
    const struct raft_conf_state *conf = &members->conf;
    TRY(check_ids_known(members, &conf->voters, why));
    TRY(check_ids_known(members, &conf->voters_outgoing, why));
    TRY(check_ids_known(members, &conf->learners, why));
    for (size_t i = 0; i < conf->learners_next.count; i++) {
        if (!ids_has(&conf->voters_outgoing, conf->learners_next.ids[i])) {
            return refuse(why, "a staged learner is no outgoing voter");
        }
    }
    for (size_t i = 0; i < conf->learners.count; i++) {
        TRY(check_learner(members, conf->learners.ids[i], why));
    }
    return OK;
}

static struct err init_progress(const struct changer *changer, struct membership *members,
    uint64_t id, bool is_learner, struct why *why)
{
    struct progress *progress = membership_insert(members, id);
    if (!progress) {
        return refuse(why, "too many members");
    }
    check(ids_add(is_learner ? &members->conf.learners : &members->conf.voters, id));
    /* Probing begins at the end of the log. A new member counts as active, or check quorum might
     * depose the leader before it had a chance to answer. */
    progress->next = changer->last_index > 1 ? changer->last_index : 1;
    progress->is_learner = is_learner;
    progress->is_recent_active = true;
    progress->inflights.count_max = changer->tracker->inflight_messages_max;
    progress->inflights.bytes_max = changer->tracker->inflight_bytes_max;
    return OK;
}

static struct err make_voter(
    const struct changer *changer, struct membership *members, uint64_t id, struct why *why)
{
    struct progress *progress = membership_find(members, id);
    if (!progress) {
        return init_progress(changer, members, id, false, why);
    }
    progress->is_learner = false;
    ids_del(&members->conf.learners, id);
    ids_del(&members->conf.learners_next, id);
    check(ids_add(&members->conf.voters, id));
    return OK;
}

static void leave_sets(struct raft_conf_state *conf, uint64_t id)
{
    ids_del(&conf->voters, id);
    ids_del(&conf->learners, id);
    ids_del(&conf->learners_next, id);
}

static struct err make_learner(
    const struct changer *changer, struct membership *members, uint64_t id, struct why *why)
{
    struct progress *progress = membership_find(members, id);
    if (!progress) {
        return init_progress(changer, members, id, true, why);
    }
    if (progress->is_learner) {
        return OK;
    }
    leave_sets(&members->conf, id);
    /* An outgoing voter stays one until the joint configuration is left. */
    if (ids_has(&members->conf.voters_outgoing, id)) {
        check(ids_add(&members->conf.learners_next, id));
    } else {
        progress->is_learner = true;
        check(ids_add(&members->conf.learners, id));
    }
    return OK;
}

static void remove_node(struct membership *members, uint64_t id)
{
    if (!membership_find(members, id)) {
        return;
    }
    leave_sets(&members->conf, id);
    if (!ids_has(&members->conf.voters_outgoing, id)) {
        membership_remove(members, id);
    }
}

static struct err apply_changes(const struct changer *changer, struct membership *members,
    const struct raft_conf_change_single *changes, size_t count, struct why *why)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t id = changes[i].node_id;
        if (id == 0) {
            continue;
        }
        switch (changes[i].type) {
        case RAFT_ADD_NODE:
            TRY(make_voter(changer, members, id, why));
            break;
        case RAFT_ADD_LEARNER_NODE:
            TRY(make_learner(changer, members, id, why));
            break;
        case RAFT_REMOVE_NODE:
            remove_node(members, id);
            break;
        case RAFT_UPDATE_NODE:
            break;
        }
    }
    return members->conf.voters.count ? OK : refuse(why, "removed all voters");
}

struct err confchange_simple(const struct changer *changer,
    const struct raft_conf_change_single *changes, size_t count, struct membership *out,
    struct why *why)
{
    struct membership next = changer->tracker->members;
    if (is_joint(&next)) {
        return refuse(why, "can't apply simple config change in joint config");
    }
    TRY(apply_changes(changer, &next, changes, count, why));
    if (ids_differ(&changer->tracker->members.conf.voters, &next.conf.voters) > 1) {
        return refuse(why, "more than one voter changed without entering joint config");
    }
    TRY(check_invariants(&next, why));
    *out = next;
    return OK;
}

struct err confchange_enter_joint(const struct changer *changer, bool auto_leave,
    const struct raft_conf_change *change, struct membership *out, struct why *why)
{
    struct membership next = changer->tracker->members;
    if (is_joint(&next)) {
        return refuse(why, "config is already joint");
    }
    if (next.conf.voters.count == 0) {
        return refuse(why, "can't make a zero-voter config joint");
    }
    next.conf.voters_outgoing = next.conf.voters;
    TRY(apply_changes(changer, &next, change->changes, change->changes_count, why));
    next.conf.auto_leave = auto_leave;
    TRY(check_invariants(&next, why));
    *out = next;
    return OK;
}

struct err confchange_leave_joint(
    const struct changer *changer, struct membership *out, struct why *why)
{
    struct membership next = changer->tracker->members;
    struct raft_conf_state *conf = &next.conf;
    if (!is_joint(&next)) {
        return refuse(why, "can't leave a non-joint config");
    }
    for (size_t i = 0; i < conf->learners_next.count; i++) {
        uint64_t id = conf->learners_next.ids[i];
        check(ids_add(&conf->learners, id));
        membership_find(&next, id)->is_learner = true;
    }
    conf->learners_next.count = 0;
    for (size_t i = 0; i < conf->voters_outgoing.count; i++) {
        uint64_t id = conf->voters_outgoing.ids[i];
        if (!ids_has(&conf->voters, id) && !ids_has(&conf->learners, id)) {
            membership_remove(&next, id);
        }
    }
    conf->voters_outgoing.count = 0;
    conf->auto_leave = false;
    TRY(check_invariants(&next, why));
    *out = next;
    return OK;
}

struct err confchange_apply(const struct changer *changer, const struct raft_conf_change *change,
    struct membership *out, struct why *why)
{
    bool is_auto = change->transition == RAFT_TRANSITION_AUTO;
    if (!change->is_v1 && is_auto && change->changes_count == 0) {
        return confchange_leave_joint(changer, out, why);
    }
    if (!change->is_v1 && (!is_auto || change->changes_count > 1)) {
        bool auto_leave = change->transition != RAFT_TRANSITION_JOINT_EXPLICIT;
        return confchange_enter_joint(changer, auto_leave, change, out, why);
    }
    return confchange_simple(changer, change->changes, change->changes_count, out, why);
}

static void list_changes(
    struct raft_conf_change *list, const struct raft_ids *ids, enum raft_conf_change_type type)
{
    for (size_t i = 0; i < ids->count && list->changes_count < RAFT_MEMBERS_MAX; i++) {
        list->changes[list->changes_count++] = (struct raft_conf_change_single){type, ids->ids[i]};
    }
}

static struct err add_one_by_one(struct tracker *tracker, uint64_t last_index,
    const struct raft_conf_change *list, struct why *why)
{
    struct changer changer = {tracker, last_index};
    for (size_t i = 0; i < list->changes_count; i++) {
        struct membership next;
        TRY(confchange_simple(&changer, &list->changes[i], 1, &next, why));
        tracker->members = next;
    }
    return OK;
}

/* Joint: first the outgoing voters one by one, which makes them the configuration in force; then
 * enter the joint state by taking them all out and the incoming ones in. */
struct err confchange_restore(const struct changer *changer, const struct raft_conf_state *conf,
    struct membership *out, struct why *why)
{
    const struct raft_conf_state *c = conf;
    if (c->voters.count + c->voters_outgoing.count * 2 + c->learners.count +
            c->learners_next.count >
        RAFT_MEMBERS_MAX) {
        return refuse(why, "too many members");
    }
    struct tracker blank = {.inflight_messages_max = changer->tracker->inflight_messages_max,
        .inflight_bytes_max = changer->tracker->inflight_bytes_max};
    struct raft_conf_change list = {0};
    if (conf->voters_outgoing.count > 0) {
        list_changes(&list, &conf->voters_outgoing, RAFT_ADD_NODE);
        TRY(add_one_by_one(&blank, changer->last_index, &list, why));
        list.changes_count = 0;
        list_changes(&list, &conf->voters_outgoing, RAFT_REMOVE_NODE);
    }
    list_changes(&list, &conf->voters, RAFT_ADD_NODE);
    list_changes(&list, &conf->learners, RAFT_ADD_LEARNER_NODE);
    list_changes(&list, &conf->learners_next, RAFT_ADD_LEARNER_NODE);
    if (conf->voters_outgoing.count == 0) {
        TRY(add_one_by_one(&blank, changer->last_index, &list, why));
        *out = blank.members;
        return OK;
    }
    struct changer joint = {&blank, changer->last_index};
    return confchange_enter_joint(&joint, conf->auto_leave, &list, out, why);
}
