/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of option tables, and their values as pflag keeps, reads and prints them. Pure.
 */
#ifndef CTL_CMD_VALUE_H
#define CTL_CMD_VALUE_H

#include "base/arena.h"
#include "base/err.h"

enum cmd_option_type {
    CMD_BOOL,
    CMD_STRING,
    CMD_INT64,
    CMD_INT,
    CMD_UINT,
    CMD_DURATION,
    CMD_LIST, /* "a,b", may be given again to add */
};

/* A row of a command's option table; the row without a name ends it. */
struct cmd_option {
    const char *name;
    enum cmd_option_type type;
    const char *fallback; /* the value when it is not given, as it would be given */
    const char *usage;
    char shorthand;
    bool is_persistent; /* the commands below have it too */
};

struct cmd_value {
    const struct cmd_option *option;
    const char *text; /* CMD_STRING */
    int64_t number;   /* the numbers, 0 or 1, nanoseconds */
    const char **items;
    size_t items_count;
    bool is_changed;
    bool is_from_env; /* told by the environment */
    bool is_inherited;
};

/* Sets as from the command line. Errors: BAD_INPUT with Go's text; the value is then zero, as pflag
 * leaves it. */
MUST struct err cmd_value_set(
    struct cmd_value *value, const char *text, struct arena *arena, struct why *why);
/* As Go prints it: true, 5s, [a,b]. In the arena. */
const char *cmd_value_text(const struct cmd_value *value, struct arena *arena);

#endif
