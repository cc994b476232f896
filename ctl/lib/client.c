/* SPDX-License-Identifier: Apache-2.0
 *
 * A client: its channels to the endpoints, which of them is next, and its user's token. */
#include "base/clock.h"
#include "base/mem.h"
#include "ctl/lib/client_impl.h"

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <rpc.pb-c.h>

enum { SEND_BYTES_MAX = 2 << 20, KEEPALIVE_MS_MIN = 10000, PICK_MS = 20 };

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
