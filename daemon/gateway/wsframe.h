/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames (RFC 6455) of a client, fed piece by piece; what is wrong with one, in the words
 * of the library that the reference uses. No extensions. Pure.
 *
 *   byte 0: FIN RSV1 RSV2 RSV3 opcode(4)      byte 1: MASK length(7); 126: be16, 127: be64 follow
 *   masking key (4), payload
 */
#ifndef GATEWAY_WSFRAME_H
#define GATEWAY_WSFRAME_H

#include "base/buf.h"

enum {
    FRAME_CONTINUATION = 0,
    FRAME_TEXT = 1,
    FRAME_BINARY = 2,
    FRAME_CLOSE = 8,
    FRAME_PING = 9,
    FRAME_PONG = 10,
    FRAME_CONTROL_MAX = 125,
    FRAME_PIECE = 4096,
    FRAME_CLOSE_PROTOCOL_ERROR = 1002,
};

enum wsframe_event {
    FRAME_NOTHING, /* all was taken */
    FRAME_DATA,    /* payload is a piece of a message */
    FRAME_END,     /* of a message */
    FRAME_CONTROL, /* opcode, with payload */
    FRAME_BROKEN,  /* error says how; nothing more is read */
};

struct wsframe {
    uint8_t head[14];
    unsigned head_len;
    uint8_t mask[4];
    uint64_t left; /* of the payload */
    uint64_t at;
    unsigned opcode;
    bool is_final;
    bool in_message; /* one has begun and not ended */
    bool in_payload;
    bool is_broken;
    uint8_t piece[FRAME_PIECE]; /* unmasked */
    size_t piece_len;
    char error[128];
};

void wsframe_init(struct wsframe *frame);
/* Takes from *in what belongs to the event; call until it says FRAME_NOTHING. *out_payload lives in
 * the frame until the next call. */
enum wsframe_event wsframe_feed(struct wsframe *frame, struct slice *in, struct slice *out_payload);
/* Appends a whole frame of a server. */
void wsframe_add(struct buf *out, unsigned opcode, struct slice payload);

#endif
