/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a raftpb.Message: what is taken is written to the size that was said, and is taken
 * again to the same bytes. */
#include "peer/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_message(const struct raft_message *message, struct buf *out)
{
    buf_init(out, SIZE_MAX);
    codec_add_message(message, out);
    check(out->len == codec_message_size(message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_message message;
    struct raft_message again;
    struct buf first;
    struct buf second;
    if (err_is(codec_parse_message(slice_of(data, size), &message))) {
        return 0;
    }
    write_message(&message, &first);
    check(!err_is(codec_parse_message(buf_slice(&first), &again)));
    write_message(&again, &second);
    check(slice_eq(buf_slice(&first), buf_slice(&second)));
    raft_message_fini(&message);
    raft_message_fini(&again);
    buf_fini(&first);
    buf_fini(&second);
    return 0;
}
