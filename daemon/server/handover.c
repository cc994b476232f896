/* SPDX-License-Identifier: Apache-2.0
 *
 * A leader that is about to stop saves the others an election timeout.
 */
#include "server/parts.h"

#include "base/clock.h"
#include "base/log.h"

struct handover {
    struct server_ask ask;
    struct server_transfer transfer;
    struct server *server;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    uint64_t target;
    size_t voters;
    bool is_done;
};

static void wake(struct handover *handover)
{
    pthread_mutex_lock(&handover->mutex);
    handover->is_done = true;
    pthread_cond_signal(&handover->cond);
    pthread_mutex_unlock(&handover->mutex);
}

static void wait_done(struct handover *handover)
{
    pthread_mutex_lock(&handover->mutex);
    while (!handover->is_done) {
        pthread_cond_wait(&handover->cond, &handover->mutex);
    }
    handover->is_done = false;
    pthread_mutex_unlock(&handover->mutex);
}

/* The reachable voter that has most of the log; among equals the one that is reachable longest. */
static uint64_t choose(struct server *server, const struct raft_status *status)
{
    const struct server_transport *transport = &server->options.transport;
    const struct raft_peer_status *best = NULL;
    int64_t best_since_ms = 0;
    for (size_t i = 0; i < status->peers_count && transport->active_since_ms; i++) {
        const struct raft_peer_status *peer = &status->peers[i];
        if (peer->id == server->member_id || peer->is_learner) {
            continue;
        }
        int64_t since_ms = transport->active_since_ms(transport->arg, peer->id);
        if (since_ms && (!best || peer->match > best->match ||
                            (peer->match == best->match && since_ms < best_since_ms))) {
            best = peer;
            best_since_ms = since_ms;
        }
    }
    return best ? best->id : 0;
}

static void look(struct server_ask *ask, struct raft *raft)
{
    struct handover *handover = CONTAINER_OF(ask, struct handover, ask);
    struct raft_status status;
    raft_status_get(raft, &status);
    handover->voters = status.conf.voters.count;
    if (status.soft_state.role == RAFT_LEADER) {
        handover->target = choose(handover->server, &status);
    }
    wake(handover);
}

static void transferred(struct server_transfer *transfer)
{
    wake(CONTAINER_OF(transfer, struct handover, transfer));
}

static void transfer(struct handover *handover)
{
    handover->transfer.target = handover->target;
    handover->transfer.deadline_ms = clock_mono_ms() + server_request_ms(handover->server);
    handover->transfer.done = transferred;
    server_transfer_leader(handover->server, &handover->transfer);
    wait_done(handover);
    if (err_is(handover->transfer.err)) {
        LOG_WARN("leadership transfer failed",
            LOG_HEX("local-member-id", handover->server->member_id),
            LOG_ERR(err_text(handover->transfer.err)));
    }
}

void server_hand_over(struct server *server)
{
    struct handover handover = {.server = server, .ask.run = look};
    if (!atomic_load(&server->is_leader) || atomic_load(&server->is_alone) ||
        atomic_load(&server->has_failed)) {
        LOG_INFO("skipped leadership transfer; local server is not leader",
            LOG_HEX("local-member-id", server->member_id),
            LOG_HEX("current-leader-member-id", atomic_load(&server->leader)));
        return;
    }
    pthread_mutex_init(&handover.mutex, NULL);
    pthread_cond_init(&handover.cond, NULL);
    if (server_on_core(server, &handover.ask)) {
        wait_done(&handover);
    }
    if (handover.target) {
        transfer(&handover);
    } else if (handover.voters > 1) {
        LOG_WARN("leadership transfer failed: no voter is reachable",
            LOG_HEX("local-member-id", server->member_id));
    }
    pthread_mutex_destroy(&handover.mutex);
    pthread_cond_destroy(&handover.cond);
}
