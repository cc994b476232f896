/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands and their options as tables, with cobra's manners: the command is found among the
 * arguments wherever it stands, by any prefix that is unique; options may stand anywhere; the usage
 * text is etcdctl's. One thread.
 */
#ifndef CTL_CMD_H
#define CTL_CMD_H

#include "ctl/lib/cmd_value.h"

#include <stdio.h>

struct cmd_run;
struct lines_words;

struct cmd {
    const char *use;   /* "get [options] <key> [range_end]"; the first word is the name */
    const char *brief; /* for the list of commands */
    const char *text;  /* DESCRIPTION, or NULL */
    const char *example;
    const struct cmd_option *options;  /* or NULL */
    const struct cmd *const *children; /* NULL-terminated, or NULL */
    int (*run)(struct cmd_run *run);   /* gives the exit code; NULL: the command only groups */
    bool hides_flags;                  /* no "[flags]" in its USAGE line */
};

enum { CMD_DEPTH_MAX = 4 };

/* One command line, taken apart. */
struct cmd_run {
    const struct cmd *path[CMD_DEPTH_MAX]; /* root first */
    size_t depth;
    struct cmd_value *values; /* own options, help, then what is inherited */
    size_t values_count;
    char **args; /* what is left: NULL-terminated */
    size_t args_count;
    char **argv; /* the whole command line */
    size_t argc;
    const struct lines_words *words; /* of the line that args came from, NULL for the shell's */
    struct arena *arena;             /* everything above lives in it */
    void *context;                   /* the program's own */
};

/* The VERSION and API VERSION of the usage text. */
struct cmd_versions {
    const char *version;
    const char *api_version;
};

/* "help [command]": put it last among the root's children. */
extern const struct cmd cmd_help;

/* Finds, parses, runs; prints errors and usage as cobra does. Gives the exit code. */
int cmd_main(const struct cmd *root, const struct cmd_versions *versions, int argc, char **argv);

enum cmd_outcome { CMD_OK, CMD_HELP, CMD_UNKNOWN, CMD_BAD_OPTION };

/* Takes args (without the program's name) apart without running. run->arena must be set; why says
 * what is wrong on CMD_UNKNOWN and CMD_BAD_OPTION. */
enum cmd_outcome cmd_parse(
    const struct cmd *root, size_t count, char *const *args, struct cmd_run *run, struct why *why);
/* Only the options of run->path, already found. False: why says what is wrong. */
bool cmd_parse_options(struct cmd_run *run, size_t count, char *const *args, struct why *why);
/* Gives the options of run->path their fallbacks. */
void cmd_reset(struct cmd_run *run);

/* The usage text; to stdout, as etcdctl's. */
void cmd_usage(const struct cmd_run *run, const struct cmd_versions *versions, FILE *out);

/* The value of an option that the command has or inherits; aborts when it has none of that name. */
bool cmd_bool(const struct cmd_run *run, const char *name);
const char *cmd_text(const struct cmd_run *run, const char *name);
int64_t cmd_int(const struct cmd_run *run, const char *name);
/* Borrowed from the run. */
struct cmd_value *cmd_value(const struct cmd_run *run, const char *name);
/* The first word of use. In the arena. */
const char *cmd_name(const struct cmd *cmd, struct arena *arena);

/* Exit codes. */
enum {
    CMD_EXIT_OK = 0,
    CMD_EXIT_ERROR = 1,
    CMD_EXIT_BAD_CONNECTION = 2,
    CMD_EXIT_INVALID_INPUT = 3,
    CMD_EXIT_BAD_FEATURE = 4,
    CMD_EXIT_INTERRUPTED = 5,
    CMD_EXIT_BAD_ARGS = 128,
};

/* Prints "Error: …" and the usage text, as for a bad option, and gives CMD_EXIT_ERROR. */
int cmd_fail_usage(const struct cmd_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints "Error: …" to stderr and gives code back. */
int cmd_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
