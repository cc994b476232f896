/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of a message that its type names. etcd's members keep what a client sent and they cannot
 * name, and write it into the log again: groups, tags of more than 32 bits, varints of more than
 * 64 (gogo/protobuf, up to 3.6), known fields of another wire type (protobuf-go, 3.7). Neither
 * protobuf-c nor wire_next takes any of these.
 *
 * Nested messages stand in the copy behind a length of always LEN_SIZE bytes, so that one pass
 * does: it is written when the message has ended.
 */
#include "base/codec.h"
#include "base/pb.h"

enum { GROUP = 3, END_GROUP = 4, LEN_SIZE = 5 };

struct level {
    const ProtobufCMessageDescriptor *type;
    struct wire wire;
    size_t begin; /* where the copy of its fields begins */
};

/* Bits past the 64th fall away, as in Go. */
static struct err take_loose_varint(struct wire *wire, uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && wire_more(wire); shift += 7) {
        uint8_t byte = *wire->at++;
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = number;
            return OK;
        }
    }
    return ERR(BAD_FORMAT);
}

/* A value that is no group. */
static struct err take_value(struct wire *wire, struct wire_field *field)
{
    uint64_t len;
    switch ((int)field->type) {
    case WIRE_VARINT:
        return take_loose_varint(wire, &field->value);
    case WIRE_FIXED64:
        return wire_run(wire, 8, &field->bytes);
    case WIRE_FIXED32:
        return wire_run(wire, 4, &field->bytes);
    case WIRE_BYTES:
        TRY(take_loose_varint(wire, &len));
        return wire_run(wire, len, &field->bytes);
    default:
        return ERR(BAD_FORMAT);
    }
}

/* Up to its end. Groups within are counted: the input does not choose how deep our stack gets. */
static struct err skip_group(struct wire *wire)
{
    size_t open = 1;
    while (open) {
        uint64_t tag;
        struct wire_field field = {0};
        TRY(take_loose_varint(wire, &tag));
        field.type = (enum wire_type)(tag & 7);
        if ((tag & 7) == GROUP) {
            open++;
        } else if ((tag & 7) == END_GROUP) {
            open--;
        } else {
            TRY(take_value(wire, &field));
        }
    }
    return OK;
}

static struct err take_field(struct wire *wire, struct wire_field *out)
{
    uint64_t tag;
    TRY(take_loose_varint(wire, &tag));
    uint32_t number = (uint32_t)(tag >> 3); /* the rest falls away, as in gogo */
    if (number == 0 || number > INT32_MAX) {
        return ERR(BAD_FORMAT);
    }
    *out = (struct wire_field){.number = number, .type = (enum wire_type)(tag & 7)};
    return (tag & 7) == GROUP ? skip_group(wire) : take_value(wire, out);
}

static void add_len(uint8_t *out, size_t len)
{
    for (int i = 0; i < LEN_SIZE; i++) {
        out[i] = (uint8_t)((len & 0x7f) | (i < LEN_SIZE - 1 ? 0x80 : 0));
        len >>= 7;
    }
}

static void add(struct buf *copy, const struct wire_field *field)
{
    uint8_t tag[10];
    if (field->type == WIRE_VARINT) {
        wire_add_varint(copy, field->number, field->value);
    } else if (field->type == WIRE_BYTES) {
        wire_add_bytes(copy, field->number, field->bytes);
    } else {
        size_t len = varint_put(tag, (uint64_t)field->number << 3 | field->type);
        buf_add(copy, tag, len);
        buf_add_slice(copy, field->bytes);
    }
}

/* Begins the copy of a message within another. */
static struct level enter(
    struct buf *copy, const ProtobufCFieldDescriptor *known, const struct wire_field *field)
{
    static const uint8_t later[LEN_SIZE];
    struct level level = {.type = known->descriptor};
    uint8_t tag[10];
    wire_init(&level.wire, field->bytes);
    buf_add(copy, tag, varint_put(tag, (uint64_t)field->number << 3 | WIRE_BYTES));
    buf_add(copy, later, LEN_SIZE);
    level.begin = copy->len;
    return level;
}

/* levels: PB_DEPTH_LOG_MAX of them, the first is the message. */
static struct err copy_known(struct level *levels, struct buf *copy)
{
    size_t depth = 1;
    while (depth) {
        struct level *level = &levels[depth - 1];
        struct wire_field field;
        if (!wire_more(&level->wire)) {
            if (--depth) {
                add_len(copy->data + level->begin - LEN_SIZE, copy->len - level->begin);
            }
            continue;
        }
        TRY(take_field(&level->wire, &field));
        const ProtobufCFieldDescriptor *known = pb_find(level->type, field.number);
        if (!known || !pb_has_wire_type(known, field.type)) {
            continue;
        }
        if (known->type != PROTOBUF_C_TYPE_MESSAGE) {
            add(copy, &field);
        } else if (depth == PB_DEPTH_LOG_MAX) {
            return ERR(TOO_BIG);
        } else {
            levels[depth++] = enter(copy, known, &field);
        }
    }
    return OK;
}

struct err pb_known(const ProtobufCMessageDescriptor *type, struct arena *arena, struct slice bytes,
    struct slice *out)
{
    struct buf copy;
    struct level *levels = arena_alloc(arena, PB_DEPTH_LOG_MAX * sizeof(*levels));
    if (!levels) {
        return ERR(TOO_BIG);
    }
    buf_init(&copy, (size_t)INT32_MAX);
    levels[0] = (struct level){.type = type};
    wire_init(&levels[0].wire, bytes);
    struct err err = copy_known(levels, &copy);
    if (!err_is(err)) {
        struct slice known = arena_dup(arena, buf_slice(&copy));
        err = copy.is_full || (copy.len && !known.data) ? ERR(TOO_BIG) : OK;
        *out = err_is(err) ? *out : known;
    }
    buf_fini(&copy);
    return err;
}
