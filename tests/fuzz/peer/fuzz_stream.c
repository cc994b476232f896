/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a stream. The first byte says which and in pieces of what size it comes; however it
 * is cut, the same messages come out, and memory stays in proportion to what came. */
#include "peer/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELD_SPARE = 4096 };

/* Returns the messages there were, written one after the other. */
static bool read_stream(enum frame_kind kind, struct slice bytes, size_t step, struct buf *out)
{
    struct frame_reader reader;
    bool is_good = true;
    frame_reader_init(&reader, kind, 1, 2, FRAME_BYTES_MAX);
    for (size_t at = 0; at < bytes.len && is_good; at += step) {
        size_t len = step < bytes.len - at ? step : bytes.len - at;
        struct slice piece = slice_of(bytes.data + at, len);
        while (piece.len && is_good) {
            struct raft_message message;
            bool has = false;
            is_good = !err_is(frame_take(&reader, &piece, &has, &message));
            if (is_good && has) {
                codec_add_message(&message, out);
                raft_message_fini(&message);
            }
            check(reader.held.cap <= 2 * bytes.len + HELD_SPARE);
        }
    }
    frame_reader_fini(&reader);
    return is_good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole;
    struct buf pieces;
    if (size < 2) {
        return 0;
    }
    enum frame_kind kind = data[0] & 1 ? FRAME_MSGAPP : FRAME_MESSAGE;
    size_t step = data[0] / 2 + 1U;
    struct slice bytes = slice_of(data + 1, size - 1);
    buf_init(&whole, SIZE_MAX);
    buf_init(&pieces, SIZE_MAX);
    bool is_good = read_stream(kind, bytes, bytes.len, &whole);
    check(read_stream(kind, bytes, step, &pieces) == is_good);
    check(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
