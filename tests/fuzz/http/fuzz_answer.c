/* SPDX-License-Identifier: Apache-2.0
 * An answer off the wire: its head, then its body by the framing the head announced. The first byte
 * says in pieces of which size it comes. */
#include "base/err.h"
#include "http/body.h"
#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_body(const struct head *head, struct slice rest, size_t step)
{
    struct body body;
    body_init(&body, head->is_chunked, head->content_length);
    for (size_t at = 0; at < rest.len;) {
        struct slice piece;
        size_t len = step < rest.len - at ? step : rest.len - at;
        size_t taken = body_take(&body, slice_of(rest.data + at, len), &piece);
        check(taken <= len && piece.len <= taken);
        if (taken == 0) {
            break;
        }
        at += taken;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct head_reader reader;
    struct head head;
    enum head_state state = HEAD_MORE;
    int status = 0;
    if (size < 1) {
        return 0;
    }
    size_t step = data[0] ? data[0] : SIZE_MAX;
    struct slice rest = slice_of(data + 1, size - 1);
    head_reader_init(&reader, 2048);
    while (rest.len && state == HEAD_MORE) {
        size_t taken = 0;
        state = head_read(&reader, slice_of(rest.data, step < rest.len ? step : rest.len), &taken);
        check(taken <= rest.len && (taken > 0 || state == HEAD_TOO_BIG));
        rest = slice_of(rest.data + taken, rest.len - taken);
    }
    if (state == HEAD_WHOLE && head_parse_answer(buf_slice(&reader.bytes), 20, &head, &status)) {
        check(status >= 100 && status <= 999);
        check(!(head.is_chunked && head.content_length >= 0));
        walk_body(&head, rest, step);
        head_fini(&head);
    }
    head_reader_fini(&reader);
    return 0;
}
