/* SPDX-License-Identifier: Apache-2.0
 *
 * The other members: which of them the transport knows, what goes out to them and what comes in.
 */
#include "server/parts.h"

#include "base/clock.h"
#include "base/log.h"

/* Snapshots on their way at once, as etcd: each costs a walk over the whole store. */
enum { SNAPSHOTS_SENDING_MAX = 16 };

/* Others' proposals that wait: each up to a turn's worth, of what they admitted. */
enum { KEPT_MAX = 1024 };

static bool is_known(const struct server *server, uint64_t id)
{
    for (size_t i = 0; i < server->known.count; i++) {
        if (server->known.ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void add(struct server *server, const struct member *member)
{
    const struct server_transport *transport = &server->options.transport;
    if (member->id == server->member_id || !transport->add) {
        return;
    }
    if (is_known(server, member->id)) {
        transport->update(transport->arg, member->id, member->peer_urls, member->peer_urls_count);
    } else if (server->known.count < RAFT_MEMBERS_MAX) {
        server->known.ids[server->known.count++] = member->id;
        transport->add(transport->arg, member->id, member->peer_urls, member->peer_urls_count);
    }
}

static void remove_known(struct server *server, size_t at)
{
    const struct server_transport *transport = &server->options.transport;
    transport->remove(transport->arg, server->known.ids[at]);
    server->known.ids[at] = server->known.ids[--server->known.count];
}

static void remove_id(struct server *server, uint64_t id)
{
    for (size_t i = 0; i < server->known.count; i++) {
        if (server->known.ids[i] == id) {
            remove_known(server, i);
            return;
        }
    }
}

static void tell_removed(struct server *server)
{
    if (server->options.on_removed && !atomic_exchange(&server->is_removed, true)) {
        LOG_WARN("the member has been permanently removed from the cluster",
            LOG_HEX("local-member-id", server->member_id));
        server->options.on_removed(server->options.on_removed_arg);
    }
}

/* Those whom a member that joins was told of stay until it has a table: one that was removed before
 * may be in no entry and no snapshot that it gets, and goes then. */
void transport_start(struct server *server)
{
    const struct server_options *options = &server->options;
    struct arena *arena = arena_new(0);
    struct member *members;
    size_t count = member_list(options->members, arena, &members);
    for (size_t i = 0; i < count; i++) {
        add(server, &members[i]);
    }
    for (size_t i = 0; count == 0 && i < options->founders_count; i++) {
        add(server, &options->founders[i]);
    }
    arena_free(arena);
}

void transport_reset(struct server *server)
{
    for (size_t i = server->known.count; i > 0; i--) {
        struct arena *arena = arena_new(0);
        struct member member;
        if (!member_find(server->options.members, server->known.ids[i - 1], arena, &member)) {
            remove_known(server, i - 1);
        }
        arena_free(arena);
    }
    transport_start(server);
    if (member_is_removed(server->options.members, server->member_id)) {
        tell_removed(server);
    }
}

/* The table may already be further than this change: what it says now counts. */
void transport_conf(struct server *server, const struct raft_conf_change *change)
{
    for (size_t i = 0; i < change->changes_count; i++) {
        uint64_t id = change->changes[i].node_id;
        struct arena *arena = arena_new(0);
        struct member member;
        if (member_find(server->options.members, id, arena, &member)) {
            add(server, &member);
        } else if (member_is_removed(server->options.members, id)) {
            remove_id(server, id);
        }
        arena_free(arena);
        if (change->changes[i].type == RAFT_REMOVE_NODE && id == server->member_id) {
            tell_removed(server);
        }
    }
}

static void step_report(struct server *server, enum raft_event_type type, uint64_t peer, bool is_ok)
{
    struct raft_event event = {.type = type, .peer = peer, .is_ok = is_ok};
    if (err_is(raft_step(server->options.raft, &event))) {
        LOG_DEBUG("a report came too late", LOG_HEX("remote-peer-id", peer));
    }
}

/* A snapshot beyond the cap is dropped; raft tries again after a heartbeat. */
static bool admit_snapshot(struct server *server, struct raft_message *message)
{
    if (server->snapshots_sending < SNAPSHOTS_SENDING_MAX) {
        server->snapshots_sending++;
        return true;
    }
    uint64_t to = message->to;
    raft_message_fini(message);
    *message = (struct raft_message){0};
    step_report(server, RAFT_SNAPSHOT_STATUS, to, false);
    return false;
}

/* A leader that is late with its heartbeats: as the reference, told and counted. */
static void note_heartbeat(struct server *server, const struct raft_message *message)
{
    int64_t now_ms = clock_mono_ms();
    int64_t allowed_ms = 2 * server->options.tick_ms;
    struct heartbeat *last = &server->metrics.heartbeats[message->to % RAFT_MEMBERS_MAX];
    int64_t took_ms = now_ms - last->at_ms;
    if (last->to == message->to && last->term == message->term && took_ms > allowed_ms) {
        metric_inc(server->metrics.late_heartbeats);
        LOG_WARN("leader failed to send out heartbeat on time; took too long, leader is overloaded "
                 "likely from slow disk",
            LOG_HEX("to", message->to), LOG_MS("heartbeat-interval", server->options.tick_ms),
            LOG_MS("expected-duration", allowed_ms),
            LOG_MS("exceeded-duration", took_ms - allowed_ms));
    }
    *last = (struct heartbeat){message->to, message->term, now_ms};
}

void transport_send(struct server *server, struct raft_message *messages, size_t count)
{
    const struct server_transport *transport = &server->options.transport;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (messages[i].type == RAFT_MSG_SNAP && !admit_snapshot(server, &messages[i])) {
            continue;
        }
        if (messages[i].type == RAFT_MSG_HEARTBEAT) {
            note_heartbeat(server, &messages[i]);
        }
        struct raft_message message = messages[i];
        messages[i] = (struct raft_message){0};
        messages[kept++] = message;
    }
    if (kept && transport->send) {
        transport->send(transport->arg, messages, kept);
    }
}

/* What comes in. */

static void message_free(struct core_message *item)
{
    raft_message_fini(&item->message);
    free(item);
}

/* Raft drops proposals while leadership is handed over, or while there is no leader. What another
 * member passed on is in no log then, so that it cannot come twice: it waits here, as this member's
 * proposals do, where etcd lets its client wait in vain. */
static bool keep(struct server *server, struct core_message *item)
{
    if (item->message.type != RAFT_MSG_PROP || server->kept_count >= KEPT_MAX) {
        return false;
    }
    list_push(&server->kept, &item->item.node);
    server->kept_count++;
    return true;
}

void transport_retry(struct server *server, int64_t now_ms)
{
    struct list waiting;
    struct list *node;
    list_init(&waiting);
    list_splice(&waiting, &server->kept);
    server->kept_count = 0;
    while ((node = list_pop(&waiting))) {
        struct core_message *item =
            CONTAINER_OF(LIST_ITEM(node, struct core_item, node), struct core_message, item);
        struct raft_event event = {.type = RAFT_RECEIVE, .message = &item->message};
        bool is_late = item->deadline_ms <= now_ms;
        if (is_late || !IS(raft_step(server->options.raft, &event), PROPOSAL_DROPPED) ||
            !keep(server, item)) {
            message_free(item);
        }
    }
}

void transport_message(struct server *server, struct core_message *item)
{
    struct raft_event event = {.type = RAFT_RECEIVE, .message = &item->message};
    int64_t now_ms = clock_mono_ms();
    if (item->message.from == atomic_load(&server->leader)) {
        server->heard_ms = now_ms;
    }
    struct err err = raft_step(server->options.raft, &event);
    item->deadline_ms = now_ms + server_request_ms(server);
    if (IS(err, PROPOSAL_DROPPED) && keep(server, item)) {
        return;
    }
    if (IS(err, CORRUPT)) {
        server_fail(server, "the log of this member has lost entries, or the leader's has");
    } else if (err_is(err)) {
        LOG_DEBUG("ignored a message", LOG_HEX("remote-peer-id", item->message.from),
            LOG_ERR(err_name(err)));
    }
    if (item->done) {
        item->done(item->arg, err);
    }
    message_free(item);
}

void transport_report(struct server *server, struct core_report *report)
{
    if (report->type == RAFT_SNAPSHOT_STATUS && server->snapshots_sending) {
        server->snapshots_sending--;
    }
    step_report(server, report->type, report->peer, report->is_ok);
    free(report);
}

static void receive(struct server *server, struct raft_message *message,
    void (*done)(void *arg, struct err err), void *arg)
{
    struct core_message *item = mem_new(sizeof(*item));
    item->item.kind = CORE_MESSAGE;
    item->message = *message;
    item->done = done;
    item->arg = arg;
    *message = (struct raft_message){0};
    if (!mailbox_push(&server->core_box, &item->item.node)) {
        if (done) {
            done(arg, ERR(STOPPED));
        }
        raft_message_fini(&item->message);
        free(item);
    }
}

void server_receive(struct server *server, struct raft_message *message)
{
    receive(server, message, NULL, NULL);
}

void server_receive_snapshot(struct server *server, struct raft_message *message,
    void (*done)(void *arg, struct err err), void *arg)
{
    receive(server, message, done, arg);
}

static void report(struct server *server, enum raft_event_type type, uint64_t id, bool is_ok)
{
    struct core_report *item = mem_new(sizeof(*item));
    item->item.kind = CORE_REPORT;
    item->type = type;
    item->peer = id;
    item->is_ok = is_ok;
    if (!mailbox_push_always(&server->core_box, &item->item.node)) {
        free(item);
    }
}

void server_report_unreachable(struct server *server, uint64_t id)
{
    report(server, RAFT_UNREACHABLE, id, false);
}

void server_report_snapshot(struct server *server, uint64_t id, bool is_ok)
{
    report(server, RAFT_SNAPSHOT_STATUS, id, is_ok);
}
