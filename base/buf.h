/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing run of bytes, born with a maximum. Past it, appends do nothing and is_full stays set:
 * write all of a message, look once. One thread at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/slice.h"

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t bytes_max;
    bool is_full;
};

void buf_init(struct buf *buf, size_t bytes_max);
void buf_fini(struct buf *buf);
/* Empties, keeps the memory. */
void buf_reset(struct buf *buf);
/* Makes room for size more bytes without moving later. False (and is_full) past the maximum. */
bool buf_reserve(struct buf *buf, size_t size);
void buf_add(struct buf *buf, const void *data, size_t size);
void buf_add_slice(struct buf *buf, struct slice bytes);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_byte(struct buf *buf, uint8_t byte);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first size bytes, moving the rest down. */
void buf_drop(struct buf *buf, size_t size);
/* Puts a NUL behind the bytes (not counted) and lends the text. */
const char *buf_text(struct buf *buf);
/* Gives the memory away (free()); the buffer is empty after. */
uint8_t *buf_take(struct buf *buf, size_t *out_len);

static inline struct slice buf_slice(const struct buf *buf)
{
    return slice_of(buf->data, buf->len);
}

#endif
