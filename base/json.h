/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON out, byte for byte in the shapes of Go's encoding/json and of protobuf's protojson, and JSON
 * in through json-c (which keeps unsigned 64-bit numbers) behind limits. Pure.
 *
 *   struct json json;
 *   json_init(&json, buf, JSON_PLAIN);
 *   json_open(&json, '{');
 *   json_add_key(&json, "health");
 *   json_add_str(&json, "true");
 *   json_close(&json, '}');
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"

struct json_object;

enum json_style {
    JSON_PLAIN = 0,
    JSON_SPACED = 1,    /* ", " between members and elements, as the reference's protojson prints */
    JSON_HTML_SAFE = 2, /* <, > and & as \u003c …, as encoding/json prints by default */
};

enum { JSON_DEPTH_MAX = 64 };

struct json {
    struct buf *buf;
    unsigned style;
    bool wants_comma;
};

/* Writes to the end of buf, which stays the caller's. style: a sum of enum json_style. */
void json_init(struct json *json, struct buf *buf, unsigned style);
/* bracket: '{' or '['. */
void json_open(struct json *json, char bracket);
/* bracket: '}' or ']'. */
void json_close(struct json *json, char bracket);
void json_add_key(struct json *json, const char *key);
/* Invalid UTF-8 becomes U+FFFD. */
void json_add_string(struct json *json, struct slice text);
void json_add_str(struct json *json, const char *text);
void json_add_int(struct json *json, int64_t number);
void json_add_uint(struct json *json, uint64_t number);
/* 64-bit numbers as protobuf's mapping has them: in quotes. */
void json_add_int_text(struct json *json, int64_t number);
void json_add_uint_text(struct json *json, uint64_t number);
void json_add_bool(struct json *json, bool value);
void json_add_null(struct json *json);
/* Base 64, standard alphabet. */
void json_add_bytes(struct json *json, struct slice bytes);
/* As Go prints a float64. NaN and infinities do not exist in JSON: the caller keeps them away. */
void json_add_double(struct json *json, double number);
/* JSON text that is complete already. */
void json_add_raw(struct json *json, struct slice text);

/* Parses one value that fills text (white space around it is fine). Gives; free with
 * json_object_put. Errors: TOO_BIG (longer than bytes_max), BAD_INPUT (not JSON, deeper than
 * JSON_DEPTH_MAX, bad UTF-8, more after it). */
MUST struct err json_parse(
    struct slice text, size_t bytes_max, struct json_object **out_value, struct why *why);

#endif
