/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/base64.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>

void json_init(struct json *json, struct buf *buf, unsigned style)
{
    *json = (struct json){.buf = buf, .style = style};
}

/* What stands before a value, a key or an opening bracket. */
static void begin(struct json *json)
{
    if (json->wants_comma) {
        buf_add_str(json->buf, json->style & JSON_SPACED ? ", " : ",");
    }
    json->wants_comma = true;
}

void json_open(struct json *json, char bracket)
{
    begin(json);
    buf_add_byte(json->buf, (uint8_t)bracket);
    json->wants_comma = false;
}

void json_close(struct json *json, char bracket)
{
    buf_add_byte(json->buf, (uint8_t)bracket);
    json->wants_comma = true;
}

void json_add_key(struct json *json, const char *key)
{
    json_add_str(json, key);
    buf_add_byte(json->buf, ':');
    json->wants_comma = false;
}

static void add_control(struct buf *buf, uint8_t c)
{
    static const char short_forms[] = "\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof(short_forms); i += 2) {
        if ((uint8_t)short_forms[i] == c) {
            buf_add_byte(buf, '\\');
            buf_add_byte(buf, (uint8_t)short_forms[i + 1]);
            return;
        }
    }
    buf_printf(buf, "\\u%04x", c);
}

static void add_ascii(struct json *json, uint8_t c)
{
    bool is_html = c == '<' || c == '>' || c == '&';
    if (c == '"' || c == '\\') {
        buf_add_byte(json->buf, '\\');
        buf_add_byte(json->buf, c);
    } else if (c < 0x20) {
        add_control(json->buf, c);
    } else if (is_html && json->style & JSON_HTML_SAFE) {
        buf_printf(json->buf, "\\u%04x", c);
    } else {
        buf_add_byte(json->buf, c);
    }
}

static void add_wide(struct json *json, struct slice text, size_t len, uint32_t rune)
{
    if (len == 0) {
        buf_add_str(json->buf, json->style & JSON_HTML_SAFE ? "\\ufffd" : "\xef\xbf\xbd");
    } else if (json->style & JSON_HTML_SAFE && (rune == 0x2028 || rune == 0x2029)) {
        buf_printf(json->buf, "\\u%04x", rune);
    } else {
        buf_add(json->buf, text.data, len);
    }
}

void json_add_string(struct json *json, struct slice text)
{
    begin(json);
    buf_add_byte(json->buf, '"');
    for (size_t i = 0; i < text.len;) {
        if (text.data[i] < 0x80) {
            add_ascii(json, text.data[i++]);
            continue;
        }
        struct slice rest = slice_of(text.data + i, text.len - i);
        uint32_t rune;
        size_t len = utf8_take(rest, &rune);
        add_wide(json, rest, len, rune);
        i += len ? len : 1;
    }
    buf_add_byte(json->buf, '"');
}

void json_add_str(struct json *json, const char *text)
{
    json_add_string(json, slice_str(text));
}

void json_add_int(struct json *json, int64_t number)
{
    begin(json);
    buf_printf(json->buf, "%" PRId64, number);
}

void json_add_uint(struct json *json, uint64_t number)
{
    begin(json);
    buf_printf(json->buf, "%" PRIu64, number);
}

void json_add_int_text(struct json *json, int64_t number)
{
    begin(json);
    buf_printf(json->buf, "\"%" PRId64 "\"", number);
}

void json_add_uint_text(struct json *json, uint64_t number)
{
    begin(json);
    buf_printf(json->buf, "\"%" PRIu64 "\"", number);
}

void json_add_bool(struct json *json, bool value)
{
    json_add_raw(json, slice_str(value ? "true" : "false"));
}

void json_add_null(struct json *json)
{
    json_add_raw(json, SLICE("null"));
}

void json_add_bytes(struct json *json, struct slice bytes)
{
    begin(json);
    buf_add_byte(json->buf, '"');
    base64_add(json->buf, bytes);
    buf_add_byte(json->buf, '"');
}

/* Shortest digits that read back the same; %e below 1e-6 and from 1e21 on, its exponent without a
 * leading zero. */
void json_add_double(struct json *json, double number)
{
    char text[40];
    int digits = 0;
    check(isfinite(number));
    begin(json);
    do {
        snprintf(text, sizeof(text), "%.*e", digits, number);
    } while (strtod(text, NULL) != number && ++digits < 17);
    char *mark = strchr(text, 'e');
    int exponent = (int)strtol(mark + 1, NULL, 10);
    if (number != 0 && (exponent < -6 || exponent >= 21)) {
        bool is_padded = mark[2] == '0' && exponent < 0;
        buf_add(json->buf, text, (size_t)(mark + 2 - text));
        buf_add_str(json->buf, mark + (is_padded ? 3 : 2));
        return;
    }
    buf_printf(json->buf, "%.*f", digits > exponent ? digits - exponent : 0, number);
}

void json_add_raw(struct json *json, struct slice text)
{
    begin(json);
    buf_add_slice(json->buf, text);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct err json_parse(
    struct slice text, size_t bytes_max, struct json_object **out_value, struct why *why)
{
    if (text.len > bytes_max || text.len > INT32_MAX) {
        return why_set(
            why, ERR(TOO_BIG), "JSON of %zu bytes is longer than %zu", text.len, bytes_max);
    }
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    check(tokener);
    json_tokener_set_flags(tokener,
        JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8 | JSON_TOKENER_ALLOW_TRAILING_CHARS);
    struct json_object *value =
        json_tokener_parse_ex(tokener, (const char *)text.data, (int)text.len);
    enum json_tokener_error failure = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    if (failure == json_tokener_continue) {
        /* A bare number only ends when something follows it. */
        value = json_tokener_parse_ex(tokener, "", 1);
        failure = json_tokener_get_error(tokener);
        end = text.len;
    }
    json_tokener_free(tokener);
    while (end < text.len && is_space(text.data[end])) {
        end++;
    }
    if (failure != json_tokener_success || end < text.len) {
        json_object_put(value);
        const char *what = failure == json_tokener_success ? "more after the value"
                                                           : json_tokener_error_desc(failure);
        return why_set(why, ERR(BAD_INPUT), "JSON at byte %zu: %s", end, what);
    }
    *out_value = value;
    return OK;
}
