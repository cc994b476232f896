/* SPDX-License-Identifier: Apache-2.0
 *
 * v3 discovery, as etcd 3.6 does it: is there a place, register, are there enough, else watch.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pb.h"
#include "ctl/lib/ctl.h"
#include "discovery/discovery.h"
#include "discovery/registry.h"

#include <rpc.pb-c.h>
#include <unistd.h>

enum { RETRIES_RISING = 8, ANSWER_BYTES_MAX = 8 << 20 };

struct joining {
    const struct config *config;
    struct client *client;
    struct registry *registry;
    unsigned retries;
    int64_t revision; /* of the members that were read */
};

static client_deadline deadline_of(const struct joining *joining)
{
    return clock_mono_ns() + joining->config->discovery.request_timeout_ns;
}

/* 2, 4, 8 … 256 seconds. */
static void back_off(struct joining *joining, const char *step, const struct why *why)
{
    joining->retries += joining->retries < RETRIES_RISING;
    unsigned seconds = 1U << joining->retries;
    LOG_WARN("retry connecting to discovery service", LOG_STR("reason", step),
        LOG_UINT("backoff-seconds", seconds), LOG_ERR(why->text));
    sleep(seconds);
}

static void add(struct joining *joining, const Mvccpb__KeyValue *kv)
{
    struct slice key = pb_slice(kv->key);
    struct slice value = pb_slice(kv->value);
    const char *reason = registry_add(joining->registry, key, value, kv->create_revision);
    struct log_field fields[] = {LOG_BYTES("memberKey", key), LOG_BYTES("memberInfo", value)};
    if (reason) {
        LOG_WARN(reason, fields[0], fields[1]);
    } else {
        LOG_INFO("found peer from discovery service", fields[0], fields[1]);
    }
}

static struct err get(struct joining *joining, const char *key, const char *end,
    const Etcdserverpb__RangeResponse **out_response, struct why *why)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = pb_bytes(slice_str(key));
    request.range_end = pb_bytes(slice_str(end));
    client_forget(joining->client);
    return client_call(joining->client, CLIENT_ASK(&client_range, &request, deadline_of(joining)),
        out_response, why);
}

/* Errors: BAD_CONFIG (what trying again does not mend), whatever the call gives. */
static struct err read_size(struct joining *joining, struct why *why)
{
    const Etcdserverpb__RangeResponse *response;
    TRY(get(joining, joining->registry->size_key, "", &response, why));
    if (response->n_kvs == 0) {
        return why_set(why, ERR(BAD_CONFIG), "discovery: size key not found");
    }
    return registry_set_size(joining->registry, pb_slice(response->kvs[0]->value), why);
}

static const char *members_end(const struct joining *joining)
{
    struct registry *registry = joining->registry;
    char *end = arena_strdup(registry->arena, registry->members_prefix);
    end[strlen(end) - 1]++;
    return end;
}

static struct err read_members(struct joining *joining, struct why *why)
{
    const Etcdserverpb__RangeResponse *response;
    struct registry *registry = joining->registry;
    TRY(get(joining, registry->members_prefix, members_end(joining), &response, why));
    registry_clear(registry);
    for (size_t i = 0; i < response->n_kvs; i++) {
        add(joining, response->kvs[i]);
    }
    joining->revision = response->header ? response->header->revision : 0;
    return OK;
}

/* Size and members as they are; tries until it knows them. Errors: BAD_CONFIG. */
static struct err read_cluster(struct joining *joining, struct why *why)
{
    for (;;) {
        struct err err = read_size(joining, why);
        if (IS(err, BAD_CONFIG)) {
            return err;
        }
        if (!err_is(err)) {
            err = read_members(joining, why);
        }
        if (!err_is(err)) {
            joining->retries = 0;
            break;
        }
        back_off(joining, "cluster status check", why);
    }
    return registry_excludes_self(joining->registry)
               ? why_set(why, ERR(BAD_CONFIG), "discovery: cluster is full")
               : OK;
}

static void register_self(struct joining *joining, const char *urls)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    const Etcdserverpb__PutResponse *response;
    struct why why = {""};
    request.key = pb_bytes(slice_str(joining->registry->self_key));
    request.value = pb_bytes(slice_str(urls));
    while (err_is(client_call(joining->client,
        CLIENT_ASK(&client_put, &request, deadline_of(joining)), &response, &why))) {
        back_off(joining, "register member itself", &why);
    }
    joining->retries = 0;
    LOG_INFO("register member itself successfully",
        LOG_STR("memberKey", joining->registry->self_key), LOG_STR("memberInfo", urls));
}

static bool is_full(const struct joining *joining)
{
    return joining->registry->count >= joining->registry->size;
}

static struct err watch_members(
    struct joining *joining, struct client_stream *stream, struct why *why)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key = pb_bytes(slice_str(joining->registry->members_prefix));
    create.range_end = pb_bytes(slice_str(members_end(joining)));
    create.start_revision = joining->revision + 1;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    TRY(client_stream_send(stream, &request, why));
    while (!is_full(joining)) {
        const Etcdserverpb__WatchResponse *response;
        TRY(client_stream_recv(stream, joining->registry->arena, &response, why));
        if (!response || response->canceled) {
            return why_set(why, ERR(CLOSED), "the watch was ended");
        }
        for (size_t i = 0; i < response->n_events; i++) {
            add(joining, response->events[i]->kv);
        }
    }
    return OK;
}

/* One watch; what it missed when it breaks is read anew. */
static struct err wait_for_members(struct joining *joining, struct why *why)
{
    struct client_stream *stream = NULL;
    LOG_INFO("waiting for peers from discovery service",
        LOG_UINT("clusterSize", joining->registry->size),
        LOG_UINT("found-peers", joining->registry->count));
    struct err err =
        client_stream_open(joining->client, CLIENT_ASK_LEADER(&client_watch, 0), &stream, why);
    if (!err_is(err)) {
        err = watch_members(joining, stream, why);
    }
    client_stream_close(stream);
    if (!err_is(err)) {
        return OK;
    }
    back_off(joining, "wait for members", why);
    return read_cluster(joining, why);
}

static struct err join(
    struct joining *joining, const char *urls, const char **out_cluster, struct why *why)
{
    TRY(read_cluster(joining, why));
    register_self(joining, urls);
    TRY(read_cluster(joining, why));
    while (!is_full(joining)) {
        TRY(wait_for_members(joining, why));
    }
    LOG_INFO("found all needed peers from discovery service",
        LOG_UINT("clusterSize", joining->registry->size),
        LOG_UINT("found-peers", joining->registry->count));
    return registry_cluster(joining->registry, out_cluster, why);
}

static struct err open_client(
    const struct config_discovery *from, struct client **out_client, struct why *why)
{
    enum client_stage stage;
    struct client_config config = {
        .endpoints = from->endpoints.items,
        .endpoints_count = from->endpoints.count,
        .cert = from->cert_file,
        .key = from->key_file,
        .cacert = from->ca_file,
        .server_name = "",
        .user = from->user,
        .password = from->password,
        .token = "",
        .is_insecure = from->is_insecure_transport,
        .skips_verify = from->skip_tls_verify,
        .dial_timeout_ns = from->dial_timeout_ns,
        .keepalive_time_ns = from->keepalive_time_ns,
        .keepalive_timeout_ns = from->keepalive_timeout_ns,
        .recv_max = ANSWER_BYTES_MAX,
        .logger = "etcd-client",
    };
    return client_open(&config, out_client, &stage, why);
}

struct err discovery_join(const struct config *config, uint64_t member_id, struct arena *arena,
    const char **out_cluster, struct why *why)
{
    const struct config_discovery *from = &config->discovery;
    struct url_member self = {config->name, config->advertise_peer};
    struct url_cluster alone = {&self, 1};
    struct joining joining = {.config = config};
    struct err err = open_client(from, &joining.client, why);
    if (err_is(err)) {
        return why_set(why, ERR(BAD_CONFIG), "%s", arena_strdup(arena, why->text));
    }
    joining.registry = registry_new(arena, from->token, member_id);
    err = join(&joining, url_cluster_text(arena, &alone), out_cluster, why);
    client_close(joining.client);
    if (err_is(err)) {
        LOG_ERROR("discovery failed to join cluster", LOG_STR("discovery-token", from->token),
            LOG_ERR(why->text));
        return err;
    }
    LOG_INFO("discovery joined cluster successfully", LOG_STR("discovery-token", from->token),
        LOG_STR("cluster", *out_cluster));
    return OK;
}
