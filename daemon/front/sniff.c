/* SPDX-License-Identifier: Apache-2.0 */
#include "front/sniff.h"

enum {
    RECORD_HANDSHAKE = 22,
    RECORD_HEADER = 5,
    RECORD_BYTES_MAX = 1 << 14,
    CLIENT_HELLO = 1,
    EXTENSION_ALPN = 16,
};

enum sniff sniff_plain(struct slice bytes)
{
    static const struct slice preface = {(const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24};
    if (bytes.len == 0) {
        return SNIFF_MORE;
    }
    if (bytes.data[0] == RECORD_HANDSHAKE) {
        return SNIFF_BAD;
    }
    if (bytes.len < preface.len) {
        return slice_has_prefix(preface, bytes) ? SNIFF_MORE : SNIFF_HTTP;
    }
    return slice_has_prefix(bytes, preface) ? SNIFF_GRPC : SNIFF_HTTP;
}

/* A cursor; past the end it stays there and is_short. */

struct cursor {
    struct slice rest;
    bool is_short;
};

static struct slice take(struct cursor *at, size_t len)
{
    if (at->rest.len < len) {
        at->is_short = true;
        at->rest = (struct slice){0};
    }
    if (at->rest.len == 0) {
        return (struct slice){0};
    }
    struct slice out = slice_of(at->rest.data, len);
    at->rest = slice_of(at->rest.data + len, at->rest.len - len);
    return out;
}

static size_t take_number(struct cursor *at, size_t bytes)
{
    struct slice raw = take(at, bytes);
    size_t out = 0;
    for (size_t i = 0; i < raw.len; i++) {
        out = out << 8 | raw.data[i];
    }
    return out;
}

/* A run with its length, of that many bytes, before it. */
static struct slice take_run(struct cursor *at, size_t length_bytes)
{
    return take(at, take_number(at, length_bytes));
}

static enum sniff protocols_of(struct slice extension)
{
    struct cursor at = {.rest = extension};
    struct cursor names = {.rest = take_run(&at, 2)};
    bool has_h2 = false;
    bool has_http1 = false;
    while (names.rest.len && !names.is_short) {
        struct slice name = take_run(&names, 1);
        has_h2 = has_h2 || slice_eq(name, SLICE("h2"));
        has_http1 = has_http1 || slice_eq(name, SLICE("http/1.1"));
    }
    return has_h2 && !has_http1 ? SNIFF_GRPC : SNIFF_HTTP;
}

/* A whole ClientHello, without its four bytes of header. */
static enum sniff hello_of(struct slice body)
{
    struct cursor at = {.rest = body};
    take(&at, 2 + 32); /* version, random */
    take_run(&at, 1);  /* session */
    take_run(&at, 2);  /* cipher suites */
    take_run(&at, 1);  /* compression */
    if (at.is_short) {
        return SNIFF_BAD;
    }
    struct cursor extensions = {.rest = take_run(&at, 2)};
    while (extensions.rest.len && !extensions.is_short) {
        size_t kind = take_number(&extensions, 2);
        struct slice extension = take_run(&extensions, 2);
        if (kind == EXTENSION_ALPN && !extensions.is_short) {
            return protocols_of(extension);
        }
    }
    return SNIFF_HTTP;
}

/* Puts the handshake bytes of all records behind each other into out. SNIFF_MORE is no failure:
 * what is there is there. */
static enum sniff unwrap(struct slice bytes, uint8_t *out, size_t *out_len)
{
    size_t len = 0;
    while (bytes.len) {
        if (bytes.data[0] != RECORD_HANDSHAKE || (bytes.len > 1 && bytes.data[1] != 3)) {
            *out_len = len;
            return SNIFF_BAD;
        }
        if (bytes.len < RECORD_HEADER) {
            break;
        }
        size_t size = (size_t)bytes.data[3] << 8 | bytes.data[4];
        size_t there = bytes.len - RECORD_HEADER;
        if (size == 0 || size > RECORD_BYTES_MAX) {
            *out_len = len;
            return SNIFF_BAD;
        }
        size_t part = size < there ? size : there;
        memcpy(out + len, bytes.data + RECORD_HEADER, part);
        len += part;
        bytes = slice_of(bytes.data + RECORD_HEADER + part, there - part);
    }
    *out_len = len;
    return SNIFF_MORE;
}

enum sniff sniff_tls(struct slice bytes)
{
    uint8_t hello[SNIFF_BYTES_MAX];
    size_t len;
    if (bytes.len > SNIFF_BYTES_MAX) {
        bytes.len = SNIFF_BYTES_MAX;
    }
    if (bytes.len && (bytes.data[0] != RECORD_HANDSHAKE || (bytes.len > 1 && bytes.data[1] != 3))) {
        return SNIFF_NOT_TLS;
    }
    enum sniff records = unwrap(bytes, hello, &len);
    if (len && hello[0] != CLIENT_HELLO) {
        return SNIFF_BAD;
    }
    size_t size = len < 4 ? 0 : (size_t)hello[1] << 16 | (size_t)hello[2] << 8 | hello[3];
    if (len >= 4 && len >= size + 4) {
        return hello_of(slice_of(hello + 4, size));
    }
    bool is_hopeless = records == SNIFF_BAD || size + 4 > SNIFF_BYTES_MAX;
    return is_hopeless || bytes.len == SNIFF_BYTES_MAX ? SNIFF_BAD : SNIFF_MORE;
}
