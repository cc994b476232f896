/* SPDX-License-Identifier: Apache-2.0
 *
 * The one table of flags, and the draft that its rows fill: the final struct with what is only
 * needed on the way.
 */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "base/flag.h"
#include "config/config.h"

enum config_section {
    SECTION_NONE, /* not printed by help */
    SECTION_MEMBER,
    SECTION_CLUSTERING,
    SECTION_SECURITY,
    SECTION_AUTH,
    SECTION_MONITORING,
    SECTION_LOGGING,
    SECTION_TRACING,
    SECTION_EXPERIMENTAL,
    SECTION_PROXY,
    SECTION_UNSAFE,
    SECTION_OWN,
    SECTIONS,
};

struct row {
    struct flag flag;
    enum config_section section;
    const char *since;
    const char *go;    /* Go's type of the key in --config-file; NULL: no key there */
    bool is_json;      /* the key belongs to etcd's configJSON, not to its Config (error texts) */
    const char *value; /* the default, parsed like a given value; NULL: zero */
    const char *help;
    const char *shown; /* the default in help, where it is not value */
    enum config_state state;
    const char *remark; /* ACCEPTED: why it means nothing; ALIAS: the flag it stands for */
    const char *gate;   /* ALIAS of this feature gate */
};

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
    /* accepted and without meaning here */
    uint64_t none_number;
    const char *none_text;
    int64_t none_ns;
    bool none_bool;
};

extern const struct flag_table config_table;
const struct row *row_at(size_t i);
/* Must exist. */
size_t row_of(const char *name);
bool row_is_set(const struct draft *draft, const char *name);

/* Adds a note; name and value may be NULL. */
void note(struct draft *draft, enum log_level level, const char *message, const char *name,
    const char *value);
void note2(struct draft *draft, const struct config_note *add);

/* gates.c */
/* "Name=true|false (ALPHA - default=false)"; NULL past the last. */
const char *gates_help(struct arena *arena, size_t i);
struct err gates_set(struct arena *arena, void *draft, const char *value, struct why *why);
/* Number of a gate; -1: unknown. */
int gate_find(const char *name);
/* --experimental-… booleans become gates, unless both say. Errors: BAD_CONFIG. */
struct err gates_finish(struct draft *draft, struct why *why);

/* Each step of config_load. Errors: BAD_CONFIG, BAD_TLS. */
struct err env_apply(struct draft *draft, struct why *why);
const char *env_config_file(const struct draft *draft);
struct err file_apply(struct draft *draft, struct why *why);
struct err keydir_apply(struct draft *draft, struct why *why);
struct err verify_tls(struct draft *draft, struct why *why);
struct err validate(struct draft *draft, struct why *why);
/* host.c: this machine's address by its default route; "" when there is none. */
const char *host_default(struct arena *arena);

#endif
