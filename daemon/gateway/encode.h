/* SPDX-License-Identifier: Apache-2.0
 *
 * A packed protobuf message as JSON, by protobuf's JSON mapping with proto field names and without
 * zero values. Pure.
 */
#ifndef GATEWAY_ENCODE_H
#define GATEWAY_ENCODE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

/* Writes the message as one JSON object. Errors: as pb_unpack. */
MUST struct err encode_json(const ProtobufCMessageDescriptor *type, struct slice packed,
    struct arena *arena, struct json *json);

#endif
