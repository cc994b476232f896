/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wsframe.h"

#include <stdio.h>
#include <string.h>

enum { FIN = 0x80, MASK = 0x80, LENGTH_16 = 126, LENGTH_64 = 127, MASK_LEN = 4 };

void wsframe_init(struct wsframe *frame)
{
    memset(frame, 0, sizeof(*frame));
}

static bool is_control(unsigned opcode)
{
    return opcode >= FRAME_CLOSE && opcode <= FRAME_PONG;
}

static void add_error(struct wsframe *frame, const char *text)
{
    size_t len = strlen(frame->error);
    snprintf(frame->error + len, sizeof(frame->error) - len, "%s%s", len ? ", " : "", text);
}

static void check_opcode(struct wsframe *frame)
{
    char text[24];
    if (is_control(frame->opcode)) {
        if ((frame->head[1] & 0x7f) > FRAME_CONTROL_MAX) {
            add_error(frame, "len > 125 for control");
        }
        if (!frame->is_final) {
            add_error(frame, "FIN not set on control");
        }
    } else if (frame->opcode == FRAME_TEXT || frame->opcode == FRAME_BINARY) {
        if (frame->in_message) {
            add_error(frame, "data before FIN");
        }
    } else if (frame->opcode == FRAME_CONTINUATION) {
        if (!frame->in_message) {
            add_error(frame, "continuation after FIN");
        }
    } else {
        snprintf(text, sizeof(text), "bad opcode %u", frame->opcode);
        add_error(frame, text);
    }
}

/* The first two bytes say all that can be wrong, but for a length beyond 63 bits. */
static bool check_head(struct wsframe *frame)
{
    static const char *const reserved[] = {"RSV1 set", "RSV2 set", "RSV3 set"};
    frame->opcode = frame->head[0] & 0xf;
    frame->is_final = frame->head[0] & FIN;
    for (unsigned i = 0; i < 3; i++) {
        if (frame->head[0] & (0x40 >> i)) {
            add_error(frame, reserved[i]);
        }
    }
    check_opcode(frame);
    if (!(frame->head[1] & MASK)) {
        add_error(frame, "bad MASK");
    }
    return frame->error[0] == '\0';
}

static unsigned head_size(const struct wsframe *frame)
{
    unsigned length = frame->head[1] & 0x7f;
    unsigned more = length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
    return frame->head_len < 2 ? 2 : 2 + more + MASK_LEN;
}

static bool take_length(struct wsframe *frame)
{
    unsigned count = head_size(frame) - 2 - MASK_LEN;
    uint64_t length = count ? 0 : frame->head[1] & 0x7f;
    for (unsigned i = 0; i < count; i++) {
        length = length << 8 | frame->head[2 + i];
    }
    if (length > INT64_MAX) {
        add_error(frame, "bad length");
        return false;
    }
    memcpy(frame->mask, frame->head + 2 + count, MASK_LEN);
    frame->left = length;
    frame->at = 0;
    frame->piece_len = 0;
    frame->in_payload = true;
    return true;
}

static enum wsframe_event fail(struct wsframe *frame)
{
    frame->is_broken = true;
    return FRAME_BROKEN;
}

static enum wsframe_event take_head(struct wsframe *frame, struct slice *in)
{
    while (in->len && frame->head_len < head_size(frame)) {
        frame->head[frame->head_len++] = in->data[0];
        *in = slice_of(in->data + 1, in->len - 1);
        if (frame->head_len == 2 && !check_head(frame)) {
            return fail(frame);
        }
    }
    if (frame->head_len == head_size(frame) && !take_length(frame)) {
        return fail(frame);
    }
    return FRAME_NOTHING;
}

static enum wsframe_event end_frame(struct wsframe *frame, struct slice *out_payload)
{
    bool is_data = !is_control(frame->opcode);
    frame->in_payload = false;
    frame->head_len = 0;
    if (!is_data) {
        *out_payload = slice_of(frame->piece, frame->piece_len);
        return FRAME_CONTROL;
    }
    frame->in_message = !frame->is_final;
    return frame->is_final ? FRAME_END : FRAME_NOTHING;
}

static void take_payload(struct wsframe *frame, struct slice *in)
{
    size_t room = sizeof(frame->piece) - frame->piece_len;
    size_t len = in->len < room ? in->len : room;
    len = len < frame->left ? len : (size_t)frame->left;
    for (size_t i = 0; i < len; i++) {
        frame->piece[frame->piece_len++] = in->data[i] ^ frame->mask[frame->at++ % MASK_LEN];
    }
    frame->left -= len;
    *in = slice_of(in->data + len, in->len - len);
}

enum wsframe_event wsframe_feed(struct wsframe *frame, struct slice *in, struct slice *out_payload)
{
    enum wsframe_event event = FRAME_NOTHING;
    if (frame->is_broken) {
        return FRAME_BROKEN;
    }
    while (event == FRAME_NOTHING && (in->len || (frame->in_payload && frame->left == 0))) {
        if (!frame->in_payload) {
            event = take_head(frame, in);
        } else if (frame->left == 0) {
            event = end_frame(frame, out_payload);
        } else {
            take_payload(frame, in);
            if (!is_control(frame->opcode)) {
                *out_payload = slice_of(frame->piece, frame->piece_len);
                frame->piece_len = 0;
                event = FRAME_DATA;
            }
        }
    }
    return event;
}

void wsframe_add(struct buf *out, unsigned opcode, struct slice payload)
{
    buf_add_byte(out, (uint8_t)(FIN | opcode));
    if (payload.len <= FRAME_CONTROL_MAX) {
        buf_add_byte(out, (uint8_t)payload.len);
    } else if (payload.len <= UINT16_MAX) {
        buf_add_byte(out, LENGTH_16);
        buf_add_byte(out, (uint8_t)(payload.len >> 8));
        buf_add_byte(out, (uint8_t)payload.len);
    } else {
        buf_add_byte(out, LENGTH_64);
        for (int shift = 56; shift >= 0; shift -= 8) {
            buf_add_byte(out, (uint8_t)((uint64_t)payload.len >> shift));
        }
    }
    buf_add_slice(out, payload);
}
