/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of a request or an answer: gathered line by line under a limit, then parsed in place.
 * Stricter than Go where leniency lets requests be smuggled: no folded headers, no Content-Length
 * beside Transfer-Encoding. Pure.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/buf.h"
#include "base/err.h"

enum head_state { HEAD_MORE, HEAD_WHOLE, HEAD_TOO_BIG };

struct head_reader {
    struct buf bytes;
    size_t line; /* where the line that is being read starts */
};

void head_reader_init(struct head_reader *reader, size_t bytes_max);
void head_reader_fini(struct head_reader *reader);
/* Takes from data up to the end of the head; *out_taken bytes of it. */
enum head_state head_read(struct head_reader *reader, struct slice data, size_t *out_taken);

struct head_field {
    struct slice name;
    struct slice value;
};

/* Slices lie in the bytes that were parsed, except path. */
struct head {
    struct slice method;
    struct slice path_raw;
    struct slice query;
    struct slice host;
    unsigned minor; /* of the version */
    struct head_field *fields;
    size_t field_count;
    int64_t content_length; /* -1: not given */
    bool is_chunked;
    bool is_keep_alive;
    bool expects_continue;
    char *path_bytes; /* decoded */
    size_t path_len;
};

struct head_refusal {
    int status;
    const char *detail; /* behind "400 Bad Request: "; NULL: none */
};

/* bytes: a whole head with its blank line. False: *out_refusal says what to answer, *out_head is
 * not to be used. */
bool head_parse(struct slice bytes, size_t field_count_max, struct head *out_head,
    struct head_refusal *out_refusal);
/* The same for an answer. False: it is none, out_* are not to be used. */
bool head_parse_answer(
    struct slice bytes, size_t field_count_max, struct head *out_head, int *out_status);
void head_fini(struct head *head);
/* The first field of that name; {NULL, 0} when there is none. */
struct slice head_field_get(const struct head *head, const char *name);
/* Whether answers of that status have none, whatever their head says. */
bool head_has_no_body(int status);

#endif
