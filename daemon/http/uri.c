/* SPDX-License-Identifier: Apache-2.0 */
#include "http/uri.h"

#include "base/text.h"
#include "http/http.h"

#include <strings.h>

static struct slice after(struct slice text, size_t len)
{
    return slice_of(text.data + len, text.len - len);
}

static bool has_scheme(struct slice target, const char *scheme)
{
    size_t len = strlen(scheme);
    return target.len >= len && strncasecmp((const char *)target.data, scheme, len) == 0;
}

bool uri_split(struct slice target, struct uri *out)
{
    struct uri uri = {0};
    for (size_t i = 0; i < target.len; i++) {
        if (target.data[i] <= ' ' || target.data[i] == 0x7f) {
            return false;
        }
    }
    if (has_scheme(target, "http://") || has_scheme(target, "https://")) {
        struct slice rest = after(target, has_scheme(target, "http://") ? 7 : 8);
        size_t len = 0;
        while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?') {
            len++;
        }
        uri.authority = slice_of(rest.data, len);
        target = after(rest, len);
        if (uri.authority.len == 0) {
            return false;
        }
        if (target.len == 0) {
            target = SLICE("/");
        }
    }
    if (target.len == 0 || target.data[0] != '/') {
        return false;
    }
    const uint8_t *mark = memchr(target.data, '?', target.len);
    uri.path = slice_of(target.data, mark ? (size_t)(mark - target.data) : target.len);
    uri.query = mark ? after(target, uri.path.len + 1) : (struct slice){0};
    *out = uri;
    return true;
}

bool uri_decode(struct slice text, bool is_query, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '%') {
            int high = text.len - i < 3 ? -1 : text_hex_digit((char)text.data[i + 1]);
            int low = text.len - i < 3 ? -1 : text_hex_digit((char)text.data[i + 2]);
            if (high < 0 || low < 0) {
                return false;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        buf_add_byte(out, c);
    }
    return true;
}

/* One "a=b" into buf. */
static bool decode_pair(
    struct slice pair, struct buf *buf, struct slice *out_name, struct slice *out_value)
{
    const uint8_t *equals = memchr(pair.data, '=', pair.len);
    size_t name_len = equals ? (size_t)(equals - pair.data) : pair.len;
    buf_reset(buf);
    if (memchr(pair.data, ';', pair.len) || !buf_reserve(buf, pair.len) ||
        !uri_decode(slice_of(pair.data, name_len), true, buf)) {
        return false;
    }
    size_t split = buf->len;
    if (equals && !uri_decode(after(pair, name_len + 1), true, buf)) {
        return false;
    }
    *out_name = slice_of(buf->data, split);
    *out_value = slice_of(buf->data + split, buf->len - split);
    return true;
}

bool http_query_next(struct slice query, size_t *cursor, struct buf *buf, struct slice *out_name,
    struct slice *out_value)
{
    while (*cursor < query.len) {
        struct slice rest = after(query, *cursor);
        const uint8_t *amp = memchr(rest.data, '&', rest.len);
        struct slice pair = slice_of(rest.data, amp ? (size_t)(amp - rest.data) : rest.len);
        *cursor += pair.len + (amp ? 1 : 0);
        if (pair.len && decode_pair(pair, buf, out_name, out_value)) {
            return true;
        }
    }
    return false;
}
