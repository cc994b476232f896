/* SPDX-License-Identifier: Apache-2.0
 *
 * Scenario files: a command line, input lines, "----", the expected output up to an empty line.
 * '#' begins a comment line. Log text (lines that begin with DEBUG, INFO, WARN or ERROR) counts on
 * neither side; no output at all is "ok".
 */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "base/buf.h"

enum { SCRIPT_ARGS_MAX = 16, SCRIPT_VALUES_MAX = 16, SCRIPT_WORD_MAX = 64 };

/* word, key=value or key=(value, value). */
struct script_arg {
    char key[SCRIPT_WORD_MAX];
    char values[SCRIPT_VALUES_MAX][SCRIPT_WORD_MAX];
    size_t values_count;
};

struct script_case {
    int line;
    char command[SCRIPT_WORD_MAX];
    struct script_arg args[SCRIPT_ARGS_MAX];
    size_t args_count;
    struct buf input;
};

const struct script_arg *script_arg(const struct script_case *c, const char *key);
/* The number that the i-th word is; exits with a message when it is none. */
uint64_t script_number(const struct script_case *c, size_t i);
uint64_t script_value(const struct script_case *c, const char *key);
bool script_flag(const struct script_case *c, const char *key);
_Noreturn void script_die(const struct script_case *c, const char *text);

/* Runs every case of the file; false, after printing the difference, when one comes out
 * differently or the file cannot be read. */
bool script_run(const char *path,
    void (*handle)(void *ctx, const struct script_case *c, struct buf *out), void *ctx);

#endif
