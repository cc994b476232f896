/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of JSON text whose syntax was found good. What encoding/json lets pass and protojson
 * does not (bad UTF-8, halves of surrogate pairs) is found here. Pure.
 */
#ifndef GATEWAY_TOKEN_H
#define GATEWAY_TOKEN_H

#include "base/arena.h"
#include "base/buf.h"

enum token_kind {
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_LIST_OPEN,
    TOKEN_LIST_CLOSE,
    TOKEN_STRING,
    TOKEN_NUMBER,
    TOKEN_BOOL,
    TOKEN_NULL,
    TOKEN_END
};

struct token {
    enum token_kind kind;
    size_t at; /* in the text */
    struct slice raw;
    struct slice string; /* TOKEN_STRING: decoded, in the arena */
};

struct tokens {
    struct slice text;
    size_t at;
    struct arena *arena;
    const char *error; /* the first; in the arena */
};

void tokens_init(struct tokens *tokens, struct slice text, struct arena *arena);
/* False: tokens->error is set. */
bool token_next(struct tokens *tokens, struct token *out);
bool token_peek(struct tokens *tokens, struct token *out);
/* Sets the error "<kind>(line l:c): …" and returns false. kind: "" or "syntax error ". */
bool token_fail(struct tokens *tokens, const char *kind, size_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
