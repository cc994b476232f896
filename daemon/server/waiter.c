/* SPDX-License-Identifier: Apache-2.0
 *
 * Proposals in flight, in a table by request id. Core files a proposal and may time it out; whoever
 * applies takes it. Whoever swaps the pointer out owns the proposal, so each ends exactly once.
 */
#include "server/parts.h"

static struct slot *slot_of(struct server *server, uint64_t id)
{
    return &server->slots[id & (SLOTS - 1)];
}

bool waiter_file(struct server *server, struct server_proposal *proposal)
{
    struct slot *slot = slot_of(server, proposal->id);
    if (atomic_load(&slot->proposal)) {
        return false;
    }
    slot->deadline_ms = proposal->deadline_ms;
    slot->term = raft_hard_state_get(server->options.raft).term;
    atomic_store(&slot->id, proposal->id);
    atomic_store(&slot->proposal, proposal);
    return true;
}

struct apply_result *waiter_find(void *arg, uint64_t request_id)
{
    struct server *server = arg;
    struct slot *slot = slot_of(server, request_id);
    if (request_id == 0 || atomic_load(&slot->id) != request_id) {
        return NULL;
    }
    struct server_proposal *proposal = atomic_exchange(&slot->proposal, NULL);
    if (proposal && proposal->id != request_id) {
        /* Timed out and reused between the two looks. Nothing is known of the other one's fate. */
        proposal_finish(server, proposal, ERR(TIMEOUT));
        return NULL;
    }
    return proposal ? &proposal->result : NULL;
}

static void end(struct server *server, struct server_proposal *proposal)
{
    atomic_fetch_sub(&server->in_flight, 1);
    blob_unref(proposal->data);
    proposal->data = NULL;
    proposal->done(proposal);
}

void proposal_finish(struct server *server, struct server_proposal *proposal, struct err err)
{
    proposal->result.err = err;
    if (err_is(err)) {
        metric_inc(server->metrics.proposals_failed);
    }
    end(server, proposal);
}

/* Applied, whatever came of it. */
void waiter_done(void *arg, struct apply_result *result)
{
    end(arg, CONTAINER_OF(result, struct server_proposal, result));
}

static bool is_connected_since(struct server *server, uint64_t id, int64_t start_ms)
{
    const struct server_transport *transport = &server->options.transport;
    int64_t since_ms =
        transport->active_since_ms ? transport->active_since_ms(transport->arg, id) : 0;
    return id == server->member_id || (since_ms && since_ms < start_ms);
}

static bool has_quorum_since(struct server *server, int64_t start_ms)
{
    struct raft_conf_state conf;
    size_t connected = 0;
    apply_conf_state(server->options.members, &conf);
    for (size_t i = 0; i < conf.voters.count; i++) {
        connected += is_connected_since(server, conf.voters.ids[i], start_ms);
    }
    return connected > conf.voters.count / 2;
}

struct err waiter_timeout(struct server *server, const struct server_proposal *proposal)
{
    int64_t start_ms = proposal->deadline_ms - server_request_ms(server);
    int64_t elected_ms = server->elected_ms;
    int64_t lost_ms = elected_ms - 2 * server->options.tick_ms * server->options.election_ticks;
    uint64_t leader = atomic_load(&server->leader);
    if (start_ms > lost_ms && start_ms < elected_ms) {
        return ERR(TIMEOUT_DUE_TO_LEADER_FAIL);
    }
    bool is_connected = leader == 0 ? true
                        : leader == server->member_id
                            ? has_quorum_since(server, start_ms)
                            : is_connected_since(server, leader, start_ms);
    return is_connected ? ERR(TIMEOUT) : ERR(TIMEOUT_DUE_TO_CONNECTION_LOST);
}

/* All that earlier leaders left in the log is applied, and an election timeout later no detour has
 * brought the rest: what is still waited for from their time went with them. Its client is told
 * what it would be told at the deadline, and can try again. 0: nothing is lost in that sense. */
static uint64_t lost_before(struct server *server, int64_t now_ms)
{
    int64_t grace_ms = server->options.tick_ms * server->options.election_ticks;
    uint64_t term = atomic_load(&server->term);
    bool is_settled = atomic_load(&server->leader) && atomic_load(&server->applied_term) == term &&
                      now_ms > server->elected_ms + grace_ms;
    return is_settled ? term : 0;
}

void waiter_expire(struct server *server, int64_t now_ms)
{
    if (atomic_load(&server->in_flight) == 0) {
        return; /* the whole table would be read for nothing */
    }
    uint64_t settled = lost_before(server, now_ms);
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &server->slots[i];
        if (!atomic_load_explicit(&slot->proposal, memory_order_relaxed)) {
            continue;
        }
        bool is_late = slot->deadline_ms <= now_ms;
        if (!is_late && slot->term >= settled) {
            continue;
        }
        struct server_proposal *proposal = atomic_exchange(&slot->proposal, NULL);
        if (proposal) {
            proposal_finish(server, proposal,
                is_late ? waiter_timeout(server, proposal) : ERR(TIMEOUT_DUE_TO_LEADER_FAIL));
        }
    }
}

void waiter_fail_all(struct server *server, struct err err)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct server_proposal *proposal = atomic_exchange(&server->slots[i].proposal, NULL);
        if (proposal) {
            proposal_finish(server, proposal, err);
        }
    }
}
