/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong with a request that does not unpack, as etcd says it.
 */
#ifndef API_MALFORMED_H
#define API_MALFORMED_H

#include "base/arena.h"
#include "base/slice.h"

#include <protobuf-c/protobuf-c.h>

/* Of a call's request. In the arena. */
const char *api_malformed(
    const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena);
/* Of a stream's message. */
const char *api_malformed_message(
    const ProtobufCMessageDescriptor *type, struct slice bytes, struct arena *arena);

#endif
