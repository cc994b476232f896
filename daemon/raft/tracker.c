/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/tracker.h"

static size_t membership_at(const struct membership *members, uint64_t id)
{
    size_t at = 0;
    while (at < members->count && members->progress[at].id < id) {
        at++;
    }
    return at;
}

struct progress *membership_find(struct membership *members, uint64_t id)
{
    size_t at = membership_at(members, id);
    return at < members->count && members->progress[at].id == id ? &members->progress[at] : NULL;
}

struct progress *membership_insert(struct membership *members, uint64_t id)
{
    size_t at = membership_at(members, id);
    if (members->count == RAFT_MEMBERS_MAX) {
        return NULL;
    }
    struct progress *place = &members->progress[at];
    memmove(place + 1, place, (members->count - at) * sizeof(*place));
    *place = (struct progress){.id = id};
    members->count++;
    return place;
}

void membership_remove(struct membership *members, uint64_t id)
{
    size_t at = membership_at(members, id);
    if (at == members->count || members->progress[at].id != id) {
        return;
    }
    members->count--;
    struct progress *place = &members->progress[at];
    memmove(place, place + 1, (members->count - at) * sizeof(*place));
}

void tracker_adopt(struct tracker *tracker, const struct membership *next)
{
    struct membership *now = &tracker->members;
    for (size_t i = 0; i < now->count; i++) {
        struct progress *old = &now->progress[i];
        size_t at = membership_at(next, old->id);
        bool is_kept = at < next->count && next->progress[at].id == old->id &&
                       next->progress[at].inflights.ring == old->inflights.ring;
        if (!is_kept) {
            inflights_fini(&old->inflights);
        }
    }
    *now = *next;
}

void tracker_fini(struct tracker *tracker)
{
    for (size_t i = 0; i < tracker->members.count; i++) {
        inflights_fini(&tracker->members.progress[i].inflights);
    }
    tracker->members.count = 0;
}

static bool match_of(const void *ctx, uint64_t id, uint64_t *out_index)
{
    const struct membership *members = ctx;
    size_t at = membership_at(members, id);
    if (at == members->count || members->progress[at].id != id) {
        return false;
    }
    *out_index = members->progress[at].match;
    return true;
}

uint64_t tracker_committed(struct tracker *tracker)
{
    const struct raft_conf_state *conf = &tracker->members.conf;
    return joint_committed(&conf->voters, &conf->voters_outgoing, match_of, &tracker->members);
}

bool tracker_is_singleton(const struct tracker *tracker)
{
    const struct raft_conf_state *conf = &tracker->members.conf;
    return conf->voters.count == 1 && conf->voters_outgoing.count == 0;
}

bool tracker_is_joint(const struct tracker *tracker)
{
    return tracker->members.conf.voters_outgoing.count > 0;
}

bool tracker_is_voter(const struct tracker *tracker, uint64_t id)
{
    const struct raft_conf_state *conf = &tracker->members.conf;
    return ids_has(&conf->voters, id) || ids_has(&conf->voters_outgoing, id);
}

bool tracker_is_quorum_active(const struct tracker *tracker)
{
    const struct membership *members = &tracker->members;
    struct votes votes = {.count = 0};
    for (size_t i = 0; i < members->count; i++) {
        const struct progress *progress = &members->progress[i];
        if (!progress->is_learner) {
            votes_record(&votes, progress->id, progress->is_recent_active);
        }
    }
    return joint_vote(&members->conf.voters, &members->conf.voters_outgoing, &votes) == VOTE_WON;
}

enum vote_result tracker_tally(const struct tracker *tracker)
{
    const struct raft_conf_state *conf = &tracker->members.conf;
    return joint_vote(&conf->voters, &conf->voters_outgoing, &tracker->votes);
}

void tracker_voters(const struct tracker *tracker, struct raft_ids *out)
{
    *out = tracker->members.conf.voters;
    const struct raft_ids *outgoing = &tracker->members.conf.voters_outgoing;
    for (size_t i = 0; i < outgoing->count; i++) {
        /* Every voter has a progress, and there are not more of those than room. */
        check(ids_add(out, outgoing->ids[i]));
    }
}
