/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON value as the packed bytes of a protobuf message, by protobuf's JSON mapping: fields by
 * their proto or their camel-case name, unknown ones skipped, enums by name or number, 64-bit
 * numbers as text or number. What is wrong is said in the words of Go's protojson, position
 * included. Pure.
 */
#ifndef GATEWAY_DECODE_H
#define GATEWAY_DECODE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

/* json: one whole value (scan_feed found its end), white space around it is fine. Appends to out.
 * Errors: BAD_INPUT (*out_text says why; in the arena), TOO_BIG (past out's maximum). */
MUST struct err decode_json(const ProtobufCMessageDescriptor *type, struct slice json,
    struct arena *arena, struct buf *out, const char **out_text);

#endif
