/* SPDX-License-Identifier: Apache-2.0
 *
 * A start of a member of several: once it reaches others, the first wait for a leader is cut short.
 * Who was asleep need not sleep once more; a leader there is would have spoken within a tick or
 * two.
 *
 * Likewise when the leader's process ends while its host lives: connections break at once and new
 * ones are refused, which every member sees for itself. Each counts an election timeout as over and
 * waits only what raft drew beyond it. Raft's promises hang on no time, and whoever still hears a
 * leader refuses the pre-vote: wrongly seen, this costs what any early candidate costs, nothing.
 */
#include "server/parts.h"

#include "base/log.h"

enum { LEFT_TICKS = 2, ACTIVE_MIN = 2, ADVANCE_OVER = -1 };

static void begin(struct server *server, int64_t now_ms)
{
    const struct server_options *options = &server->options;
    if (server->known.count == 0 && !server->soft.lead) {
        return; /* the first entries, which tell of the others, may not be applied yet */
    }
    server->advance_until_ms = ADVANCE_OVER;
    if (server->soft.lead) {
        return;
    }
    if (!options->initial_tick_advance) {
        LOG_INFO("skipping initial election tick advance",
            LOG_INT("election-ticks", options->election_ticks));
        return;
    }
    LOG_INFO("starting initial election tick advance",
        LOG_INT("election-ticks", options->election_ticks));
    server->advance_until_ms = now_ms + options->tick_advance_ms;
}

static size_t count_active(const struct server *server)
{
    const struct server_transport *transport = &server->options.transport;
    size_t count = 0;
    for (size_t i = 0; transport->active_since_ms && i < server->known.count; i++) {
        count += transport->active_since_ms(transport->arg, server->known.ids[i]) != 0;
    }
    return count;
}

static void pass(struct server *server, int64_t ticks)
{
    struct raft_event event = {.type = RAFT_TICK};
    for (int64_t i = 0;
         i < ticks && raft_soft_state_get(server->options.raft).role == RAFT_FOLLOWER; i++) {
        server->ticks++;
        check(!err_is(raft_step(server->options.raft, &event)));
    }
}

/* At most up to two ticks before an election: none comes of it, whatever wait raft drew. */
static void advance(struct server *server)
{
    int64_t ticks = server->options.election_ticks - LEFT_TICKS;
    LOG_INFO("initialized peer connections; fast-forwarding election ticks",
        LOG_HEX("local-member-id", server->member_id), LOG_INT("forward-ticks", ticks),
        LOG_INT("election-ticks", server->options.election_ticks),
        LOG_UINT("active-remote-members", count_active(server)));
    pass(server, ticks);
}

/* A tick later, so that the others have seen it too and none of them refuses its pre-vote. */
static void look_after_leader(struct server *server, int64_t now_ms)
{
    const struct server_transport *transport = &server->options.transport;
    uint64_t leader = server->soft.lead;
    if (!leader || server->soft.role != RAFT_FOLLOWER || !transport->refused_since_ms) {
        return;
    }
    int64_t gone_ms = transport->refused_since_ms(transport->arg, leader);
    if (gone_ms == 0 || gone_ms == server->gone_ms || server->heard_ms >= gone_ms ||
        now_ms - gone_ms < server->options.tick_ms) {
        return;
    }
    server->gone_ms = gone_ms;
    LOG_INFO("the leader's process is gone; not waiting for its heartbeats",
        LOG_HEX("local-member-id", server->member_id), LOG_HEX("leader", leader),
        LOG_INT("election-ticks", server->options.election_ticks));
    pass(server, server->options.election_ticks);
}

void advance_tick(struct server *server, int64_t now_ms)
{
    look_after_leader(server, now_ms);
    if (server->advance_until_ms == 0) {
        begin(server, now_ms);
    }
    if (server->advance_until_ms == 0 || server->advance_until_ms == ADVANCE_OVER) {
        return;
    }
    if (server->soft.lead || now_ms > server->advance_until_ms) {
        server->advance_until_ms = ADVANCE_OVER;
    } else if (count_active(server) >= ACTIVE_MIN) {
        server->advance_until_ms = ADVANCE_OVER;
        advance(server);
    }
}
