/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines that txn and interactive watch read. Pure.
 */
#ifndef CTL_LINES_H
#define CTL_LINES_H

#include "base/arena.h"
#include "base/err.h"

#include <rpc.pb-c.h>

/* Words of a line. An escape may put a NUL into one: its text ends there, its bytes do not. */
struct lines_words {
    const struct slice *bytes;
    char **texts; /* the same words, NULL-terminated */
    size_t count;
};

/* A line as words: at white space, except in 'single' or "double" quotes; double-quoted words have
 * Go's escapes. In the arena. Errors: BAD_INPUT (a bad escape). */
MUST struct err lines_split(
    struct arena *arena, const char *line, struct lines_words *out, struct why *why);
/* All of the word whose text that is; the text itself when it is none of the words'. */
struct slice lines_bytes(const struct lines_words *words, const char *text);
/* Whether each word that holds a NUL is among these texts of words: anywhere else it would be cut
 * off there. */
bool lines_are_whole(const struct lines_words *words, char *const *texts, size_t count);

/* A txn's condition: target("key") op "value", where target is ver(sion), c(reate), m(od), val(ue)
 * or lease and op one of = != < >. The result lives in the arena. Errors: BAD_INPUT. */
MUST struct err lines_compare(
    struct arena *arena, const char *line, Etcdserverpb__Compare **out_compare, struct why *why);

#endif
