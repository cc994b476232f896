/* SPDX-License-Identifier: Apache-2.0
 *
 * A write that went past this member's quota when it was applied: the member says so by an alarm,
 * for whomever the write was. Those who wait for one here hear of it when the alarm is up, as in
 * etcd.
 */
#include "server/full.h"
#include "server/parts.h"

#include "base/log.h"
#include "base/pb.h"

enum { FIELD_ALARM = 10 };

struct raising {
    struct server_proposal proposal;
    struct server *server;
    struct arena *arena;
    struct apply_result **held;
    size_t held_count;
};

static void raised(struct server_proposal *proposal)
{
    struct raising *raising = CONTAINER_OF(proposal, struct raising, proposal);
    for (size_t i = 0; i < raising->held_count; i++) {
        waiter_done(raising->server, raising->held[i]);
    }
    atomic_fetch_sub(&raising->server->raising, 1);
    arena_free(raising->arena);
    free(raising->held);
    free(raising);
}

/* Moves those that did not fit out of results; returns how many others are left. */
static size_t hold(struct raising *raising, struct apply_result **results, size_t count)
{
    size_t left = 0;
    raising->held = mem_new((count + 1) * sizeof(struct apply_result *));
    for (size_t i = 0; i < count; i++) {
        if (IS(results[i]->err, NO_SPACE)) {
            raising->held[raising->held_count++] = results[i];
        } else {
            results[left++] = results[i];
        }
    }
    return left;
}

size_t full_raise(struct server *server, struct apply_result **results, size_t count)
{
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    struct raising *raising = mem_new(sizeof(*raising));
    size_t left = hold(raising, results, count);
    if (raising->held_count == 0 && atomic_load(&server->raising) > 0) {
        free(raising->held);
        free(raising);
        return count; /* on its way, and nobody waits for this one */
    }
    atomic_fetch_add(&server->raising, 1);
    LOG_WARN("message exceeded backend quota; raising alarm",
        LOG_INT("quota-size-bytes", apply_quota_bytes(server->options.apply)),
        LOG_ERR(err_text(ERR(NO_SPACE))));
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__ACTIVATE;
    alarm.memberid = server->member_id;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    raising->server = server;
    raising->arena = arena_new(0);
    raising->proposal.field = FIELD_ALARM;
    raising->proposal.request = pb_pack_arena(&alarm.base, raising->arena);
    raising->proposal.result.arena = raising->arena;
    raising->proposal.done = raised;
    server_propose(server, &raising->proposal);
    return left;
}
