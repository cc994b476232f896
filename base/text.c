/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include "base/buf.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

const char *text_errno(int sys_errno, char out[TEXT_ERRNO_SIZE])
{
    const char *words = strerrordesc_np(sys_errno);

    if (!words) {
        snprintf(out, TEXT_ERRNO_SIZE, "errno %d", sys_errno);
        return out;
    }
    snprintf(out, TEXT_ERRNO_SIZE, "%s", words);
    if (islower((unsigned char)out[1])) { /* "RFS specific error" keeps it */
        out[0] = (char)tolower((unsigned char)out[0]);
    }
    return out;
}

int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool text_parse_id(struct slice text, uint64_t *out_id)
{
    uint64_t id = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = text_hex_digit((char)text.data[i]);
        if (digit < 0 || id >> 60) {
            return false;
        }
        id = id << 4 | (unsigned)digit;
    }
    *out_id = text.len ? id : *out_id;
    return text.len > 0;
}

/* The base that the prefix says; *text moves behind it. */
static unsigned number_base(const char **text)
{
    const char *at = *text;
    if (at[0] != '0' || at[1] == 0) {
        return 10;
    }
    char kind = (char)tolower((unsigned char)at[1]);
    *text += kind == 'x' || kind == 'o' || kind == 'b' ? 2 : 1;
    return kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
}

static enum text_number digits(
    const char *text, unsigned base, bool has_prefix, uint64_t *out_value)
{
    uint64_t value = 0;
    bool is_range = false;
    bool after_digit = has_prefix;
    for (; *text; text++) {
        if (*text == '_' && has_prefix && after_digit) {
            after_digit = false;
            continue;
        }
        int digit = text_hex_digit(*text);
        if (digit < 0 || (unsigned)digit >= base) {
            return TEXT_NUMBER_SYNTAX;
        }
        after_digit = true;
        is_range = is_range || __builtin_mul_overflow(value, base, &value) ||
                   __builtin_add_overflow(value, (unsigned)digit, &value);
    }
    if (!after_digit) {
        return TEXT_NUMBER_SYNTAX;
    }
    if (is_range) {
        return TEXT_NUMBER_RANGE;
    }
    *out_value = value;
    return TEXT_NUMBER_OK;
}

enum text_number text_parse_uint(const char *text, unsigned bits, uint64_t *out_value)
{
    uint64_t value = 0;
    const char *at = text;
    unsigned base = number_base(&at);
    if (*at == 0) {
        return TEXT_NUMBER_SYNTAX;
    }
    enum text_number result = digits(at, base, at != text, &value);
    if (result != TEXT_NUMBER_OK) {
        return result;
    }
    if (bits < 64 && value >> bits) {
        return TEXT_NUMBER_RANGE;
    }
    *out_value = value;
    return TEXT_NUMBER_OK;
}

static enum text_number signed_value(
    bool is_negative, uint64_t value, unsigned bits, int64_t *out_value)
{
    uint64_t limit = (uint64_t)1 << (bits - 1);
    if (is_negative ? value > limit : value >= limit) {
        return TEXT_NUMBER_RANGE;
    }
    *out_value = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return TEXT_NUMBER_OK;
}

enum text_number text_parse_int(const char *text, unsigned bits, int64_t *out_value)
{
    uint64_t value = 0;
    bool is_negative = *text == '-';
    if (*text == '-' || *text == '+') {
        text++;
    }
    enum text_number result = text_parse_uint(text, 64, &value);
    return result == TEXT_NUMBER_OK ? signed_value(is_negative, value, bits, out_value) : result;
}

enum text_number text_parse_int10(const char *text, int64_t *out_value)
{
    uint64_t value = 0;
    bool is_negative = *text == '-';
    if (*text == '-' || *text == '+') {
        text++;
    }
    if (*text == 0) {
        return TEXT_NUMBER_SYNTAX;
    }
    enum text_number result = digits(text, 10, false, &value);
    return result == TEXT_NUMBER_OK ? signed_value(is_negative, value, 64, out_value) : result;
}

enum text_number text_parse_float(const char *text, double *out_value)
{
    char *end = NULL;
    if (*text == 0 || isspace((unsigned char)*text)) {
        return TEXT_NUMBER_SYNTAX;
    }
    errno = 0;
    double value = strtod(text, &end);
    if (*end) {
        return TEXT_NUMBER_SYNTAX;
    }
    if (errno == ERANGE && (value > 1 || value < -1)) {
        return TEXT_NUMBER_RANGE;
    }
    *out_value = value;
    return TEXT_NUMBER_OK;
}

bool text_parse_bool(const char *text, bool *out_value)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out_value = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

const char *text_quote(struct arena *arena, const char *text)
{
    struct buf out;
    buf_init(&out, 4 * strlen(text) + 16);
    buf_add_byte(&out, '"');
    for (const char *at = text; *at; at++) {
        uint8_t byte = (uint8_t)*at;
        const char *named = byte == '\n'   ? "\\n"
                            : byte == '\t' ? "\\t"
                            : byte == '\r' ? "\\r"
                                           : NULL;
        if (named) {
            buf_add_str(&out, named);
        } else if (byte < 0x20 || byte == 0x7f) {
            buf_printf(&out, "\\x%02x", byte);
        } else {
            if (byte == '"' || byte == '\\') {
                buf_add_byte(&out, '\\');
            }
            buf_add_byte(&out, byte);
        }
    }
    buf_add_byte(&out, '"');
    const char *quoted = (const char *)arena_dup(arena, buf_slice(&out)).data;
    buf_fini(&out);
    return quoted;
}

struct text_list text_split(struct arena *arena, const char *text, char separator)
{
    size_t count = 1;
    for (const char *at = text; *at; at++) {
        count += *at == separator;
    }
    const char **items = arena_alloc(arena, (count + 1) * sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        const char *end = strchrnul(text, separator);
        items[i] = (const char *)arena_dup(arena, slice_of(text, (size_t)(end - text))).data;
        text = end + 1;
    }
    items[count] = NULL;
    return (struct text_list){items, count};
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct text_list text_list_unique(struct arena *arena, struct text_list list)
{
    const char **items = arena_alloc(arena, (list.count + 1) * sizeof(*items));
    size_t kept = 0;
    for (size_t i = 0; i < list.count; i++) {
        items[i] = list.items[i];
    }
    qsort(items, list.count, sizeof(*items), by_text);
    for (size_t i = 0; i < list.count; i++) {
        if (kept == 0 || strcmp(items[kept - 1], items[i]) != 0) {
            items[kept++] = items[i];
        }
    }
    items[kept] = NULL;
    return (struct text_list){items, kept};
}

bool text_list_has(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0) {
            return true;
        }
    }
    return false;
}

const char *text_list_join(struct arena *arena, const struct text_list *list, const char *separator)
{
    size_t size = 1;
    for (size_t i = 0; i < list->count; i++) {
        size += strlen(list->items[i]) + strlen(separator);
    }
    char *text = arena_alloc(arena, size);
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < list->count; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s", i ? separator : "", list->items[i]);
    }
    return text;
}

const char *text_trim(struct arena *arena, const char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1])) {
        len--;
    }
    return (const char *)arena_dup(arena, slice_of(text, len)).data;
}
