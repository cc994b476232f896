/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pb.h"

#include "base/codec.h"
#include "base/utf8.h"

/* A request in the log is wrapped a little deeper than the client sent it. */
enum { DEPTH_MAX = PB_DEPTH_MAX + 10 };

/* Most types have one run of numbers: what the library's search comes to is then one look. */
const ProtobufCFieldDescriptor *pb_find(const ProtobufCMessageDescriptor *type, uint32_t number)
{
    if (type->n_field_ranges != 1) {
        return protobuf_c_message_descriptor_get_field(type, number);
    }
    uint32_t place = number - (uint32_t)type->field_ranges[0].start_value;
    return place < type->n_fields ? &type->fields[place] : NULL;
}

static const ProtobufCMessageDescriptor *submessage(const ProtobufCFieldDescriptor *field)
{
    return field && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

/* protobuf-c looks at every field's wire type but a boolean's, and makes one of whatever is there.
 */
static bool is_no_bool(const ProtobufCFieldDescriptor *known, enum wire_type type)
{
    return type != WIRE_VARINT && known->type == PROTOBUF_C_TYPE_BOOL &&
           known->label != PROTOBUF_C_LABEL_REPEATED;
}

/* What a walk asks of a message, and what it found. */
struct look {
    size_t depth_max;
    size_t fields_max; /* SIZE_MAX: no client sent it */
    /* Another reader may see another message: a field that the type does not name, or one that
     * stands once in a message and is there twice. */
    bool is_ambiguous;
};

struct level {
    const ProtobufCMessageDescriptor *type;
    struct wire wire;
    uint64_t seen; /* of the fields that stand once: by their place in the type */
};

enum { ONEOF_BIT = 63 };

static bool is_ambiguous(struct level *level, const ProtobufCFieldDescriptor *known)
{
    if (!known) {
        return true;
    }
    if (known->label == PROTOBUF_C_LABEL_REPEATED) {
        return false;
    }
    ptrdiff_t place = known - level->type->fields;
    bool is_oneof = known->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
    uint64_t bit = 1ULL << (is_oneof || place > ONEOF_BIT ? ONEOF_BIT : place);
    bool is_again = level->seen & bit;
    level->seen |= bit;
    return is_again;
}

/* Text is UTF-8 for protobuf-go, which fails otherwise, wherever it stands; and ends at a NUL for
 * protobuf-c. */
static bool is_no_text(const ProtobufCFieldDescriptor *known, const struct wire_field *field)
{
    return known->type == PROTOBUF_C_TYPE_STRING && !pb_is_text(field->bytes);
}

/* Of a request all that etcd's members up to 3.6 refuse; before what nobody names is left out of
 * it, with what else cannot be read. */
static bool is_refused(
    const ProtobufCFieldDescriptor *known, const struct wire_field *field, bool is_request)
{
    if (!known || !is_request) {
        return known && is_no_bool(known, field->type);
    }
    return !pb_has_wire_type(known, field->type) || is_no_text(known, field);
}

/* Walks the nesting with a stack of its own, so that the input cannot choose how deep ours gets. */
static struct err walk(
    const ProtobufCMessageDescriptor *type, struct slice bytes, struct look *look)
{
    struct level stack[DEPTH_MAX];
    size_t depth = 1;
    size_t fields = 0;
    bool is_request = look->fields_max != SIZE_MAX;
    stack[0] = (struct level){.type = type};
    wire_init(&stack[0].wire, bytes);
    while (depth) {
        struct level *level = &stack[depth - 1];
        struct wire_field field;
        if (!wire_more(&level->wire)) {
            depth--;
            continue;
        }
        TRY(wire_next(&level->wire, &field));
        if (++fields > look->fields_max) {
            return ERR(TOO_BIG);
        }
        if (field.type == WIRE_VARINT && !is_request) {
            continue;
        }
        const ProtobufCFieldDescriptor *known = pb_find(level->type, field.number);
        look->is_ambiguous |= is_request && is_ambiguous(level, known);
        if (is_refused(known, &field, is_request)) {
            return ERR(BAD_FORMAT);
        }
        const ProtobufCMessageDescriptor *sub = field.type == WIRE_BYTES ? submessage(known) : NULL;
        if (sub && depth == look->depth_max) {
            return ERR(TOO_BIG);
        }
        if (sub) {
            stack[depth] = (struct level){.type = sub};
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
    TRY(walk(type, bytes, &(struct look){PB_DEPTH_MAX, SIZE_MAX, false}));
    return unpack(type, arena, bytes, out_message);
}

struct err pb_unpack_request(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message)
{
    return pb_unpack_proposal(type, arena, &bytes, out_message);
}

/* Unpacked here, what stands there twice is one, and that is packed again. */
struct err pb_unpack_proposal(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice *bytes, void *out_message)
{
    struct look look = {PB_DEPTH_MAX, PB_FIELDS_MAX, false};
    ProtobufCMessage *message;
    struct slice known;
    TRY(walk(type, *bytes, &look));
    if (!look.is_ambiguous) {
        return unpack(type, arena, *bytes, out_message);
    }
    TRY(pb_known(type, arena, *bytes, &known));
    TRY(unpack(type, arena, known, &message));
    struct slice packed = pb_pack_arena(message, arena);
    if (packed.len != protobuf_c_message_get_packed_size(message)) {
        return ERR(TOO_BIG);
    }
    *bytes = packed;
    *(ProtobufCMessage **)out_message = message;
    return OK;
}

struct err pb_unpack_log(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message)
{
    struct look look = {DEPTH_MAX, SIZE_MAX, false};
    if (!err_is(walk(type, bytes, &look)) && !err_is(unpack(type, arena, bytes, out_message))) {
        return OK;
    }
    TRY(pb_known(type, arena, bytes, &bytes));
    return unpack(type, arena, bytes, out_message);
}

bool pb_is_text(struct slice bytes)
{
    return utf8_is_valid(bytes) && (!bytes.len || !memchr(bytes.data, '\0', bytes.len));
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

/* WIRE_VARINT is 0: of all that the table does not name. */
bool pb_has_wire_type(const ProtobufCFieldDescriptor *field, unsigned type)
{
    static const uint8_t own[] = {
        [PROTOBUF_C_TYPE_STRING] = WIRE_BYTES,
        [PROTOBUF_C_TYPE_BYTES] = WIRE_BYTES,
        [PROTOBUF_C_TYPE_MESSAGE] = WIRE_BYTES,
        [PROTOBUF_C_TYPE_FIXED64] = WIRE_FIXED64,
        [PROTOBUF_C_TYPE_SFIXED64] = WIRE_FIXED64,
        [PROTOBUF_C_TYPE_DOUBLE] = WIRE_FIXED64,
        [PROTOBUF_C_TYPE_FIXED32] = WIRE_FIXED32,
        [PROTOBUF_C_TYPE_SFIXED32] = WIRE_FIXED32,
        [PROTOBUF_C_TYPE_FLOAT] = WIRE_FIXED32,
    };
    bool is_packed = field->label == PROTOBUF_C_LABEL_REPEATED && type == WIRE_BYTES;
    return is_packed || type == own[field->type];
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
