/* SPDX-License-Identifier: Apache-2.0
 *
 * The one table of flags.
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

extern const struct flag_table config_table;
const struct row *row_at(size_t i);
/* Must exist. */
size_t row_of(const char *name);

#endif
