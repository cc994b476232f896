/* SPDX-License-Identifier: Apache-2.0
 * A client's WebSocket frames, whole and byte by byte: both ways give the same messages, and what
 * is taken never is more than what came. */
#include "base/err.h"
#include "base/mem.h"
#include "gateway/wsframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 1 << 22 };

/* Everything that was heard, written down; false once the frames are broken. */
static bool hear(struct wsframe *frame, struct slice in, struct buf *out)
{
    for (;;) {
        struct slice payload = {0};
        switch (wsframe_feed(frame, &in, &payload)) {
        case FRAME_NOTHING:
            check(in.len == 0);
            return true;
        case FRAME_DATA:
            check(payload.len > 0 && payload.len <= FRAME_PIECE);
            buf_add_slice(out, payload);
            break;
        case FRAME_END:
            buf_add_str(out, "<end>");
            break;
        case FRAME_CONTROL:
            check(payload.len <= FRAME_CONTROL_MAX);
            buf_printf(out, "<%u ", frame->opcode);
            buf_add_slice(out, payload);
            buf_add_str(out, ">");
            break;
        case FRAME_BROKEN:
            buf_add_str(out, frame->error);
            return false;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct wsframe whole;
    static struct wsframe pieces;
    struct buf heard;
    struct buf again;
    buf_init(&heard, BYTES_MAX);
    buf_init(&again, BYTES_MAX);
    wsframe_init(&whole);
    wsframe_init(&pieces);
    bool is_good = hear(&whole, slice_of(data, size), &heard);
    bool goes_on = true;
    for (size_t i = 0; i < size && goes_on; i++) {
        goes_on = hear(&pieces, slice_of(data + i, 1), &again);
    }
    check(goes_on == is_good);
    check(slice_eq(buf_slice(&heard), buf_slice(&again)));
    buf_fini(&heard);
    buf_fini(&again);
    return 0;
}
