/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request does not unpack, in the words of the code that unpacks it in etcd (gogo/protobuf's
 * generated readers). Only on that path: the message is walked again, field by field, as they do.
 */
#include "api/malformed.h"
#include "api/state.h"
#include "base/utf8.h"

#include <ctype.h>

enum { GROUP = 3, END_GROUP = 4, FIXED64 = 1, FIXED32 = 5, VARINT_BITS = 64 };

struct walk {
    const uint8_t *data;
    size_t len;
    size_t at;
    struct arena *arena;
    const char *text; /* set: it ends here */
};

static bool fail(struct walk *walk, const char *text)
{
    walk->text = text;
    return false;
}

static bool take_varint(struct walk *walk, uint64_t *out)
{
    uint64_t number = 0;
    for (unsigned shift = 0;; shift += 7) {
        if (shift >= VARINT_BITS) {
            return fail(walk, "proto: integer overflow");
        }
        if (walk->at >= walk->len) {
            return fail(walk, "unexpected EOF");
        }
        uint8_t byte = walk->data[walk->at++];
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = number;
            return true;
        }
    }
}

static bool skip_bytes(struct walk *walk, uint64_t len)
{
    if (len > INT64_MAX - walk->at) {
        return fail(walk, "proto: negative length found during unmarshaling");
    }
    if (len > walk->len - walk->at) {
        return fail(walk, "unexpected EOF");
    }
    walk->at += (size_t)len;
    return true;
}

static bool skip_one(struct walk *walk, unsigned wire_type, unsigned *depth)
{
    uint64_t number;
    switch (wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        return take_varint(walk, &number);
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        return take_varint(walk, &number) && skip_bytes(walk, number);
    case FIXED64:
        return skip_bytes(walk, 8);
    case FIXED32:
        return skip_bytes(walk, 4);
    case GROUP:
        ++*depth;
        return true;
    case END_GROUP:
        if (*depth == 0) {
            return fail(walk, "proto: unexpected end of group");
        }
        --*depth;
        return true;
    default:
        return fail(walk, arena_printf(walk->arena, "proto: illegal wireType %u", wire_type));
    }
}

/* A field that the message does not have, from its tag on. */
static bool skip_unknown(struct walk *walk)
{
    unsigned depth = 0;
    uint64_t tag;
    do {
        if (walk->at >= walk->len) {
            return fail(walk, "unexpected EOF");
        }
        if (!take_varint(walk, &tag) || !skip_one(walk, (unsigned)(tag & 7), &depth)) {
            return false;
        }
    } while (depth > 0);
    return true;
}

/* range_end is RangeEnd, memberID is MemberID. */
static const char *go_name(struct arena *arena, const char *name)
{
    char *out = arena_strdup(arena, name);
    size_t len = 0;
    bool is_start = true;
    for (; out && *name; name++) {
        if (*name == '_' && islower((unsigned char)name[1])) {
            is_start = true;
        } else {
            out[len++] = is_start ? (char)toupper((unsigned char)*name) : *name;
            is_start = false;
        }
    }
    if (!out) {
        return "?"; /* the request has used up its arena */
    }
    out[len] = '\0';
    return out;
}

/* Up to 3.6 etcd takes both; 3.7 refuses the first, in these words. */
static bool check_text(struct walk *walk, struct slice text)
{
    if (pb_is_text(text)) {
        return true;
    }
    return fail(walk, utf8_is_valid(text) ? "string field contains a NUL"
                                          : "string field contains invalid UTF-8");
}

static void walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type, unsigned depth);

static bool walk_known(
    struct walk *walk, const ProtobufCFieldDescriptor *field, unsigned wire_type, unsigned depth)
{
    unsigned ignored = 0;
    uint64_t len;
    if (!pb_has_wire_type(field, wire_type)) {
        return fail(walk, arena_printf(walk->arena, "proto: wrong wireType = %u for field %s",
                              wire_type, go_name(walk->arena, field->name)));
    }
    bool is_text = field->type == PROTOBUF_C_TYPE_STRING;
    if (field->type != PROTOBUF_C_TYPE_MESSAGE && !is_text) {
        return skip_one(walk, wire_type, &ignored);
    }
    if (!take_varint(walk, &len)) {
        return false;
    }
    size_t begin = walk->at;
    if (!skip_bytes(walk, len)) {
        return false;
    }
    if (is_text) {
        return check_text(walk, slice_of(walk->data + begin, (size_t)len));
    }
    struct walk inner = {walk->data + begin, (size_t)len, 0, walk->arena, NULL};
    if (depth < PB_DEPTH_MAX) {
        walk_message(&inner, field->descriptor, depth + 1);
    }
    walk->text = inner.text;
    return !walk->text;
}

static bool walk_field(struct walk *walk, const ProtobufCMessageDescriptor *type, unsigned depth)
{
    size_t begin = walk->at;
    uint64_t tag;
    if (!take_varint(walk, &tag)) {
        return false;
    }
    int32_t number = (int32_t)(uint32_t)(tag >> 3);
    if ((tag & 7) == END_GROUP) {
        return fail(walk, arena_printf(walk->arena, "proto: %s: wiretype end group for non-group",
                              type->short_name));
    }
    if (number <= 0) {
        return fail(walk, arena_printf(walk->arena, "proto: %s: illegal tag %d (wire type %llu)",
                              type->short_name, number, (unsigned long long)tag));
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(type, (unsigned)number);
    if (field) {
        return walk_known(walk, field, (unsigned)(tag & 7), depth);
    }
    walk->at = begin;
    return skip_unknown(walk);
}

static void walk_message(struct walk *walk, const ProtobufCMessageDescriptor *type, unsigned depth)
{
    while (walk->at < walk->len && walk_field(walk, type, depth)) {
    }
}

static const char *reason_of(
    const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena)
{
    struct walk walk = {bytes.data, bytes.len, 0, arena, NULL};
    walk_message(&walk, type, 0);
    return walk.text ? walk.text : "proto: malformed or too deeply nested message";
}

const char *api_malformed(
    const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena)
{
    return arena_printf(
        arena, "grpc: error unmarshalling request: %s", reason_of(type, bytes, arena));
}

const char *api_malformed_message(
    const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena)
{
    return arena_printf(
        arena, "grpc: failed to unmarshal the received message: %s", reason_of(type, bytes, arena));
}
