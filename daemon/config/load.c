/* SPDX-License-Identifier: Apache-2.0 */
#include "config/draft.h"

#include "base/mem.h"

enum { WATCH_PROGRESS_MIN_NS = 100000000, RAFT_TIMEOUT_MIN_S = 5 };

static const int64_t second_ns = 1000000000;

void note2(struct draft *draft, const struct config_note *add)
{
    struct config_notes *notes = draft->notes;
    notes->items = mem_grow(notes->items, (notes->count + 1) * sizeof(notes->items[0]));
    struct config_note *item = &notes->items[notes->count++];
    *item = *add;
    item->message = arena_strdup(notes->arena, add->message);
    for (size_t i = 0; i < COUNT_OF(item->names) && item->names[i]; i++) {
        item->names[i] = arena_strdup(notes->arena, add->names[i]);
        item->values[i] = arena_strdup(notes->arena, add->values[i]);
    }
}

void note(struct draft *draft, enum log_level level, const char *message, const char *name,
    const char *value)
{
    note2(draft, &(struct config_note){level, message, {name}, {value}});
}

void config_notes_fini(struct config_notes *notes)
{
    arena_free(notes->arena);
    free(notes->items);
    *notes = (struct config_notes){0};
}

static void draft_init(
    struct draft *draft, const struct config_source *source, struct config_notes *notes)
{
    static const char *const none[] = {NULL};
    struct config *config = &draft->config;
    config->arena = arena_new(0);
    config->detected = config->gates_text = config->discovery.url = "";
    config->client.allowed_cns = config->client.allowed_hostnames = (struct text_list){none, 0};
    config->peer.allowed_cns = config->peer.allowed_hostnames = (struct text_list){none, 0};
    config->cipher_suites = config->discovery.endpoints = (struct text_list){none, 0};
    draft->compact_hash_check_old_ns = 60 * second_ns;
    draft->source = source;
    draft->notes = notes;
    for (size_t i = 0; i < config_table.count; i++) {
        const struct row *row = row_at(i);
        if (row->value) {
            struct err e = flag_set(&row->flag, config->arena, draft, row->value, NULL);
            check(!err_is(e));
        }
    }
}

/* What the command line asks for beside values. Errors: BAD_INPUT (does not parse), BAD_CONFIG. */
static struct err parse_arguments(struct draft *draft, struct why *why)
{
    const struct config_source *source = draft->source;
    struct flag_run run = {.arena = draft->config.arena, .target = draft, .is_set = draft->is_set};
    TRY(flag_parse(&config_table, source->argc, source->argv, &run, why));
    if (run.is_help) {
        draft->config.action = CONFIG_HELP;
        return OK;
    }
    if (run.arg_index < source->argc) {
        return why_set(why, ERR(BAD_CONFIG), "%s is not a valid flag",
            text_quote(draft->config.arena, source->argv[run.arg_index]));
    }
    if (draft->is_print_version) {
        draft->config.action = CONFIG_VERSION;
    }
    return OK;
}

static void raise_timeout(struct draft *draft, int64_t *ns, const char *flag)
{
    if (*ns < RAFT_TIMEOUT_MIN_S * second_ns) {
        *ns = RAFT_TIMEOUT_MIN_S * second_ns;
        note(draft, LOG_LEVEL_INFO,
            arena_printf(draft->config.arena, "%s increased to minimum value: 5s", flag), NULL,
            NULL);
    }
}

static bool has_discovery(const struct config *config)
{
    const struct config_discovery *discovery = &config->discovery;
    return *discovery->url || *discovery->srv_domain || *discovery->srv_name ||
           discovery->endpoints.count > 0;
}

/* Rules that hold for flags and environment only. */
static void finish_flags(struct draft *draft)
{
    struct config *config = &draft->config;
    raise_timeout(draft, &config->raft_read_timeout_ns, "raft-read-timeout");
    raise_timeout(draft, &config->raft_write_timeout_ns, "raft-write-timeout");
    if (row_is_set(draft, "listen-client-urls") && !row_is_set(draft, "advertise-client-urls")) {
        config->advertise_client = (struct url_list){NULL, 0};
    }
}

static struct err finish_durations(struct draft *draft, struct why *why)
{
    struct config *config = &draft->config;
    if (draft->warning_unary_ns && draft->warning_unary_old_ns) {
        return why_set(why, ERR(BAD_CONFIG),
            "both --experimental-warning-unary-request-duration and "
            "--warning-unary-request-duration flags are set. Use only "
            "--warning-unary-request-duration");
    }
    config->warning_unary_ns = draft->warning_unary_ns       ? draft->warning_unary_ns
                               : draft->warning_unary_old_ns ? draft->warning_unary_old_ns
                                                             : 300000000;
    if (row_is_set(draft, "experimental-compact-hash-check-time") &&
        draft->compact_hash_check_old_ns > 0) {
        config->compact_hash_check_ns = draft->compact_hash_check_old_ns;
    }
    if (config->watch_progress_ns <= 0) {
        config->watch_progress_ns = 600 * second_ns;
    } else if (config->watch_progress_ns < WATCH_PROGRESS_MIN_NS) {
        char given[TEXT_DURATION_SIZE];
        note2(draft, &(struct config_note){LOG_LEVEL_WARN,
                         "adjusting watch progress notify interval to minimum period",
                         {"min-watch-progress-notify-interval", "watch-progress-notify-interval"},
                         {"100ms", text_format_duration(config->watch_progress_ns, given)}});
        config->watch_progress_ns = WATCH_PROGRESS_MIN_NS;
    }
    return OK;
}

static const char *cluster_of_self(const struct config *config)
{
    const char *text = "";
    for (size_t i = 0; i < config->advertise_peer.count; i++) {
        text = arena_printf(config->arena, "%s%s%s=%s", text, i ? "," : "",
            *config->name ? config->name : "default", config->advertise_peer.items[i].text);
    }
    return text;
}

/* Left out, it is this member alone; the default member alone at its default URL, as etcd has it.
 */
static void default_cluster(struct draft *draft)
{
    struct config *config = &draft->config;
    if (row_is_set(draft, "initial-cluster") || has_discovery(config)) {
        return;
    }
    config->initial_cluster = config->peer.is_detected ? "default=https://localhost:2380"
                                                       : "default=http://localhost:2380";
}

/* A deprecated name, or a flag that means nothing here. */
static void note_row(struct draft *draft, const struct row *row)
{
    struct arena *arena = draft->config.arena;
    if (row->state == CONFIG_ALIAS) {
        note(draft, LOG_LEVEL_WARN,
            arena_printf(arena,
                "--%s is deprecated in v3.6 and will be decommissioned in v3.7. Use '--%s' "
                "instead.",
                row->flag.name, row->remark),
            NULL, NULL);
    } else if (row->state == CONFIG_ACCEPTED) {
        note2(draft, &(struct config_note){LOG_LEVEL_WARN, "flag is accepted and has no effect",
                         {"flag-name", "reason"}, {row->flag.name, row->remark}});
    } else if (row->state == CONFIG_IGNORED) {
        note(draft, LOG_LEVEL_WARN, "flag is no longer supported - ignoring", "flag-name",
            row->flag.name);
    }
}

static void note_rows(struct draft *draft)
{
    for (size_t i = 0; i < config_table.count; i++) {
        if (draft->is_set[i]) {
            note_row(draft, row_at(i));
        }
    }
    if (row_is_set(draft, "max-snapshots")) {
        note(draft, LOG_LEVEL_WARN,
            "--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8.", NULL, NULL);
    }
    draft->notes->running_at = draft->notes->count;
}

/* Advertised localhost while listening on 0.0.0.0 becomes this machine's address. */
static bool advertise_host(struct draft *draft, const struct url_list *listen,
    struct url_list *advertise, const char *host)
{
    struct arena *arena = draft->config.arena;
    const char *text = url_list_text(arena, advertise);
    bool is_default = advertise->count == 1 && strcmp(advertise->items[0].host, "localhost") == 0 &&
                      (strstr(text, "localhost:2379") || strstr(text, "localhost:2380"));
    if (!is_default || listen->count == 0 || strcmp(listen->items[0].host, "0.0.0.0") != 0) {
        return false;
    }
    text = arena_printf(arena, strchr(host, ':') ? "%s://[%s]:%s" : "%s://%s:%s",
        advertise->items[0].scheme_text, host, listen->items[0].port);
    return !err_is(url_list_parse(arena, text, advertise, NULL));
}

static void default_host(struct draft *draft)
{
    struct config *config = &draft->config;
    const char *host = host_default(config->arena);
    if (!*host) {
        note(draft, LOG_LEVEL_INFO, "failed to detect default host", "error",
            "could not find default route");
    }
    bool is_used =
        *host && advertise_host(draft, &config->listen_peer, &config->advertise_peer, host);
    if (!row_is_set(draft, "initial-cluster") && !has_discovery(config) &&
        strcmp(config->name, "default") != 0) {
        config->initial_cluster = cluster_of_self(config);
    }
    if (*host && advertise_host(draft, &config->listen_client, &config->advertise_client, host)) {
        is_used = true;
    }
    if (is_used) {
        note(draft, LOG_LEVEL_INFO, "detected default host for advertise", "host", host);
    }
}

static void finish(struct draft *draft)
{
    struct config *config = &draft->config;
    config->metrics_extensive = strcmp(draft->metrics, "extensive") == 0;
    if (config->self_signed_years == 0) {
        config->self_signed_years = 1;
    }
    note_rows(draft);
    default_host(draft);
    if (*config->data_dir == 0) {
        config->data_dir = arena_printf(config->arena, "%s.etcd", config->name);
        config->is_data_dir_default = true;
        note(draft, LOG_LEVEL_WARN, "'data-dir' was empty; using default", "data-dir",
            config->data_dir);
    }
    if (err_is(url_cluster_parse(config->arena, config->initial_cluster, &config->members, NULL))) {
        config->members = (struct url_cluster){NULL, 0};
    }
}

static struct err read_sources(struct draft *draft, struct why *why)
{
    if (*draft->config_file == 0) {
        draft->config_file = env_config_file(draft);
    }
    if (*draft->config_file == 0) {
        TRY(env_apply(draft, why));
        finish_flags(draft);
        return OK;
    }
    /* The command line counts for nothing from here on. */
    const char *path = draft->config_file;
    const struct config_source *source = draft->source;
    struct config_notes *notes = draft->notes;
    struct arena *old = draft->config.arena;
    *draft = (struct draft){0};
    draft_init(draft, source, notes);
    draft->config_file = arena_strdup(draft->config.arena, path);
    arena_free(old);
    TRY(file_apply(draft, why));
    note(draft, LOG_LEVEL_INFO,
        "loaded server configuration, other configuration command line flags and environment "
        "variables will be ignored if provided",
        "path", draft->config_file);
    return OK;
}

static struct err read_all(struct draft *draft, struct why *why)
{
    TRY(read_sources(draft, why));
    TRY(gates_finish(draft, why));
    TRY(finish_durations(draft, why));
    TRY(keydir_apply(draft, why));
    default_cluster(draft);
    TRY(validate(draft, why));
    finish(draft);
    return OK;
}

/* BAD_INPUT is a command line that does not parse; all that comes after is a refusal. */
static struct err load(struct draft *draft, struct why *why)
{
    TRY(parse_arguments(draft, why));
    if (draft->config.action != CONFIG_RUN) {
        return OK;
    }
    struct err e = read_all(draft, why);
    return IS(e, BAD_INPUT) ? ERR(BAD_CONFIG) : e;
}

struct err config_load(const struct config_source *source, struct config *out_config,
    struct config_notes *out_notes, struct why *why)
{
    struct draft *draft = mem_new(sizeof(*draft));
    *out_notes = (struct config_notes){.arena = arena_new(0)};
    draft_init(draft, source, out_notes);
    struct err e = load(draft, why);
    if (err_is(e)) {
        out_notes->running_at = out_notes->count;
        arena_free(draft->config.arena);
    } else {
        *out_config = draft->config;
    }
    free(draft);
    return e;
}

void config_fini(struct config *config)
{
    arena_free(config->arena);
    *config = (struct config){0};
}
