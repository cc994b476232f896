/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/encode.h"

#include "base/pb.h"

static void encode_message(const ProtobufCMessage *message, struct json *json);

static void encode_enum(const ProtobufCEnumDescriptor *type, int number, struct json *json)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    if (value) {
        json_add_str(json, value->name);
    } else {
        json_add_int(json, number);
    }
}

/* at: where the member (or the element) lies. */
static void encode_value(const ProtobufCFieldDescriptor *field, const void *at, struct json *json)
{
    const char *text;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        json_add_int(json, *(const int32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        json_add_uint(json, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        json_add_int_text(json, *(const int64_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        json_add_uint_text(json, *(const uint64_t *)at);
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        json_add_double(json, (double)*(const float *)at);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        json_add_double(json, *(const double *)at);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        json_add_bool(json, *(const protobuf_c_boolean *)at);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        encode_enum(field->descriptor, *(const int *)at, json);
        break;
    case PROTOBUF_C_TYPE_STRING:
        text = *(const char *const *)at;
        json_add_str(json, text ? text : "");
        break;
    case PROTOBUF_C_TYPE_BYTES:
        json_add_bytes(json, pb_slice(*(const ProtobufCBinaryData *)at));
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        encode_message(*(const ProtobufCMessage *const *)at, json);
        break;
    }
}

static void encode_list(
    const ProtobufCFieldDescriptor *field, const uint8_t *message, struct json *json)
{
    size_t count = *(const size_t *)(const void *)(message + field->quantifier_offset);
    const uint8_t *items = *(const uint8_t *const *)(const void *)(message + field->offset);
    if (count == 0) {
        return;
    }
    json_add_key(json, field->name);
    json_open(json, '[');
    for (size_t i = 0; i < count; i++) {
        encode_value(field, items + i * pb_element_size(field->type), json);
    }
    json_close(json, ']');
}

static bool is_present(const ProtobufCFieldDescriptor *field, const uint8_t *message)
{
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        return *(const uint32_t *)(const void *)(message + field->quantifier_offset) == field->id;
    }
    return !pb_is_zero(field->type, message + field->offset);
}

static void encode_message(const ProtobufCMessage *message, struct json *json)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    const uint8_t *bytes = (const uint8_t *)message;
    json_open(json, '{');
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            encode_list(field, bytes, json);
        } else if (is_present(field, bytes)) {
            json_add_key(json, field->name);
            encode_value(field, bytes + field->offset, json);
        }
    }
    json_close(json, '}');
}

struct err encode_json(const ProtobufCMessageDescriptor *type, struct slice packed,
    struct arena *arena, struct json *json)
{
    ProtobufCMessage *message;
    TRY(pb_unpack(type, arena, packed, &message));
    encode_message(message, json);
    return OK;
}
