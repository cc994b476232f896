/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/scan.h"

#include <stdio.h>
#include <string.h>

enum state {
    BEGIN_VALUE,
    BEGIN_VALUE_OR_END,
    BEGIN_KEY,
    BEGIN_KEY_OR_END,
    END_VALUE,
    STRING,
    ESCAPE,
    HEX,
    MINUS,
    ZERO,
    DIGITS,
    DOT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    LITERAL,
};

enum nest { NEST_KEY, NEST_MEMBER, NEST_ELEMENT };

enum step { STEP_TAKEN, STEP_DONE, STEP_DONE_BEFORE, STEP_BROKEN };

void scan_init(struct scan *scan)
{
    *scan = (struct scan){.state = BEGIN_VALUE};
}

/* A byte as Go quotes it: the bytes are taken for Latin-1. */
static void quote(uint8_t c, char *out, size_t size)
{
    static const char named[] = "\aa\bb\ff\nn\rr\tt\vv\\\\''";
    for (size_t i = 0; i + 1 < sizeof(named); i += 2) {
        if ((uint8_t)named[i] == c) {
            snprintf(out, size, "'\\%c'", named[i + 1]);
            return;
        }
    }
    if (c < 0x20 || c == 0x7f) {
        snprintf(out, size, "'\\x%02x'", c);
    } else if (c < 0x7f) {
        snprintf(out, size, "'%c'", c);
    } else if (c <= 0xa0 || c == 0xad) {
        snprintf(out, size, "'\\u%04x'", c);
    } else {
        snprintf(out, size, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
    }
}

static enum step fail(struct scan *scan, uint8_t c, const char *where)
{
    char quoted[16];
    quote(c, quoted, sizeof(quoted));
    snprintf(scan->error, sizeof(scan->error), "invalid character %s %s", quoted, where);
    return STEP_BROKEN;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static enum step go(struct scan *scan, enum state state)
{
    scan->state = (int)state;
    return STEP_TAKEN;
}

static enum step push(struct scan *scan, enum nest nest, enum state state)
{
    if (scan->depth == SCAN_DEPTH_MAX) {
        snprintf(scan->error, sizeof(scan->error), "exceeded max depth");
        return STEP_BROKEN;
    }
    scan->nest[scan->depth++] = (uint8_t)nest;
    return go(scan, state);
}

static enum step pop(struct scan *scan)
{
    scan->depth--;
    scan->state = END_VALUE;
    return scan->depth == 0 ? STEP_DONE : STEP_TAKEN;
}

/* c stands behind a value (or behind a key). */
static enum step end_value(struct scan *scan, uint8_t c)
{
    if (scan->depth == 0) {
        return STEP_DONE_BEFORE;
    }
    scan->state = END_VALUE;
    if (is_space(c)) {
        return STEP_TAKEN;
    }
    uint8_t *nest = &scan->nest[scan->depth - 1];
    switch (*nest) {
    case NEST_KEY:
        *nest = NEST_MEMBER;
        return c == ':' ? go(scan, BEGIN_VALUE) : fail(scan, c, "after object key");
    case NEST_MEMBER:
        if (c == ',') {
            *nest = NEST_KEY;
            return go(scan, BEGIN_KEY);
        }
        return c == '}' ? pop(scan) : fail(scan, c, "after object key:value pair");
    default:
        if (c == ',') {
            return go(scan, BEGIN_VALUE);
        }
        return c == ']' ? pop(scan) : fail(scan, c, "after array element");
    }
}

static enum step begin_literal(struct scan *scan, const char *literal)
{
    scan->literal = literal;
    scan->literal_len = 1;
    return go(scan, LITERAL);
}

static enum step begin_value(struct scan *scan, uint8_t c)
{
    if (is_space(c)) {
        return STEP_TAKEN;
    }
    scan->has_begun = true;
    switch (c) {
    case '{':
        return push(scan, NEST_KEY, BEGIN_KEY_OR_END);
    case '[':
        return push(scan, NEST_ELEMENT, BEGIN_VALUE_OR_END);
    case '"':
        return go(scan, STRING);
    case '-':
        return go(scan, MINUS);
    case '0':
        return go(scan, ZERO);
    case 't':
        return begin_literal(scan, "true");
    case 'f':
        return begin_literal(scan, "false");
    case 'n':
        return begin_literal(scan, "null");
    default:
        return is_digit(c) ? go(scan, DIGITS) : fail(scan, c, "looking for beginning of value");
    }
}

static enum step begin_key(struct scan *scan, uint8_t c)
{
    if (is_space(c)) {
        return STEP_TAKEN;
    }
    if (c == '}' && scan->state == BEGIN_KEY_OR_END) {
        return pop(scan);
    }
    return c == '"' ? go(scan, STRING)
                    : fail(scan, c, "looking for beginning of object key string");
}

static enum step in_string(struct scan *scan, uint8_t c)
{
    if (scan->state == ESCAPE) {
        if (c == 'u') {
            scan->hex_len = 0;
            return go(scan, HEX);
        }
        return c && strchr("bfnrt\\/\"", c) ? go(scan, STRING)
                                            : fail(scan, c, "in string escape code");
    }
    if (scan->state == HEX) {
        uint8_t low = c | 0x20;
        if (!is_digit(c) && (low < 'a' || low > 'f')) {
            return fail(scan, c, "in \\u hexadecimal character escape");
        }
        return go(scan, ++scan->hex_len == 4 ? STRING : HEX);
    }
    if (c == '"') {
        return scan->depth == 0 ? STEP_DONE : go(scan, END_VALUE);
    }
    if (c == '\\') {
        return go(scan, ESCAPE);
    }
    return c < 0x20 ? fail(scan, c, "in string literal") : STEP_TAKEN;
}

static enum step in_exponent(struct scan *scan, uint8_t c)
{
    if (is_digit(c)) {
        return go(scan, EXPONENT_DIGITS);
    }
    if (scan->state == EXPONENT && (c == '+' || c == '-')) {
        return go(scan, EXPONENT_SIGN);
    }
    return scan->state == EXPONENT_DIGITS ? end_value(scan, c)
                                          : fail(scan, c, "in exponent of numeric literal");
}

static enum step in_number(struct scan *scan, uint8_t c)
{
    if (scan->state == MINUS) {
        return is_digit(c) ? go(scan, c == '0' ? ZERO : DIGITS)
                           : fail(scan, c, "in numeric literal");
    }
    if (scan->state == DOT) {
        return is_digit(c) ? go(scan, FRACTION)
                           : fail(scan, c, "after decimal point in numeric literal");
    }
    if (is_digit(c) && scan->state != ZERO) {
        return STEP_TAKEN;
    }
    if (c == '.' && scan->state != FRACTION) {
        return go(scan, DOT);
    }
    return c == 'e' || c == 'E' ? go(scan, EXPONENT) : end_value(scan, c);
}

static enum step in_literal(struct scan *scan, uint8_t c)
{
    if (c != (uint8_t)scan->literal[scan->literal_len]) {
        char where[48];
        snprintf(where, sizeof(where), "in literal %s (expecting '%c')", scan->literal,
            scan->literal[scan->literal_len]);
        return fail(scan, c, where);
    }
    if (scan->literal[++scan->literal_len]) {
        return STEP_TAKEN;
    }
    return scan->depth == 0 ? STEP_DONE : go(scan, END_VALUE);
}

static enum step step(struct scan *scan, uint8_t c)
{
    switch ((enum state)scan->state) {
    case BEGIN_VALUE_OR_END:
        if (c == ']') {
            return pop(scan);
        }
        return begin_value(scan, c);
    case BEGIN_VALUE:
        return begin_value(scan, c);
    case BEGIN_KEY:
    case BEGIN_KEY_OR_END:
        return begin_key(scan, c);
    case END_VALUE:
        return end_value(scan, c);
    case STRING:
    case ESCAPE:
    case HEX:
        return in_string(scan, c);
    case MINUS:
    case ZERO:
    case DIGITS:
    case DOT:
    case FRACTION:
        return in_number(scan, c);
    case EXPONENT:
    case EXPONENT_SIGN:
    case EXPONENT_DIGITS:
        return in_exponent(scan, c);
    case LITERAL:
        return in_literal(scan, c);
    }
    return STEP_BROKEN;
}

enum scan_result scan_feed(struct scan *scan, struct slice data, size_t *out_taken)
{
    for (size_t i = 0; i < data.len; i++) {
        enum step got = step(scan, data.data[i]);
        if (got == STEP_BROKEN) {
            return SCAN_BROKEN;
        }
        if (got != STEP_TAKEN) {
            *out_taken = got == STEP_DONE ? i + 1 : i;
            return SCAN_VALUE;
        }
    }
    *out_taken = data.len;
    return SCAN_MORE;
}

enum scan_result scan_end(struct scan *scan)
{
    bool is_number = scan->state == ZERO || scan->state == DIGITS || scan->state == FRACTION ||
                     scan->state == EXPONENT_DIGITS;
    if (!scan->has_begun) {
        return SCAN_NONE;
    }
    if (is_number && scan->depth == 0) {
        return SCAN_VALUE;
    }
    snprintf(scan->error, sizeof(scan->error), "unexpected EOF");
    return SCAN_BROKEN;
}
