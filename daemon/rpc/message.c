/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/internal.h"

#include "base/mem.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/compression.h>
#include <grpc/slice.h>

struct slice rpc_message_bytes(grpc_byte_buffer *message, grpc_slice *keep, struct arena *arena)
{
    grpc_byte_buffer_reader reader;
    grpc_slice part;
    size_t len = grpc_byte_buffer_length(message);
    size_t at = 0;
    uint8_t *bytes = NULL;
    *keep = grpc_empty_slice();
    if (len == 0 || !grpc_byte_buffer_reader_init(&reader, message)) {
        return (struct slice){0};
    }
    while (grpc_byte_buffer_reader_next(&reader, &part)) {
        if (GRPC_SLICE_LENGTH(part) == len) {
            *keep = part;
            break;
        }
        if (!bytes) {
            bytes = arena_alloc(arena, len);
        }
        memcpy(bytes + at, GRPC_SLICE_START_PTR(part), GRPC_SLICE_LENGTH(part));
        at += GRPC_SLICE_LENGTH(part);
        grpc_slice_unref(part);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    return bytes ? slice_of(bytes, at) : slice_of(GRPC_SLICE_START_PTR(*keep), len);
}

const char *rpc_message_refuse(
    const struct rpc *rpc, grpc_byte_buffer *message, struct arena *arena, enum grpc_code *out_code)
{
    size_t len = grpc_byte_buffer_length(message);
    const char *encoding = NULL;
    if (message->data.raw.compression != GRPC_COMPRESS_NONE) {
        grpc_compression_algorithm_name(message->data.raw.compression, &encoding);
        *out_code = GRPC_CODE_UNIMPLEMENTED;
        return arena_printf(
            arena, "grpc: Decompressor is not installed for grpc-encoding \"%s\"", encoding);
    }
    if (len > rpc->message_bytes_max) {
        *out_code = GRPC_CODE_RESOURCE_EXHAUSTED;
        return arena_printf(arena, "grpc: received message larger than max (%zu vs. %zu)", len,
            rpc->message_bytes_max);
    }
    return NULL;
}

grpc_byte_buffer *rpc_message_new(struct payload *payload)
{
    grpc_slice few[8];
    size_t count = payload->count;
    grpc_slice *slices = count <= COUNT_OF(few) ? few : mem_alloc(count * sizeof(*slices));
    for (size_t i = 0; i < count; i++) {
        struct payload_part part = payload_take(payload, i);
        void *bytes = (void *)(uintptr_t)part.bytes.data;
        if (part.release && part.bytes.len > GRPC_SLICE_INLINED_SIZE) {
            slices[i] =
                grpc_slice_new_with_user_data(bytes, part.bytes.len, part.release, part.owner);
            continue;
        }
        slices[i] = part.release ? grpc_slice_from_copied_buffer(bytes, part.bytes.len)
                                 : grpc_slice_from_static_buffer(bytes, part.bytes.len);
        if (part.release) {
            part.release(part.owner);
        }
    }
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(slices, count);
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(slices[i]);
    }
    if (slices != few) {
        free(slices);
    }
    payload_fini(payload);
    return message;
}
