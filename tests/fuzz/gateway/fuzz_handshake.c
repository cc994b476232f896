/* SPDX-License-Identifier: Apache-2.0
 * A request's head as the handshake of a WebSocket, and who calls: what is not refused gets an
 * answer of one head, and a token is text of the request's own. */
#include "base/mem.h"
#include "gateway/paths.h"
#include "gateway/room.h"
#include "gateway/websocket.h"
#include "http/request.h"

#include <inttypes.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_MAX = 65536, FIELDS_MAX = 64, ACCEPT_LEN = 28 };

static void check_token(struct slice head, const char *token)
{
    check(!token || !*token || memmem(head.data, head.len, token, strlen(token)));
}

static void greet(const struct http_request *request)
{
    static const char accept[] = "Sec-WebSocket-Accept: ";
    static const char end[] = "\r\n\r\n";
    struct buf answer;
    buf_init(&answer, HEAD_MAX);
    websocket_greet(request, &answer);
    check(!answer.is_full);
    const uint8_t *at = memmem(answer.data, answer.len, accept, strlen(accept));
    check(at && memcmp(at + strlen(accept) + ACCEPT_LEN, "\r\n", 2) == 0);
    at = memmem(answer.data, answer.len, end, strlen(end));
    check(at && at + strlen(end) == answer.data + answer.len);
    buf_fini(&answer);
}

static void take(const struct http_request *request, struct slice bytes)
{
    struct arena *arena = arena_new(0);
    int64_t timeout_ns = 0;
    int refusal = websocket_refusal(request);
    check(refusal == 0 || refusal == 400 || refusal == 405);
    if (websocket_wants(request) && refusal == 0) {
        greet(request);
    }
    check_token(bytes, websocket_caller(request, arena).token);
    check_token(bytes, caller_of(request, arena).token);
    (void)parse_timeout(http_header(request, "Grpc-Timeout"), &timeout_ns);
    (void)paths_find(http_path(request));
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char nobody[] = "127.0.0.1:1";
    struct http_request request = {.peer = nobody};
    struct head_refusal refusal;
    struct head_reader reader;
    size_t taken;
    head_reader_init(&reader, HEAD_MAX);
    if (head_read(&reader, slice_of(data, size), &taken) == HEAD_WHOLE &&
        head_parse(buf_slice(&reader.bytes), FIELDS_MAX, &request.head, &refusal)) {
        take(&request, buf_slice(&reader.bytes));
        head_fini(&request.head);
    }
    head_reader_fini(&reader);
    return 0;
}
