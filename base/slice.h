/* SPDX-License-Identifier: Apache-2.0
 *
 * A borrowed run of bytes. Never owns; the lender says how long it lives. {NULL, 0} is the empty
 * slice. Pure.
 */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data;
    size_t len;
};

#define SLICE(literal) ((struct slice){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){(const uint8_t *)data, len};
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Bytewise order, a prefix before what it begins, as Go's bytes.Compare. Negative, 0 or positive.
 */
static inline int slice_cmp(struct slice a, struct slice b)
{
    size_t min = a.len < b.len ? a.len : b.len;
    int diff = min ? memcmp(a.data, b.data, min) : 0;
    return diff ? diff : (a.len > b.len) - (a.len < b.len);
}

static inline bool slice_has_prefix(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* Without the spaces and tabs at both ends. */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s = slice_of(s.data + 1, s.len - 1);
    }
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

#endif
