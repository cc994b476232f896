/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/side.h"

#include "base/clock.h"
#include "base/log.h"

enum { TELL_EVERY_MS = 1000 };

static void options_of(
    const struct config *config, const struct config_tls *tls, struct tls_options *out)
{
    *out = (struct tls_options){
        .cert_file = tls->cert_file,
        .key_file = tls->key_file,
        .trusted_ca_file = tls->ca_file,
        .client_cert_auth = tls->client_cert_auth,
        .crl_file = tls->crl_file,
        .allowed_cns = tls->allowed_cns.items,
        .allowed_hostnames = tls->allowed_hostnames.items,
        .cipher_suites = config->cipher_suites.items,
        .min_version = (enum tls_version)config->tls_min,
        .max_version = (enum tls_version)config->tls_max,
    };
}

bool side_has_tls(const struct url_list *urls)
{
    for (size_t i = 0; i < urls->count; i++) {
        if (url_is_tls(&urls->items[i])) {
            return true;
        }
    }
    return false;
}

struct err side_open(
    struct side *side, const struct config *config, const struct config_tls *tls, struct why *why)
{
    options_of(config, tls, &side->options);
    TRY(tls_source_new(&side->options, TLS_SERVER, &side->source, why));
    side->rules = tls_rules_new(&side->options);
    return OK;
}

struct err side_open_dialing(
    struct side *side, const struct config *config, const struct config_tls *tls, struct why *why)
{
    struct tls_options options;
    options_of(config, tls, &options);
    if (tls->client_cert_file[0] && tls->cert_file[0]) {
        options.cert_file = tls->client_cert_file;
        options.key_file = tls->client_key_file;
    }
    options.skip_verify = tls->is_self_signed;
    options.client_cert_auth = false;
    TRY(tls_source_new(&options, TLS_CLIENT, &side->dialing, why));
    side->dialed = tls_rules_new(&options);
    return OK;
}

void side_close(struct side *side)
{
    tls_source_free(side->source);
    tls_source_free(side->dialing);
    tls_rules_free(side->rules);
    tls_rules_free(side->dialed);
    *side = (struct side){0};
}

static void poll_source(struct tls_source *source, const char *name)
{
    struct why why = {""};
    enum tls_news news = source ? tls_source_poll(source, &why) : TLS_NEWS_NONE;
    if (news == TLS_NEWS_RELOADED) {
        LOG_INFO("certificates reloaded", LOG_STR("side", name));
    } else if (news == TLS_NEWS_BROKEN) {
        LOG_WARN("certificates changed but cannot be used; the old ones stay",
            LOG_STR("side", name), LOG_ERR(why.text));
    }
}

void side_poll(struct side *side)
{
    poll_source(side->source, side->name);
    poll_source(side->dialing, side->name);
}

static SSL_CTX *context_of(void *arg)
{
    struct side *side = arg;
    poll_source(side->source, side->name);
    return tls_source_context(side->source);
}

SSL_CTX *side_dialing_context(void *arg)
{
    struct side *side = arg;
    if (!side->dialing) {
        return NULL;
    }
    poll_source(side->dialing, side->name);
    return tls_source_context(side->dialing);
}

struct err side_dialing_admit(SSL *ssl, void *arg, struct why *why)
{
    const struct side *side = arg;
    return tls_rules_admit(side->dialed, ssl, why);
}

/* Names may have to be looked up: not on the thread that carries the heartbeats. */
static struct err vouch(X509 *cert, const char *ip, void *arg, struct why *why)
{
    (void)arg;
    if (!ip[0] || tls_cert_is_from(cert, ip)) {
        return OK;
    }
    return why_set(
        why, ERR(DENIED), "tls: \"%s\" does not match any of DNSNames or IP addresses", ip);
}

static struct err admit(SSL *ssl, void *arg, struct why *why)
{
    const struct side *side = arg;
    return tls_rules_admit(side->rules, ssl, why);
}

/* etcd's words, and its level for who merely hangs up, as port scans and probes do. */
static void refused(const struct http_refused *whom, void *arg)
{
    struct side *side = arg;
    enum log_level level = IS(whom->err, CLOSED) ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN;
    int64_t now_ms = clock_mono_ms();
    char message[64];
    if (!log_enabled(level) || (side->told_ms && now_ms - side->told_ms < TELL_EVERY_MS)) {
        return;
    }
    side->told_ms = now_ms;
    snprintf(message, sizeof(message), "rejected connection on %s endpoint", side->name);
    LOG_AT(level, message, LOG_STR("remote-addr", whom->peer),
        LOG_STR("server-name", whom->server_name), LOG_ERR(whom->why));
}

void side_guard(struct side *side, struct http_site *site, bool is_tls)
{
    site->refused = refused;
    site->tls_arg = side;
    if (is_tls) {
        site->tls = context_of;
        site->admit = admit;
        site->vouch = side->checks_origin ? vouch : NULL;
    }
}
