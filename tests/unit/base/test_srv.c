/* SPDX-License-Identifier: Apache-2.0
 *
 * A name server's answer, byte for byte. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/srv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { A = 1, SRV = 33 };

/* A head with one question, x., and room for that many answers. */
static void begin(struct buf *out, unsigned answers)
{
    uint8_t head[] = {
        0, 1, 0x81, 0x80, 0, 1, 0, (uint8_t)answers, 0, 0, 0, 0, 1, 'x', 0, 0, SRV, 0, 1};
    buf_init(out, 65536);
    buf_add(out, head, sizeof(head));
}

/* data: priority, weight, port, name. */
static void answer(struct buf *out, uint8_t type, const char *data, size_t len)
{
    uint8_t head[] = {0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)len};
    buf_add(out, head, sizeof(head));
    buf_add(out, data, len);
}
#define ANSWER(out, type, data) answer(out, type, data, sizeof(data) - 1)

static void expect(struct buf *message, const char *want)
{
    struct arena *arena = arena_new(0);
    struct srv_records got;
    const char *text = "";
    assert_false(err_is(srv_parse(arena, buf_slice(message), &got)));
    for (size_t i = 0; i < got.count; i++) {
        text = arena_printf(arena, "%s%u/%u %s:%u;", text, got.items[i].priority,
            got.items[i].weight, got.items[i].host, got.items[i].port);
    }
    assert_string_equal(text, want);
    arena_free(arena);
    buf_fini(message);
}

static void test_records_come_in_order(void **state)
{
    struct buf message;
    (void)state;
    begin(&message, 3);
    ANSWER(&message, SRV, "\0\2\0\1\x09\x4c\1b\2de\0");
    ANSWER(&message, SRV, "\0\1\0\1\x09\x4b\1a\xc0\x0c"); /* a.x, the end is the question's name */
    ANSWER(&message, SRV, "\0\1\0\5\xff\xff\1c\0");
    expect(&message, "1/5 c:65535;1/1 a.x:2379;2/1 b.de:2380;");
}

static void test_other_kinds_are_passed_over(void **state)
{
    struct buf message;
    (void)state;
    begin(&message, 3);
    ANSWER(&message, A, "\1\2\3\4");
    ANSWER(&message, SRV, "\0\1\0\1\0\1"); /* without a name */
    ANSWER(&message, SRV, "\0\1\0\1\0\1\1a\0");
    expect(&message, "1/1 a:1;");
}

static void test_host_that_is_no_name_is_left_out(void **state)
{
    struct buf message;
    (void)state;
    begin(&message, 4);
    ANSWER(&message, SRV, "\0\1\0\1\0\1\3a,b\0");
    ANSWER(&message, SRV, "\0\1\0\1\0\1\3a=b\0");
    ANSWER(&message, SRV, "\0\1\0\1\0\1\3a/b\0");
    ANSWER(&message, SRV, "\0\1\0\1\0\1\1a\0");
    expect(&message, "1/1 a:1;");
}

static void test_broken_answers_are_refused(void **state)
{
    struct arena *arena = arena_new(0);
    struct srv_records got = {NULL, 77};
    struct buf message;
    (void)state;
    begin(&message, 2);
    ANSWER(&message, SRV, "\0\1\0\1\0\1\1a\0");
    assert_true(IS(srv_parse(arena, buf_slice(&message), &got), BAD_FORMAT)); /* one is missing */
    assert_true(IS(srv_parse(arena, SLICE("short"), &got), BAD_FORMAT));
    assert_true(IS(srv_parse(arena, slice_of(message.data, 1 << 20), &got), BAD_FORMAT));
    assert_int_equal(got.count, 77);
    buf_fini(&message);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_in_order),
        cmocka_unit_test(test_other_kinds_are_passed_over),
        cmocka_unit_test(test_host_that_is_no_name_is_left_out),
        cmocka_unit_test(test_broken_answers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
