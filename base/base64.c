/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void add(struct buf *buf, struct slice bytes, const char *alphabet, bool is_padded)
{
    if (!buf_reserve(buf, (bytes.len + 2) / 3 * 4)) {
        return;
    }
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)bytes.data[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        group |= left > 2 ? bytes.data[i + 2] : 0;
        buf_add_byte(buf, (uint8_t)alphabet[group >> 18]);
        buf_add_byte(buf, (uint8_t)alphabet[group >> 12 & 63]);
        if (left > 1 || is_padded) {
            buf_add_byte(buf, left > 1 ? (uint8_t)alphabet[group >> 6 & 63] : '=');
        }
        if (left > 2 || is_padded) {
            buf_add_byte(buf, left > 2 ? (uint8_t)alphabet[group & 63] : '=');
        }
    }
}

void base64_add(struct buf *buf, struct slice bytes)
{
    add(buf, bytes, standard, true);
}

void base64_add_url(struct buf *buf, struct slice bytes)
{
    add(buf, bytes, url, false);
}

static int digit(uint8_t c, bool is_url)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == (is_url ? '-' : '+')) {
        return 62;
    }
    return c == (is_url ? '_' : '/') ? 63 : -1;
}

static bool is_break(uint8_t c)
{
    return c == '\n' || c == '\r';
}

/* After the first '=': pads digits in all must make a whole group, and nothing but line breaks may
 * follow. */
static bool padding_ends(struct slice text, size_t at, size_t digits)
{
    size_t pads = 0;
    for (; at < text.len; at++) {
        if (text.data[at] == '=') {
            pads++;
        } else if (!is_break(text.data[at])) {
            return false;
        }
    }
    return digits % 4 >= 2 && digits % 4 + pads == 4;
}

bool base64_take(struct slice text, struct buf *out)
{
    bool is_url =
        text.len && (memchr(text.data, '-', text.len) || memchr(text.data, '_', text.len));
    bool is_padded = text.len % 4 == 0; /* counted with line breaks, as Go's protobuf does */
    size_t start = out->len;
    size_t digits = 0;
    uint32_t bits = 0;
    if (!buf_reserve(out, text.len / 4 * 3 + 3)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (is_break(c)) {
            continue;
        }
        if (c == '=' && is_padded && padding_ends(text, i, digits)) {
            return true;
        }
        int value = digit(c, is_url);
        if (value < 0) {
            out->len = start;
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        if (digits++ % 4) {
            buf_add_byte(out, (uint8_t)(bits >> (6 - 2 * ((digits - 1) % 4))));
        }
    }
    if (digits % 4 == 1 || (is_padded && digits % 4)) {
        out->len = start;
        return false;
    }
    return true;
}
