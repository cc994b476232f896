/* SPDX-License-Identifier: Apache-2.0
 *
 * The core thread: events into raft, its updates out to the log, to apply and to the readers. A
 * turn takes everything that waits, so that all proposals that came during one sync share the next.
 */
#include "server/parts.h"
#include "server/turn.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mutation.h"

/* What was promised is on this disk: the others may hear of it. A snapshot goes to apply before
 * raft can give out what comes behind it. */
static void take_persisted(struct server *server, struct persist_job *job)
{
    struct raft_event event = {.type = RAFT_PERSISTED, .ticket = &job->update.ticket};
    if (job->update.snapshot) {
        applier_install(server, job->update.snapshot);
    }
    if (job->holds_messages) {
        transport_send(server, job->update.messages, job->update.messages_count);
    }
    transport_send(server, job->update.after, job->update.after_count);
    check(!err_is(raft_step(server->options.raft, &event)));
    list_push(&server->jobs_free, &job->item.node);
}

static bool is_voter_only(const struct raft_conf_state *conf, uint64_t id)
{
    return conf->voters.count == 1 && conf->voters_outgoing.count == 0 && conf->voters.ids[0] == id;
}

static bool is_only_voter(struct server *server)
{
    struct raft_status status;
    raft_status_get(server->options.raft, &status);
    return is_voter_only(&status.conf, server->member_id);
}

/* Whoever learns applies by itself too, and may hear that it votes before the leader does. */
static void note_alone(struct server *server)
{
    struct raft_status status;
    raft_status_get(server->options.raft, &status);
    bool is_alone = is_voter_only(&status.conf, server->member_id) &&
                    status.conf.learners.count + status.conf.learners_next.count == 0;
    if (is_alone && !atomic_load(&server->is_alone)) {
        atomic_store(&server->alone_from, status.hard_state.commit);
    }
    atomic_store(&server->is_alone, is_alone);
}

/* Nobody else can win: no need to wait out an election timeout. Where others learn, its own vote is
 * on its way through the log for a while: to begin anew would void it. */
static void campaign_if_alone(struct server *server)
{
    struct raft_event event = {.type = RAFT_CAMPAIGN};
    struct raft_soft_state soft = raft_soft_state_get(server->options.raft);
    if (soft.lead == 0 && soft.role == RAFT_FOLLOWER && is_only_voter(server)) {
        struct err err = raft_step(server->options.raft, &event);
        if (err_is(err)) {
            LOG_DEBUG("did not campaign", LOG_ERR(err_text(err)));
        }
    }
}

static void take_conf(struct server *server, struct core_conf *conf)
{
    struct raft_conf_state state;
    struct why why = {""};
    if (conf->is_void) {
        for (size_t i = 0; i < conf->change.changes_count; i++) {
            conf->change.changes[i].node_id = 0;
        }
    }
    struct raft *raft = server->options.raft;
    if (err_is(raft_apply_conf_change(raft, conf->index, &conf->change, &state, &why))) {
        LOG_ERROR("failed to apply a configuration change", LOG_ERR(why.text));
    } else {
        note_alone(server);
        transport_conf(server, &conf->change);
    }
    free(conf);
}

/* Peers that are too far behind get the snapshot from now on, so the log in memory may forget what
 * it covers. */
static void take_snapshot(struct server *server, struct core_snapshot *made)
{
    uint64_t keep = server->options.catch_up_entries;
    uint64_t index = made->meta.index;
    struct raft_snapshot *snapshot = raft_snapshot_new(&made->meta, NULL);
    struct raft_event event = {.type = RAFT_SNAPSHOT_MADE, .snapshot = snapshot};
    struct err err = raft_step(server->options.raft, &event);
    raft_snapshot_unref(snapshot);
    free(made);
    /* Whoever just gets a snapshot needs what comes behind it. */
    if (err_is(err) || index <= keep || server->snapshots_sending) {
        return;
    }
    event = (struct raft_event){.type = RAFT_COMPACT, .index = index - keep};
    if (!err_is(raft_step(server->options.raft, &event))) {
        LOG_INFO("compacted Raft logs", LOG_UINT("compact-index", index - keep));
    }
}

static void take_installed(struct server *server, struct core_installed *installed)
{
    LOG_DEBUG("installed", LOG_UINT("index", installed->index));
    note_alone(server);
    if (server->soft.role == RAFT_LEADER) {
        leader_promote_leases(server); /* elected meanwhile, it did so with those of before */
    }
    transport_reset(server);
    free(installed);
}

static void take_item(struct server *server, struct turn *turn, struct core_item *item)
{
    switch (item->kind) {
    case CORE_PROPOSAL:
        turn_take(server, turn, CONTAINER_OF(item, struct core_proposal, item));
        break;
    case CORE_READ: {
        struct core_read *read = CONTAINER_OF(item, struct core_read, item);
        read_arrived(server, read->read);
        free(read);
        break;
    }
    case CORE_PERSISTED:
        server->persisting--;
        take_persisted(server, CONTAINER_OF(item, struct persist_job, item));
        break;
    case CORE_CONF:
        take_conf(server, CONTAINER_OF(item, struct core_conf, item));
        break;
    case CORE_SNAPSHOT:
        take_snapshot(server, CONTAINER_OF(item, struct core_snapshot, item));
        break;
    case CORE_ASK: {
        struct core_ask *envelope = CONTAINER_OF(item, struct core_ask, item);
        envelope->ask->run(envelope->ask, server->options.raft);
        free(envelope);
        break;
    }
    case CORE_MESSAGE:
        transport_message(server, CONTAINER_OF(item, struct core_message, item));
        break;
    case CORE_REPORT:
        transport_report(server, CONTAINER_OF(item, struct core_report, item));
        break;
    case CORE_INSTALLED:
        take_installed(server, CONTAINER_OF(item, struct core_installed, item));
        break;
    }
}

static struct persist_job *job_new(struct server *server)
{
    struct list *node = list_pop(&server->jobs_free);
    if (node) {
        return CONTAINER_OF(LIST_ITEM(node, struct core_item, node), struct persist_job, item);
    }
    struct persist_job *job = mem_new(sizeof(*job));
    raft_update_init(&job->update);
    job->item.kind = CORE_PERSISTED;
    list_init(&job->item.node);
    return job;
}

static void note_state(struct server *server, const struct raft_update *update)
{
    struct raft_hard_state hard = raft_hard_state_get(server->options.raft);
    atomic_store(&server->term, hard.term);
    atomic_store(&server->commit_index, hard.commit);
    if (update->has_soft_state) {
        leader_changed(server, update->soft_state);
    }
}

/* On a group of one nobody waits for heartbeats, so core writes the log itself and saves two
 * hand-offs; what arrives meanwhile shares the next sync. */
static void persist(struct server *server, struct persist_job *job)
{
    struct list jobs;
    if (atomic_load(&server->is_alone) && server->persisting == 0 && !job->update.snapshot) {
        list_init(&jobs);
        list_push(&jobs, &job->item.node);
        atomic_store_explicit(&server->is_writing_log, true, memory_order_relaxed);
        bool is_written = persist_jobs(server, &jobs);
        atomic_store_explicit(&server->is_writing_log, false, memory_order_relaxed);
        list_remove(&job->item.node);
        if (is_written) {
            take_persisted(server, job);
        } else {
            list_push(&server->jobs_free, &job->item.node); /* nothing may look persisted */
        }
        return;
    }
    server->persisting++;
    if (!mailbox_push_always(&server->wal_box, &job->item.node)) {
        list_push(&server->jobs_free, &job->item.node);
    }
}

/* Whoever asks for votes boasts of a log and a term: with a log that loses its end in a crash, and
 * a term that it then reaches again, the votes that its former self was given would count once
 * more.
 */
static bool is_campaign(const struct raft_update *update)
{
    for (size_t i = 0; update->needs_persist && i < update->messages_count; i++) {
        if (update->messages[i].type == RAFT_MSG_VOTE) {
            return !MUTATE(CAMPAIGN_UNSYNCED);
        }
    }
    return false;
}

void pump_update(struct server *server)
{
    while (raft_has_update(server->options.raft) && !atomic_load(&server->has_failed)) {
        struct persist_job *job = job_new(server);
        raft_take_update(server->options.raft, &job->update);
        note_state(server, &job->update);
        job->holds_messages = is_campaign(&job->update);
        if (!job->holds_messages) {
            transport_send(server, job->update.messages, job->update.messages_count);
        }
        if (MUTATE(ACK_UNSYNCED)) {
            transport_send(server, job->update.after, job->update.after_count);
            job->update.after_count = 0;
        }
        applier_submit(server, job->update.committed, job->update.committed_count);
        read_states(server, &job->update);
        if (job->update.needs_persist) {
            persist(server, job);
        } else {
            list_push(&server->jobs_free, &job->item.node);
        }
    }
    atomic_store(&server->is_apply_awaited,
        server->submitted < raft_hard_state_get(server->options.raft).commit);
}

static void tick(struct server *server, int64_t now_ms)
{
    struct raft_event event = {.type = RAFT_TICK};
    if (now_ms < server->next_tick_ms) {
        return;
    }
    /* After a pause one tick is enough: time lost is not made up in a burst. */
    server->next_tick_ms = now_ms - server->next_tick_ms > server->options.tick_ms
                               ? now_ms + server->options.tick_ms
                               : server->next_tick_ms + server->options.tick_ms;
    advance_tick(server, now_ms);
    server->ticks++;
    check(!err_is(raft_step(server->options.raft, &event)));
    waiter_expire(server, now_ms);
    read_expire(server, now_ms, ERR(TIMEOUT));
    read_retry(server, now_ms);
    leases_retry(server, now_ms);
    transfer_tick(server, now_ms);
    leader_tick(server, now_ms);
}

static void note_applied(struct server *server)
{
    struct raft_event event = {.type = RAFT_APPLIED, .index = apply_index(server->options.apply)};
    if (event.index > server->noted_applied) {
        server->noted_applied = event.index;
        check(!err_is(raft_step(server->options.raft, &event)));
    }
}

/* Raft gives out only so much at a time, and what core applied itself, or apply ended before it
 * could know that more is to come, wakes nobody. */
static void pump_applied(struct server *server)
{
    while (atomic_load(&server->is_apply_awaited) && !atomic_load(&server->has_failed) &&
           apply_index(server->options.apply) > server->noted_applied) {
        note_applied(server);
        pump_update(server);
    }
}

static void drain(struct server *server, struct turn *turn)
{
    struct list items;
    struct list *node;
    list_init(&items);
    mailbox_take(&server->core_box, &items, 0);
    while ((node = list_pop(&items))) {
        struct core_item *item = LIST_ITEM(node, struct core_item, node);
        if (item->kind == CORE_PROPOSAL) {
            turn_refuse(server, CONTAINER_OF(item, struct core_proposal, item), ERR(STOPPED));
        } else {
            take_item(server, turn, item);
        }
    }
    turn_refuse_waiting(server, ERR(STOPPED));
    transport_retry(server, INT64_MAX);
    read_expire(server, INT64_MAX, ERR(STOPPED));
    transfer_fail_all(server, ERR(STOPPED));
    while ((node = list_pop(&server->jobs_free))) {
        struct persist_job *job =
            CONTAINER_OF(LIST_ITEM(node, struct core_item, node), struct persist_job, item);
        raft_update_fini(&job->update);
        free(job);
    }
}

void *core_main(void *arg)
{
    struct server *server = arg;
    struct turn *turn = mem_new(sizeof(*turn));
    struct list items;
    struct list *node;
    list_init(&items);
    server->next_tick_ms = clock_mono_ms() + server->options.tick_ms;
    note_alone(server);
    transport_start(server);
    pump_update(server);
    while (!mailbox_is_closed(&server->core_box)) {
        int64_t wait_ms = server->next_tick_ms - clock_mono_ms();
        mailbox_take(&server->core_box, &items, wait_ms > 0 ? wait_ms : 0);
        note_applied(server); /* before a follower's conf change is taken, or it is dropped */
        while ((node = list_pop(&items))) {
            take_item(server, turn, LIST_ITEM(node, struct core_item, node));
        }
        int64_t now_ms = clock_mono_ms();
        if (!list_is_empty(&server->unsent)) {
            turn_retry(server, turn, now_ms);
        }
        if (!list_is_empty(&server->kept)) {
            transport_retry(server, now_ms);
        }
        note_applied(server); /* first: only then raft lets the next conf change through */
        turn_propose(server, turn);
        read_ask(server);
        campaign_if_alone(server);
        tick(server, now_ms);
        pump_update(server);
        pump_applied(server);
    }
    drain(server, turn);
    free(turn);
    return NULL;
}
