/* SPDX-License-Identifier: Apache-2.0
 *
 * The global options, their ETCDCTL_* variables, and what comes of them. */
#include "etcdctl.h"

#include "base/log.h"
#include "base/srv.h"

#include <ctype.h>

extern char **environ;

static const char prefix[] = "ETCDCTL_";

const struct cmd_option global_options[] = {
    {"endpoints", CMD_LIST, "127.0.0.1:2379", "gRPC endpoints", 0, true},
    {"debug", CMD_BOOL, "false", "enable client-side debug logging", 0, true},
    {"write-out", CMD_STRING, "simple",
        "set the output format (fields, json, protobuf, simple, table)", 'w', true},
    {"hex", CMD_BOOL, "false", "print byte strings as hex encoded strings", 0, true},
    {"dial-timeout", CMD_DURATION, "2s", "dial timeout for client connections", 0, true},
    {"command-timeout", CMD_DURATION, "5s",
        "timeout for short running command (excluding dial timeout)", 0, true},
    {"keepalive-time", CMD_DURATION, "2s", "keepalive time for client connections", 0, true},
    {"keepalive-timeout", CMD_DURATION, "6s", "keepalive timeout for client connections", 0, true},
    {"max-request-bytes", CMD_INT, "0",
        "client-side request send limit in bytes (if 0, it defaults to 2.0 MiB (2 * 1024 * 1024).)",
        0, true},
    {"max-recv-bytes", CMD_INT, "0",
        "client-side response receive limit in bytes (if 0, it defaults to \"math.MaxInt32\")", 0,
        true},
    {"insecure-transport", CMD_BOOL, "true", "disable transport security for client connections", 0,
        true},
    {"insecure-discovery", CMD_BOOL, "true",
        "accept insecure SRV records describing cluster endpoints", 0, true},
    {"insecure-skip-tls-verify", CMD_BOOL, "false",
        "skip server certificate verification (CAUTION: this option should be enabled only for "
        "testing purposes)",
        0, true},
    {"cert", CMD_STRING, "", "identify secure client using this TLS certificate file", 0, true},
    {"key", CMD_STRING, "", "identify secure client using this TLS key file", 0, true},
    {"cacert", CMD_STRING, "",
        "verify certificates of TLS-enabled secure servers using this CA bundle", 0, true},
    {"auth-jwt-token", CMD_STRING, "",
        "JWT token used for authentication (if this option is used, --user and --password should "
        "not be set)",
        0, true},
    {"user", CMD_STRING, "",
        "username[:password] for authentication (prompt if password is not supplied)", 0, true},
    {"password", CMD_STRING, "",
        "password for authentication (if this option is used, --user option shouldn't include "
        "password)",
        0, true},
    {"discovery-srv", CMD_STRING, "",
        "domain name to query for SRV records describing cluster endpoints", 'd', true},
    {"discovery-srv-name", CMD_STRING, "", "service name to query when using DNS discovery", 0,
        true},
    {0},
};

/* ETCDCTL_DIAL_TIMEOUT of dial-timeout. */
static const char *env_name(struct arena *arena, const char *option)
{
    char *name = arena_printf(arena, "%s%s", prefix, option);

    for (char *at = name; *at; at++) {
        *at = (char)(*at == '-' ? '_' : toupper((unsigned char)*at));
    }
    return name;
}

static bool is_watch(const struct cmd_run *run)
{
    return run->path[run->depth - 1] == &cmd_watch;
}

/* The option that a variable stands for, if the command has inherited it. */
static struct cmd_value *value_of_env(const struct cmd_run *run, const char *env, size_t len)
{
    for (size_t i = 0; i < run->values_count; i++) {
        const char *name = env_name(run->arena, run->values[i].option->name);
        if (run->values[i].is_inherited && strlen(name) == len && memcmp(name, env, len) == 0) {
            return &run->values[i];
        }
    }
    return NULL;
}

/* Variables that belong to an option but are not its value, e.g. the key of watch. */
static bool is_known_env(const struct cmd_run *run, const char *env)
{
    return is_watch(run) &&
           (strncmp(env, "ETCDCTL_WATCH_KEY=", 18) == 0
                   ? env[18] != '\0'
                   : strncmp(env, "ETCDCTL_WATCH_RANGE_END=", 24) == 0 && env[24] != '\0');
}

/* A variable fills an option that the command line leaves alone; both at once are a conflict. A
 * value that cannot be read leaves zero, without a word: so does etcdctl. */
static void read_environment(struct cmd_run *run)
{
    struct why why;

    for (char **env = environ; *env; env++) {
        size_t len = strcspn(*env, "=");
        struct cmd_value *value = value_of_env(run, *env, len);
        if (value && !value->is_changed && (*env)[len] == '=' && (*env)[len + 1]) {
            (void)err_is(cmd_value_set(value, *env + len + 1, run->arena, &why));
            value->is_from_env = true;
        }
    }
    for (char **env = environ; *env; env++) {
        size_t len = strcspn(*env, "=");
        struct cmd_value *value = value_of_env(run, *env, len);
        if (value && value->is_changed) {
            LOG_FATAL("conflicting environment variable is shadowed by corresponding command-line "
                      "flag (either unset "
                      "environment variable or disable flag))",
                LOG_BYTES("environment-variable", slice_of(*env, len)));
        }
        bool is_used = value ? (*env)[len + 1] != '\0' : is_known_env(run, *env);
        if (!is_used && strncmp(*env, prefix, sizeof(prefix) - 1) == 0) {
            LOG_WARN("unrecognized environment variable", LOG_STR("environment-variable", *env));
        }
    }
}

static int by_line(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void list_options(const struct cmd_run *run)
{
    const char **lines = arena_zalloc(run->arena, (run->values_count + 2) * sizeof(*lines));
    size_t count = 0;

    for (size_t i = 0; i < run->values_count; i++) {
        const struct cmd_value *value = &run->values[i];
        if (value->is_inherited) {
            lines[count++] = arena_printf(run->arena, "%s=%s",
                env_name(run->arena, value->option->name), cmd_value_text(value, run->arena));
        }
    }
    if (is_watch(run)) {
        lines[count++] = "ETCDCTL_WATCH_KEY=";
        lines[count++] = "ETCDCTL_WATCH_RANGE_END=";
    }
    qsort(lines, count, sizeof(*lines), by_line);
    for (size_t i = 0; i < count; i++) {
        fprintf(stderr, "%s\n", lines[i]);
    }
}

/* From DNS when a domain is given, else from --endpoints, trimmed. */
static int find_endpoints(struct cmd_run *run, struct client_config *out)
{
    const char *domain = cmd_text(run, "discovery-srv");
    struct cmd_value *endpoints = cmd_value(run, "endpoints");
    struct text_list found = {NULL, 0};
    struct why why;

    if (*domain && err_is(srv_clients(run->arena, domain, cmd_text(run, "discovery-srv-name"),
                       &found, NULL, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    const char **list =
        arena_zalloc(run->arena, (found.count + endpoints->items_count + 1) * sizeof(*list));
    size_t kept = 0;
    for (size_t i = 0; i < found.count; i++) {
        if (!cmd_bool(run, "insecure-discovery") && strncmp(found.items[i], "http://", 7) == 0) {
            fprintf(stderr, "ignoring discovered insecure endpoint \"%s\"\n", found.items[i]);
        } else {
            list[kept++] = found.items[i];
        }
    }
    bool falls_back = kept == 0;
    for (size_t i = 0; falls_back && i < endpoints->items_count; i++) {
        list[kept++] = endpoints->items[i] = text_trim(run->arena, endpoints->items[i]);
    }
    out->endpoints = list;
    out->endpoints_count = kept;
    return CMD_EXIT_OK;
}

static int read_files(struct cmd_run *run, struct client_config *out)
{
    static const char *const names[] = {"cert", "key", "cacert"};
    const char **fields[] = {&out->cert, &out->key, &out->cacert};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct cmd_value *value = cmd_value(run, names[i]);
        *fields[i] = value->text;
        if (value->is_changed && !*value->text) {
            return cmd_fail(CMD_EXIT_BAD_ARGS, "empty string is passed to --%s option", names[i]);
        }
    }
    out->server_name = cmd_bool(run, "insecure-discovery") ? "" : cmd_text(run, "discovery-srv");
    return CMD_EXIT_OK;
}

static void read_user(struct cmd_run *run, struct client_config *out)
{
    const char *user = cmd_text(run, "user");
    const char *password = cmd_text(run, "password");
    const char *colon = strchr(user, ':');

    out->user = out->password = "";
    out->token = cmd_text(run, "auth-jwt-token");
    if (*out->token || !*user) {
        return;
    }
    out->user = user;
    if (*password) {
        out->password = password;
    } else if (colon) {
        out->user =
            (const char *)arena_dup(run->arena, slice_of(user, (size_t)(colon - user))).data;
        out->password = colon + 1;
    } else {
        out->password = ctl_ask(run->arena, "Password: ");
    }
}

int ctl_configure(
    struct cmd_run *run, struct client_config *out_config, struct printer *out_printer)
{
    struct client_config config = {.logger = "etcd-client"};

    read_environment(run);
    if (cmd_bool(run, "debug")) {
        list_options(run);
    }
    config.dial_timeout_ns = cmd_int(run, "dial-timeout");
    config.keepalive_time_ns = cmd_int(run, "keepalive-time");
    config.keepalive_timeout_ns = cmd_int(run, "keepalive-timeout");
    config.send_max = cmd_int(run, "max-request-bytes");
    config.recv_max = cmd_int(run, "max-recv-bytes");
    config.is_insecure = cmd_bool(run, "insecure-transport");
    config.skips_verify = cmd_bool(run, "insecure-skip-tls-verify");
    int code = find_endpoints(run, &config);
    if (code == CMD_EXIT_OK) {
        code = read_files(run, &config);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    read_user(run, &config);
    *out_printer =
        (struct printer){.is_hex = cmd_bool(run, "hex"), .out = stdout, .arena = run->arena};
    if (!print_format_of(cmd_text(run, "write-out"), out_printer)) {
        return cmd_fail(CMD_EXIT_BAD_FEATURE, "unsupported output format");
    }
    *out_config = config;
    return CMD_EXIT_OK;
}

int ctl_open(const struct client_config *config, struct client **out_client)
{
    enum client_stage stage;
    struct why why;

    if (!err_is(client_open(config, out_client, &stage, &why))) {
        return CMD_EXIT_OK;
    }
    return cmd_fail(
        stage == CLIENT_BAD_CONFIG ? CMD_EXIT_BAD_ARGS : CMD_EXIT_BAD_CONNECTION, "%s", why.text);
}

int ctl_connect(struct cmd_run *run, struct client **out_client, struct printer *out_printer)
{
    struct client_config config;
    int code = ctl_configure(run, &config, out_printer);
    return code == CMD_EXIT_OK ? ctl_open(&config, out_client) : code;
}

client_deadline ctl_deadline(const struct cmd_run *run)
{
    return clock_mono_ns() + cmd_int(run, "command-timeout");
}

struct client_config ctl_config_for(const struct client_config *config, const char *const *endpoint)
{
    struct client_config one = *config;

    one.endpoints = endpoint;
    one.endpoints_count = 1;
    return one;
}

int ctl_call(struct client *client, const struct client_method *method, const void *request,
    client_deadline deadline, void *out_response)
{
    struct why why;

    if (!err_is(client_call(client, CLIENT_ASK(method, request, deadline), out_response, &why))) {
        return CMD_EXIT_OK;
    }
    client_close(client);
    return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
}

int ctl_connect_call(struct cmd_run *run, const struct client_method *method, const void *request,
    struct ctl_session *out, void *out_response)
{
    int code = ctl_connect(run, &out->client, &out->printer);
    return code == CMD_EXIT_OK ? ctl_call(out->client, method, request, 0, out_response) : code;
}

const char *ctl_endpoint_list(struct arena *arena, const struct client_config *config)
{
    const char *list = "[";

    for (size_t i = 0; i < config->endpoints_count; i++) {
        list = arena_printf(arena, "%s%s%s", list, i ? " " : "", config->endpoints[i]);
    }
    return arena_printf(arena, "%s]", list);
}

static int member_urls(struct cmd_run *run, struct client *client,
    const char *const **out_endpoints, size_t *out_count)
{
    const Etcdserverpb__MemberListResponse *response;
    const char **list = NULL;
    size_t count = 0, most = 0;
    struct why why;

    REQUEST(MemberListRequest, member_list_request, request);
    request.linearizable = true;
    if (err_is(client_call(client, CLIENT_ASK(&client_member_list, &request, ctl_deadline(run)),
            &response, &why))) {
        return cmd_fail(CMD_EXIT_ERROR,
            "failed to fetch endpoints from etcd cluster member list: %s", why.text);
    }
    for (size_t i = 0; i < response->n_members; i++) {
        most += response->members[i]->n_clienturls;
    }
    list = arena_zalloc(run->arena, (most + 1) * sizeof(*list));
    for (size_t i = 0; i < response->n_members; i++) {
        for (size_t u = 0; u < response->members[i]->n_clienturls; u++) {
            list[count++] = arena_strdup(run->arena, response->members[i]->clienturls[u]);
        }
    }
    *out_endpoints = list;
    *out_count = count;
    return CMD_EXIT_OK;
}

int ctl_cluster_endpoints(struct cmd_run *run, const struct client_config *config,
    const char *const **out_endpoints, size_t *out_count)
{
    struct client *client;
    enum client_stage stage;
    struct why why;

    if (!cmd_bool(run, "cluster")) {
        struct cmd_value *endpoints = cmd_value(run, "endpoints");
        *out_endpoints = endpoints->items;
        *out_count = endpoints->items_count;
        return CMD_EXIT_OK;
    }
    if (err_is(client_open(config, &client, &stage, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    int code = member_urls(run, client, out_endpoints, out_count);
    client_close(client);
    return code;
}

struct slice ctl_read_stdin(struct arena *arena)
{
    char chunk[65536];
    struct buf buf;
    size_t got;

    buf_init(&buf, SIZE_MAX);
    while ((got = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
        buf_add(&buf, chunk, got);
    }
    struct slice all = arena_dup(arena, buf_slice(&buf));
    buf_fini(&buf);
    return all;
}

const char *ctl_duration(struct arena *arena, int64_t ns)
{
    char text[TEXT_DURATION_SIZE];
    return arena_strdup(arena, text_format_duration(ns, text));
}

int ctl_consistency(const char *text, const char *shown, bool *out_is_serializable)
{
    *out_is_serializable = strcmp(text, "s") == 0;
    if (*out_is_serializable || strcmp(text, "l") == 0) {
        return CMD_EXIT_OK;
    }
    return cmd_fail(CMD_EXIT_BAD_FEATURE, "unknown consistency flag \"%s\"", shown);
}
