/* SPDX-License-Identifier: Apache-2.0
 *
 * Proposals into raft: what a turn takes, what waits for a leader, what ends without one. */
#include "server/turn.h"
#include "server/parts.h"

#include "base/mutation.h"

void turn_refuse(struct server *server, struct core_proposal *envelope, struct err err)
{
    proposal_finish(server, envelope->proposal, err);
    free(envelope);
}

/* What a leader does as such must not be passed on by who was one: the next leader may have good
 * reasons against it, a lease that was renewed. Asked as raft is given it: a message of the same
 * turn may have told of that leader. */
static bool is_void(struct server *server, const struct server_proposal *proposal)
{
    bool is_leader = raft_soft_state_get(server->options.raft).role == RAFT_LEADER &&
                     raft_hard_state_get(server->options.raft).term == proposal->leader_term;
    return proposal->leader_term && !is_leader && !MUTATE(DEPOSED_REVOKES);
}

/* Proposals that raft cannot take now wait for a leader, until their deadline. */
void turn_propose(struct server *server, struct turn *turn)
{
    struct raft_event event = {
        .type = RAFT_PROPOSE, .entries = turn->entries, .entries_count = turn->count};
    if (turn->count == 0) {
        return;
    }
    size_t filed = 0;
    for (size_t i = 0; i < turn->count; i++) {
        if (is_void(server, turn->proposals[i]->proposal)) {
            turn_refuse(server, turn->proposals[i], ERR(NOT_LEADER));
        } else if (waiter_file(server, turn->proposals[i]->proposal)) {
            turn->entries[filed] = turn->entries[i];
            turn->proposals[filed++] = turn->proposals[i];
        } else {
            turn_refuse(server, turn->proposals[i], ERR(REQUEST_TOO_MANY_REQUESTS));
        }
    }
    event.entries_count = filed;
    struct err err = filed ? raft_step(server->options.raft, &event) : OK;
    for (size_t i = 0; i < filed; i++) {
        struct core_proposal *envelope = turn->proposals[i];
        if (err_is(err) && waiter_find(server, envelope->id)) {
            list_push(&server->unsent, &envelope->item.node);
        } else {
            free(envelope); /* the slot has the proposal now, or somebody ended it */
        }
    }
    turn->count = 0;
    turn->bytes = 0;
}

/* What is passed on to a leader whose connection is known to be broken is lost, and its client
 * would wait in vain: better kept for the next leader, or until this one is heard of after all. */
static bool is_out_of_reach(struct server *server, const struct server_proposal *proposal)
{
    const struct server_transport *transport = &server->options.transport;
    uint64_t leader = atomic_load(&server->leader);
    int64_t came_ms = proposal->deadline_ms - server_request_ms(server);
    return leader && leader != server->member_id && transport->active_since_ms &&
           server->heard_ms <= came_ms && transport->active_since_ms(transport->arg, leader) == 0;
}

/* Behind what already waits: a checkpoint that takes another back must not be ahead of it. */
void turn_take(struct server *server, struct turn *turn, struct core_proposal *envelope)
{
    if (!list_is_empty(&server->unsent) || is_out_of_reach(server, envelope->proposal)) {
        list_push(&server->unsent, &envelope->item.node);
        return;
    }
    turn->entries[turn->count] =
        (struct raft_entry){.type = envelope->proposal->type, .data = envelope->proposal->data};
    turn->proposals[turn->count++] = envelope;
    turn->bytes += envelope->proposal->data->len;
    if (turn->count == TURN_PROPOSALS_MAX || turn->bytes >= TURN_BYTES_MAX) {
        turn_propose(server, turn);
    }
}

/* As the reference: for want of a leader it waited outside of raft until its time was over. One
 * that raft had, or could have had, may be in a log. */
static struct err unsent_timeout(struct server *server, const struct server_proposal *proposal)
{
    int64_t start_ms = proposal->deadline_ms - server_request_ms(server);
    bool had_leader = atomic_load(&server->leader) || start_ms < server->leaderless_ms;
    return had_leader ? waiter_timeout(server, proposal) : ERR(NEVER_PROPOSED);
}

void turn_retry(struct server *server, struct turn *turn, int64_t now_ms)
{
    bool has_leader = atomic_load(&server->leader) != 0;
    struct list waiting;
    list_init(&waiting);
    list_splice(&waiting, &server->unsent);
    struct list *node;
    while ((node = list_pop(&waiting))) {
        struct core_proposal *envelope =
            CONTAINER_OF(LIST_ITEM(node, struct core_item, node), struct core_proposal, item);
        if (envelope->proposal->deadline_ms <= now_ms) {
            turn_refuse(server, envelope, unsent_timeout(server, envelope->proposal));
        } else if (has_leader) {
            turn_take(server, turn, envelope);
        } else {
            list_push(&server->unsent, node);
        }
    }
}

void turn_refuse_waiting(struct server *server, struct err err)
{
    struct list *node;
    while ((node = list_pop(&server->unsent))) {
        turn_refuse(server,
            CONTAINER_OF(LIST_ITEM(node, struct core_item, node), struct core_proposal, item), err);
    }
}
