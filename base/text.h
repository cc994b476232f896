/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers, durations and lists as Go reads and prints them, because flags, environment, files and
 * error texts have Go's forms. Pure.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/arena.h"
#include "base/err.h"

enum text_number { TEXT_NUMBER_OK, TEXT_NUMBER_SYNTAX, TEXT_NUMBER_RANGE };

/* Go's strconv.ParseUint(text, 0, bits) and ParseInt: 0x, 0o, 0b, a leading 0 for octal, '_'
 * between digits after a prefix. On TEXT_NUMBER_RANGE *out_value is untouched. */
enum text_number text_parse_uint(const char *text, unsigned bits, uint64_t *out_value);
enum text_number text_parse_int(const char *text, unsigned bits, int64_t *out_value);
/* Base 10 only, as strconv.Atoi. */
enum text_number text_parse_int10(const char *text, int64_t *out_value);
enum text_number text_parse_float(const char *text, double *out_value);
/* 1 t T TRUE true True 0 f F FALSE false False. */
bool text_parse_bool(const char *text, bool *out_value);
/* Go's time.ParseDuration: "1h30m", "-1.5s", "0". Errors: BAD_INPUT with Go's text (time: invalid
 * duration "x"). */
struct err text_parse_duration(const char *text, int64_t *out_ns, struct why *why);

enum { TEXT_DURATION_SIZE = 48 };
/* Go's Duration.String(): "1h30m0s", "1.5s", "250ms", "0s". Fills and returns out. */
const char *text_format_duration(int64_t ns, char out[TEXT_DURATION_SIZE]);
enum { TEXT_ERRNO_SIZE = 64 };
/* An errno in Go's words, which are Linux's without the capital: "no such file or directory". Fills
 * and returns out. */
const char *text_errno(int sys_errno, char out[TEXT_ERRNO_SIZE]);
/* The value of a hexadecimal digit; -1: it is none. */
int text_hex_digit(char c);
/* An id as members of etcd write it: hexadecimal digits only, 64 bits at most. False: *out_id is as
 * it was. */
bool text_parse_id(struct slice text, uint64_t *out_id);
/* Go's %q, in the arena. */
const char *text_quote(struct arena *arena, const char *text);

/* NULL-terminated and counted. */
struct text_list {
    const char *const *items;
    size_t count;
};

/* At every comma, as strings.Split: "" is one empty text. */
struct text_list text_split(struct arena *arena, const char *text, char separator);
/* Sorted, without duplicates; in the arena. */
struct text_list text_list_unique(struct arena *arena, struct text_list list);
bool text_list_has(const struct text_list *list, const char *text);
/* "a,b". */
const char *text_list_join(
    struct arena *arena, const struct text_list *list, const char *separator);
/* Without the white space at both ends. */
const char *text_trim(struct arena *arena, const char *text);

#endif
