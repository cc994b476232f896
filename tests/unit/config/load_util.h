/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration loaded from one line of arguments, a list of variables and a file, for tests. */
#ifndef TESTS_LOAD_UTIL_H
#define TESTS_LOAD_UTIL_H

#include "config/config.h"

struct loaded {
    struct arena *arena;
    struct config config;
    struct config_notes notes;
    struct why why;
    struct err err;
};

struct load_spec {
    const char *args;           /* separated by spaces; without the program's name */
    const char *const *environ; /* NULL-terminated */
    const char *key_dir;        /* the default key directory; NULL: one that does not exist */
    int64_t now_s;
};

void load_it(struct loaded *out_loaded, const struct load_spec *spec);
void load_args(struct loaded *out_loaded, const char *args);
/* args --config-file with this text in a temporary file. */
void load_file(struct loaded *out_loaded, const char *args, const char *text);
void unload(struct loaded *loaded);
/* The value of the note's first field; NULL: no such note. Empty: it has no field. */
const char *find_note(const struct loaded *loaded, const char *message);

/* Refused with BAD_CONFIG (or code) and exactly these words. */
void expect_refusal(const char *args, const char *words);
void expect_file_refusal(const char *text, const char *words);
/* Refused as a command line that does not parse. */
void expect_usage(const char *args, const char *words);

#endif
