/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/gojson.h"

#include "base/pb.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>

static void add_ascii(struct buf *buf, uint8_t c)
{
    static const char names[] = "btn\0fr";

    if (c == '"' || c == '\\') {
        buf_printf(buf, "\\%c", c);
    } else if (c >= 8 && c <= 13 && names[c - 8]) {
        buf_printf(buf, "\\%c", names[c - 8]);
    } else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
        buf_printf(buf, "\\u%04x", c);
    } else {
        buf_add_byte(buf, c);
    }
}

void gojson_string(struct buf *buf, const char *text)
{
    struct slice rest = slice_str(text);
    uint32_t rune = 0;

    buf_add_byte(buf, '"');
    while (rest.len > 0) {
        size_t width = utf8_take(rest, &rune);
        if (width == 0) {
            buf_add_str(buf, "\\ufffd");
        } else if (rune < 0x80) {
            add_ascii(buf, (uint8_t)rune);
        } else if (rune == 0x2028 || rune == 0x2029) {
            buf_printf(buf, "\\u%04x", (unsigned)rune);
        } else {
            buf_add(buf, rest.data, width);
        }
        width = width ? width : 1;
        rest = slice_of(rest.data + width, rest.len - width);
    }
    buf_add_byte(buf, '"');
}

void gojson_bytes(struct buf *buf, struct slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    buf_add_byte(buf, '"');
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t three = (uint32_t)bytes.data[i] << 16;
        three |= left > 1 ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        three |= left > 2 ? bytes.data[i + 2] : 0;
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63],
            left > 1 ? digits[three >> 6 & 63] : '=', left > 2 ? digits[three & 63] : '='};
        buf_add(buf, four, sizeof(four));
    }
    buf_add_byte(buf, '"');
}

static void add_number(struct buf *buf, ProtobufCType type, const void *at)
{
    if (type == PROTOBUF_C_TYPE_BOOL) {
        buf_add_str(buf, *(const protobuf_c_boolean *)at ? "true" : "false");
    } else if (type == PROTOBUF_C_TYPE_UINT64) {
        buf_printf(buf, "%" PRIu64, *(const uint64_t *)at);
    } else if (type == PROTOBUF_C_TYPE_INT64) {
        buf_printf(buf, "%" PRId64, *(const int64_t *)at);
    } else if (type == PROTOBUF_C_TYPE_UINT32) {
        buf_printf(buf, "%" PRIu32, *(const uint32_t *)at);
    } else {
        buf_printf(buf, "%" PRId32, *(const int32_t *)at);
    }
}

static void add_value(struct buf *buf, const ProtobufCFieldDescriptor *field, const void *at)
{
    const ProtobufCBinaryData *bytes = at;

    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        gojson_message(buf, *(void *const *)at);
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        gojson_string(buf, *(char *const *)at);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        gojson_bytes(buf, slice_of(bytes->data, bytes->len));
    } else {
        add_number(buf, field->type, at);
    }
}

static void add_list(
    struct buf *buf, const ProtobufCFieldDescriptor *field, const uint8_t *items, size_t count)
{
    buf_add_byte(buf, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add_str(buf, i ? "," : "");
        add_value(buf, field, items + i * pb_element_size(field->type));
    }
    buf_add_byte(buf, ']');
}

/* gogo keeps a oneof as an interface that holds a struct of one member; "Response" is the only one
 * in responses. */
static void add_oneof(struct buf *buf, const ProtobufCFieldDescriptor *field, const void *at)
{
    buf_printf(buf, "\"Response\":{\"%s\":", field->name);
    add_value(buf, field, at);
    buf_add_byte(buf, '}');
}

void gojson_members(struct buf *buf, const void *message)
{
    const ProtobufCMessage *base = message;
    size_t start = buf->len;

    for (unsigned i = 0; base && i < base->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &base->descriptor->fields[i];
        const uint8_t *at = (const uint8_t *)message + field->offset;
        const uint8_t *quantifier = (const uint8_t *)message + field->quantifier_offset;
        bool is_list = field->label == PROTOBUF_C_LABEL_REPEATED;
        bool is_oneof = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
        if (is_oneof  ? *(const uint32_t *)(const void *)quantifier != field->id
            : is_list ? *(const size_t *)(const void *)quantifier == 0
                      : pb_is_zero(field->type, at)) {
            continue;
        }
        buf_add_str(buf, buf->len > start ? "," : "");
        if (is_oneof) {
            add_oneof(buf, field, at);
            continue;
        }
        buf_printf(buf, "\"%s\":", field->name);
        if (is_list) {
            add_list(buf, field, *(const uint8_t *const *)(const void *)at,
                *(const size_t *)(const void *)quantifier);
        } else {
            add_value(buf, field, at);
        }
    }
}

void gojson_message(struct buf *buf, const void *message)
{
    if (!message) {
        buf_add_str(buf, "null");
        return;
    }
    buf_add_byte(buf, '{');
    gojson_members(buf, message);
    buf_add_byte(buf, '}');
}
