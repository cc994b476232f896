/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages between core's byte buffers and our slices and payloads. Private to rpc.
 */
#ifndef RPC_MESSAGE_H
#define RPC_MESSAGE_H

#include "api/api.h"

#include <grpc/grpc.h>

struct rpc;

struct rpc_message {
    struct slice bytes;
    grpc_slice
        keep; /* what bytes may point into; grpc_slice_unref when they are no longer needed */
};
/* The bytes of a message, unpacked if it was compressed. What is longer than allowed is refused in
 * grpc-go's words (false), before and while it is unpacked. keep is set in both cases. */
bool rpc_message_take(const struct rpc *rpc, grpc_byte_buffer *message, struct arena *arena,
    struct rpc_message *out, struct api_status *out_refusal);
/* Gives a message of the payload's parts without copying them; the payload is empty after. */
grpc_byte_buffer *rpc_message_new(struct payload *payload);

#endif
