/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/number.h"

enum { DIGITS_MAX = 20 /* of a uint64 */, EXPONENT_MAX = 100000 };

struct parts {
    bool is_negative;
    struct slice whole;    /* without leading zeros */
    struct slice fraction; /* without trailing zeros */
    int exponent;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static struct slice digits_at(struct slice text, size_t at)
{
    size_t len = 0;
    while (at + len < text.len && is_digit(text.data[at + len])) {
        len++;
    }
    return slice_of(text.data + at, len);
}

/* Takes the exponent at *at; digits past any sense count as much too big. */
static bool parse_exponent(struct slice text, size_t *at, struct parts *out)
{
    bool is_negative = false;
    if (*at < text.len && (text.data[*at] == '+' || text.data[*at] == '-')) {
        is_negative = text.data[(*at)++] == '-';
    }
    struct slice digits = digits_at(text, *at);
    for (size_t i = 0; i < digits.len; i++) {
        out->exponent =
            out->exponent < EXPONENT_MAX ? out->exponent * 10 + digits.data[i] - '0' : EXPONENT_MAX;
    }
    out->exponent = is_negative ? -out->exponent : out->exponent;
    *at += digits.len;
    return digits.len > 0;
}

/* Takes a JSON number from the start of text. Returns its length; 0: there is none. */
static size_t parse(struct slice text, struct parts *out)
{
    size_t at = 0;
    *out = (struct parts){0};
    if (text.len == 0) {
        return 0;
    }
    if (at < text.len && text.data[at] == '-') {
        out->is_negative = true;
        at++;
    }
    out->whole = digits_at(text, at);
    if (out->whole.len == 0) {
        return 0;
    }
    bool is_zero = out->whole.data[0] == '0';
    at += is_zero ? 1 : out->whole.len;
    out->whole = is_zero ? (struct slice){0} : out->whole;
    if (at < text.len && text.data[at] == '.') {
        out->fraction = digits_at(text, at + 1);
        at += 1 + out->fraction.len;
        if (out->fraction.len == 0) {
            return 0;
        }
        while (out->fraction.len && out->fraction.data[out->fraction.len - 1] == '0') {
            out->fraction.len--;
        }
    }
    if (at < text.len && (text.data[at] == 'e' || text.data[at] == 'E')) {
        at++;
        return parse_exponent(text, &at, out) ? at : 0;
    }
    return at;
}

/* The digits of the integer that the parts make. False: it is none, or longer than DIGITS_MAX. */
static bool normalize(const struct parts *parts, char *out, size_t *out_len)
{
    size_t len = 0;
    size_t shift = (size_t)(parts->exponent > 0 ? parts->exponent : -parts->exponent);
    if (parts->exponent > 0) {
        if (parts->fraction.len > shift || parts->whole.len + shift > DIGITS_MAX) {
            return parts->whole.len + parts->fraction.len == 0;
        }
        for (size_t i = 0; i < parts->whole.len; i++) {
            out[len++] = (char)parts->whole.data[i];
        }
        for (size_t i = 0; i < shift; i++) {
            out[len++] = i < parts->fraction.len ? (char)parts->fraction.data[i] : '0';
        }
        *out_len = len;
        return true;
    }
    if (parts->fraction.len || (shift > parts->whole.len && parts->whole.len)) {
        return false;
    }
    for (size_t i = 0; i < parts->whole.len; i++) {
        if (i >= parts->whole.len - shift && parts->whole.data[i] != '0') {
            return false;
        }
        if (i < parts->whole.len - shift && len == DIGITS_MAX) {
            return false;
        }
        if (i < parts->whole.len - shift) {
            out[len++] = (char)parts->whole.data[i];
        }
    }
    *out_len = len;
    return true;
}

static bool magnitude(struct slice text, bool *out_negative, uint64_t *out)
{
    struct parts parts;
    char digits[DIGITS_MAX + 1];
    size_t len = 0;
    uint64_t number = 0;
    size_t taken = parse(text, &parts);
    if (taken == 0 || taken != text.len || !normalize(&parts, digits, &len)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(digits[i] - '0'), &number)) {
            return false;
        }
    }
    *out_negative = parts.is_negative;
    *out = number;
    return true;
}

bool number_signed(struct slice text, unsigned bits, int64_t *out)
{
    bool is_negative;
    uint64_t number;
    uint64_t limit = UINT64_C(1) << (bits - 1);
    if (!magnitude(text, &is_negative, &number) || number > (is_negative ? limit : limit - 1)) {
        return false;
    }
    *out = is_negative ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

bool number_unsigned(struct slice text, unsigned bits, uint64_t *out)
{
    bool is_negative;
    uint64_t number;
    if (!magnitude(text, &is_negative, &number) || (is_negative && number) ||
        (bits < 64 && number >> bits)) {
        return false;
    }
    *out = number;
    return true;
}

static bool goes_on(uint8_t c)
{
    uint8_t low = c | 0x20;
    return is_digit(c) || (low >= 'a' && low <= 'z') || c == '-' || c == '+' || c == '.' ||
           c == '_';
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct slice number_in_text(struct slice text)
{
    struct parts parts;
    if (text.len && (is_space(text.data[0]) || is_space(text.data[text.len - 1]))) {
        return (struct slice){0};
    }
    size_t len = parse(text, &parts);
    return len && (len == text.len || !goes_on(text.data[len])) ? slice_of(text.data, len)
                                                                : (struct slice){0};
}
