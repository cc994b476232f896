/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread, and how others reach it: as tasks of its HTTP server.
 */
#include "peer/peer.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"
#include "peer/inner.h"
#include "peer/receive.h"
#include "peer/remote.h"
#include "peer/version.h"

#include <unistd.h>

enum {
    DIAL_MS = 2000,
    IO_MS = 5000,
    PROGRESS_MS = 10000,
    WAITING_MAX = 32 << 10, /* messages on their way to the peer thread */
    THREADS_STEP_US = 2000,
};

static char *make_fields(const struct peer *peer)
{
    const struct peer_options *options = &peer->options;
    struct buf urls;
    buf_init(&urls, SIZE_MAX);
    for (size_t i = 0; i < options->peer_urls_count; i++) {
        buf_printf(&urls, "%s%s", i ? "," : "", options->peer_urls[i]);
    }
    char *fields = mem_printf("X-Etcd-Cluster-Id: %s\r\nX-Min-Cluster-Version: %s\r\n"
                              "X-Peerurls: %s\r\nX-Server-From: %s\r\nX-Server-Version: %s\r\n"
                              "%s%s%s%s%s%s",
        peer->cluster_text, VERSION_MIN_CLUSTER, buf_text(&urls), peer->self_text,
        KETCD_ETCD_VERSION, options->rows_format ? PEER_ROWS_HEADER ": " : "",
        options->rows_format ? options->rows_format : "", options->rows_format ? "\r\n" : "",
        options->files_format ? PEER_FILES_HEADER ": " : "",
        options->files_format ? options->files_format : "", options->files_format ? "\r\n" : "");
    buf_fini(&urls);
    return fields;
}

struct peer *peer_new(const struct peer_options *options)
{
    struct peer *peer = mem_new(sizeof(*peer));
    peer->options = *options;
    peer->options.dialing.dial_ms = options->dialing.dial_ms ? options->dialing.dial_ms : DIAL_MS;
    peer->options.read_ms = options->read_ms ? options->read_ms : IO_MS;
    peer->options.write_ms = options->write_ms ? options->write_ms : IO_MS;
    peer->options.progress_ms = options->progress_ms ? options->progress_ms : PROGRESS_MS;
    snprintf(
        peer->self_text, sizeof(peer->self_text), "%llx", (unsigned long long)options->self_id);
    snprintf(peer->cluster_text, sizeof(peer->cluster_text), "%llx",
        (unsigned long long)options->cluster_id);
    peer->fields = make_fields(peer);
    list_init(&peer->remotes);
    list_init(&peer->receives);
    metrics_init(&peer->metrics);
    peer->http = http_server_new(&(struct http_options){.handshake_ms = IO_MS,
        .header_ms = peer->options.read_ms,
        .body_ms = peer->options.read_ms,
        .write_ms = peer->options.write_ms,
        .thread_name = "peer"});
    peer->base = http_server_base(peer->http);
    return peer;
}

struct err peer_start(struct peer *peer, struct why *why)
{
    return http_server_start(peer->http, why);
}

/* The thread is gone: what it held is this one's. */
static void let_go(struct peer *peer)
{
    while (!list_is_empty(&peer->remotes)) {
        remote_free(LIST_ITEM(peer->remotes.next, struct remote, node));
    }
}

void peer_stop(struct peer *peer)
{
    if (atomic_exchange(&peer->is_stopped, true)) {
        return;
    }
    http_server_stop(peer->http);
    while (atomic_load(&peer->threads) > 0) {
        usleep(THREADS_STEP_US);
    }
    let_go(peer);
}

void peer_free(struct peer *peer)
{
    if (!peer) {
        return;
    }
    peer_stop(peer);
    http_server_free(peer->http);
    free(peer->fields);
    free(peer);
}

static bool is_ours(struct http_request *request, const char *field, const char *ours)
{
    return ours && slice_eq(http_header(request, field), slice_str(ours));
}

enum snapshot_form peer_form_of(const struct peer *peer, struct http_request *request,
    const char *files_field, const char *rows_field)
{
    if (is_ours(request, files_field, peer->options.files_format)) {
        return SNAPSHOT_FILES;
    }
    return is_ours(request, rows_field, peer->options.rows_format) ? SNAPSHOT_ROWS
                                                                   : SNAPSHOT_DATABASE;
}

void peer_end_sending(struct peer *peer)
{
    atomic_fetch_add(&peer->sends_ended, 1);
}

struct http_server *peer_http(struct peer *peer)
{
    return peer->http;
}

static struct slot *slot_of(struct peer *peer, uint64_t id)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (atomic_load(&peer->slots[i].id) == id && id) {
            return &peer->slots[i];
        }
    }
    return NULL;
}

int64_t peer_active_since_ms(struct peer *peer, uint64_t id)
{
    struct slot *slot = slot_of(peer, id);
    return slot ? atomic_load(&slot->since_ms) : 0;
}

enum snapshot_form peer_taken_by(struct peer *peer, uint64_t id)
{
    struct slot *slot = slot_of(peer, id);
    return slot ? (enum snapshot_form)atomic_load(&slot->takes) : SNAPSHOT_DATABASE;
}

int64_t peer_refused_since_ms(struct peer *peer, uint64_t id)
{
    struct slot *slot = slot_of(peer, id);
    return slot ? atomic_load(&slot->refused_ms) : 0;
}

/* Members. */

enum change { CHANGE_ADD, CHANGE_ADD_REMOTE, CHANGE_UPDATE, CHANGE_REMOVE };

struct change_task {
    struct http_task task;
    struct peer *peer;
    enum change change;
    uint64_t id;
    size_t count;
    char *urls[];
};

static void add(struct peer *peer, const struct change_task *task)
{
    const char *const *urls = (const char *const *)task->urls;
    struct remote *remote = remote_find(peer, task->id);
    bool is_member = task->change == CHANGE_ADD;
    if (task->id == peer->options.self_id || (remote && (remote->is_member || !is_member))) {
        return;
    }
    if (remote) {
        remote_free(remote); /* it turned out to be a member */
    }
    remote_add(peer, task->id, urls, task->count, is_member);
}

static void apply_change(struct peer *peer, const struct change_task *task)
{
    struct remote *remote = remote_find(peer, task->id);
    switch (task->change) {
    case CHANGE_ADD:
    case CHANGE_ADD_REMOTE:
        add(peer, task);
        break;
    case CHANGE_UPDATE:
        if (remote) {
            remote_update(remote, (const char *const *)task->urls, task->count);
        }
        break;
    case CHANGE_REMOVE:
        if (remote) {
            LOG_INFO("removed remote peer", LOG_STR("local-member-id", peer->self_text),
                LOG_STR("removed-remote-peer-id", remote->id_text));
            remote_free(remote);
        }
        break;
    }
}

static void run_change(struct http_task *task)
{
    struct change_task *change = CONTAINER_OF(task, struct change_task, task);
    if (!atomic_load(&change->peer->is_stopped)) {
        apply_change(change->peer, change);
    }
    for (size_t i = 0; i < change->count; i++) {
        free(change->urls[i]);
    }
    free(change);
}

static void post_change(
    struct peer *peer, enum change change, uint64_t id, const char *const *urls, size_t count)
{
    struct change_task *task = mem_new(sizeof(*task) + count * sizeof(*task->urls));
    task->task.run = run_change;
    task->peer = peer;
    task->change = change;
    task->id = id;
    task->count = count;
    for (size_t i = 0; i < count; i++) {
        task->urls[i] = mem_strdup(urls[i]);
    }
    http_run(peer->http, &task->task);
}

void peer_add(struct peer *peer, uint64_t id, const char *const *peer_urls, size_t count)
{
    post_change(peer, CHANGE_ADD, id, peer_urls, count);
}

void peer_add_remote(struct peer *peer, uint64_t id, const char *const *peer_urls, size_t count)
{
    post_change(peer, CHANGE_ADD_REMOTE, id, peer_urls, count);
}

void peer_update(struct peer *peer, uint64_t id, const char *const *peer_urls, size_t count)
{
    post_change(peer, CHANGE_UPDATE, id, peer_urls, count);
}

void peer_remove(struct peer *peer, uint64_t id)
{
    post_change(peer, CHANGE_REMOVE, id, NULL, 0);
}

/* Messages. */

struct send_task {
    struct http_task task;
    struct peer *peer;
    size_t count;
    struct raft_message messages[];
};

/* Nobody, or nobody known (any more). How a snapshot ended is always told: who sent it keeps its
 * log for the receiver until then. */
static void send_to_nobody(struct peer *peer, struct raft_message *message)
{
    uint64_t to = message->to;
    bool is_snapshot = message->type == RAFT_MSG_SNAP;
    raft_message_fini(message);
    if (to && is_snapshot) {
        peer->options.report_snapshot(peer->options.arg, to, false);
    }
}

static void send_one(struct peer *peer, struct raft_message *message)
{
    struct remote *remote = message->to ? remote_find(peer, message->to) : NULL;
    if (remote) {
        remote_send(remote, message);
    } else {
        send_to_nobody(peer, message);
    }
}

static void run_send(struct http_task *task)
{
    struct send_task *send = CONTAINER_OF(task, struct send_task, task);
    struct peer *peer = send->peer;
    bool is_stopped = atomic_load(&peer->is_stopped);
    atomic_fetch_sub(&peer->waiting, send->count);
    for (size_t i = 0; i < send->count; i++) {
        if (is_stopped) {
            raft_message_fini(&send->messages[i]);
        } else {
            send_one(peer, &send->messages[i]);
        }
    }
    if (!is_stopped) {
        LIST_EACH(node, &peer->remotes)
        {
            remote_flush(LIST_ITEM(node, struct remote, node));
        }
    }
    free(send);
}

/* The peer thread does not keep up. */
static void drop_all(struct peer *peer, struct raft_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t to = messages[i].to;
        bool is_snapshot = messages[i].type == RAFT_MSG_SNAP;
        raft_message_fini(&messages[i]);
        if (to) {
            peer->options.report_unreachable(peer->options.arg, to);
        }
        if (to && is_snapshot) {
            peer->options.report_snapshot(peer->options.arg, to, false);
        }
    }
}

void peer_send(struct peer *peer, struct raft_message *messages, size_t count)
{
    if (count == 0) {
        return;
    }
    if (atomic_fetch_add(&peer->waiting, count) + count > WAITING_MAX) {
        atomic_fetch_sub(&peer->waiting, count);
        drop_all(peer, messages, count);
        return;
    }
    struct send_task *task = mem_alloc(sizeof(*task) + count * sizeof(*messages));
    task->task.run = run_send;
    task->peer = peer;
    task->count = count;
    memcpy(task->messages, messages, count * sizeof(*messages));
    memset(messages, 0, count * sizeof(*messages));
    http_run(peer->http, &task->task);
}
