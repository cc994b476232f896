/* SPDX-License-Identifier: Apache-2.0
 *
 * protobuf-c with the limits that outside bytes need: nesting is measured before unpacking
 * (protobuf-c recurses without a bound) and everything is allocated in the request's arena.
 */
#ifndef BASE_PB_H
#define BASE_PB_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* Deep enough for the 128 nested transactions that etcd allows. Members of etcd may be told to
 * allow more: what they put into the log may be nested deeper, as far as our stacks bear it. */
enum { PB_DEPTH_MAX = 300, PB_DEPTH_LOG_MAX = 2100 };

/* Unpacks bytes into the arena; *out_message lives as long as the arena.
 * Errors: BAD_FORMAT (not that message), TOO_BIG (nested deeper than PB_DEPTH_MAX, or the arena's
 * limit). */
MUST struct err pb_unpack(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message);
/* The same for what a client sent: also no more than PB_FIELDS_MAX fields in all, known or not. Two
 * bytes of the wire can cost a hundred of memory; the largest transaction that etcd allows has far
 * fewer. And strings that are text (pb_is_text). */
enum { PB_FIELDS_MAX = 256 * 1024 };
MUST struct err pb_unpack_request(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message);
/* The same for what may go into the log: *bytes are left as they are when every reader sees the
 * same in them, else they become what *out_message packs to. A field that stands there twice is
 * merged by protobuf-go where gogo and protobuf-c replace it, and fields that nobody names are none
 * of the log's. */
MUST struct err pb_unpack_proposal(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice *bytes, void *out_message);
/* What may stand in a string: UTF-8 (a member of etcd 3.7 ends at an entry that holds anything
 * else) without a NUL (where a string ends here). */
bool pb_is_text(struct slice bytes);
/* The same for what stands in the log, or in a store made of it: up to PB_DEPTH_LOG_MAX, and when
 * it does not unpack as it is, what pb_known leaves of it. */
MUST struct err pb_unpack_log(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, void *out_message);
/* Copies what the type names, without what else members of etcd let stand in a message: see the
 * head of pb_known.c. Errors: BAD_FORMAT (they would not have taken it either), TOO_BIG. */
MUST struct err pb_known(const ProtobufCMessageDescriptor *type, struct arena *arena,
    struct slice bytes, struct slice *out);
/* Appends the packed message. */
void pb_pack(const void *message, struct buf *buf);
/* Packs into new arena memory. */
struct slice pb_pack_arena(const void *message, struct arena *arena);

/* The field with that number; NULL: the type has none. */
const ProtobufCFieldDescriptor *pb_find(const ProtobufCMessageDescriptor *type, uint32_t number);
/* Whether a field may stand there with that wire type (enum wire_type): its own, or packed. */
bool pb_has_wire_type(const ProtobufCFieldDescriptor *field, unsigned type);
/* How many bytes a field's value takes in a message or a list. */
size_t pb_element_size(ProtobufCType type);
/* Whether the value at that place is what proto3 leaves out: zero, false, empty. Not for messages.
 */
bool pb_is_zero(ProtobufCType type, const void *at);

static inline struct slice pb_slice(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}

/* protobuf-c's bytes are not const; the library only reads them when packing. */
static inline ProtobufCBinaryData pb_bytes(struct slice bytes)
{
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)(uintptr_t)bytes.data};
}

#endif
