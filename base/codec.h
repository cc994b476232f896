/* SPDX-License-Identifier: Apache-2.0
 *
 * Fixed-width integers, and protocol buffers' wire format for what is encoded by hand: writers into
 * a struct buf and bounds-checked readers over a slice. Pure.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/buf.h"
#include "base/err.h"

static inline void put_be64(uint8_t *out, uint64_t number)
{
    number = __builtin_bswap64(number);
    memcpy(out, &number, 8);
}

static inline uint64_t get_be64(const uint8_t *in)
{
    uint64_t number;
    memcpy(&number, in, 8);
    return __builtin_bswap64(number);
}

static inline void put_le64(uint8_t *out, uint64_t number)
{
    memcpy(out, &number, 8);
}

static inline uint64_t get_le64(const uint8_t *in)
{
    uint64_t number;
    memcpy(&number, in, 8);
    return number;
}

static inline void put_le32(uint8_t *out, uint32_t number)
{
    memcpy(out, &number, 4);
}

static inline uint32_t get_le32(const uint8_t *in)
{
    uint32_t number;
    memcpy(&number, in, 4);
    return number;
}

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5,
};

/* Bytes that number takes as a varint: 1 to 10. */
size_t varint_size(uint64_t number);
/* Writes it; out has room. Returns the bytes written. */
size_t varint_put(uint8_t *out, uint64_t number);

/* Appends a whole field. The *_nz forms write nothing for zero or empty, as proto3 does. */
void wire_add_varint(struct buf *buf, uint32_t field, uint64_t number);
void wire_add_varint_nz(struct buf *buf, uint32_t field, uint64_t number);
void wire_add_bytes(struct buf *buf, uint32_t field, struct slice bytes);
void wire_add_bytes_nz(struct buf *buf, uint32_t field, struct slice bytes);
/* Only the tag and the length of a bytes field; the caller appends len bytes. */
void wire_add_head(struct buf *buf, uint32_t field, size_t len);

/* A cursor over a message. */
struct wire {
    const uint8_t *at;
    const uint8_t *end;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;     /* varint and fixed */
    struct slice bytes; /* WIRE_BYTES; borrowed from the message */
};

void wire_init(struct wire *wire, struct slice message);
static inline bool wire_more(const struct wire *wire)
{
    return wire->at < wire->end;
}
/* Takes the next field. Errors: BAD_FORMAT (a length past the end, an over-long varint, groups,
 * field number 0). */
MUST struct err wire_next(struct wire *wire, struct wire_field *out);
MUST struct err varint_take(struct wire *wire, uint64_t *out_number);
/* Takes so many bytes, lent. Errors: BAD_FORMAT (there are fewer). */
MUST struct err wire_run(struct wire *wire, uint64_t len, struct slice *out);

#endif
