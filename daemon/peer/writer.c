/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/writer.h"

#include "base/log.h"
#include "peer/inner.h"
#include "peer/remote.h"

#include <event2/event.h>

enum { WAITING_MAX = 4096 };

static const char *name_of(const struct writer *writer)
{
    return writer->frames.kind == FRAME_MSGAPP ? "stream MsgApp v2" : "stream Message";
}

static void on_heartbeat(evutil_socket_t fd, short what, void *arg)
{
    struct writer *writer = arg;
    (void)fd;
    (void)what;
    if (writer->request && http_pending(writer->request) == 0) {
        frame_add_heartbeat(&writer->frames, &writer->out);
        writer_flush(writer);
    }
}

void writer_init(struct writer *writer, struct remote *remote, enum frame_kind kind)
{
    *writer = (struct writer){.remote = remote};
    frame_writer_init(&writer->frames, kind);
    buf_init(&writer->out, SIZE_MAX);
    queue_init(&writer->waiting, WAITING_MAX);
    writer->heartbeat = event_new(remote->peer->base, -1, EV_PERSIST, on_heartbeat, writer);
    check(writer->heartbeat);
}

/* What it takes it said as the process that it was: the next may be of another release, or etcd. */
static void forget_form(struct remote *remote)
{
    if (!writer_is_attached(&remote->writers[FRAME_MESSAGE]) &&
        !writer_is_attached(&remote->writers[FRAME_MSGAPP])) {
        remote_takes(remote, SNAPSHOT_DATABASE);
    }
}

/* Nobody listens any more; what waited is lost. */
static struct http_request *detach(struct writer *writer)
{
    struct http_request *request = writer->request;
    struct remote *remote = writer->remote;
    struct raft_message message;
    writer->request = NULL;
    forget_form(remote);
    event_del(writer->heartbeat);
    buf_reset(&writer->out);
    while (queue_pop(&writer->waiting, &message)) {
        remote_drop(remote, &message);
    }
    return request;
}

static void on_writable(struct http_request *request, void *arg)
{
    (void)request;
    writer_flush(arg);
}

static void on_closed(struct http_request *request, void *arg)
{
    struct writer *writer = arg;
    check(writer->request == request);
    LOG_WARN("lost TCP streaming connection with remote peer",
        LOG_STR("stream-writer-type", name_of(writer)),
        LOG_STR("local-member-id", writer->remote->peer->self_text),
        LOG_STR("remote-peer-id", writer->remote->id_text));
    remote_deactivate(writer->remote, name_of(writer), "write", "connection closed");
    detach(writer);
    http_abort(request);
}

static void on_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    (void)request;
    (void)event;
    (void)bytes;
    (void)arg;
}

static const struct http_stream stream = {
    .body = on_body, .writable = on_writable, .closed = on_closed};

void writer_attach(struct writer *writer, struct http_request *request)
{
    int64_t every_ms =
        writer->remote->peer->options.read_ms / 3; /* the reader has the same limit */
    struct timeval every = {every_ms / 1000, every_ms % 1000 * 1000};
    struct http_request *old = detach(writer);
    if (old) {
        http_end(old);
        LOG_WARN("closed TCP streaming connection with remote peer",
            LOG_STR("stream-writer-type", name_of(writer)),
            LOG_STR("local-member-id", writer->remote->peer->self_text),
            LOG_STR("remote-peer-id", writer->remote->id_text));
    }
    frame_writer_init(&writer->frames, writer->frames.kind);
    writer->request = request;
    http_start(request, 200);
    http_body_stream(request, &stream, writer);
    event_add(writer->heartbeat, &every);
    remote_activate(writer->remote);
    LOG_INFO("established TCP streaming connection with remote peer",
        LOG_STR("stream-writer-type", name_of(writer)),
        LOG_STR("local-member-id", writer->remote->peer->self_text),
        LOG_STR("remote-peer-id", writer->remote->id_text));
}

static bool has_room(const struct writer *writer)
{
    return writer->out.len + http_pending(writer->request) < HTTP_PENDING_HIGH;
}

bool writer_add(struct writer *writer, struct raft_message *message)
{
    if (writer->waiting.count > 0 || !has_room(writer)) {
        return queue_push(&writer->waiting, message);
    }
    frame_add(&writer->frames, message, &writer->out);
    raft_message_fini(message);
    return true;
}

void writer_flush(struct writer *writer)
{
    struct raft_message message;
    if (!writer->request) {
        return;
    }
    while (has_room(writer) && queue_pop(&writer->waiting, &message)) {
        frame_add(&writer->frames, &message, &writer->out);
        raft_message_fini(&message);
    }
    if (writer->out.len > 0) {
        metric_add(writer->remote->metrics.sent_bytes, (double)writer->out.len);
        http_write(writer->request, &writer->out);
    }
}

void writer_fini(struct writer *writer)
{
    struct http_request *request = detach(writer);
    if (request) {
        http_end(request);
    }
    event_free(writer->heartbeat);
    buf_fini(&writer->out);
    queue_fini(&writer->waiting);
}
