/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a request out of its framing: a length, chunks, or none. Pure.
 *
 *   SIZE -> EXTENSION -> DATA -> DATA_END -> SIZE …          a chunk of size 0: -> TRAILER -> DONE
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "base/slice.h"

enum body_state {
    BODY_LENGTH,
    BODY_SIZE,
    BODY_EXTENSION,
    BODY_DATA,
    BODY_DATA_END,
    BODY_TRAILER,
    BODY_DONE,
    BODY_BROKEN
};

struct body {
    enum body_state state;
    uint64_t left;      /* of the length, or of the chunk */
    unsigned digits;    /* of the chunk's size, so far */
    size_t line_len;    /* of an extension or trailer line, so far */
    size_t trailer_len; /* all of them */
    const char *broken; /* what is wrong, in Go's words */
};

/* content_length -1: none given. */
void body_init(struct body *body, bool is_chunked, int64_t content_length);
/* Everything until the connection's end. */
void body_init_endless(struct body *body);
/* Takes from data; *out_piece (in data) is body, perhaps empty. Returns the bytes taken; call until
 * it takes none. */
size_t body_take(struct body *body, struct slice data, struct slice *out_piece);

static inline bool body_is_done(const struct body *body)
{
    return body->state == BODY_DONE;
}

#endif
