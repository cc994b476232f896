/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/gotext.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <ctype.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <wctype.h>

/* Go calls spaces other than ' ', format and private characters not printable; the C library does
 * not. */
static bool is_printable(uint32_t rune)
{
    static locale_t utf8;

    if (rune < 0x80) {
        return rune >= 0x20 && rune < 0x7f;
    }
    if (rune < 0xa1 || rune == 0xad || rune == 0x180e || (rune >= 0x2000 && rune <= 0x200f) ||
        (rune >= 0x2028 && rune <= 0x202f) || (rune >= 0x205f && rune <= 0x206f) ||
        rune == 0x3000 || rune == 0xfeff || (rune >= 0xe000 && rune < 0xf900) || rune >= 0xe0000) {
        return false;
    }
    if (!utf8) {
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    }
    return !utf8 || iswprint_l((wint_t)rune, utf8);
}

static void quote_rune(struct buf *buf, uint32_t rune)
{
    static const char letters[] = "abtnvfr";

    if (rune == '"' || rune == '\\') {
        buf_printf(buf, "\\%c", (int)rune);
    } else if (rune >= 7 && rune <= 13) {
        buf_printf(buf, "\\%c", letters[rune - 7]);
    } else if (rune < ' ' || rune == 0x7f) {
        buf_printf(buf, "\\x%02x", (unsigned)rune);
    } else if (rune < 0x10000) {
        buf_printf(buf, "\\u%04x", (unsigned)rune);
    } else {
        buf_printf(buf, "\\U%08x", (unsigned)rune);
    }
}

void gotext_quote(struct buf *buf, struct slice bytes)
{
    buf_add_byte(buf, '"');
    for (size_t i = 0, width; i < bytes.len; i += width) {
        uint32_t rune = 0;
        width = utf8_take(slice_of(bytes.data + i, bytes.len - i), &rune);
        if (width == 0) {
            width = 1;
            buf_printf(buf, "\\x%02x", bytes.data[i]);
        } else if (rune != '"' && rune != '\\' && is_printable(rune)) {
            buf_add(buf, bytes.data + i, width);
        } else {
            quote_rune(buf, rune);
        }
    }
    buf_add_byte(buf, '"');
}

void gotext_print_quoted(FILE *out, struct slice bytes)
{
    struct buf buf;

    buf_init(&buf, bytes.len * 10 + 16);
    gotext_quote(&buf, bytes);
    fwrite(buf.data, 1, buf.len, out);
    buf_fini(&buf);
}

static int digit_of(uint8_t c)
{
    return isdigit(c)             ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 99;
}

/* The digits of \x41, A, \U00000041 or \101; at is behind the letter (or at the first octal digit).
 */
static struct err unquote_number(
    struct slice text, size_t *at, unsigned digits, unsigned base, uint32_t *out_value)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (*at >= text.len || digit_of(text.data[*at]) >= (int)base) {
            return ERR(BAD_INPUT);
        }
        value = value * base + (uint32_t)digit_of(text.data[*at]);
    }
    *out_value = value;
    return OK;
}

/* One escape; *at is behind the backslash. */
static struct err unquote_escape(struct slice text, size_t *at, struct buf *out)
{
    static const char letters[] = "abtnvfr";
    uint32_t value = 0;

    if (*at >= text.len) {
        return ERR(BAD_INPUT);
    }
    uint8_t c = text.data[*at];
    const char *letter = c ? strchr(letters, c) : NULL;
    if (letter) {
        (*at)++;
        buf_add_byte(out, (uint8_t)(7 + (letter - letters)));
    } else if (c == '"' || c == '\\') {
        (*at)++;
        buf_add_byte(out, c);
    } else if (c == 'x') {
        (*at)++;
        TRY(unquote_number(text, at, 2, 16, &value));
        buf_add_byte(out, (uint8_t)value);
    } else if (c >= '0' && c <= '7') {
        TRY(unquote_number(text, at, 3, 8, &value));
        if (value > 255) {
            return ERR(BAD_INPUT);
        }
        buf_add_byte(out, (uint8_t)value);
    } else if (c == 'u' || c == 'U') {
        (*at)++;
        TRY(unquote_number(text, at, c == 'u' ? 4 : 8, 16, &value));
        if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
            return ERR(BAD_INPUT);
        }
        utf8_add(out, value);
    } else {
        return ERR(BAD_INPUT);
    }
    return OK;
}

struct err gotext_unquote(struct slice text, struct buf *out, size_t *out_used)
{
    if (text.len == 0 || (text.data[0] != '"' && text.data[0] != '`')) {
        return ERR(BAD_INPUT);
    }
    uint8_t mark = text.data[0];
    for (size_t at = 1; at < text.len;) {
        uint8_t c = text.data[at++];
        if (c == mark) {
            *out_used = at;
            return OK;
        }
        if (c == '\\' && mark == '"') {
            TRY(unquote_escape(text, &at, out));
        } else if (c == '\n' && mark == '"') {
            return ERR(BAD_INPUT);
        } else {
            buf_add_byte(out, c);
        }
    }
    return ERR(BAD_INPUT);
}

const char *gotext_bytes(uint64_t bytes, char out[GOTEXT_SIZE])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};

    if (bytes < 10) {
        snprintf(out, GOTEXT_SIZE, "%u B", (unsigned)bytes);
        return out;
    }
    double power = floor(log((double)bytes) / log(1000));
    size_t unit = power < 0 ? 0 : power > 6 ? 6 : (size_t)power;
    double value = floor((double)bytes / pow(1000, power) * 10 + 0.5) / 10;
    snprintf(out, GOTEXT_SIZE, value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

const char *gotext_lease(int64_t id, char out[GOTEXT_SIZE])
{
    if (id < 0) {
        snprintf(out, GOTEXT_SIZE, "-%015" PRIx64, 0 - (uint64_t)id);
    } else {
        snprintf(out, GOTEXT_SIZE, "%016" PRIx64, (uint64_t)id);
    }
    return out;
}

static struct err number_failed(
    const char *function, const char *text, const char *what, struct why *why)
{
    struct buf buf;

    buf_init(&buf, sizeof(why->text));
    gotext_quote(&buf, slice_str(text));
    struct err err =
        why_set(why, ERR(BAD_INPUT), "strconv.%s: parsing %s: %s", function, buf_text(&buf), what);
    buf_fini(&buf);
    return err;
}

/* Digits only; false on syntax, *out_is_big when it does not fit. */
static bool parse_digits(const char *text, int base, uint64_t *out_value, bool *out_is_big)
{
    uint64_t value = 0;

    *out_is_big = false;
    for (const char *at = text; *at; at++) {
        int digit = digit_of((uint8_t)*at);
        if (digit >= base) {
            return false;
        }
        if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            *out_is_big = true;
        }
    }
    *out_value = value;
    return *text != '\0';
}

struct err gotext_parse_uint(const char *text, int base, uint64_t *out_value, struct why *why)
{
    uint64_t value;
    bool is_big;

    if (!parse_digits(text, base, &value, &is_big)) {
        return number_failed("ParseUint", text, "invalid syntax", why);
    }
    if (is_big) {
        return number_failed("ParseUint", text, "value out of range", why);
    }
    *out_value = value;
    return OK;
}

struct err gotext_parse_int(const char *text, int base, int64_t *out_value, struct why *why)
{
    bool is_negative = text[0] == '-';
    uint64_t value;
    bool is_big;

    if (!parse_digits(text + (text[0] == '-' || text[0] == '+'), base, &value, &is_big)) {
        return number_failed("ParseInt", text, "invalid syntax", why);
    }
    if (is_big || value > (uint64_t)INT64_MAX + is_negative) {
        return number_failed("ParseInt", text, "value out of range", why);
    }
    *out_value = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return OK;
}
