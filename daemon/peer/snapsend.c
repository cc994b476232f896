/* SPDX-License-Identifier: Apache-2.0
 *
 * The post's body: u64 big-endian length, raftpb.Message (MsgSnap), then the database's bytes as
 * they are; for a member that keeps its store as this one does, the store's files instead, or its
 * rows (chunked, as nobody knows their length). Constant memory: what is read is what the other
 * side takes.
 */
#include "peer/snapsend.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "peer/codec.h"
#include "peer/frame.h"
#include "peer/inner.h"
#include "peer/receive.h"
#include "peer/remote.h"
#include "peer/thread.h"

#include <event2/event.h>
#include <sys/prctl.h>

enum {
    SENDING_MAX = 4,
    LOOK_MS = 100,
    WRITE_MS = 30000,
    IDLE_MS = 3600000, /* behind the last byte: it is looked through and synced; a host that is gone
                          is told of by the socket */
    ANSWER_MAX = 4096,
};

struct snapsend {
    struct http_task task; /* the end, told to the peer thread */
    struct peer *peer;
    uint64_t id;
    char id_text[17];
    struct arena *arena;
    struct http_target target;
    struct raft_message message;
    struct snapshot_export *export;
    struct buf envelope;
    size_t envelope_sent;
    struct event_base *base;
    struct event *look;
    struct http_client *client;
    char *fields;
    int64_t start_ns;
    uint64_t bytes; /* of rows: as many as were sent so far */
    enum snapshot_form form;
    unsigned ended;  /* peer->sends_ended when it began */
    bool is_removed; /* the answer says this member was */
    bool is_unread;  /* it says that its receiver does not read this form */
    bool is_ok;
    struct why why;
};

static void snapsend_free(struct snapsend *send)
{
    raft_message_fini(&send->message);
    snapshot_export_close(send->export);
    buf_fini(&send->envelope);
    arena_free(send->arena);
    free(send->fields);
    free(send);
}

static void tell_raft(struct peer *peer, uint64_t id, bool is_ok)
{
    const struct peer_options *options = &peer->options;
    if (!is_ok) {
        options->report_unreachable(options->arg, id);
    }
    options->report_snapshot(options->arg, id, is_ok);
}

static void run_end(struct http_task *task)
{
    struct snapsend *send = CONTAINER_OF(task, struct snapsend, task);
    struct peer *peer = send->peer;
    bool is_stopped = atomic_load(&peer->is_stopped);
    struct remote *remote = is_stopped ? NULL : remote_find(peer, send->id);
    atomic_fetch_sub(&peer->sending, 1);
    if (remote && send->is_ok) {
        remote_activate(remote);
    } else if (remote) {
        remote_unreachable(remote, &send->target);
        remote_deactivate(remote, "sendMsgSnap", "post", send->why.text);
        metric_inc(remote->metrics.sent_failures);
    }
    if (remote && send->is_unread) {
        remote_takes(remote, SNAPSHOT_DATABASE);
    }
    if (!is_stopped && send->is_removed) {
        receive_removed(peer);
    }
    if (!is_stopped) {
        tell_raft(peer, send->id, send->is_ok);
    }
    snapsend_free(send);
}

/* The thread. */

static struct err produce(void *arg, void *out, size_t size, size_t *out_got, struct why *why)
{
    struct snapsend *send = arg;
    size_t left = send->envelope.len - send->envelope_sent;
    if (left == 0) {
        TRY(snapshot_export_read(send->export, out, size, out_got, why));
        send->bytes += send->form == SNAPSHOT_ROWS ? *out_got : 0;
        return OK;
    }
    size_t len = left < size ? left : size;
    memcpy(out, send->envelope.data + send->envelope_sent, len);
    send->envelope_sent += len;
    *out_got = len;
    return OK;
}

static void on_done(void *arg, const struct http_answer *answer)
{
    struct snapsend *send = arg;
    send->is_ok = !err_is(answer->err) && answer->status == 204;
    send->is_removed = !err_is(answer->err) && answer->status == 403;
    send->is_unread = !err_is(answer->err) && answer->status == 415;
    if (err_is(answer->err)) {
        why_set(&send->why, answer->err, "%s", answer->why);
    } else if (!send->is_ok) {
        why_set(&send->why, ERR(IO), "unexpected http status %d: %.*s", answer->status,
            (int)(answer->body.len < 200 ? answer->body.len : 200),
            answer->body.len ? (const char *)answer->body.data : "");
    }
    event_base_loopbreak(send->base);
}

/* Why it must not go on; NULL: it may. */
static const char *over_why(const struct snapsend *send)
{
    if (atomic_load(&send->peer->is_stopped)) {
        return "stopped";
    }
    return atomic_load(&send->peer->sends_ended) != send->ended
               ? "this member's store is being replaced"
               : NULL;
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct snapsend *send = arg;
    const char *text = over_why(send);
    (void)fd;
    (void)what;
    if (text) {
        why_set(&send->why, ERR(STOPPED), "%s", text);
        event_base_loopbreak(send->base);
    }
}

static void post(struct snapsend *send)
{
    struct timeval every = {0, LOOK_MS * 1000};
    const struct peer_options *options = &send->peer->options;
    send->base = event_base_new();
    send->look = event_new(send->base, -1, EV_PERSIST, on_look, send);
    check(send->look && event_add(send->look, &every) == 0);
    send->client = http_client_new(send->base, &options->dialing);
    struct http_call call = {
        .target = send->target,
        .method = "POST",
        .path = "/raft/snapshot",
        .fields = send->fields,
        .produce = produce,
        .body_bytes = send->bytes,
        .is_chunked = send->form == SNAPSHOT_ROWS,
        .answer_max = ANSWER_MAX,
        .idle_ms = IDLE_MS,
        .write_ms = WRITE_MS,
        .done = on_done,
        .arg = send,
    };
    http_client_call(send->client, &call);
    event_base_dispatch(send->base);
    http_client_free(send->client);
    event_free(send->look);
    event_base_loop(send->base, EVLOOP_NONBLOCK); /* libevent frees connections one turn later */
    event_base_free(send->base);
}

static char *make_fields(const struct snapsend *send)
{
    static const char type[] = "Content-Type: application/octet-stream\r\n";
    const struct peer *peer = send->peer;
    switch (send->form) {
    case SNAPSHOT_FILES:
        return mem_printf(
            "%s%s" PEER_FILES_BODY ": %s\r\n", type, peer->fields, peer->options.files_format);
    case SNAPSHOT_ROWS:
        return mem_printf("%s%s" PEER_ROWS_BODY ": %s\r\n" PEER_ROWS_BYTES ": %llu\r\n", type,
            peer->fields, peer->options.rows_format,
            (unsigned long long)snapshot_export_bytes(send->export));
    case SNAPSHOT_DATABASE:
        break;
    }
    return mem_printf("%s%s", type, peer->fields);
}

static void add_envelope(struct snapsend *send)
{
    struct frame_writer writer;
    frame_writer_init(&writer, FRAME_MESSAGE);
    buf_init(&send->envelope, SIZE_MAX);
    frame_add(&writer, &send->message, &send->envelope);
    send->bytes = send->envelope.len +
                  (send->form == SNAPSHOT_ROWS ? 0 : snapshot_export_bytes(send->export));
}

static void log_start(const struct snapsend *send)
{
    LOG_INFO("sending database snapshot",
        LOG_UINT("snapshot-index", send->message.snapshot->meta.index),
        LOG_STR("remote-peer-id", send->id_text), LOG_UINT("bytes", send->bytes));
}

static void count_end(const struct snapsend *send)
{
    const struct metrics *metrics = &send->peer->metrics;
    uint64_t index = send->message.snapshot->meta.index;
    if (!send->is_ok) {
        LOG_WARN("failed to send database snapshot", LOG_UINT("snapshot-index", index),
            LOG_STR("remote-peer-id", send->id_text), LOG_UINT("bytes", send->bytes),
            LOG_ERR(send->why.text));
        metric_inc(metrics_of(metrics->snapshot_send_failures, send->id_text));
        return;
    }
    double seconds = (double)(clock_mono_ns() - send->start_ns) / 1e9;
    LOG_INFO("sent database snapshot", LOG_UINT("snapshot-index", index),
        LOG_STR("remote-peer-id", send->id_text), LOG_UINT("bytes", send->bytes));
    metric_add(metrics_of(metrics->sent_bytes, send->id_text), (double)send->bytes);
    metric_inc(metrics_of(metrics->snapshot_send, send->id_text));
    metric_observe(metrics_of(metrics->snapshot_send_seconds, send->id_text), seconds);
}

/* Making it may take long, and whoever takes it may be another process by now, which would keep
 * files or rows for a database. */
static struct err check_form(const struct snapsend *send, struct why *why)
{
    bool is_read = snapshot_export_form(send->export) == SNAPSHOT_DATABASE ||
                   peer_taken_by(send->peer, send->id) == send->form;
    return is_read ? OK : why_set(why, ERR(STOPPED), "its receiver takes another form by now");
}

static bool is_over(void *arg)
{
    return over_why(arg) != NULL;
}

/* A database is a walk over the whole store, which whoever waits for the end of it would wait for
 * too. */
static struct err open_export(struct snapsend *send, struct why *why)
{
    const struct peer_options *options = &send->peer->options;
    struct snapshot_order order = {send->form, is_over, send};
    struct err err =
        options->snapshot_open(options->arg, &send->message, &order, &send->export, why);
    const char *text = over_why(send);
    if (err_is(err) && text) {
        return why_set(why, err, "%s", text);
    }
    return err_is(err) ? err : check_form(send, why);
}

static void *run(void *arg)
{
    struct snapsend *send = arg;
    struct peer *peer = send->peer;
    struct metric *inflights = metrics_of(peer->metrics.snapshot_send_inflights, send->id_text);
    prctl(PR_SET_NAME, "peer/snapsend");
    metric_add(inflights, 1);
    struct err err = open_export(send, &send->why);
    if (err_is(err) && !send->why.text[0]) {
        why_set(&send->why, err, "%s", err_text(err));
    }
    if (!err_is(err)) {
        send->form = snapshot_export_form(send->export);
        add_envelope(send);
        send->fields = make_fields(send);
        log_start(send);
        post(send);
    }
    /* A store's worth of files may go with it: the peer thread has heartbeats to send. */
    snapshot_export_close(send->export);
    send->export = NULL;
    count_end(send);
    metric_add(inflights, -1);
    http_run(peer->http, &send->task);
    thread_end(peer);
    return NULL;
}

void snapsend_start(struct remote *remote, struct raft_message *message)
{
    struct peer *peer = remote->peer;
    struct snapsend *send = mem_new(sizeof(*send));
    struct url url;
    send->task.run = run_end;
    send->peer = peer;
    send->id = remote->id;
    memcpy(send->id_text, remote->id_text, sizeof(send->id_text));
    send->arena = arena_new(0);
    struct err err = url_parse(send->arena, remote->urls.items[remote->picked].text, &url, NULL);
    check(!err_is(err));
    send->target = remote_url_target(send->arena, &url);
    send->message = *message;
    *message = (struct raft_message){0};
    send->form = peer_taken_by(peer, remote->id);
    send->ended = atomic_load(&peer->sends_ended);
    send->start_ns = clock_mono_ns();
    bool has_room = atomic_fetch_add(&peer->sending, 1) < SENDING_MAX && remote->is_member;
    if (!has_room || !thread_start(peer, run, send)) {
        why_set(&send->why, ERR(BUSY), "too many snapshots under way");
        run_end(&send->task);
    }
}
