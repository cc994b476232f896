/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

static bool is_rune(uint32_t rune)
{
    return rune <= 0x10ffff && (rune < 0xd800 || rune > 0xdfff);
}

size_t utf8_take(struct slice text, uint32_t *out_rune)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (text.len == 0) {
        return 0;
    }
    uint8_t first = text.data[0];
    if (first < 0x80) {
        *out_rune = first;
        return 1;
    }
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || len > text.len) {
        return 0;
    }
    uint32_t rune = first & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
        rune = rune << 6 | (text.data[i] & 0x3f);
    }
    if (rune < least[len] || !is_rune(rune)) {
        return 0;
    }
    *out_rune = rune;
    return len;
}

void utf8_add(struct buf *buf, uint32_t rune)
{
    rune = is_rune(rune) ? rune : 0xfffd;
    if (rune < 0x80) {
        buf_add_byte(buf, (uint8_t)rune);
        return;
    }
    unsigned more = rune >= 0x10000 ? 3 : rune >= 0x800 ? 2 : 1;
    static const uint8_t marks[] = {0, 0xc0, 0xe0, 0xf0};
    buf_add_byte(buf, (uint8_t)(marks[more] | rune >> (6 * more)));
    while (more-- > 0) {
        buf_add_byte(buf, (uint8_t)(0x80 | (rune >> (6 * more) & 0x3f)));
    }
}

bool utf8_is_valid(struct slice text)
{
    uint32_t rune;
    for (size_t i = 0; i < text.len;) {
        size_t len = utf8_take(slice_of(text.data + i, text.len - i), &rune);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

const char *utf8_mend(struct arena *arena, const char *text)
{
    static const char mark[] = "\xef\xbf\xbd";
    struct slice rest = slice_str(text);
    char *out = arena_alloc(arena, rest.len * (sizeof(mark) - 1) + 1);
    char *end = out;
    while (rest.len > 0) {
        uint32_t rune;
        size_t len = utf8_take(rest, &rune);
        end = len ? mempcpy(end, rest.data, len) : mempcpy(end, mark, sizeof(mark) - 1);
        len += len == 0;
        rest = slice_of(rest.data + len, rest.len - len);
    }
    *end = '\0';
    return out;
}
