/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/message.h"

#include "base/mem.h"
#include "rpc/internal.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/compression.h>
#include <grpc/slice.h>
#include <zlib.h>

/* The bytes as one run: core's own memory, kept by *keep, or a copy in the arena when they came in
 * parts. */
static struct slice bytes_of(grpc_byte_buffer *message, grpc_slice *keep, struct arena *arena)
{
    grpc_byte_buffer_reader reader;
    grpc_slice part;
    size_t len = grpc_byte_buffer_length(message);
    size_t at = 0;
    uint8_t *bytes = NULL;
    if (len == 0 || !grpc_byte_buffer_reader_init(&reader, message)) {
        return (struct slice){0};
    }
    while (grpc_byte_buffer_reader_next(&reader, &part)) {
        if (!bytes && GRPC_SLICE_LENGTH(part) == len) {
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

/* Inflates into the arena, at most bytes_max. Errors: TOO_BIG, BAD_FORMAT. */
MUST static struct err inflate_bytes(
    struct slice packed, size_t bytes_max, struct arena *arena, struct slice *out)
{
    struct buf buf;
    uint8_t chunk[16384];
    int rc = Z_OK;
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.data, .avail_in = (uInt)packed.len};
    check(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK); /* 16: a gzip header */
    buf_init(&buf, bytes_max);
    while (rc == Z_OK && !buf.is_full) {
        z.next_out = chunk;
        z.avail_out = sizeof(chunk);
        rc = inflate(&z, Z_NO_FLUSH);
        buf_add(&buf, chunk, sizeof(chunk) - z.avail_out);
    }
    inflateEnd(&z);
    struct err e = buf.is_full ? ERR(TOO_BIG) : rc == Z_STREAM_END ? OK : ERR(BAD_FORMAT);
    if (!err_is(e)) {
        *out = arena_dup(arena, buf_slice(&buf));
    }
    buf_fini(&buf);
    return e;
}

static bool refuse(struct api_status *out, enum grpc_code code, const char *text)
{
    *out = (struct api_status){code, text};
    return false;
}

static bool unpack(const struct rpc *rpc, struct slice packed, struct rpc_message *out,
    struct arena *arena, struct api_status *out_refusal)
{
    struct err e = inflate_bytes(packed, rpc->message_bytes_max, arena, &out->bytes);
    if (IS(e, TOO_BIG)) {
        return refuse(out_refusal, GRPC_CODE_RESOURCE_EXHAUSTED,
            arena_printf(arena, "grpc: received message after decompression larger than max %zu",
                rpc->message_bytes_max));
    }
    if (err_is(e)) {
        return refuse(out_refusal, GRPC_CODE_INTERNAL,
            "grpc: failed to decompress the received message: gzip: invalid header");
    }
    return true;
}

bool rpc_message_take(const struct rpc *rpc, grpc_byte_buffer *message, struct arena *arena,
    struct rpc_message *out, struct api_status *out_refusal)
{
    size_t len = grpc_byte_buffer_length(message);
    grpc_compression_algorithm packing = message->data.raw.compression;
    const char *encoding = NULL;
    *out = (struct rpc_message){.keep = grpc_empty_slice()};
    if (len > rpc->message_bytes_max) {
        return refuse(out_refusal, GRPC_CODE_RESOURCE_EXHAUSTED,
            arena_printf(arena, "grpc: received message larger than max (%zu vs. %zu)", len,
                rpc->message_bytes_max));
    }
    if (packing != GRPC_COMPRESS_NONE && packing != GRPC_COMPRESS_GZIP) {
        grpc_compression_algorithm_name(packing, &encoding);
        return refuse(out_refusal, GRPC_CODE_UNIMPLEMENTED,
            arena_printf(
                arena, "grpc: Decompressor is not installed for grpc-encoding \"%s\"", encoding));
    }
    struct slice bytes = bytes_of(message, &out->keep, arena);
    if (packing == GRPC_COMPRESS_GZIP) {
        return unpack(rpc, bytes, out, arena, out_refusal);
    }
    out->bytes = bytes;
    return true;
}

static grpc_slice slice_of_part(struct payload_part part, const grpc_slice *home)
{
    void *bytes = (void *)(uintptr_t)part.bytes.data;
    size_t len = part.bytes.len;
    if (part.release && len > GRPC_SLICE_INLINED_SIZE) {
        return grpc_slice_new_with_user_data(bytes, len, part.release, part.owner);
    }
    if (part.release) {
        grpc_slice copy = grpc_slice_from_copied_buffer(bytes, len);
        part.release(part.owner);
        return copy;
    }
    if (!home->refcount || len == 0) {
        return grpc_slice_from_static_buffer(bytes, len);
    }
    /* Many parts, one count of references: that of the home. */
    grpc_slice lent = grpc_slice_ref(*home);
    lent.data.refcounted.bytes = bytes;
    lent.data.refcounted.length = len;
    return lent;
}

grpc_byte_buffer *rpc_message_new(struct payload *payload)
{
    static uint8_t nothing[1];
    grpc_slice few[8];
    grpc_slice home = {0};
    size_t count = payload->count;
    grpc_slice *slices = count <= COUNT_OF(few) ? few : mem_alloc(count * sizeof(*slices));
    struct payload_home owner = payload_take_home(payload);
    if (owner.release) {
        home = grpc_slice_new_with_user_data(nothing, sizeof(nothing), owner.release, owner.owner);
    }
    for (size_t i = 0; i < count; i++) {
        slices[i] = slice_of_part(payload_take(payload, i), &home);
    }
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(slices, count);
    for (size_t i = 0; i < count; i++) {
        grpc_slice_unref(slices[i]);
    }
    grpc_slice_unref(home);
    if (slices != few) {
        free(slices);
    }
    payload_fini(payload);
    return message;
}
