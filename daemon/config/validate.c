/* SPDX-License-Identifier: Apache-2.0
 *
 * What etcd's embed.Config.Validate refuses, in its order and words. */
#include "config/draft.h"

#include "base/mem.h"
#include "base/tls.h"

#include <arpa/inet.h>
#include <inttypes.h>

enum { ELECTION_MS_MAX = 50000 };

static struct err refuse(struct why *why, const char *text)
{
    return why_set(why, ERR(BAD_CONFIG), "%s", text);
}

static struct err check_log_outputs(struct draft *draft, struct why *why)
{
    struct config *config = &draft->config;
    static const char *const fallback[] = {"default", NULL};
    if (config->log_outputs.count == 0) {
        config->log_outputs = (struct text_list){fallback, 1};
    }
    if (config->log_outputs.count > 1 && text_list_has(&config->log_outputs, "default")) {
        return refuse(why, "multi logoutput for \"default\" is not supported yet");
    }
    if (config->log_outputs.count > 1 && text_list_has(&config->log_outputs, "systemd/journal")) {
        return why_set(why, ERR(BAD_CONFIG),
            "running with systemd/journal but other '--log-outputs' values ([\"%s\"]) are "
            "configured with 'default'; override 'default' value with something else",
            text_list_join(config->arena, &config->log_outputs, "\" \""));
    }
    size_t files = 0;
    for (size_t i = 0; i < config->log_outputs.count; i++) {
        const char *name = config->log_outputs.items[i];
        files += strcmp(name, "default") != 0 && strcmp(name, "stderr") != 0 &&
                 strcmp(name, "stdout") != 0;
    }
    if (!config->enable_log_rotation) {
        return OK;
    }
    if (files > 1 || (files == 0 && config->log_outputs.count == 1)) {
        return refuse(why, "--log-outputs requires a single file path when "
                           "--log-rotate-config-json is defined");
    }
    return rotation_parse(draft->log_rotation_json, &config->log_rotation, why);
}

static struct err check_logging(struct draft *draft, struct why *why)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {{"debug", LOG_LEVEL_DEBUG}, {"DEBUG", LOG_LEVEL_DEBUG}, {"info", LOG_LEVEL_INFO},
        {"INFO", LOG_LEVEL_INFO}, {"", LOG_LEVEL_INFO}, {"warn", LOG_LEVEL_WARN},
        {"WARN", LOG_LEVEL_WARN}, {"error", LOG_LEVEL_ERROR}, {"ERROR", LOG_LEVEL_ERROR},
        {"dpanic", LOG_LEVEL_PANIC}, {"panic", LOG_LEVEL_PANIC}, {"PANIC", LOG_LEVEL_PANIC},
        {"fatal", LOG_LEVEL_FATAL}, {"FATAL", LOG_LEVEL_FATAL}};
    size_t i = 0;
    if (strcmp(draft->logger, "capnslog") == 0) {
        return refuse(why, "--logger=capnslog is removed in v3.5");
    }
    if (strcmp(draft->logger, "zap") != 0) {
        return why_set(why, ERR(BAD_CONFIG), "unknown logger option \"%s\"", draft->logger);
    }
    TRY(check_log_outputs(draft, why));
    while (i < COUNT_OF(levels) && strcmp(levels[i].name, draft->log_level) != 0) {
        i++;
    }
    if (i == COUNT_OF(levels)) {
        return why_set(why, ERR(BAD_CONFIG), "unrecognized level: \"%s\"", draft->log_level);
    }
    draft->config.log_level = levels[i].level;
    if (draft->is_debug && !row_is_set(draft, "log-level")) {
        draft->config.log_level = LOG_LEVEL_DEBUG;
    }
    bool is_console = strcmp(draft->log_format, "console") == 0;
    if (!is_console && *draft->log_format && strcmp(draft->log_format, "json") != 0) {
        return why_set(why, ERR(BAD_CONFIG),
            "unknown log format: %s, supported values json, console", draft->log_format);
    }
    draft->config.log_format = is_console ? LOG_FORMAT_CONSOLE : LOG_FORMAT_JSON;
    return OK;
}

static bool is_ip(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static struct err check_bind(struct arena *arena, const struct url_list *list, struct why *why)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct url *url = &list->items[i];
        const char *host = NULL;
        const char *port = NULL;
        if (url_is_unix(url)) {
            continue;
        }
        TRY(url_split_host_port(arena, url->authority, &host, &port, why));
        if (strtoul(port, NULL, 10) > UINT16_MAX) {
            return why_set(why, ERR(BAD_CONFIG), "listen tcp: address %s: invalid port", port);
        }
        if (strcmp(host, "localhost") != 0 && !is_ip(host)) {
            return why_set(why, ERR(BAD_CONFIG), "expected IP in URL for binding (%s)", url->text);
        }
    }
    return OK;
}

static struct err check_host(
    struct arena *arena, const struct url_list *list, const char *flag, struct why *why)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *host = "";
        const char *port = NULL;
        struct why reason;
        struct err e = url_split_host_port(arena, list->items[i].authority, &host, &port, &reason);
        if (!err_is(e) && *host) {
            continue;
        }
        if (!err_is(e)) {
            e = why_set(
                &reason, ERR(BAD_CONFIG), "unexpected empty host (%s)", list->items[i].text);
        }
        return why_set(why, ERR(BAD_CONFIG), "--%s %s must be \"host:port\" (%s)", flag,
            text_quote(arena, url_list_text(arena, list)), reason.text);
    }
    return OK;
}

static struct err check_urls(struct draft *draft, struct why *why)
{
    struct config *config = &draft->config;
    TRY(check_bind(config->arena, &config->listen_peer, why));
    TRY(check_bind(config->arena, &config->listen_client, why));
    TRY(check_bind(config->arena, &config->listen_client_http, why));
    if (config->listen_client_http.count == 0) {
        note(draft, LOG_LEVEL_WARN,
            "Running http and grpc server on single port. This is not recommended for production.",
            NULL, NULL);
    }
    TRY(check_bind(config->arena, &config->listen_metrics, why));
    TRY(check_host(config->arena, &config->advertise_peer, "initial-advertise-peer-urls", why));
    return check_host(config->arena, &config->advertise_client, "advertise-client-urls", why);
}

static struct err check_discovery(const struct config_discovery *discovery, struct why *why)
{
    bool has_endpoints = discovery->endpoints.count > 0;
    bool is_v3 = has_endpoints || *discovery->token || *discovery->cert_file ||
                 *discovery->key_file || *discovery->ca_file || *discovery->user ||
                 *discovery->password;
    if (*discovery->proxy && is_v3) {
        return refuse(why,
            "both v2 discovery settings (discovery, discovery-proxy) and v3 discovery settings "
            "(discovery-token, discovery-endpoints, discovery-cert, discovery-key, "
            "discovery-cacert, discovery-user, discovery-password) are set");
    }
    if ((*discovery->token != 0) != has_endpoints) {
        return refuse(why, "both --discovery-token and --discovery-endpoints must be set");
    }
    for (size_t i = 0; i < discovery->endpoints.count; i++) {
        const char *text = discovery->endpoints.items[i];
        if (strspn(text, " \t\r\n\v\f") == strlen(text)) {
            return refuse(why, "--discovery-endpoints must not contain empty endpoints");
        }
    }
    return OK;
}

static struct err check_cluster(struct draft *draft, struct why *why)
{
    struct config *config = &draft->config;
    const struct config_discovery *discovery = &config->discovery;
    int ways = (*discovery->url != 0) + (*config->initial_cluster != 0) +
               (*discovery->srv_domain != 0) + (discovery->endpoints.count > 0);
    bool is_new = strcmp(draft->cluster_state, "new") == 0 || *draft->cluster_state == 0;
    if (!is_new && strcmp(draft->cluster_state, "existing") != 0) {
        return why_set(
            why, ERR(BAD_CONFIG), "unexpected clusterState \"%s\"", draft->cluster_state);
    }
    config->is_new_cluster = is_new;
    if (ways > 1) {
        return refuse(why,
            "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", "
            "\"discovery\", \"discovery-endpoints\" or \"discovery-srv\"");
    }
    return check_discovery(discovery, why);
}

static struct err check_ticks(const struct config *config, struct why *why)
{
    uint32_t heartbeat = config->heartbeat_ms;
    uint32_t election = config->election_ms;
    if (heartbeat == 0) {
        return refuse(why, "--heartbeat-interval must be >0 (set to 0ms)");
    }
    if (election == 0) {
        return refuse(why, "--election-timeout must be >0 (set to 0ms)");
    }
    if (5 * (uint64_t)heartbeat > election) {
        return why_set(why, ERR(BAD_CONFIG),
            "--election-timeout[%" PRIu32 "ms] should be at least as 5 times as "
            "--heartbeat-interval[%" PRIu32 "ms]",
            election, heartbeat);
    }
    if (election > ELECTION_MS_MAX) {
        return why_set(why, ERR(BAD_CONFIG),
            "--election-timeout[%" PRIu32 "ms] is too long, and should be set less than %dms",
            election, ELECTION_MS_MAX);
    }
    return OK;
}

static struct err parse_retention(struct config *config, struct why *why)
{
    const char *text = config->compaction_retention_text;
    bool is_periodic = config->compaction_mode == CONFIG_COMPACTION_PERIODIC;
    int64_t number = 0;
    struct why reason;
    if (*text == 0) {
        text = config->compaction_retention_text = "0";
    }
    if (text_parse_int10(text, &number) == TEXT_NUMBER_OK && number >= 0) {
        if (is_periodic && __builtin_mul_overflow(number, (int64_t)3600000000000, &number)) {
            return why_set(
                why, ERR(BAD_CONFIG), "error parsing CompactionRetention: %s hours", text);
        }
        config->compaction_retention = number;
        return OK;
    }
    if (err_is(text_parse_duration(text, &config->compaction_retention, &reason))) {
        return why_set(why, ERR(BAD_CONFIG), "error parsing CompactionRetention: %s", reason.text);
    }
    return OK;
}

static struct err check_compaction(struct draft *draft, struct why *why)
{
    const char *mode = draft->compaction_mode;
    if (*mode == 0) {
        return refuse(why, "undefined auto-compaction-mode");
    }
    bool is_revision = strcmp(mode, "revision") == 0;
    if (!is_revision && strcmp(mode, "periodic") != 0) {
        return why_set(why, ERR(BAD_CONFIG), "unknown auto-compaction-mode %s",
            text_quote(draft->config.arena, mode));
    }
    draft->config.compaction_mode =
        is_revision ? CONFIG_COMPACTION_REVISION : CONFIG_COMPACTION_PERIODIC;
    return parse_retention(&draft->config, why);
}

static struct err check_gates(struct draft *draft, struct why *why)
{
    const struct config_gates *gates = &draft->config.gates;
    if (!gates->lease_checkpoint_persist && gates->lease_checkpoint) {
        note(draft, LOG_LEVEL_WARN,
            "Detected that checkpointing is enabled without persistence. Consider enabling feature "
            "gate LeaseCheckpointPersist",
            NULL, NULL);
    }
    if (gates->lease_checkpoint_persist && !gates->lease_checkpoint) {
        return refuse(why,
            "enabling feature gate LeaseCheckpointPersist requires enabling feature gate "
            "LeaseCheckpoint");
    }
    return OK;
}

static struct err check_hash_time(int64_t ns, const char *flag, struct why *why)
{
    char text[TEXT_DURATION_SIZE];
    return ns > 0 ? OK
                  : why_set(why, ERR(BAD_CONFIG), "--%s must be >0 (set to %s)", flag,
                        text_format_duration(ns, text));
}

static struct err parse_tls_version(
    const char *text, enum config_tls_version *out_version, struct why *why)
{
    if (*text == 0) {
        *out_version = CONFIG_TLS_DEFAULT;
    } else if (strcmp(text, "TLS1.2") == 0) {
        *out_version = CONFIG_TLS_1_2;
    } else if (strcmp(text, "TLS1.3") == 0) {
        *out_version = CONFIG_TLS_1_3;
    } else {
        return why_set(why, ERR(BAD_CONFIG),
            "unexpected TLS version \"%s\" (must be one of: TLS1.2, TLS1.3)", text);
    }
    return OK;
}

static struct err check_tls_versions(struct draft *draft, struct why *why)
{
    struct config *config = &draft->config;
    TRY(parse_tls_version(draft->tls_min, &config->tls_min, why));
    TRY(parse_tls_version(draft->tls_max, &config->tls_max, why));
    if (config->tls_max && config->tls_min > config->tls_max) {
        return why_set(why, ERR(BAD_CONFIG), "min version (%s) is greater than max version (%s)",
            draft->tls_min, draft->tls_max);
    }
    if (config->tls_min == CONFIG_TLS_1_3 && config->cipher_suites.count > 0) {
        return refuse(why, "cipher suites cannot be configured when only TLS1.3 is enabled");
    }
    return check_suites(draft, why);
}

/* An old flag and the one it became. */
static struct err check_aliases(const struct draft *draft, struct why *why)
{
    for (size_t i = 0; i < config_table.count; i++) {
        const struct row *row = row_at(i);
        bool is_alias = row->state == CONFIG_ALIAS && !row->gate && draft->is_set[i];
        size_t now = is_alias ? flag_find(&config_table, row->remark) : config_table.count;
        if (now < config_table.count && draft->is_set[now] &&
            strcmp(row->flag.name, "experimental-warning-unary-request-duration") != 0) {
            return why_set(why, ERR(BAD_CONFIG),
                "cannot set --%s and --%s at the same time, please use --%s only", row->flag.name,
                row->remark, row->remark);
        }
    }
    return OK;
}

static struct err check_tracing(const struct draft *draft, struct why *why)
{
    enum { PER_MILLION = 1000000 };
    if (draft->is_tracing && draft->tracing_rate < 0) {
        return refuse(why, "distributed tracing configurition is not valid: (tracing "
                           "sampling rate must be positive)");
    }
    if (draft->is_tracing && draft->tracing_rate > PER_MILLION) {
        return why_set(why, ERR(BAD_CONFIG),
            "distributed tracing configurition is not valid: (tracing sampling rate must be less "
            "than %d)",
            PER_MILLION);
    }
    return OK;
}

static struct err check_v2(const struct draft *draft, struct why *why)
{
    if (strcmp(draft->fallback, "proxy") == 0) {
        return refuse(why,
            "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\"");
    }
    if (strcmp(draft->proxy, "off") != 0) {
        return why_set(why, ERR(BAD_CONFIG),
            "v2 proxy is deprecated, and --proxy can't be configured as \"%s\"", draft->proxy);
    }
    return OK;
}

static void warn_default_name(struct draft *draft)
{
    if (strcmp(draft->config.name, "default") == 0) {
        note(draft, LOG_LEVEL_WARN,
            "it isn't recommended to use default name, please set a value for --name. Note that "
            "etcd might run into issue when multiple members have the same default name",
            "name", draft->config.name);
    }
}

struct err validate(struct draft *draft, struct why *why)
{
    struct config *config = &draft->config;
    TRY(check_v2(draft, why));
    TRY(check_aliases(draft, why));
    TRY(check_logging(draft, why));
    TRY(check_urls(draft, why));
    TRY(check_cluster(draft, why));
    TRY(check_ticks(config, why));
    if (config->listen_client.count > 0 && config->advertise_client.count == 0) {
        return refuse(why, "--advertise-client-urls is required when --listen-client-urls is set "
                           "explicitly");
    }
    TRY(check_compaction(draft, why));
    TRY(check_gates(draft, why));
    TRY(check_hash_time(
        draft->compact_hash_check_old_ns, "experimental-compact-hash-check-time", why));
    TRY(check_hash_time(config->compact_hash_check_ns, "compact-hash-check-time", why));
    TRY(check_tracing(draft, why));
    warn_default_name(draft);
    TRY(check_tls_versions(draft, why));
    return verify_tls(draft, why);
}
