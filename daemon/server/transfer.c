/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at raft from other threads, and leadership handed over on request: raft is asked once, then
 * each tick looks who leads.
 */
#include "server/parts.h"

#include "base/log.h"

bool server_on_core(struct server *server, struct server_ask *ask)
{
    struct core_ask *envelope = mem_new(sizeof(*envelope));
    envelope->item.kind = CORE_ASK;
    envelope->ask = ask;
    bool is_taken = mailbox_push_always(&server->core_box, &envelope->item.node);
    if (!is_taken) {
        free(envelope);
    }
    return is_taken;
}

static void finish(struct server_transfer *transfer, struct err err)
{
    transfer->err = err;
    transfer->done(transfer);
}

static void begin(struct server_ask *ask, struct raft *raft)
{
    struct server_transfer *transfer = CONTAINER_OF(ask, struct server_transfer, ask);
    struct raft_event event = {.type = RAFT_TRANSFER, .peer = transfer->target};
    struct err err = raft_step(raft, &event);
    if (err_is(err)) {
        /* etcd does not look either: whoever waits hears it by the clock. */
        LOG_WARN("leadership transfer was not begun", LOG_ERR(err_text(err)));
    }
    list_push(&transfer->server->transfers, &transfer->node);
}

void server_transfer_leader(struct server *server, struct server_transfer *transfer)
{
    transfer->server = server;
    transfer->ask.run = begin;
    LOG_INFO("leadership transfer starting", LOG_HEX("local-member-id", server->member_id),
        LOG_HEX("current-leader-member-id", atomic_load(&server->leader)),
        LOG_HEX("transferee-member-id", transfer->target));
    if (!server_on_core(server, &transfer->ask)) {
        finish(transfer, ERR(STOPPED));
    }
}

void transfer_tick(struct server *server, int64_t now_ms)
{
    uint64_t leader = atomic_load(&server->leader);
    LIST_EACH_SAFE(node, tmp, &server->transfers)
    {
        struct server_transfer *transfer = LIST_ITEM(node, struct server_transfer, node);
        if (leader == transfer->target) {
            list_remove(node);
            LOG_INFO("leadership transfer finished", LOG_HEX("local-member-id", server->member_id),
                LOG_HEX("new-leader-member-id", leader));
            finish(transfer, OK);
        } else if (now_ms >= transfer->deadline_ms) {
            list_remove(node);
            finish(transfer, ERR(TIMEOUT_LEADER_TRANSFER));
        }
    }
}

void transfer_fail_all(struct server *server, struct err err)
{
    struct list *node;
    while ((node = list_pop(&server->transfers))) {
        finish(LIST_ITEM(node, struct server_transfer, node), err);
    }
}
