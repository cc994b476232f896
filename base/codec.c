/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"

size_t varint_size(uint64_t number)
{
    return number ? (size_t)(70 - __builtin_clzll(number)) / 7 : 1;
}

size_t varint_put(uint8_t *out, uint64_t number)
{
    size_t len = 0;
    while (number >= 0x80) {
        out[len++] = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    out[len++] = (uint8_t)number;
    return len;
}

static void add_varint(struct buf *buf, uint64_t number)
{
    if (buf_reserve(buf, 10)) {
        buf->len += varint_put(buf->data + buf->len, number);
    }
}

void wire_add_varint(struct buf *buf, uint32_t field, uint64_t number)
{
    add_varint(buf, (uint64_t)field << 3 | WIRE_VARINT);
    add_varint(buf, number);
}

void wire_add_varint_nz(struct buf *buf, uint32_t field, uint64_t number)
{
    if (number) {
        wire_add_varint(buf, field, number);
    }
}

void wire_add_head(struct buf *buf, uint32_t field, size_t len)
{
    add_varint(buf, (uint64_t)field << 3 | WIRE_BYTES);
    add_varint(buf, len);
}

void wire_add_bytes(struct buf *buf, uint32_t field, struct slice bytes)
{
    wire_add_head(buf, field, bytes.len);
    buf_add_slice(buf, bytes);
}

void wire_add_bytes_nz(struct buf *buf, uint32_t field, struct slice bytes)
{
    if (bytes.len) {
        wire_add_bytes(buf, field, bytes);
    }
}

void wire_init(struct wire *wire, struct slice message)
{
    wire->at = message.data;
    wire->end = message.len ? message.data + message.len : message.data;
}

struct err varint_take(struct wire *wire, uint64_t *out_number)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (wire->at == wire->end) {
            return ERR(BAD_FORMAT);
        }
        uint8_t byte = *wire->at++;
        if (shift == 63 && byte > 1) {
            return ERR(BAD_FORMAT);
        }
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out_number = number;
            return OK;
        }
    }
    return ERR(BAD_FORMAT);
}

struct err wire_run(struct wire *wire, uint64_t len, struct slice *out)
{
    if (len > (uint64_t)(wire->end - wire->at)) {
        return ERR(BAD_FORMAT);
    }
    *out = slice_of(wire->at, (size_t)len);
    wire->at += len;
    return OK;
}

/* Nearly all tags and many lengths are one byte. */
static inline struct err take_varint(struct wire *wire, uint64_t *out_number)
{
    if (wire->at < wire->end && *wire->at < 0x80) {
        *out_number = *wire->at++;
        return OK;
    }
    return varint_take(wire, out_number);
}

struct err wire_next(struct wire *wire, struct wire_field *out)
{
    uint64_t tag;
    uint64_t len;
    struct wire_field field = {0};
    TRY(take_varint(wire, &tag));
    if (tag >> 3 == 0 || tag >> 32) {
        return ERR(BAD_FORMAT);
    }
    field.number = (uint32_t)(tag >> 3);
    field.type = (enum wire_type)(tag & 7);
    switch (field.type) {
    case WIRE_VARINT:
        TRY(take_varint(wire, &field.value));
        break;
    case WIRE_FIXED64:
        TRY(wire_run(wire, 8, &field.bytes));
        field.value = get_le64(field.bytes.data);
        break;
    case WIRE_BYTES:
        TRY(take_varint(wire, &len));
        TRY(wire_run(wire, len, &field.bytes));
        break;
    case WIRE_FIXED32:
        TRY(wire_run(wire, 4, &field.bytes));
        field.value = get_le32(field.bytes.data);
        break;
    default:
        return ERR(BAD_FORMAT);
    }
    *out = field;
    return OK;
}
