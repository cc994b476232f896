/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdarg.h>

void buf_init(struct buf *buf, size_t bytes_max)
{
    *buf = (struct buf){.bytes_max = bytes_max};
}

void buf_fini(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){.bytes_max = buf->bytes_max};
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->is_full = false;
}

bool buf_reserve(struct buf *buf, size_t size)
{
    if (buf->is_full || buf->len > buf->bytes_max || size > buf->bytes_max - buf->len) {
        buf->is_full = true;
        return false;
    }
    size_t need = buf->len + size;
    if (need > buf->cap) {
        size_t cap = buf->cap ? buf->cap : 64;
        while (cap < need) {
            cap = cap > SIZE_MAX / 2 ? need : cap * 2;
        }
        buf->data = mem_grow(buf->data, cap);
        buf->cap = cap;
    }
    return true;
}

void buf_add(struct buf *buf, const void *data, size_t size)
{
    if (size && buf_reserve(buf, size)) {
        memcpy(buf->data + buf->len, data, size);
        buf->len += size;
    }
}

void buf_add_slice(struct buf *buf, struct slice bytes)
{
    buf_add(buf, bytes.data, bytes.len);
}

void buf_add_str(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_byte(struct buf *buf, uint8_t byte)
{
    buf_add(buf, &byte, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    char small[256];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    check(len >= 0);
    if ((size_t)len < sizeof(small)) {
        buf_add(buf, small, (size_t)len);
        return;
    }
    char *text = mem_alloc((size_t)len + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    buf_add(buf, text, (size_t)len);
    free(text);
}

void buf_drop(struct buf *buf, size_t size)
{
    check(size <= buf->len);
    buf->len -= size;
    if (buf->len && size) {
        memmove(buf->data, buf->data + size, buf->len);
    }
}

const char *buf_text(struct buf *buf)
{
    if (buf->len + 1 > buf->cap) {
        buf->data = mem_grow(buf->data, buf->len + 1);
        buf->cap = buf->len + 1;
    }
    buf->data[buf->len] = 0;
    return (const char *)buf->data;
}

uint8_t *buf_take(struct buf *buf, size_t *out_len)
{
    uint8_t *data = buf->data;
    *out_len = buf->len;
    *buf = (struct buf){.bytes_max = buf->bytes_max};
    return data;
}
