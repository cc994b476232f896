/* SPDX-License-Identifier: Apache-2.0
 *
 * ETCD_* variables, for every flag that the command line left alone. */
#include "config/draft.h"

#include "base/mem.h"
#include "base/text.h"

#define SHADOWED                                                                                   \
    "conflicting environment variable is shadowed by corresponding command-line flag (either "     \
    "unset environment variable or disable flag))"

static const char *const version_variable = "ETCD_VERSION";

/* The value of a variable; NULL when it is not there or empty, as os.Getenv cannot tell these
 * apart. */
static const char *env_get(const struct draft *draft, const char *name)
{
    size_t len = strlen(name);
    for (char *const *at = draft->source->environ; at && *at; at++) {
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=') {
            return (*at)[len + 1] ? *at + len + 1 : NULL;
        }
    }
    return NULL;
}

static struct err take(struct draft *draft, size_t i, const char *variable, struct why *why)
{
    const struct flag *flag = &row_at(i)->flag;
    struct arena *arena = draft->config.arena;
    const char *value = env_get(draft, variable);
    struct why reason;
    if (!value || strcmp(variable, version_variable) == 0) {
        return OK;
    }
    struct err e = flag_set(flag, arena, draft, value, &reason);
    draft->is_set[i] = true;
    if (err_is(e)) {
        return why_set(why, ERR(BAD_CONFIG), "invalid value %s for %s: %s",
            text_quote(arena, value), variable, reason.text);
    }
    note2(draft, &(struct config_note){LOG_LEVEL_INFO, "recognized and used environment variable",
                     {"variable-name", "variable-value"}, {variable, value}});
    return OK;
}

/* Rows by name, since etcd walks its flags so and reports the last that fails. */
static int by_name(const void *a, const void *b)
{
    return strcmp(row_at(*(const size_t *)a)->flag.name, row_at(*(const size_t *)b)->flag.name);
}

/* Whether some flag's variable is named so. */
static bool is_variable(
    struct draft *draft, const char *name, const bool *by_flag, bool *out_shadows)
{
    for (size_t i = 0; i < config_table.count; i++) {
        const char *variable = flag_env_name(draft->config.arena, "ETCD", row_at(i)->flag.name);
        if (strcmp(variable, name) == 0) {
            *out_shadows = by_flag[i];
            return true;
        }
    }
    return false;
}

/* What the environment holds that no flag took. Errors: BAD_CONFIG (a flag shadows it). */
static struct err look_through(struct draft *draft, const bool *by_flag, struct why *why)
{
    struct arena *arena = draft->config.arena;
    for (char *const *at = draft->source->environ; at && *at; at++) {
        if (strncmp(*at, "ETCD_", 5) != 0) {
            continue;
        }
        size_t len = strcspn(*at, "=");
        const char *name = (const char *)arena_dup(arena, slice_of(*at, len)).data;
        bool shadows = false;
        if (strcmp(name, version_variable) == 0 || strcmp(name, "ETCD_UNSUPPORTED_ARCH") == 0) {
            continue;
        }
        bool is_known = is_variable(draft, name, by_flag, &shadows);
        if (shadows) {
            note(draft, LOG_LEVEL_FATAL, SHADOWED, "environment-variable", name);
            return why_set(why, ERR(BAD_CONFIG), SHADOWED ": %s", name);
        }
        if (!is_known || !env_get(draft, name)) {
            note(draft, LOG_LEVEL_WARN, "unrecognized environment variable", "environment-variable",
                *at);
        }
    }
    return OK;
}

struct err env_apply(struct draft *draft, struct why *why)
{
    size_t order[ROWS_MAX];
    bool by_flag[ROWS_MAX];
    struct err result = OK;
    const char *version = env_get(draft, version_variable);
    if (version) {
        note2(
            draft, &(struct config_note){LOG_LEVEL_WARN, "cannot set special environment variable",
                       {"key", "value"}, {version_variable, version}});
    }
    memcpy(by_flag, draft->is_set, sizeof(by_flag));
    for (size_t i = 0; i < config_table.count; i++) {
        order[i] = i;
    }
    qsort(order, config_table.count, sizeof(order[0]), by_name);
    for (size_t i = 0; i < config_table.count; i++) {
        const char *name = row_at(order[i])->flag.name;
        if (!by_flag[order[i]]) {
            struct err e =
                take(draft, order[i], flag_env_name(draft->config.arena, "ETCD", name), why);
            result = err_is(e) ? e : result;
        }
    }
    TRY(look_through(draft, by_flag, why));
    return result;
}

const char *env_config_file(const struct draft *draft)
{
    const char *path = env_get(draft, "ETCD_CONFIG_FILE");
    return path ? path : "";
}
