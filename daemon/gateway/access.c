/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may ask at all: the Host header against DNS rebinding (CVE-2018-5702), the Origin header for
 * browsers.
 */
#include "gateway/room.h"

static bool allows(const char *const *list, struct slice what)
{
    if (!list || !*list) {
        return true;
    }
    for (; *list; list++) {
        if (strcmp(*list, "*") == 0 || slice_eq(slice_str(*list), what)) {
            return true;
        }
    }
    return false;
}

/* "name:port" and "[v6]:port" without the port; anything else as it is. */
static struct slice host_name(struct slice host)
{
    const uint8_t *colon = host.len ? memrchr(host.data, ':', host.len) : NULL;
    if (!colon) {
        return host;
    }
    size_t len = (size_t)(colon - host.data);
    bool is_bracketed = host.data[0] == '[' && host.data[len - 1] == ']';
    if (is_bracketed && memchr(host.data, ']', host.len) == colon - 1) {
        return slice_of(host.data + 1, len - 2);
    }
    bool has_more = memchr(host.data, ':', len) || memchr(host.data, '[', host.len) ||
                    memchr(host.data, ']', host.len);
    return has_more ? host : slice_of(host.data, len);
}

static void refuse_host(struct http_request *request, struct slice host)
{
    struct buf text;
    buf_init(&text, ERROR_BYTES_MAX);
    buf_add_str(&text, "\netcd received your request, but the Host header was unrecognized.\n"
                       "\nTo fix this, choose one of the following options:\n"
                       "- Enable TLS, then any HTTPS request will be allowed.\n"
                       "- Add the hostname you want to use to the whitelist in settings.\n"
                       "  - e.g. etcd --host-whitelist \"");
    buf_add_slice(&text, host);
    buf_add_str(&text, "\"\n"
                       "\nThis requirement has been added to help prevent \"DNS Rebinding\" "
                       "attacks (CVE-2018-5702).\n");
    http_respond_error(request, 421, buf_text(&text));
    buf_fini(&text);
}

static void add_cors(const struct gateway *gateway, struct http_request *request)
{
    const char *const *cors = gateway->options.cors;
    struct slice origin = allows(cors, SLICE("*")) ? SLICE("*") : http_header(request, "Origin");
    struct buf text;
    if (!allows(cors, origin)) {
        return;
    }
    buf_init(&text, ERROR_BYTES_MAX);
    buf_add_slice(&text, origin);
    http_set_header(request, "Access-Control-Allow-Headers", "accept, content-type, authorization");
    http_set_header(request, "Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE");
    http_set_header(request, "Access-Control-Allow-Origin", buf_text(&text));
    buf_fini(&text);
}

/* The gateway would call in its own name; a client that thinks its certificate's name counts is
 * told so. */
static bool ignores_name(
    const struct gateway_site *site, const struct http_request *request, struct slice path)
{
    const struct gateway_options *options = &site->gateway->options;
    return http_is_tls(request) && http_peer_cn(request) && *http_peer_cn(request) &&
           site->serves & GATEWAY_JSON && slice_has_prefix(path, SLICE("/v3/")) &&
           options->is_cert_required && api_is_auth_enabled(options->api);
}

bool access_check(const struct gateway_site *site, struct http_request *request, struct slice path)
{
    const struct gateway *gateway = site->gateway;
    struct slice host = host_name(http_host(request));
    if (!http_is_tls(request) && !allows(gateway->options.host_whitelist, host)) {
        refuse_host(request, host);
        return false;
    }
    if (ignores_name(site, request, path)) {
        http_respond_error(request, 400,
            "CommonName of client sending a request against gateway will be ignored and not used "
            "as expected");
        return false;
    }
    add_cors(gateway, request);
    if (slice_eq(http_method(request), SLICE("OPTIONS"))) {
        http_respond(request, 200, (struct slice){0});
        return false;
    }
    return true;
}
