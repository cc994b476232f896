/* SPDX-License-Identifier: Apache-2.0
 *
 * A start of a member of several: once it reaches others, the first wait for a leader is cut short.
 * Who was asleep need not sleep once more; a leader there is would have spoken within a tick or
 * two.
 */
#include "server/parts.h"

#include "base/log.h"

enum { LEFT_TICKS = 2, ACTIVE_MIN = 2, ADVANCE_OVER = -1 };

static void begin(struct server *server, int64_t now_ms)
{
    const struct server_options *options = &server->options;
    server->advance_until_ms = ADVANCE_OVER;
    if (server->known.count == 0) {
        return; /* alone: elected at once; or it joins, and cannot be */
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

/* At most up to two ticks before an election: none comes of it, whatever wait raft drew. */
static void advance(struct server *server)
{
    struct raft_event event = {.type = RAFT_TICK};
    int64_t ticks = server->options.election_ticks - LEFT_TICKS;
    LOG_INFO("initialized peer connections; fast-forwarding election ticks",
        LOG_HEX("local-member-id", server->member_id), LOG_INT("forward-ticks", ticks),
        LOG_INT("election-ticks", server->options.election_ticks),
        LOG_UINT("active-remote-members", count_active(server)));
    for (int64_t i = 0; i < ticks; i++) {
        server->ticks++;
        check(!err_is(raft_step(server->options.raft, &event)));
    }
}

void advance_tick(struct server *server, int64_t now_ms)
{
    if (server->advance_until_ms == 0) {
        begin(server, now_ms);
    }
    if (server->advance_until_ms == ADVANCE_OVER) {
        return;
    }
    if (server->soft.lead || now_ms > server->advance_until_ms) {
        server->advance_until_ms = ADVANCE_OVER;
    } else if (count_active(server) >= ACTIVE_MIN) {
        server->advance_until_ms = ADVANCE_OVER;
        advance(server);
    }
}
