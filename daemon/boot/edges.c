/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/edges.h"

#include "base/log.h"
#include "base/mem.h"
#include "boot/side.h"
#include "front/front.h"
#include "gateway/gateway.h"
#include "rpc/rpc.h"

#include <unistd.h>

enum { LISTENERS_MAX = 64 };

/* What a listener leads to; its site is there once the gateway is. */
struct behind {
    struct http_site *site;
    unsigned pages;
    bool is_tls;
};

struct edges {
    const struct config *config;
    struct side clients;
    struct rpc *rpc;
    struct http_server *http;
    struct gateway *gateway;
    struct front *front;
    struct front *metrics; /* accepts before there is a leader; NULL: nobody asked for it */
    struct front_listener listeners[LISTENERS_MAX];
    struct behind behind[LISTENERS_MAX];
    size_t listeners_count;
};

static void open_sites(struct edges *edges)
{
    for (size_t i = 0; i < edges->listeners_count; i++) {
        struct behind *behind = &edges->behind[i];
        behind->site = gateway_site(edges->gateway, behind->pages);
        behind->site->is_vital = behind->pages == GATEWAY_METRICS_ONLY;
        side_guard(&edges->clients, behind->site, behind->is_tls);
    }
}

static struct err listen_on(
    struct edges *edges, const struct url_list *urls, enum front_serves serves, unsigned pages)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (edges->listeners_count == LISTENERS_MAX) {
            return ERR(BAD_CONFIG);
        }
        size_t at = edges->listeners_count++;
        edges->behind[at] = (struct behind){NULL, pages, url_is_tls(&urls->items[i])};
        edges->listeners[at] = (struct front_listener){
            .url = &urls->items[i], .serves = serves, .tag = &edges->behind[at]};
    }
    return OK;
}

static struct err listen_all(struct edges *edges, struct why *why)
{
    const struct config *config = edges->config;
    bool is_split = config->listen_client_http.count > 0;
    unsigned pages =
        config->enable_grpc_gateway ? GATEWAY_CLIENT : GATEWAY_CLIENT & ~(unsigned)GATEWAY_JSON;
    struct err err =
        listen_on(edges, &config->listen_client, is_split ? FRONT_GRPC : FRONT_BOTH, pages);
    if (!err_is(err)) {
        err = listen_on(edges, &config->listen_client_http, FRONT_HTTP, pages);
    }
    if (!err_is(err)) {
        err = listen_on(edges, &config->listen_metrics, FRONT_HTTP, GATEWAY_METRICS_ONLY);
    }
    return err_is(err) ? why_set(why, err, "more than %d URLs to listen on", LISTENERS_MAX) : OK;
}

static void adopt_grpc(void *arg, int fd, const struct front_peer *peer)
{
    struct edges *edges = arg;
    rpc_adopt(edges->rpc, fd, peer->is_tls);
}

static void adopt_http(void *arg, int fd, const struct front_peer *peer)
{
    struct edges *edges = arg;
    const struct behind *behind = peer->tag;
    http_adopt(edges->http, behind->site, fd, peer->address);
}

static struct front_options front_of(struct edges *edges, size_t from, size_t count)
{
    return (struct front_options){
        .listeners = edges->listeners + from,
        .listeners_count = count,
        .adopt_grpc = adopt_grpc,
        .adopt_http = adopt_http,
        .arg = edges,
        .reuse_port = edges->config->socket_reuse_port,
        .name = "client",
    };
}

/* The URLs for metrics are the last. */
static struct err open_fronts(struct edges *edges, struct why *why)
{
    size_t metrics_count = edges->config->listen_metrics.count;
    size_t clients_count = edges->listeners_count - metrics_count;
    struct front_options clients = front_of(edges, 0, clients_count);
    struct front_options metrics = front_of(edges, clients_count, metrics_count);
    metrics.name = "metrics";
    metrics.is_vital = true;
    TRY(front_open(&clients, &edges->front, why));
    return metrics_count ? front_open(&metrics, &edges->metrics, why) : OK;
}

/* Rounded up: what is not 0 stays so. */
static int64_t ms_of(int64_t ns)
{
    return ns > 0 ? (ns - 1) / 1000000 + 1 : 0;
}

static struct err open_rpc(struct edges *edges, struct api *api, struct why *why)
{
    const struct config *config = edges->config;
    bool has_pings = config->keepalive_interval_ns > 0 && config->keepalive_timeout_ns > 0;
    struct rpc_options options = {
        .api = api,
        .tls = edges->clients.source ? &edges->clients.options : NULL,
        .request_bytes_max = (uint32_t)config->request_bytes_max,
        .streams_max = config->concurrent_streams_max,
        .is_extensive = config->metrics_extensive,
        .keepalive_min_ms = ms_of(config->keepalive_min_time_ns),
        .keepalive_interval_ms = has_pings ? ms_of(config->keepalive_interval_ns) : 0,
        .keepalive_timeout_ms = has_pings ? ms_of(config->keepalive_timeout_ns) : 0,
    };
    return rpc_new(&options, &edges->rpc, why);
}

static struct err open_http(struct edges *edges, struct api *api, struct why *why)
{
    const struct config *config = edges->config;
    struct gateway_options options = {
        .api = api,
        .cors = config->cors.items,
        .host_whitelist = config->host_whitelist.items,
        .request_bytes_max = (size_t)config->request_bytes_max + 512 * 1024,
        .health_ms = 5000 + 2 * (int64_t)config->election_ms,
        .is_cert_required = config->client.client_cert_auth,
    };
    edges->gateway = gateway_new(&options);
    edges->http = http_server_new(&(struct http_options){0});
    return http_server_start(edges->http, why);
}

static struct err bind_all(struct edges *edges, struct why *why)
{
    const struct config *config = edges->config;
    if (side_has_tls(&config->listen_client) || side_has_tls(&config->listen_client_http) ||
        side_has_tls(&config->listen_metrics)) {
        TRY(side_open(&edges->clients, config, &config->client, why));
    }
    TRY(listen_all(edges, why));
    return open_fronts(edges, why);
}

struct err edges_bind(const struct config *config, struct edges **out, struct why *why)
{
    struct edges *edges = mem_new(sizeof(*edges));
    edges->config = config;
    edges->clients.name = "client";
    struct err err = bind_all(edges, why);
    if (err_is(err)) {
        edges_free(edges);
        return err;
    }
    *out = edges;
    return OK;
}

struct err edges_open(struct edges *edges, struct api *api, struct why *why)
{
    TRY(open_rpc(edges, api, why));
    TRY(open_http(edges, api, why));
    config_gate_metrics(edges->config);
    open_sites(edges);
    return OK;
}

static void log_serving(const struct edges *edges)
{
    const struct config *config = edges->config;
    for (size_t i = 0; i < config->listen_client.count; i++) {
        const char *traffic = config->listen_client_http.count ? "grpc" : "grpc+http";
        const char *address = front_address(edges->front, i);
        if (url_is_tls(&config->listen_client.items[i])) {
            LOG_INFO("serving client traffic securely", LOG_STR("traffic", traffic),
                LOG_STR("address", address));
        } else {
            LOG_INFO("serving client traffic insecurely; this is strongly discouraged!",
                LOG_STR("traffic", traffic), LOG_STR("address", address));
        }
    }
}

void edges_start_metrics(struct edges *edges)
{
    const struct config *config = edges->config;
    if (edges->metrics) {
        front_start(edges->metrics);
    }
    for (size_t i = 0; i < config->listen_metrics.count; i++) {
        LOG_INFO("serving metrics", LOG_STR("address", config->listen_metrics.items[i].text));
    }
}

void edges_start(struct edges *edges)
{
    rpc_start(edges->rpc);
    front_start(edges->front);
    LOG_INFO("ready to serve client requests");
    log_serving(edges);
}

static void stop_fronts(struct edges *edges)
{
    if (edges->front) {
        front_stop(edges->front);
    }
    if (edges->metrics) {
        front_stop(edges->metrics);
    }
}

void edges_drain(struct edges *edges, int64_t drain_ms)
{
    stop_fronts(edges);
    rpc_drain(edges->rpc, drain_ms);
    http_server_drain(edges->http, drain_ms);
}

void edges_stop(struct edges *edges)
{
    stop_fronts(edges);
    if (edges->rpc) {
        rpc_stop(edges->rpc, 0);
    }
    if (edges->http) {
        http_server_stop(edges->http);
    }
}

void edges_free(struct edges *edges)
{
    if (!edges) {
        return;
    }
    front_close(edges->front);
    front_close(edges->metrics);
    rpc_free(edges->rpc);
    http_server_free(edges->http);
    gateway_free(edges->gateway);
    side_close(&edges->clients);
    free(edges);
}

void edges_reload(struct edges *edges)
{
    side_poll(&edges->clients);
}
