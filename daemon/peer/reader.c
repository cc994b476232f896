/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/reader.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "peer/inner.h"
#include "peer/receive.h"
#include "peer/remote.h"
#include "peer/version.h"

#include <errno.h>
#include <event2/event.h>

enum { RETRY_MS = 100, ANSWER_MAX = 4096, SAY_AGAIN_MS = 30000 };

static const char *name_of(const struct reader *reader)
{
    return reader->kind == FRAME_MSGAPP ? "stream MsgApp v2" : "stream Message";
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    reader_dial(arg);
}

void reader_init(struct reader *reader, struct remote *remote, enum frame_kind kind)
{
    struct peer *peer = remote->peer;
    const struct peer_options *options = &peer->options;
    *reader = (struct reader){.remote = remote, .kind = kind};
    reader->client = http_client_new(peer->base, &options->dialing);
    reader->path = mem_printf(
        "/raft/stream/%s/%s", kind == FRAME_MSGAPP ? "msgapp" : "message", peer->self_text);
    reader->fields = mem_printf("%sX-Raft-To: %s\r\n", peer->fields, remote->id_text);
    reader->retry = evtimer_new(peer->base, on_retry, reader);
    check(reader->retry);
    frame_reader_init(&reader->frames, kind, options->self_id, remote->id, FRAME_BYTES_MAX);
}

void reader_fini(struct reader *reader)
{
    http_client_free(reader->client);
    event_free(reader->retry);
    frame_reader_fini(&reader->frames);
    free(reader->path);
    free(reader->fields);
}

static void dial_later(struct reader *reader)
{
    struct timeval after = {0, RETRY_MS * 1000};
    event_add(reader->retry, &after);
}

/* Ten times a second would be the same line: once, and again after a while. */
static void say_failure(struct reader *reader, const char *why)
{
    int64_t now = clock_mono_ms();
    if (strncmp(reader->said, why, sizeof(reader->said) - 1) == 0 &&
        now - reader->said_ms < SAY_AGAIN_MS) {
        return;
    }
    snprintf(reader->said, sizeof(reader->said), "%s", why);
    reader->said_ms = now;
    LOG_WARN("failed to dial stream of remote peer", LOG_STR("stream-reader-type", name_of(reader)),
        LOG_STR("local-member-id", reader->remote->peer->self_text),
        LOG_STR("remote-peer-id", reader->remote->id_text),
        LOG_STR("remote-peer-url", reader->target.authority), LOG_ERR(why));
}

static bool on_started(void *arg, const struct http_answer *answer)
{
    struct reader *reader = arg;
    struct peer *peer = reader->remote->peer;
    reader->is_supported = version_has_streams(http_answer_header(answer, "X-Server-Version"));
    if (!reader->is_supported) {
        return false;
    }
    frame_reader_fini(&reader->frames);
    frame_reader_init(
        &reader->frames, reader->kind, peer->options.self_id, reader->remote->id, FRAME_BYTES_MAX);
    reader->is_reading = true;
    reader->said[0] = 0;
    remote_dialed(reader->remote, false);
    remote_activate(reader->remote);
    LOG_INFO("established TCP streaming connection with remote peer",
        LOG_STR("stream-reader-type", name_of(reader)), LOG_STR("local-member-id", peer->self_text),
        LOG_STR("remote-peer-id", reader->remote->id_text));
    return true;
}

static void lose(struct reader *reader, const char *why)
{
    reader->is_reading = false;
    LOG_WARN("lost TCP streaming connection with remote peer",
        LOG_STR("stream-reader-type", name_of(reader)),
        LOG_STR("local-member-id", reader->remote->peer->self_text),
        LOG_STR("remote-peer-id", reader->remote->id_text), LOG_ERR(why));
}

static void on_piece(void *arg, struct slice bytes)
{
    struct reader *reader = arg;
    struct err err = OK;
    metric_add(reader->remote->metrics.received_bytes, (double)bytes.len);
    while (bytes.len && !err_is(err)) {
        struct raft_message message;
        bool has = false;
        err = frame_take(&reader->frames, &bytes, &has, &message);
        if (!err_is(err) && has) {
            receive_message(reader->remote->peer, &message);
        }
    }
    if (err_is(err)) {
        lose(reader, err_text(err));
        remote_deactivate(reader->remote, name_of(reader), "read", err_text(err));
        http_client_cancel(reader->client);
        dial_later(reader);
    }
}

/* A stream that was there is gone. An orderly end says nothing of the remote yet. */
static void on_end(struct reader *reader, const struct http_answer *answer)
{
    lose(reader, answer->why);
    if (!IS(answer->err, CLOSED)) {
        remote_deactivate(reader->remote, name_of(reader), "read", answer->why);
    }
}

static const char *refusal(struct reader *reader, const struct http_answer *answer, struct why *out)
{
    struct remote *remote = reader->remote;
    switch (answer->status) {
    case 410:
        receive_removed(remote->peer);
        return "the member has been permanently removed from the cluster";
    case 404:
        snprintf(out->text, sizeof(out->text), "peer %s failed to find local node %s",
            remote->id_text, remote->peer->self_text);
        return out->text;
    case 412:
        snprintf(out->text, sizeof(out->text), "%.*s",
            (int)(answer->body.len && answer->body.data[answer->body.len - 1] == '\n'
                      ? answer->body.len - 1
                      : answer->body.len),
            answer->body.len ? (const char *)answer->body.data : "");
        return out->text;
    default:
        snprintf(out->text, sizeof(out->text), "unhandled http status %d", answer->status);
        return out->text;
    }
}

/* The host is there, and nobody listens: only the system's words tell. */
static bool is_refused(const struct http_answer *answer)
{
    return err_is(answer->err) && strstr(answer->why, strerror(ECONNREFUSED)) != NULL;
}

static void on_done(void *arg, const struct http_answer *answer)
{
    struct reader *reader = arg;
    struct why text = {""};
    const char *why = answer->why;
    dial_later(reader);
    if (reader->is_reading) {
        on_end(reader, answer);
        return;
    }
    if (IS(answer->err, UNSUPPORTED)) {
        why = "unsupported stream type";
    } else if (!err_is(answer->err)) {
        why = refusal(reader, answer, &text);
    }
    say_failure(reader, why);
    remote_dialed(reader->remote, is_refused(answer));
    remote_unreachable(reader->remote, &reader->target);
    if (!IS(answer->err, UNSUPPORTED)) {
        remote_deactivate(reader->remote, name_of(reader), "dial", why);
    }
}

void reader_dial(struct reader *reader)
{
    reader->target = remote_target(reader->remote);
    struct http_call call = {
        .target = reader->target,
        .method = "GET",
        .path = reader->path,
        .fields = reader->fields,
        .answer_max = ANSWER_MAX,
        .idle_ms = reader->remote->peer->options.read_ms,
        .started = on_started,
        .piece = on_piece,
        .done = on_done,
        .arg = reader,
    };
    http_client_call(reader->client, &call);
}
