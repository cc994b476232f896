/* SPDX-License-Identifier: Apache-2.0
 *
 * What the table's rows fill: the final struct with what is only needed on the way; and the steps
 * of config_load, one a file.
 */
#ifndef CONFIG_DRAFT_H
#define CONFIG_DRAFT_H

#include "config/table.h"

enum {
    ROWS_MAX = 256,
    GATES_MAX = 16,
    GATE_ALL_ALPHA = 0,
    GATE_ALL_BETA = 1,
};

/* What gates were set to, beside their defaults. */
struct gate_values {
    bool is_set[GATES_MAX];
    bool value[GATES_MAX];
};

struct draft {
    struct config config;
    struct config_notes *notes;
    const struct config_source *source;
    bool is_set[ROWS_MAX]; /* by flag, environment or file */
    bool is_print_version;
    const char *config_file;
    const char *cluster_state;
    const char *fallback;
    const char *v2_deprecation;
    const char *proxy;
    const char *logger;
    const char *log_level;
    const char *log_format;
    const char *log_rotation_json;
    bool is_debug;
    const char *metrics;
    const char *compaction_mode;
    const char *tls_min;
    const char *tls_max;
    int64_t warning_unary_ns;
    int64_t warning_unary_old_ns;
    int64_t compact_hash_check_old_ns;
    struct gate_values gates;
    bool gate_flags[GATES_MAX]; /* --experimental-… booleans */
    bool is_tracing;
    int64_t tracing_rate;
    /* accepted and without meaning here */
    uint64_t none_number;
    const char *none_text;
    int64_t none_ns;
    bool none_bool;
};

bool row_is_set(const struct draft *draft, const char *name);

/* Adds a note; name and value may be NULL. */
void note(struct draft *draft, enum log_level level, const char *message, const char *name,
    const char *value);
void note2(struct draft *draft, const struct config_note *add);

/* gates.c */
/* "Name=true|false (ALPHA - default=false)"; NULL past the last. */
const char *gates_help(struct arena *arena, size_t i);
/* "true" or "false"; the gate must exist. */
const char *gate_default(const char *name);
struct err gates_set(struct arena *arena, void *draft, const char *value, struct why *why);
/* Number of a gate; -1: unknown. */
int gate_find(const char *name);
/* --experimental-… booleans become gates, unless both say. Errors: BAD_CONFIG. */
struct err gates_finish(struct draft *draft, struct why *why);

/* values.c. Errors: BAD_INPUT; BAD_CONFIG. */
struct err cors_set(struct arena *arena, void *draft, const char *value, struct why *why);
struct err rotation_parse(const char *text, struct log_rotation *out, struct why *why);

/* Each step of config_load. Errors: BAD_CONFIG, BAD_TLS. */
struct err env_apply(struct draft *draft, struct why *why);
const char *env_config_file(const struct draft *draft);
struct err file_apply(struct draft *draft, struct why *why);
struct err keydir_apply(struct draft *draft, struct why *why);
struct err verify_tls(struct draft *draft, struct why *why);
/* Each of --cipher-suites; leaves those out that are Go's and not OpenSSL's any more. */
struct err check_suites(struct draft *draft, struct why *why);
struct err validate(struct draft *draft, struct why *why);
/* host.c: this machine's address by its default route; "" when there is none. */
const char *host_default(struct arena *arena);

#endif
