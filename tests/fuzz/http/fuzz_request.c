/* SPDX-License-Identifier: Apache-2.0
 * A request off the wire: head, target, query, body. The first byte says in pieces of which size it
 * comes. */
#include "base/err.h"
#include "http/body.h"
#include "http/head.h"
#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_query(struct slice query)
{
    struct buf buf;
    struct slice name;
    struct slice value;
    size_t cursor = 0;
    buf_init(&buf, 4096);
    while (http_query_next(query, &cursor, &buf, &name, &value)) {
        check(name.len + value.len <= query.len);
    }
    buf_fini(&buf);
}

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
    if (size < 1) {
        return 0;
    }
    size_t step = data[0] ? data[0] : SIZE_MAX;
    struct slice rest = slice_of(data + 1, size - 1);
    struct head_reader reader;
    head_reader_init(&reader, 2048);
    enum head_state state = HEAD_MORE;
    while (rest.len && state == HEAD_MORE) {
        size_t taken = 0;
        state = head_read(&reader, slice_of(rest.data, step < rest.len ? step : rest.len), &taken);
        check(taken <= rest.len && (taken > 0 || state == HEAD_TOO_BIG));
        rest = slice_of(rest.data + taken, rest.len - taken);
    }
    struct head head;
    struct head_refusal refusal;
    if (state == HEAD_WHOLE && head_parse(buf_slice(&reader.bytes), 20, &head, &refusal)) {
        check(!(head.is_chunked && head.content_length >= 0));
        walk_query(head.query);
        walk_body(&head, rest, step);
        head_fini(&head);
    }
    head_reader_fini(&reader);
    return 0;
}
