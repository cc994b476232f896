/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pb.h"

#include "base/codec.h"

/* A request in the log is wrapped a little deeper than the client sent it. */
enum { DEPTH_MAX = PB_DEPTH_MAX + 10 };

static const ProtobufCMessageDescriptor *submessage(const ProtobufCFieldDescriptor *field)
{
    return field && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

/* protobuf-c looks at every field's wire type but a boolean's, and makes one of whatever is there.
 */
static bool is_no_bool(const ProtobufCFieldDescriptor *field)
{
    return field && field->type == PROTOBUF_C_TYPE_BOOL &&
           field->label != PROTOBUF_C_LABEL_REPEATED;
}

/* Walks the nesting with a stack of its own, so that the input cannot choose how deep ours gets. */
static struct err depth_check(
    const ProtobufCMessageDescriptor *type, struct slice bytes, size_t depth_max, size_t fields_max)
{
    struct {
        const ProtobufCMessageDescriptor *type;
        struct wire wire;
    } stack[DEPTH_MAX];
    size_t depth = 1;
    size_t fields = 0;
    stack[0].type = type;
    wire_init(&stack[0].wire, bytes);
    while (depth) {
        struct wire_field field;
        if (!wire_more(&stack[depth - 1].wire)) {
            depth--;
            continue;
        }
        TRY(wire_next(&stack[depth - 1].wire, &field));
        if (++fields > fields_max) {
            return ERR(TOO_BIG);
        }
        if (field.type == WIRE_VARINT) {
            continue;
        }
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(stack[depth - 1].type, field.number);
        if (is_no_bool(known)) {
            return ERR(BAD_FORMAT);
        }
        const ProtobufCMessageDescriptor *sub = field.type == WIRE_BYTES ? submessage(known) : NULL;
        if (sub && depth == depth_max) {
            return ERR(TOO_BIG);
        }
        if (sub) {
            stack[depth].type = sub;
            wire_init(&stack[depth].wire, field.bytes);
            depth++;
        }
    }
    return OK;
}

static struct err unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message)
{
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, arena_protobuf(arena), bytes.len, bytes.data);
    if (!message) {
        return ERR(BAD_FORMAT);
    }
    *(ProtobufCMessage **)out_message = message;
    return OK;
}

struct err pb_unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message)
{
    TRY(depth_check(type, bytes, PB_DEPTH_MAX, SIZE_MAX));
    return unpack(type, arena, bytes, out_message);
}

struct err pb_unpack_request(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message)
{
    TRY(depth_check(type, bytes, PB_DEPTH_MAX, PB_FIELDS_MAX));
    return unpack(type, arena, bytes, out_message);
}

struct err pb_unpack_log(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message)
{
    if (!err_is(depth_check(type, bytes, DEPTH_MAX, SIZE_MAX)) &&
        !err_is(unpack(type, arena, bytes, out_message))) {
        return OK;
    }
    TRY(pb_known(type, arena, bytes, &bytes));
    return unpack(type, arena, bytes, out_message);
}

void pb_pack(const void *message, struct buf *buf)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > 0 && buf_reserve(buf, size)) { /* an empty buffer may have no memory */
        buf->len += protobuf_c_message_pack(message, buf->data + buf->len);
    }
}

struct slice pb_pack_arena(const void *message, struct arena *arena)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *data = arena_alloc(arena, size);
    if (!data) {
        return (struct slice){0};
    }
    return slice_of(data, protobuf_c_message_pack(message, data));
}

unsigned pb_wire_type(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_FIXED64;
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_FIXED32;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        break;
    }
    return WIRE_VARINT;
}

size_t pb_element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        break;
    }
    return 4;
}

bool pb_is_zero(ProtobufCType type, const void *at)
{
    static const uint8_t zeros[sizeof(uint64_t)];
    const char *text;
    switch ((int)type) {
    case PROTOBUF_C_TYPE_STRING:
        text = *(const char *const *)at;
        return !text || !*text;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)at)->len == 0;
    default:
        return memcmp(at, zeros, pb_element_size(type)) == 0;
    }
}
