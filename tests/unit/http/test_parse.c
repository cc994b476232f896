/* SPDX-License-Identifier: Apache-2.0
 * Answers to bad requests are the reference's, recorded; where ours is stricter the case says so.
 */
#include "base/mem.h"
#include "http/body.h"
#include "http/head.h"
#include "http/http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HOST "Host: a\r\n"

static bool parse(const char *text, struct head *head, struct head_refusal *refusal)
{
    return head_parse(slice_str(text), 10, head, refusal);
}

static void assert_slice(struct slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.len ? got.data : (const uint8_t *)"", want, got.len);
}

static void test_head_is_taken_apart(void **state)
{
    (void)state;
    struct head head;
    struct head_refusal refusal;
    assert_true(parse("POST /v3/kv%2Frange?a=b%20c&d HTTP/1.1\r\nHost: h:1\r\nX-Y:  z z "
                      "\t\r\nContent-Length: 5\r\n\r\n",
        &head, &refusal));
    assert_slice(head.method, "POST");
    assert_slice(slice_of(head.path_bytes, head.path_len), "/v3/kv/range");
    assert_slice(head.path_raw, "/v3/kv%2Frange");
    assert_slice(head.query, "a=b%20c&d");
    assert_slice(head.host, "h:1");
    assert_slice(head_field_get(&head, "x-y"), "z z");
    assert_null(head_field_get(&head, "x").data);
    assert_int_equal(head.content_length, 5);
    assert_true(head.is_keep_alive && !head.is_chunked && !head.expects_continue);
    head_fini(&head);
}

static void test_good_heads_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "get / HTTP/1.2\r\n" HOST "\r\n",
        "OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
        "GET http://b:1/x?y HTTP/1.1\r\n" HOST "\r\n",
        "GET http://b HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST "A:\r\nB: \xc3\xa9\r\n\r\n",
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct head head;
        struct head_refusal refusal;
        assert_true(parse(good[i], &head, &refusal));
        head_fini(&head);
    }
}

static void test_bad_heads_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
        const char *detail;
    } bad[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400, "missing required Host header"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed Host header"},
        {"G@T / HTTP/1.1\r\n" HOST "\r\n", 400, NULL},
        {"GET x HTTP/1.1\r\n" HOST "\r\n", 400, NULL},
        {"GET  / HTTP/1.1\r\n" HOST "\r\n", 400, NULL},
        {"GET /\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1 x\r\n" HOST "\r\n", 400, NULL},
        {"GET /a b HTTP/1.1\r\n" HOST "\r\n", 400, NULL},
        {"GET /%zz HTTP/1.1\r\n" HOST "\r\n", 400, NULL},
        {"GET /%4 HTTP/1.1\r\n" HOST "\r\n", 400, NULL},
        {"GET * HTTP/1.1\r\n" HOST "\r\n", 400, NULL},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, "unsupported protocol version"},
        {"GET / HTTP/1.x\r\n" HOST "\r\n", 400, NULL},
        {"\r\n", 400, NULL},
        {"", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "A b\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400, "invalid header name"},
        {"GET / HTTP/1.1\r\n" HOST "A(: b\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 9999999999999999999\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 501,
            "Unsupported transfer encoding"},
        {"GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", 501,
            "Unsupported transfer encoding"},
        {"GET / HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            501, "Unsupported transfer encoding"},
        {"GET / HTTP/1.1\r\n" HOST "Expect: foo\r\n\r\n", 417, NULL},
        /* stricter than Go */
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
            NULL},
        {"GET / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400, NULL},
        {"GET / HTTP/1.1\r\n" HOST
         "a:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\na:1\r\n\r\n",
            431, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct head head;
        struct head_refusal refusal = {0};
        assert_false(parse(bad[i].text, &head, &refusal));
        assert_int_equal(refusal.status, bad[i].status);
        assert_string_equal(
            refusal.detail ? refusal.detail : "", bad[i].detail ? bad[i].detail : "");
    }
}

static void test_connection_header_decides(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool stays;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", true},
        {"GET / HTTP/1.1\r\n" HOST "Connection: foo , Close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n" HOST "\r\n", false},
        {"GET / HTTP/1.0\r\n" HOST "Connection: keep-alive\r\n\r\n", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct head head;
        struct head_refusal refusal;
        assert_true(parse(cases[i].text, &head, &refusal));
        assert_int_equal(head.is_keep_alive, cases[i].stays);
        head_fini(&head);
    }
}

static void test_reader_stops_behind_the_head(void **state)
{
    (void)state;
    struct slice input = SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest");
    for (size_t step = 1; step < input.len; step++) {
        struct head_reader reader;
        head_reader_init(&reader, 100);
        size_t at = 0;
        enum head_state got = HEAD_MORE;
        while (got == HEAD_MORE) {
            size_t len = step < input.len - at ? step : input.len - at;
            size_t taken = 0;
            got = head_read(&reader, slice_of(input.data + at, len), &taken);
            at += taken;
        }
        assert_int_equal(got, HEAD_WHOLE);
        assert_int_equal(at, input.len - 4);
        head_reader_fini(&reader);
    }
}

static void test_reader_has_a_limit(void **state)
{
    (void)state;
    struct head_reader reader;
    size_t taken;
    head_reader_init(&reader, 10);
    assert_int_equal(head_read(&reader, SLICE("GET / HTT"), &taken), HEAD_MORE);
    assert_int_equal(head_read(&reader, SLICE("P/"), &taken), HEAD_TOO_BIG);
    head_reader_fini(&reader);
}

/* Feeds the text in pieces of each size; the result must not depend on it. */
static enum body_state take_all(const char *text, size_t step, struct buf *out, size_t *out_taken)
{
    struct body body;
    size_t len = strlen(text);
    size_t at = 0;
    body_init(&body, true, -1);
    buf_reset(out);
    while (at < len && body.state != BODY_DONE && body.state != BODY_BROKEN) {
        struct slice piece;
        size_t taken =
            body_take(&body, slice_of(text + at, step < len - at ? step : len - at), &piece);
        buf_add_slice(out, piece);
        at += taken;
        assert_true(taken > 0 || body.state == BODY_BROKEN);
    }
    *out_taken = at;
    return body.state;
}

static void test_chunks_are_joined(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *body;
        size_t left;
    } cases[] = {
        {"2\r\n{}\r\n0\r\n\r\n", "{}", 0},
        {"2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\nGET", "{}", 3},
        {"A\r\n0123456789\r\n1\nx\n0\n\n", "0123456789x", 0},
        {"0\r\n\r\n", "", 0},
    };
    struct buf out;
    buf_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t step = 1; step < 20; step++) {
            size_t taken;
            assert_int_equal(take_all(cases[i].text, step, &out, &taken), BODY_DONE);
            assert_string_equal(buf_text(&out), cases[i].body);
            assert_int_equal(strlen(cases[i].text) - taken, cases[i].left);
        }
    }
    buf_fini(&out);
}

static void test_bad_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"zz\r\n{}\r\n", "\r\n", "2\r\n{}x\r\n", "2\r\n{}\r\r\n",
        "1000000000000000\r\n", "-1\r\n", " 2\r\n{}\r\n", "2x\r\n"};
    struct buf out;
    buf_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        size_t taken;
        assert_int_equal(take_all(bad[i], 100, &out, &taken), BODY_BROKEN);
    }
    buf_fini(&out);
}

/* With so many letters between. */
static enum body_state take_filled(const char *before, size_t letters, const char *after)
{
    struct buf text;
    struct buf out;
    size_t taken;
    buf_init(&text, SIZE_MAX);
    buf_init(&out, 100);
    buf_add_str(&text, before);
    for (size_t i = 0; i < letters; i++) {
        buf_add_str(&text, "x");
    }
    buf_add_str(&text, after);
    enum body_state state = take_all(buf_text(&text), 1000, &out, &taken);
    buf_fini(&text);
    buf_fini(&out);
    return state;
}

/* Nobody keeps them; without a bound they would go on for ever. */
static void test_extensions_and_trailers_end(void **state)
{
    enum { EXTENSION = 4096 - 2, TRAILER = (64 << 10) - 4 };
    (void)state;
    assert_int_equal(take_filled("2;", EXTENSION, "\r\n{}\r\n0\r\n\r\n"), BODY_DONE);
    assert_int_equal(take_filled("2;", EXTENSION + 1, "\r\n{}\r\n0\r\n\r\n"), BODY_BROKEN);
    assert_int_equal(take_filled("0\r\n", TRAILER, "\r\n\r\n"), BODY_DONE);
    assert_int_equal(take_filled("0\r\n", TRAILER + 1, "\r\n\r\n"), BODY_BROKEN);
}

static void test_length_is_kept(void **state)
{
    (void)state;
    struct body body;
    struct slice piece;
    body_init(&body, false, 3);
    assert_int_equal(body_take(&body, SLICE("ab"), &piece), 2);
    assert_false(body_is_done(&body));
    assert_int_equal(body_take(&body, SLICE("cd"), &piece), 1);
    assert_slice(piece, "c");
    assert_true(body_is_done(&body));
    body_init(&body, false, -1);
    assert_true(body_is_done(&body));
}

static void test_query_is_walked(void **state)
{
    (void)state;
    struct buf buf;
    struct slice name;
    struct slice value;
    size_t cursor = 0;
    struct slice query = SLICE("exclude=NO+SP%41CE&verbose&&a=%zz&=x&b=c=d");
    buf_init(&buf, 1000);
    assert_true(http_query_next(query, &cursor, &buf, &name, &value));
    assert_slice(name, "exclude");
    assert_slice(value, "NO SPACE");
    assert_true(http_query_next(query, &cursor, &buf, &name, &value));
    assert_slice(name, "verbose");
    assert_slice(value, "");
    assert_true(http_query_next(query, &cursor, &buf, &name, &value));
    assert_slice(name, "");
    assert_true(http_query_next(query, &cursor, &buf, &name, &value));
    assert_slice(name, "b");
    assert_slice(value, "c=d");
    assert_false(http_query_next(query, &cursor, &buf, &name, &value));
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_is_taken_apart),
        cmocka_unit_test(test_good_heads_are_taken),
        cmocka_unit_test(test_bad_heads_are_refused),
        cmocka_unit_test(test_connection_header_decides),
        cmocka_unit_test(test_reader_stops_behind_the_head),
        cmocka_unit_test(test_reader_has_a_limit),
        cmocka_unit_test(test_chunks_are_joined),
        cmocka_unit_test(test_bad_chunks_are_refused),
        cmocka_unit_test(test_extensions_and_trailers_end),
        cmocka_unit_test(test_length_is_kept),
        cmocka_unit_test(test_query_is_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
