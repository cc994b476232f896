/* SPDX-License-Identifier: Apache-2.0
 *
 *   peer thread: message -> database, piece by piece into the box -> its end, or it broke off
 *   its own:     from the box to the disk; then the owner is asked, and its answer is the request's
 *
 * Who answers the request gives the last turn to the peer thread, which frees.
 */
#include "peer/snapreceive.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "peer/call.h"
#include "peer/frame.h"
#include "peer/inner.h"
#include "peer/receive.h"
#include "peer/snapbox.h"
#include "peer/snapsave.h"
#include "peer/thread.h"

#include <event2/event.h>
#include <sys/prctl.h>

enum {
    RECEIVING_MAX = 4,
    PROGRESS_BYTES = 16 << 10, /* meanwhile, or its sender is as good as gone */
};

struct snapreceive {
    struct list node; /* of all that are under way */
    struct http_task end;
    struct peer_call call;
    struct peer *peer;
    struct frame_reader reader;
    struct raft_message message;
    bool has_message;
    bool is_over; /* its end, or its break, was told */
    bool is_paused;
    bool was_paused; /* since the last look */
    size_t came;     /* the same */
    struct event *look;
    uint64_t from;
    uint64_t term; /* its sender's */
    char from_text[17];
    struct snapbox box;
    struct snapsave save;
    int64_t start_ns;
};

static void stop_look(struct snapreceive *receive)
{
    if (receive->look) {
        event_free(receive->look);
        receive->look = NULL;
    }
}

static void run_end(struct http_task *task)
{
    struct snapreceive *receive = CONTAINER_OF(task, struct snapreceive, end);
    atomic_fetch_sub(&receive->peer->receiving, 1);
    list_remove(&receive->node);
    stop_look(receive);
    if (receive->save.path) {
        struct metric *inflights = receive->peer->metrics.snapshot_receive_inflights;
        metric_add(metrics_of(inflights, receive->from_text), -1);
    }
    frame_reader_fini(&receive->reader);
    raft_message_fini(&receive->message);
    snapbox_fini(&receive->box);
    snapsave_fini(&receive->save);
    free(receive);
}

/* The request is given back; nothing is called after. */
static void finish(struct snapreceive *receive)
{
    http_run(receive->peer->http, &receive->end);
}

static void refuse(struct snapreceive *receive, int status, const char *text)
{
    struct metric *failures = receive->peer->metrics.snapshot_receive_failures;
    metric_inc(metrics_of(failures, receive->from_text[0] ? receive->from_text : "0"));
    http_respond_error(receive->call.request, status, text);
    finish(receive);
}

/* The thread. */

static void count_saved(const struct snapreceive *receive)
{
    struct metric *received = receive->peer->metrics.received_bytes;
    metric_add(metrics_of(received, receive->from_text), (double)receive->save.bytes);
    metric_observe(receive->peer->metrics.database_save_seconds,
        (double)(clock_mono_ns() - receive->start_ns) / 1e9);
    LOG_INFO("received and saved database snapshot",
        LOG_STR("local-member-id", receive->peer->self_text),
        LOG_STR("remote-snapshot-sender-id", receive->from_text),
        LOG_UINT("incoming-snapshot-index", receive->message.snapshot->meta.index),
        LOG_UINT("incoming-snapshot-size-bytes", receive->save.bytes),
        LOG_NS("download-took", clock_mono_ns() - receive->start_ns));
}

static void *run(void *arg)
{
    struct snapreceive *receive = arg;
    struct peer *peer = receive->peer;
    struct why why = {""};
    prctl(PR_SET_NAME, "peer/snaprecv");
    struct err err = snapsave_run(&receive->save, &why);
    if (err_is(err)) {
        struct why text;
        why_set(&text, err, "failed to save KV snapshot (%s)", why.text);
        LOG_WARN("failed to save incoming database snapshot",
            LOG_STR("local-member-id", peer->self_text),
            LOG_STR("remote-snapshot-sender-id", receive->from_text), LOG_ERR(why.text));
        refuse(receive, 500, text.text);
    } else {
        count_saved(receive);
        peer->options.receive_snapshot(
            peer->options.arg, &receive->message, receive->save.path, &receive->call);
    }
    thread_end(peer);
    return NULL;
}

void peer_snapshot_taken(struct peer_call *call, struct err err)
{
    struct snapreceive *receive = CONTAINER_OF(call, struct snapreceive, call);
    const struct metrics *metrics = &receive->peer->metrics;
    if (err_is(err)) {
        struct why text;
        why_set(&text, err, "failed to process raft message (%s)", err_text(err));
        refuse(receive, 500, text.text);
        return;
    }
    metric_inc(metrics_of(metrics->snapshot_receive, receive->from_text));
    metric_observe(metrics_of(metrics->snapshot_receive_seconds, receive->from_text),
        (double)(clock_mono_ns() - receive->start_ns) / 1e9);
    http_respond(call->request, 204, (struct slice){0});
    finish(receive);
}

/* The peer thread. */

static void run_resume(struct http_task *task)
{
    struct snapreceive *receive = CONTAINER_OF(task, struct snapreceive, box.resume);
    if (!receive->is_over && receive->is_paused) {
        receive->is_paused = false;
        http_body_pause(receive->call.request, false);
    }
}

static void take_database(struct snapreceive *receive, struct slice bytes)
{
    snapbox_push(&receive->box, bytes);
    if (snapbox_is_full(&receive->box) && !receive->is_paused) {
        receive->is_paused = receive->was_paused = true;
        http_body_pause(receive->call.request, true);
        if (snapbox_ask_resume(&receive->box)) {
            run_resume(&receive->box.resume);
        }
    }
}

static bool begin_thread(struct snapreceive *receive)
{
    struct peer *peer = receive->peer;
    metric_add(metrics_of(peer->metrics.snapshot_receive_inflights, receive->from_text), 1);
    LOG_INFO("receiving database snapshot", LOG_STR("local-member-id", peer->self_text),
        LOG_STR("remote-snapshot-sender-id", receive->from_text),
        LOG_UINT("incoming-snapshot-index", receive->message.snapshot->meta.index));
    return thread_start(peer, run, receive);
}

static void give_up(struct snapreceive *receive, int status, const char *text)
{
    receive->is_over = true;
    stop_look(receive);
    refuse(receive, status, text);
}

/* What comes, as the sender says; 0: it does not say. */
static uint64_t bytes_announced(const struct snapreceive *receive)
{
    struct slice field = http_header(receive->call.request,
        receive->save.form == SNAPSHOT_ROWS ? PEER_ROWS_BYTES : "Content-Length");
    char text[24] = "";
    if (!field.len || field.len >= sizeof(text)) {
        return 0;
    }
    memcpy(text, field.data, field.len);
    return strtoull(text, NULL, 10);
}

static bool begin_save(struct snapreceive *receive, struct why *why)
{
    struct why told = {""};
    struct err err =
        snapsave_begin(&receive->save, receive->message.snapshot, bytes_announced(receive), &told);
    if (!err_is(err)) {
        return true;
    }
    why_set(why, err, "failed to save KV snapshot (%s)", told.text);
    LOG_WARN("failed to save incoming database snapshot",
        LOG_STR("local-member-id", receive->peer->self_text),
        LOG_STR("remote-snapshot-sender-id", receive->from_text), LOG_ERR(why->text));
    return false;
}

/* No more comes, whole or not. */
static void end_body(struct snapreceive *receive, bool is_whole)
{
    receive->is_over = true;
    stop_look(receive);
    if (receive->has_message) {
        snapbox_end(&receive->box, is_whole);
    } else {
        refuse(receive, 400, "failed to decode raft message (unexpected EOF)");
    }
}

/* A member sends one at a time, and only while it leads: its own earlier ones, and those of leaders
 * before, are of no use to anyone, however fast they come. */
static void end_others(const struct snapreceive *receive)
{
    LIST_EACH(node, &receive->peer->receives)
    {
        struct snapreceive *other = LIST_ITEM(node, struct snapreceive, node);
        if (other != receive && other->has_message && !other->is_over &&
            (other->from == receive->from || other->term < receive->term)) {
            LOG_INFO("gave up a database snapshot for a newer one",
                LOG_STR("local-member-id", receive->peer->self_text),
                LOG_STR("remote-snapshot-sender-id", other->from_text));
            end_body(other, false);
        }
    }
}

static void begin_database(struct snapreceive *receive)
{
    struct why why = {""};
    struct raft_message *message = &receive->message;
    receive->from = message->from;
    receive->term = message->term;
    snprintf(
        receive->from_text, sizeof(receive->from_text), "%llx", (unsigned long long)message->from);
    if (message->type != RAFT_MSG_SNAP) {
        give_up(receive, 400, "wrong raft message type");
        return;
    }
    enum receive_result result = receive_check(receive->peer, message);
    if (result == RECEIVE_FROM_REMOVED) {
        give_up(receive, 403, "cannot process message from removed member");
    } else if (result != RECEIVE_OK) {
        give_up(receive, 412, "cannot process message to mismatch member");
    } else if (!begin_save(receive, &why)) {
        give_up(receive, 500, why.text);
    } else if (!begin_thread(receive)) {
        give_up(receive, 500, "failed to save KV snapshot (no thread)");
    } else {
        receive->has_message = true;
        end_others(receive);
    }
}

static void take_message(struct snapreceive *receive, struct slice bytes)
{
    bool has = false;
    struct err err = frame_take(&receive->reader, &bytes, &has, &receive->message);
    if (err_is(err)) {
        struct why text;
        why_set(&text, err, "failed to decode raft message (%s)", err_text(err));
        give_up(receive, 400, text.text);
        return;
    }
    if (has) {
        begin_database(receive);
    }
    if (has && receive->has_message && bytes.len) {
        take_database(receive, bytes);
    }
}

static void on_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct snapreceive *receive = arg;
    (void)request;
    if (receive->is_over) {
        return;
    }
    if (event != HTTP_BODY_BYTES) {
        end_body(receive, event == HTTP_BODY_END);
        return;
    }
    receive->came += bytes.len;
    if (receive->has_message) {
        take_database(receive, bytes);
    } else {
        take_message(receive, bytes);
    }
}

static void on_closed(struct http_request *request, void *arg)
{
    struct snapreceive *receive = arg;
    (void)request;
    if (!receive->is_over) {
        end_body(receive, false);
    }
}

/* Silent for too long, or as good as that, unless it is us who do not read. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct snapreceive *receive = arg;
    bool is_slow = receive->came < PROGRESS_BYTES && !receive->is_paused && !receive->was_paused;
    (void)fd;
    (void)what;
    receive->came = 0;
    receive->was_paused = receive->is_paused;
    if (is_slow && !receive->is_over) {
        LOG_WARN("a snapshot comes too slowly, its sender is given up",
            LOG_STR("local-member-id", receive->peer->self_text),
            LOG_STR("remote-snapshot-sender-id", receive->from_text));
        end_body(receive, false);
    }
}

static void start_look(struct snapreceive *receive)
{
    int64_t ms = receive->peer->options.progress_ms;
    struct timeval every = {ms / 1000, ms % 1000 * 1000};
    receive->look = event_new(receive->peer->base, -1, EV_PERSIST, on_look, receive);
    check(receive->look && event_add(receive->look, &every) == 0);
}

static const struct http_stream stream = {.body = on_body, .closed = on_closed};

/* Rows or files, and not as this member has them: not to be taken for a database. */
static bool is_of_another_form(const struct snapreceive *receive)
{
    const struct http_request *request = receive->call.request;
    return receive->save.form == SNAPSHOT_DATABASE &&
           (http_header(request, PEER_FILES_BODY).data ||
               http_header(request, PEER_ROWS_BODY).data);
}

void snapreceive_serve(struct peer *peer, struct http_request *request)
{
    struct snapreceive *receive = mem_new(sizeof(*receive));
    receive->end.run = run_end;
    receive->peer = peer;
    receive->call = (struct peer_call){.peer = peer, .request = request};
    receive->start_ns = clock_mono_ns();
    list_push(&peer->receives, &receive->node);
    snapbox_init(&receive->box, peer->http, run_resume);
    snapsave_init(&receive->save, peer,
        peer_form_of(peer, request, PEER_FILES_BODY, PEER_ROWS_BODY), &receive->box);
    frame_reader_init(&receive->reader, FRAME_MESSAGE, 0, 0, FRAME_ENVELOPE_MAX);
    if (atomic_fetch_add(&peer->receiving, 1) >= RECEIVING_MAX) {
        give_up(receive, 500, "too many snapshots under way");
        return;
    }
    if (is_of_another_form(receive)) {
        give_up(receive, 415, "a snapshot in a form that this member does not read");
        return;
    }
    start_look(receive);
    http_body_stream(request, &stream, receive);
}
