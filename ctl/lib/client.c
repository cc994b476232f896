/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "base/version.h"
#include "ctl/lib/client_impl.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <rpc.pb-c.h>
#include <unistd.h>

enum {
    SEND_BYTES_MAX = 2 << 20,
    TRIES_MAX = 100,
    BACKOFF_MS = 25,
    KEEPALIVE_MS_MIN = 10000,
    PICK_MS = 20,
    PROBE_MS = 50
};

static const char *const code_names[] = {"OK", "Canceled", "Unknown", "InvalidArgument",
    "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied", "ResourceExhausted",
    "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated"};

gpr_timespec client_time(client_deadline deadline)
{
    if (deadline == 0) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    gpr_timespec span = gpr_time_from_nanos(deadline - clock_mono_ns(), GPR_TIMESPAN);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), span);
}

void client_status_text(grpc_status_code code, grpc_slice details, char *out, size_t size)
{
    const char *name = (size_t)code < COUNT_OF(code_names) ? code_names[code] : "Unknown";

    snprintf(out, size, "rpc error: code = %s desc = %.*s", name, (int)GRPC_SLICE_LENGTH(details),
        (const char *)GRPC_SLICE_START_PTR(details));
}

/* The error of that text, if it is one that etcd's clients know. */
static struct err known_error(grpc_slice details)
{
    struct slice text = slice_of(GRPC_SLICE_START_PTR(details), GRPC_SLICE_LENGTH(details));

    for (int code = ERR_OK + 1; code < ERR_CODES; code++) {
        struct err err = {(enum err_code)code};
        struct slice known = slice_str(err_text(err));
        if (slice_has_prefix(known, SLICE("etcdserver: ")) && slice_eq(known, text)) {
            return err;
        }
    }
    return OK;
}

struct err client_error(
    grpc_status_code code, grpc_slice details, client_deadline deadline, struct why *why)
{
    char text[sizeof(why->text)];
    struct err known = known_error(details);

    if (err_is(known)) {
        return why_set(why, known, "%s", err_text(known));
    }
    if (code == GRPC_STATUS_DEADLINE_EXCEEDED && deadline != 0) {
        return why_set(why, ERR(DEADLINE_EXCEEDED), "context deadline exceeded");
    }
    client_status_text(code, details, text, sizeof(text));
    return why_set(why, ERR(IO), "%s", text);
}

size_t client_metadata(const struct client *client, bool needs_leader, grpc_metadata *out)
{
    size_t count = 0;

    out[count++] = (grpc_metadata){.key = grpc_slice_from_static_string("client-api-version"),
        .value = grpc_slice_from_static_buffer(
            KETCD_CLUSTER_VERSION, sizeof(KETCD_CLUSTER_VERSION) - 3)};
    if (*client->token) {
        out[count++] = (grpc_metadata){.key = grpc_slice_from_static_string("token"),
            .value = grpc_slice_from_static_string(client->token)};
    }
    if (needs_leader) {
        out[count++] = (grpc_metadata){.key = grpc_slice_from_static_string("hasleader"),
            .value = grpc_slice_from_static_string("true")};
    }
    return count;
}

bool client_run_ops(
    struct client *client, grpc_call *call, const grpc_op *ops, size_t count, void *tag)
{
    check(grpc_call_start_batch(call, ops, count, tag, NULL) == GRPC_CALL_OK);
    return grpc_completion_queue_pluck(client->queue, tag, gpr_inf_future(GPR_CLOCK_REALTIME), NULL)
               .success != 0;
}

grpc_byte_buffer *client_pack(const void *message, size_t *out_size)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(size);

    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    *out_size = size;
    return bytes;
}

struct err client_unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
    grpc_byte_buffer *bytes, void *out_message)
{
    grpc_byte_buffer_reader reader;
    struct err err = ERR(BAD_FORMAT);

    if (bytes && grpc_byte_buffer_reader_init(&reader, bytes)) {
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        struct slice copy =
            arena_dup(arena, slice_of(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all)));
        err = pb_unpack(type, arena, copy, out_message);
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(bytes);
    return err;
}

static client_deadline soonest(client_deadline deadline, int64_t ms)
{
    client_deadline soon = clock_mono_ns() + ms * 1000000;
    return deadline != 0 && deadline < soon ? deadline : soon;
}

/* clientv3's round robin: the first connected one in turn; as long as none is, all of them try. */
struct client_lane *client_pick(struct client *client, client_deadline deadline)
{
    size_t count = client->lanes_count;

    while (count > 1 && (deadline == 0 || clock_mono_ns() < deadline)) {
        for (size_t i = 0; i < count; i++) {
            size_t lane = (client->next + i) % count;
            client->lanes[lane].state =
                grpc_channel_check_connectivity_state(client->lanes[lane].channel, 1);
            if (client->lanes[lane].state == GRPC_CHANNEL_READY) {
                client->next = (lane + 1) % count;
                return &client->lanes[lane];
            }
        }
        for (size_t i = 0; i < count; i++) {
            grpc_channel_watch_connectivity_state(client->lanes[i].channel, client->lanes[i].state,
                client_time(soonest(deadline, PICK_MS)), client->queue, &client->lanes[i]);
        }
        for (size_t i = 0; i < count; i++) {
            (void)grpc_completion_queue_pluck(
                client->queue, &client->lanes[i], gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        }
    }
    return &client->lanes[client->next];
}

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
        "{\"level\":\"warn\",\"ts\":\"%s\",\"logger\":\"%s\",\"caller\":\"lib/client.c:%d\",",
        stamp, client->logger, __LINE__);
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

struct err client_login(struct client *client, client_deadline deadline, struct why *why)
{
    Etcdserverpb__AuthenticateRequest request = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;
    const Etcdserverpb__AuthenticateResponse *response = NULL;

    if (!*client->user) {
        return OK;
    }
    request.name = (char *)(uintptr_t)client->user;
    request.password = (char *)(uintptr_t)client->password;
    client->token = "";
    struct err err =
        client_call(client, CLIENT_ASK(&client_authenticate, &request, deadline), &response, why);
    if (IS(err, AUTH_NOT_ENABLED)) {
        return OK;
    }
    TRY(err);
    client->token = arena_strdup(client->arena, response->token);
    return OK;
}

static grpc_arg int_arg(const char *key, int64_t value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER,
        .key = (char *)(uintptr_t)key,
        .value.integer = value > INT32_MAX ? INT32_MAX : (int)value};
}

static grpc_arg text_arg(const char *key, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING,
        .key = (char *)(uintptr_t)key,
        .value.string = (char *)(uintptr_t)value};
}

/* No proxy: clientv3 dials its endpoints itself, whatever http_proxy says. */
static grpc_channel *open_channel(const struct client_config *config,
    const struct client_target *target, grpc_channel_credentials *creds)
{
    int64_t keepalive_ms = config->keepalive_time_ns / 1000000;
    grpc_arg args[] = {
        int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        int_arg(
            GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, config->recv_max ? config->recv_max : INT32_MAX),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, INT32_MAX),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS,
            keepalive_ms < KEEPALIVE_MS_MIN ? KEEPALIVE_MS_MIN : keepalive_ms),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, config->keepalive_timeout_ns / 1000000),
        int_arg(GRPC_ARG_ENABLE_RETRIES, 0),
        int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        text_arg(GRPC_ARG_DEFAULT_AUTHORITY, target->server_name),
        text_arg(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, config->server_name),
    };
    size_t count = COUNT_OF(args) - (*config->server_name ? 0 : 1);
    return grpc_channel_create(target->address, creds, &(grpc_channel_args){count, args});
}

static struct err open_lanes(
    struct client *client, const struct client_config *config, struct why *why)
{
    struct client_target first = client_target_of(client->arena, config->endpoints[0]);
    grpc_channel_credentials *creds;

    TRY(client_creds_load(config, first.creds, &creds, why));
    client->authority = first.server_name;
    client->lanes = arena_zalloc(client->arena, config->endpoints_count * sizeof(*client->lanes));
    client->lanes_count = config->endpoints_count;
    for (size_t i = 0; i < client->lanes_count; i++) {
        struct client_target target = client_target_of(client->arena, config->endpoints[i]);
        client->lanes[i].endpoint = arena_strdup(client->arena, config->endpoints[i]);
        client->lanes[i].channel = open_channel(config, &target, creds);
    }
    grpc_channel_credentials_release(creds);
    return OK;
}

static void drop_log(gpr_log_func_args *args)
{
    (void)args;
}

/* Once a process. The resolver is libc's, so that names mean what they mean to every other program.
 */
static void start_grpc(void)
{
    static bool is_started;

    if (!is_started) {
        is_started = true;
        setenv("GRPC_DNS_RESOLVER", "native", 0);
        gpr_set_log_function(drop_log);
    }
    grpc_init();
}

static struct client *client_new(const struct client_config *config)
{
    struct arena *arena = arena_new(0);
    struct client *client = arena_zalloc(arena, sizeof(*client));
    bool has_login = *config->user && *config->password;

    start_grpc();
    client->arena = arena;
    client->answers = arena_new(0);
    client->queue = grpc_completion_queue_create_for_pluck(NULL);
    client->user = arena_strdup(arena, has_login ? config->user : "");
    client->password = arena_strdup(arena, config->password);
    client->token = arena_strdup(arena, config->token);
    client->logger = arena_strdup(arena, config->logger);
    client->send_max = config->send_max > 0 ? (size_t)config->send_max : SEND_BYTES_MAX;
    return client;
}

struct err client_open(const struct client_config *config, struct client **out_client,
    enum client_stage *out_stage, struct why *why)
{
    struct client *client = client_new(config);
    struct err err;

    *out_stage = CLIENT_BAD_CONNECTION;
    if (config->endpoints_count == 0) {
        err = why_set(why, ERR(BAD_CONFIG), "etcdclient: no available endpoints");
        goto out;
    }
    err = open_lanes(client, config, why);
    if (err_is(err)) {
        *out_stage = CLIENT_BAD_CONFIG;
        goto out;
    }
    if (config->recv_max > 0 && config->send_max > config->recv_max) {
        err = why_set(why, ERR(BAD_CONFIG),
            "gRPC message recv limit (%lld bytes) must be greater than send limit (%lld bytes)",
            (long long)config->recv_max, (long long)config->send_max);
        goto out;
    }
    err = client_login(
        client, config->dial_timeout_ns ? clock_mono_ns() + config->dial_timeout_ns : 0, why);
    if (err_is(err)) {
        goto out;
    }
    *out_client = client;
    return OK;
out:
    client_close(client);
    return err;
}

void client_forget(struct client *client)
{
    arena_free(client->answers);
    client->answers = arena_new(0);
}

void client_close(struct client *client)
{
    if (!client) {
        return;
    }
    for (size_t i = 0; i < client->lanes_count; i++) {
        grpc_channel_destroy(client->lanes[i].channel);
    }
    grpc_completion_queue_shutdown(client->queue);
    grpc_completion_queue_destroy(client->queue);
    arena_free(client->answers);
    arena_free(client->arena);
    grpc_shutdown();
}
