/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/pipeline.h"

#include "base/log.h"
#include "base/mem.h"
#include "peer/codec.h"
#include "peer/inner.h"
#include "peer/receive.h"
#include "peer/remote.h"

enum { WAITING_MAX = 64, TIMEOUT_MS = 10000, ANSWER_MAX = 4096 };

void pipeline_init(struct pipeline *pipeline, struct remote *remote)
{
    const struct peer_options *options = &remote->peer->options;
    queue_init(&pipeline->waiting, WAITING_MAX);
    pipeline->fields = mem_printf("Content-Type: application/protobuf\r\n%s", remote->peer->fields);
    for (size_t i = 0; i < PIPELINE_WORKERS; i++) {
        struct pipeline_worker *worker = &pipeline->workers[i];
        *worker = (struct pipeline_worker){.remote = remote};
        buf_init(&worker->body, SIZE_MAX);
        worker->client = http_client_new(remote->peer->base, &options->dialing);
    }
}

void pipeline_fini(struct pipeline *pipeline)
{
    for (size_t i = 0; i < PIPELINE_WORKERS; i++) {
        http_client_free(pipeline->workers[i].client);
        buf_fini(&pipeline->workers[i].body);
    }
    queue_fini(&pipeline->waiting);
    free(pipeline->fields);
}

const char *pipeline_refusal(
    struct remote *remote, const struct http_answer *answer, struct why *out)
{
    struct slice body = answer->body;
    if (err_is(answer->err)) {
        return answer->why;
    }
    if (answer->status == 204) {
        return NULL;
    }
    if (answer->status == 403) {
        receive_removed(remote->peer);
        return "the member has been permanently removed from the cluster";
    }
    if (body.len && body.data[body.len - 1] == '\n') {
        body.len--;
    }
    snprintf(out->text, sizeof(out->text), "unexpected http status %s: %.*s",
        http_status_text(answer->status), (int)(body.len < 200 ? body.len : 200),
        body.len ? (const char *)body.data : "");
    return out->text;
}

static void post(struct pipeline_worker *worker, struct raft_message *message);

static void on_done(void *arg, const struct http_answer *answer)
{
    struct pipeline_worker *worker = arg;
    struct remote *remote = worker->remote;
    struct raft_message next;
    struct why text = {""};
    const char *why = pipeline_refusal(remote, answer, &text);
    worker->is_busy = false;
    if (why) {
        remote_unreachable(remote, &worker->target);
        remote_deactivate(remote, "pipeline", "write", why);
        remote->peer->options.report_unreachable(remote->peer->options.arg, remote->id);
        metric_inc(remote->metrics.sent_failures);
    } else {
        remote_activate(remote);
        metric_add(remote->metrics.sent_bytes, (double)worker->body.len);
    }
    if (queue_pop(&remote->pipeline.waiting, &next)) {
        post(worker, &next);
    }
}

static void post(struct pipeline_worker *worker, struct raft_message *message)
{
    buf_reset(&worker->body);
    codec_add_message(message, &worker->body);
    raft_message_fini(message);
    worker->is_busy = true;
    worker->target = remote_target(worker->remote);
    struct http_call call = {
        .target = worker->target,
        .method = "POST",
        .path = "/raft",
        .fields = worker->remote->pipeline.fields,
        .body = buf_slice(&worker->body),
        .answer_max = ANSWER_MAX,
        .timeout_ms = TIMEOUT_MS,
        .write_ms = worker->remote->peer->options.write_ms,
        .done = on_done,
        .arg = worker,
    };
    http_client_call(worker->client, &call);
}

bool pipeline_send(struct pipeline *pipeline, struct raft_message *message)
{
    for (size_t i = 0; i < PIPELINE_WORKERS; i++) {
        if (!pipeline->workers[i].is_busy) {
            post(&pipeline->workers[i], message);
            return true;
        }
    }
    return queue_push(&pipeline->waiting, message);
}
