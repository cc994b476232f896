/* SPDX-License-Identifier: Apache-2.0
 *
 * One question, one answer: the tries, what a failed one says and whether another follows. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ctl/lib/client_impl.h"

#include <grpc/byte_buffer.h>
#include <grpc/support/alloc.h>
#include <unistd.h>

enum { TRIES_MAX = 100, BACKOFF_MS = 25, PROBE_MS = 50 };

struct reply {
    grpc_byte_buffer *bytes;
    grpc_status_code code;
    grpc_slice details;
    char *peer;
};

static void reply_fini(struct reply *reply)
{
    grpc_byte_buffer_destroy(reply->bytes);
    grpc_slice_unref(reply->details);
    gpr_free(reply->peer);
}

/* One try: over this channel, and whether it waits for it to be connected. */
struct attempt {
    const struct client_method *method;
    grpc_byte_buffer *request;
    grpc_channel *channel;
    client_deadline deadline;
    bool waits;
};

static void call_once(struct client *client, const struct attempt *attempt, struct reply *out)
{
    grpc_slice path = grpc_slice_from_static_string(attempt->method->path);
    grpc_metadata sent[4];
    grpc_metadata_array received, trailing;
    grpc_call *call = grpc_channel_create_call(attempt->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
        client->queue, path, NULL, client_time(attempt->deadline), NULL);

    *out = (struct reply){.details = grpc_empty_slice()};
    grpc_metadata_array_init(&received);
    grpc_metadata_array_init(&trailing);
    grpc_op ops[6] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
            .flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET |
                     (attempt->waits ? GRPC_INITIAL_METADATA_WAIT_FOR_READY : 0)},
        {.op = GRPC_OP_SEND_MESSAGE},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_MESSAGE},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT},
    };
    ops[0].data.send_initial_metadata.count = client_metadata(client, false, sent);
    ops[0].data.send_initial_metadata.metadata = sent;
    ops[1].data.send_message.send_message = attempt->request;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &received;
    ops[4].data.recv_message.recv_message = &out->bytes;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
    ops[5].data.recv_status_on_client.status = &out->code;
    ops[5].data.recv_status_on_client.status_details = &out->details;
    (void)client_run_ops(client, call, ops, COUNT_OF(ops), out);
    out->peer = grpc_call_get_peer(call);
    grpc_metadata_array_destroy(&received);
    grpc_metadata_array_destroy(&trailing);
    grpc_call_unref(call);
}

/* Takes the text. */
static void set_details(struct reply *reply, struct buf *text)
{
    grpc_slice_unref(reply->details);
    reply->details = grpc_slice_from_copied_buffer((const char *)text->data, text->len);
    buf_fini(text);
}

/* A try that ran out of time says nothing about why there was no connection; one that does not wait
 * does. Only where the channel is known to be broken, so that nothing is sent. */
static void explain_deadline(
    struct client *client, const struct attempt *attempt, struct reply *reply)
{
    struct attempt probe = *attempt;
    struct reply answer;

    if (reply->code != GRPC_STATUS_DEADLINE_EXCEEDED ||
        grpc_channel_check_connectivity_state(attempt->channel, 0) !=
            GRPC_CHANNEL_TRANSIENT_FAILURE) {
        return;
    }
    probe.waits = false;
    probe.deadline = clock_mono_ns() + PROBE_MS * 1000000;
    call_once(client, &probe, &answer);
    if (answer.code == GRPC_STATUS_UNAVAILABLE) {
        struct buf text;
        buf_init(&text, SIZE_MAX);
        buf_add_str(&text, "latest balancer error: connection error: desc = \"");
        buf_add(&text, GRPC_SLICE_START_PTR(answer.details), GRPC_SLICE_LENGTH(answer.details));
        buf_add_byte(&text, '"');
        set_details(reply, &text);
    }
    reply_fini(&answer);
}

/* clientv3 says each failed try; tools look for the line. */
static void log_retry(const struct client *client, const struct client_method *method,
    unsigned attempt, const struct reply *reply)
{
    char stamp[40], text[sizeof(((struct why *)0)->text)];
    struct buf line;

    clock_format_log(clock_wall_ns(), stamp, sizeof(stamp));
    client_status_text(reply->code, reply->details, text, sizeof(text));
    buf_init(&line, 4096);
    buf_printf(&line,
        "{\"level\":\"warn\",\"ts\":\"%s\",\"logger\":\"%s\",\"caller\":\"lib/call.c:%d\",", stamp,
        client->logger, __LINE__);
    buf_printf(&line,
        "\"msg\":\"retrying of unary invoker failed\",\"target\":\"etcd-endpoints://%p/%s\",",
        (const void *)client, client->authority);
    buf_printf(&line, "\"peer\":\"%s\",\"method\":\"%s\",\"attempt\":%u,\"error\":\"",
        reply->peer ? reply->peer : "", method->path, attempt);
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at >= ' ') {
            buf_printf(&line, *at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
        }
    }
    buf_add_str(&line, "\"}\n");
    fflush(stdout);
    fwrite(line.data, 1, line.len, stderr);
    buf_fini(&line);
}

/* Between tries: after each round over a quorum of the endpoints. False when the deadline comes
 * before. */
static bool back_off(const struct client *client, unsigned attempt, client_deadline deadline)
{
    if (attempt % (client->lanes_count / 2 + 1) == 0) {
        usleep(BACKOFF_MS * 1000);
    }
    return deadline == 0 || clock_mono_ns() < deadline;
}

/* What the failed try calls for: another one, perhaps with a new token. */
static bool may_retry(struct client *client, const struct client_ask *ask,
    const struct reply *reply, struct err err, struct why *why)
{
    bool is_stale = IS(err, INVALID_AUTH_TOKEN) || IS(err, AUTH_OLD_REVISION);

    if (ask->method == &client_authenticate) {
        return false;
    }
    if (IS(err, USER_EMPTY) ? *client->user != '\0' : is_stale) {
        return !err_is(client_login(client, ask->deadline, why));
    }
    if (IS(err, NOT_SUPPORTED_FOR_LEARNER) && client->lanes_count > 1) {
        return true;
    }
    return ask->method->is_repeatable && reply->code == GRPC_STATUS_UNAVAILABLE;
}

/* What core says in other words than grpc-go. */
static void reword(struct reply *reply)
{
    static const char ours[] = "Received message larger than max (";
    size_t len = GRPC_SLICE_LENGTH(reply->details);

    if (len > sizeof(ours) &&
        memcmp(GRPC_SLICE_START_PTR(reply->details), ours, sizeof(ours) - 1) == 0) {
        struct buf text;
        buf_init(&text, SIZE_MAX);
        buf_add_str(&text, "grpc: received message larger than max (");
        buf_add(
            &text, GRPC_SLICE_START_PTR(reply->details) + sizeof(ours) - 1, len - sizeof(ours) + 1);
        set_details(reply, &text);
    }
}

static struct err try_calls(struct client *client, const struct client_ask *ask,
    grpc_byte_buffer *request, struct reply *out_reply, struct why *why)
{
    client_deadline deadline = ask->deadline;
    struct err err = OK;

    for (unsigned attempt = 0; attempt < TRIES_MAX; attempt++) {
        if (attempt > 0 && !back_off(client, attempt, deadline)) {
            return why_set(why, ERR(DEADLINE_EXCEEDED), "context deadline exceeded");
        }
        struct attempt one = {
            ask->method, request, client_pick(client, deadline)->channel, deadline, true};
        call_once(client, &one, out_reply);
        if (out_reply->code == GRPC_STATUS_OK) {
            return OK;
        }
        explain_deadline(client, &one, out_reply);
        reword(out_reply);
        log_retry(client, ask->method, attempt, out_reply);
        err = client_error(out_reply->code, out_reply->details, deadline, why);
        bool again = may_retry(client, ask, out_reply, err, why);
        reply_fini(out_reply);
        *out_reply = (struct reply){.details = grpc_empty_slice()};
        if (!again) {
            break;
        }
    }
    return err;
}

struct err client_call(
    struct client *client, const struct client_ask *ask, void *out_response, struct why *why)
{
    struct reply reply = {.details = grpc_empty_slice()};
    size_t size;
    grpc_byte_buffer *bytes = client_pack(ask->request, &size);
    struct err err;

    if (size > client->send_max) {
        err = why_set(why, ERR(IO),
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max "
            "(%zu vs. %zu)",
            size, client->send_max);
        goto out;
    }
    err = try_calls(client, ask, bytes, &reply, why);
    if (err_is(err)) {
        goto out;
    }
    err = client_unpack(ask->method->response, client->answers, reply.bytes, out_response);
    reply.bytes = NULL;
    if (err_is(err)) {
        err = why_set(why, err,
            "rpc error: code = Internal desc = grpc: failed to unmarshal the received message");
    }
out:
    reply_fini(&reply);
    grpc_byte_buffer_destroy(bytes);
    return err;
}
