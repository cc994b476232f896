/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines that txn and interactive watch read. Pure.
 */
#ifndef CTL_LINES_H
#define CTL_LINES_H

#include "base/arena.h"
#include "base/err.h"

#include <rpc.pb-c.h>

/* A line as words: at white space, except in 'single' or "double" quotes; double-quoted words have
 * Go's escapes. *out_words is NULL-terminated, in the arena. Errors: BAD_INPUT (a bad escape). */
MUST struct err lines_words(
    struct arena *arena, const char *line, char ***out_words, size_t *out_count, struct why *why);

/* A txn's condition: target("key") op "value", where target is ver(sion), c(reate), m(od), val(ue)
 * or lease and op one of = != < >. The result lives in the arena. Errors: BAD_INPUT. */
MUST struct err lines_compare(
    struct arena *arena, const char *line, Etcdserverpb__Compare **out_compare, struct why *why);

#endif
