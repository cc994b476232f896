/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request's path to what serves it, in the order of etcd's handlers: old prefixes, host and
 * CORS, Go's cleaning of the path, pages, the gateway.
 */
#include "gateway/gateway.h"

#include "gateway/paths.h"
#include "gateway/room.h"

enum { REQUEST_BYTES_DEFAULT = 2 << 20, HEALTH_MS_DEFAULT = 7000 };

/* Appends path without empty, "." and ".." parts; a slash at the end stays. */
static void clean_path(struct slice path, struct buf *out)
{
    size_t at = 0;
    buf_add_byte(out, '/');
    while (at < path.len) {
        size_t start = at;
        while (at < path.len && path.data[at] != '/') {
            at++;
        }
        struct slice part = slice_of(path.data + start, at - start);
        bool has_slash = at++ < path.len;
        if (slice_eq(part, SLICE(".."))) {
            out->len -= out->len > 1 ? 1 : 0;
            while (out->len > 1 && out->data[out->len - 1] != '/') {
                out->len--;
            }
        } else if (part.len && !slice_eq(part, SLICE("."))) {
            buf_add_slice(out, part);
            if (has_slash) {
                buf_add_byte(out, '/');
            }
        }
    }
    bool ends_in_slash = path.len && path.data[path.len - 1] == '/';
    if (!ends_in_slash && out->len > 1 && out->data[out->len - 1] == '/') {
        out->len--;
    }
}

static void add_escaped(struct buf *out, struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.data[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (is_alnum || (c && strchr("-_.~$&+,/:;=@", c))) {
            buf_add_byte(out, c);
        } else {
            buf_printf(out, "%%%02X", c);
        }
    }
}

static void add_html(struct buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            buf_add_str(out, "&amp;");
            break;
        case '\'':
            buf_add_str(out, "&#39;");
            break;
        default:
            buf_add_byte(out, (uint8_t)*text);
        }
    }
}

/* 301 with Go's body: HTML for GET, nothing for the rest. */
static void redirect(struct http_request *request, struct slice path)
{
    bool is_get = slice_eq(http_method(request), SLICE("GET"));
    struct buf location;
    struct buf body;
    buf_init(&location, 4 << 20);
    buf_init(&body, 16 << 20);
    add_escaped(&location, path);
    if (http_query(request).len) {
        buf_add_byte(&location, '?');
        buf_add_slice(&location, http_query(request));
    }
    http_set_header(request, "Location", buf_text(&location));
    if (is_get || slice_eq(http_method(request), SLICE("HEAD"))) {
        http_set_header(request, "Content-Type", "text/html; charset=utf-8");
    }
    if (is_get) {
        buf_add_str(&body, "<a href=\"");
        add_html(&body, buf_text(&location));
        buf_add_str(&body, "\">Moved Permanently</a>.\n\n");
    }
    http_respond(request, 301, buf_slice(&body));
    buf_fini(&location);
    buf_fini(&body);
}

/* POST, or what X-HTTP-Method-Override makes of a form. */
static bool is_post(const struct http_request *request)
{
    struct slice override = http_header(request, "X-Http-Method-Override");
    struct slice type = http_header(request, "Content-Type");
    bool is_form = slice_has_prefix(type, SLICE("application/x-www-form-urlencoded"));
    if (!slice_eq(http_method(request), SLICE("POST"))) {
        return false;
    }
    return !is_form || override.len == 0 || slice_eq(override, SLICE("POST"));
}

/* path: under /v3/. */
static void json_serve(struct gateway *gateway, struct http_request *request, struct slice path)
{
    const char *grpc = paths_find(path);
    const struct api_method *method = grpc ? api_method_find(slice_str(grpc)) : NULL;
    if (websocket_wants(request)) {
        websocket_serve(gateway, request, method);
    } else if (!grpc) {
        respond_status(request, GRPC_CODE_NOT_FOUND, "Not Found");
    } else if (!is_post(request)) {
        respond_status(request, GRPC_CODE_UNIMPLEMENTED, "Method Not Allowed");
    } else if (!method) {
        respond_status(request, GRPC_CODE_UNIMPLEMENTED, "unknown method");
    } else if (method->kind == API_UNARY) {
        call_start(gateway, request, method);
    } else {
        stream_start(gateway, request, method);
    }
}

static void serve_path(
    const struct gateway_site *site, struct http_request *request, struct slice path)
{
    struct gateway *gateway = site->gateway;
    if (site->serves & GATEWAY_JSON && slice_has_prefix(path, SLICE("/v3/"))) {
        json_serve(gateway, request, path);
    } else if (site->serves & GATEWAY_VERSION && slice_eq(path, SLICE("/version"))) {
        version_serve(gateway, request);
    } else if (site->serves & GATEWAY_METRICS && slice_eq(path, SLICE("/metrics"))) {
        metrics_serve(gateway, request);
    } else if (site->serves & GATEWAY_VARS && slice_eq(path, SLICE("/debug/vars"))) {
        vars_serve(gateway, request);
    } else if (!(site->serves & GATEWAY_HEALTH) || !health_serve(gateway, request)) {
        http_respond_error(request, 404, "404 page not found");
    }
}

/* Appends the request's path with an old prefix of the gateway made the new one. */
static void add_path(struct slice path, struct buf *out)
{
    static const char *const old[] = {"/v3beta/", "/v3alpha/"};
    for (size_t i = 0; i < COUNT_OF(old); i++) {
        if (slice_has_prefix(path, slice_str(old[i]))) {
            buf_add_str(out, "/v3/");
            path = slice_of(path.data + strlen(old[i]), path.len - strlen(old[i]));
        }
    }
    buf_add_slice(out, path);
}

static void serve_clean(
    const struct gateway_site *site, struct http_request *request, struct slice path)
{
    struct buf clean;
    buf_init(&clean, path.len + 2);
    clean_path(path, &clean);
    if (site->serves & GATEWAY_JSON && slice_eq(buf_slice(&clean), SLICE("/v3"))) {
        redirect(request, SLICE("/v3/"));
    } else if (!slice_eq(path, buf_slice(&clean))) {
        redirect(request, buf_slice(&clean));
    } else {
        serve_path(site, request, path);
    }
    buf_fini(&clean);
}

static void serve(struct http_request *request, void *arg)
{
    const struct gateway_site *site = arg;
    struct buf path;
    buf_init(&path, http_path(request).len + 1);
    add_path(http_path(request), &path);
    if (!(site->serves & GATEWAY_ACCESS) || access_check(site, request, buf_slice(&path))) {
        serve_clean(site, request, buf_slice(&path));
    }
    buf_fini(&path);
}

static void version_metric(void)
{
    static const char *const labels[] = {"server_version", NULL};
    struct metric *metric = metric_gauge("etcd_server_version",
        "Which version is running. 1 for 'server_version' label with current version.", labels);
    metric_set(metric_with(metric, (const char *const[]){api_server_version(), NULL}), 1);
}

static void scrape_metric(struct gateway *gateway)
{
    static const char *const labels[] = {"code", NULL};
    struct metric *metric = metric_counter("promhttp_metric_handler_requests_total",
        "Total number of scrapes by HTTP status code.", labels);
    gateway->scrapes = metric_with(metric, (const char *const[]){"200", NULL});
    metric_with(metric, (const char *const[]){"500", NULL});
    metric_with(metric, (const char *const[]){"503", NULL});
    gateway->scraping = metric_gauge("promhttp_metric_handler_requests_in_flight",
        "Current number of scrapes being served.", NULL);
}

struct gateway *gateway_new(const struct gateway_options *options)
{
    struct gateway *gateway = mem_new(sizeof(*gateway));
    list_init(&gateway->sites);
    gateway->options = *options;
    if (gateway->options.request_bytes_max == 0) {
        gateway->options.request_bytes_max = REQUEST_BYTES_DEFAULT;
    }
    if (gateway->options.health_ms == 0) {
        gateway->options.health_ms = HEALTH_MS_DEFAULT;
    }
    health_metrics(gateway);
    process_metrics();
    version_metric();
    scrape_metric(gateway);
    return gateway;
}

void gateway_free(struct gateway *gateway)
{
    if (!gateway) {
        return;
    }
    for (struct list *node; (node = list_pop(&gateway->sites));) {
        free(LIST_ITEM(node, struct gateway_site, node));
    }
    free(gateway);
}

struct http_site *gateway_site(struct gateway *gateway, unsigned serves)
{
    struct gateway_site *site = mem_new(sizeof(*site));
    list_push(&gateway->sites, &site->node);
    site->gateway = gateway;
    site->serves = serves;
    site->site = (struct http_site){.serve = serve, .arg = site};
    return &site->site;
}
