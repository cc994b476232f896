/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs against certificates: what etcd refuses or warns of when it opens its listeners. */
#include "config/draft.h"

#include "base/mem.h"
#include "base/tls.h"

static bool has_pair(const struct config_tls *tls)
{
    return *tls->cert_file || *tls->key_file || tls->is_auto;
}

static struct err check_pair(const struct config_tls *tls, struct why *why)
{
    if (!*tls->cert_file != !*tls->key_file) {
        return why_set(why, ERR(BAD_CONFIG),
            "KeyFile and CertFile must both be present[key: %s, cert: %s]", tls->key_file,
            tls->cert_file);
    }
    if (!*tls->client_cert_file != !*tls->client_key_file) {
        return why_set(why, ERR(BAD_CONFIG),
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: %s, cert: "
            "%s]",
            tls->client_key_file, tls->client_cert_file);
    }
    if (tls->allowed_cns.count > 0 && tls->allowed_hostnames.count > 0) {
        return why_set(why, ERR(BAD_CONFIG),
            "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"%s\"], "
            "hostnames=[\"%s\"])",
            tls->allowed_cns.items[0], tls->allowed_hostnames.items[0]);
    }
    return OK;
}

static bool has_tls(const struct url_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (url_is_tls(&list->items[i])) {
            return true;
        }
    }
    return false;
}

/* What nobody uses may be half there, as with etcd: a member's certificate is used to dial too. */
static struct err check_used(const struct config *config, struct why *why)
{
    const struct config_tls *peer = &config->peer;
    bool is_client = has_tls(&config->listen_client) || has_tls(&config->listen_client_http) ||
                     has_tls(&config->listen_metrics);
    bool is_peer = has_tls(&config->listen_peer) || *peer->cert_file || *peer->key_file;
    if (is_client) {
        TRY(check_pair(&config->client, why));
    }
    return is_peer ? check_pair(peer, why) : OK;
}

static struct err check_clients(
    struct draft *draft, const struct url_list *list, const char *cert_auth, struct why *why)
{
    const struct config_tls *tls = &draft->config.client;
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i].text;
        bool is_tls = url_is_tls(&list->items[i]);
        if (!is_tls && has_pair(tls) && !tls->is_detected) {
            note(draft, LOG_LEVEL_WARN,
                "scheme is http or unix while key and cert files are present; ignoring key and "
                "cert files",
                "client-url", text);
        }
        if (!is_tls && tls->client_cert_auth) {
            note(draft, LOG_LEVEL_WARN, cert_auth, "client-url", text);
        }
        if (is_tls && !has_pair(tls)) {
            return why_set(why, ERR(BAD_CONFIG),
                "TLS key/cert (--cert-file, --key-file) must be provided for client url %s with "
                "HTTPS scheme",
                text);
        }
    }
    return OK;
}

static struct err check_peers(struct draft *draft, struct why *why)
{
    const struct config_tls *tls = &draft->config.peer;
    const struct url_list *list = &draft->config.listen_peer;
    for (size_t i = 0; i < list->count; i++) {
        const char *text = list->items[i].text;
        bool is_tls = url_is_tls(&list->items[i]);
        if (!is_tls && has_pair(tls) && !tls->is_detected) {
            note(draft, LOG_LEVEL_WARN,
                "scheme is HTTP while key and cert files are present; ignoring key and cert files",
                "peer-url", text);
        }
        if (!is_tls && tls->client_cert_auth) {
            note(draft, LOG_LEVEL_WARN,
                "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert "
                "auth for this URL",
                "peer-url", text);
        }
        if (is_tls && !has_pair(tls)) {
            return why_set(why, ERR(BAD_CONFIG),
                "cannot listen on TLS for %s: KeyFile and CertFile are not presented",
                list->items[i].authority);
        }
    }
    return OK;
}

static struct err check_metrics(const struct config *config, struct why *why)
{
    for (size_t i = 0; i < config->listen_metrics.count; i++) {
        if (url_is_tls(&config->listen_metrics.items[i]) && !has_pair(&config->client)) {
            return why_set(why, ERR(BAD_CONFIG),
                "client TLS key/cert (--cert-file, --key-file) must be provided for metrics "
                "secure url");
        }
    }
    return OK;
}

static struct err check_twice(const struct config *config, struct why *why)
{
    for (size_t i = 0; i < config->listen_client_http.count; i++) {
        for (size_t j = 0; j < config->listen_client.count; j++) {
            const struct url *http = &config->listen_client_http.items[i];
            const struct url *grpc = &config->listen_client.items[j];
            if (strcmp(http->authority, grpc->authority) == 0 &&
                strcmp(http->path, grpc->path) == 0) {
                return why_set(why, ERR(BAD_CONFIG),
                    "cannot bind both --listen-client-urls and --listen-client-http-urls on the "
                    "same url %s",
                    http->text);
            }
        }
    }
    return OK;
}

struct err verify_tls(struct draft *draft, struct why *why)
{
    static const char *const cert_auth =
        "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for "
        "this URL";
    struct config *config = &draft->config;
    TRY(check_used(config, why));
    TRY(check_peers(draft, why));
    TRY(check_clients(draft, &config->listen_client, cert_auth, why));
    TRY(check_clients(draft, &config->listen_client_http, cert_auth, why));
    TRY(check_metrics(config, why));
    return check_twice(config, why);
}

/* A list that names them besides others is one that etcd takes. */
struct err check_suites(struct draft *draft, struct why *why)
{
    struct text_list *suites = &draft->config.cipher_suites;
    const char **kept =
        arena_alloc(draft->config.arena, (suites->count + 1) * sizeof(*suites->items));
    size_t count = 0;
    for (size_t i = 0; i < suites->count; i++) {
        const char *name = suites->items[i];
        if (tls_cipher_suite_exists(name)) {
            kept[count++] = name;
        } else if (tls_cipher_suite_is_gone(name)) {
            note(draft, LOG_LEVEL_WARN, "cipher suite is too weak to be offered", "name", name);
        } else {
            return why_set(why, ERR(BAD_CONFIG), "unexpected TLS cipher suite \"%s\"", name);
        }
    }
    if (suites->count > 0 && count == 0) {
        return why_set(why, ERR(BAD_CONFIG), "no TLS cipher suite is left of --cipher-suites=%s",
            text_list_join(draft->config.arena, suites, ","));
    }
    kept[count] = NULL;
    *suites = (struct text_list){kept, count};
    return OK;
}
