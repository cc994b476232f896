/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/token.h"

#include "base/err.h"
#include "base/text.h"
#include "base/utf8.h"

#include <stdarg.h>

/* protojson writes a space here that is no plain space, so that nobody compares the text. The
 * reference build's is kept. */
#define PREFIX "proto:\xc2\xa0"

void tokens_init(struct tokens *tokens, struct slice text, struct arena *arena)
{
    *tokens = (struct tokens){.text = text, .arena = arena};
}

bool token_fail(struct tokens *tokens, const char *kind, size_t at, const char *format, ...)
{
    char what[1024];
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < at; i++) {
        uint8_t c = tokens->text.data[i];
        bool is_inside = (c & 0xc0) == 0x80; /* of a character that was counted */
        line += c == '\n';
        column = c == '\n' ? 1 : column + !is_inside;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (!tokens->error) {
        tokens->error =
            arena_printf(tokens->arena, PREFIX "%s(line %zu:%zu): %s", kind, line, column, what);
    }
    return false;
}

/* As Go's %q, for the few bytes that an error shows. */
static const char *quoted(struct tokens *tokens, struct slice text)
{
    struct buf buf;
    buf_init(&buf, 256);
    buf_add_byte(&buf, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            buf_printf(&buf, "\\%c", c);
        } else if (c < 0x20 || c >= 0x7f) {
            buf_printf(&buf, "\\x%02x", c);
        } else {
            buf_add_byte(&buf, c);
        }
    }
    buf_add_byte(&buf, '"');
    const char *out = arena_strdup(tokens->arena, buf_text(&buf));
    buf_fini(&buf);
    return out;
}

static uint32_t hex4(const uint8_t *text)
{
    uint32_t number = 0;
    for (size_t i = 0; i < 4; i++) {
        number = number << 4 | (uint32_t)text_hex_digit((char)text[i]);
    }
    return number;
}

static bool is_hex4(const uint8_t *text)
{
    for (size_t i = 0; i < 4; i++) {
        if (text_hex_digit((char)text[i]) < 0) {
            return false;
        }
    }
    return true;
}

/* "\uXXXX" at rest, and the second half of a pair. Returns the bytes taken; 0: an error is set. */
static size_t add_unicode(struct tokens *tokens, size_t start, struct slice rest, struct buf *out)
{
    uint32_t rune = hex4(rest.data + 2);
    if (rune < 0xd800 || rune > 0xdfff) {
        utf8_add(out, rune);
        return 6;
    }
    if (rest.len < 12) {
        tokens->error = PREFIX "unexpected EOF";
        return 0;
    }
    const uint8_t *low = rest.data + 6;
    bool is_pair = rune < 0xdc00 && low[0] == '\\' && low[1] == 'u' && is_hex4(low + 2) &&
                   hex4(low + 2) >= 0xdc00 && hex4(low + 2) <= 0xdfff;
    if (!is_pair) {
        token_fail(tokens, "syntax error ", start, "invalid escape code %s in string",
            quoted(tokens, slice_of(low, 6)));
        return 0;
    }
    utf8_add(out, 0x10000 + ((rune - 0xd800) << 10) + (hex4(low + 2) - 0xdc00));
    return 12;
}

static size_t add_escape(struct tokens *tokens, size_t start, struct slice rest, struct buf *out)
{
    static const char forms[] = "b\bf\fn\nr\rt\t";
    if (rest.data[1] == 'u') {
        return add_unicode(tokens, start, rest, out);
    }
    for (size_t i = 0; i + 1 < sizeof(forms); i += 2) {
        if ((uint8_t)forms[i] == rest.data[1]) {
            buf_add_byte(out, (uint8_t)forms[i + 1]);
            return 2;
        }
    }
    buf_add_byte(out, rest.data[1]);
    return 2;
}

/* Decodes up to the closing quote. Returns the bytes taken with both quotes; 0: an error is set. */
static size_t decode_string(struct tokens *tokens, size_t start, struct buf *out)
{
    size_t at = start + 1;
    while (tokens->text.data[at] != '"') {
        struct slice rest = slice_of(tokens->text.data + at, tokens->text.len - at);
        uint32_t rune;
        size_t len;
        if (rest.data[0] == '\\') {
            len = add_escape(tokens, start, rest, out);
        } else {
            len = utf8_take(rest, &rune);
            buf_add(out, rest.data, len);
            if (len == 0) {
                token_fail(tokens, "syntax error ", start, "invalid UTF-8 in string");
            }
        }
        if (len == 0) {
            return 0;
        }
        at += len;
    }
    return at + 1 - start;
}

static bool take_string(struct tokens *tokens, struct token *out)
{
    struct buf buf;
    buf_init(&buf, tokens->text.len);
    size_t len = decode_string(tokens, out->at, &buf);
    if (len) {
        out->kind = TOKEN_STRING;
        out->raw = slice_of(tokens->text.data + out->at, len);
        out->string = arena_dup(tokens->arena, buf_slice(&buf));
        tokens->at = out->at + len;
    }
    buf_fini(&buf);
    return len > 0;
}

static bool is_between(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ':';
}

static bool ends_word(uint8_t c)
{
    return is_between(c) || c == '}' || c == ']';
}

bool token_next(struct tokens *tokens, struct token *out)
{
    static const char brackets[] = "{}[]";
    while (tokens->at < tokens->text.len && is_between(tokens->text.data[tokens->at])) {
        tokens->at++;
    }
    *out = (struct token){.kind = TOKEN_END, .at = tokens->at};
    if (tokens->at == tokens->text.len) {
        return true;
    }
    uint8_t c = tokens->text.data[tokens->at];
    const char *bracket = c ? strchr(brackets, c) : NULL;
    if (c == '"') {
        return take_string(tokens, out);
    }
    size_t len = 1;
    if (bracket) {
        out->kind = (enum token_kind)(TOKEN_OPEN + (bracket - brackets));
    } else {
        while (out->at + len < tokens->text.len && !ends_word(tokens->text.data[out->at + len])) {
            len++;
        }
        out->kind = c == 'n' ? TOKEN_NULL : c == 't' || c == 'f' ? TOKEN_BOOL : TOKEN_NUMBER;
    }
    out->raw = slice_of(tokens->text.data + out->at, len);
    tokens->at += len;
    return true;
}

bool token_peek(struct tokens *tokens, struct token *out)
{
    size_t at = tokens->at;
    bool is_good = token_next(tokens, out);
    tokens->at = at;
    return is_good;
}
