/* SPDX-License-Identifier: Apache-2.0
 *
 * arena, buf, blob, payload, slice. */
#include "base/arena.h"
#include "base/mem.h"
#include "base/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int order[4];
static int order_count;

static void defer_one(void *arg)
{
    order[order_count++] = *(int *)arg;
}

static void test_arena_aligns_and_counts(void **state)
{
    struct arena *arena = arena_new(0);
    (void)state;
    for (size_t size = 0; size < 100; size++) {
        uint8_t *at = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)at % 16, 0);
        memset(at, 0xff, size);
    }
    uint8_t *big = arena_zalloc(arena, 1000000);
    assert_int_equal(big[0] + big[999999], 0);
    assert_true(arena_used(arena) >= 1000000 + 4950);
    assert_null(arena_alloc(arena, SIZE_MAX - 8));
    arena_free(arena);
    arena_free(NULL);
}

static void test_arena_holds_its_limit(void **state)
{
    struct arena *arena = arena_new(64);
    int number = 7;
    (void)state;
    assert_non_null(arena_alloc(arena, 48));
    assert_null(arena_alloc(arena, 17));
    assert_null(arena_strdup(arena, "sixteen and more bytes"));
    assert_int_equal(arena_dup(arena, SLICE("sixteen and more bytes")).len, 0);
    assert_non_null(arena_alloc(arena, 16));
    assert_null(arena_alloc(arena, 1));
    order_count = 0;
    arena_defer(arena, defer_one, &number); /* never refused: it frees what somebody holds */
    assert_null(arena_alloc(arena, 1));
    arena_free(arena);
    assert_int_equal(order_count, 1);
}

static void test_arena_defers_last_first(void **state)
{
    struct arena *arena = arena_new(0);
    int numbers[] = {1, 2, 3};
    (void)state;
    order_count = 0;
    for (size_t i = 0; i < 3; i++) {
        arena_defer(arena, defer_one, &numbers[i]);
    }
    arena_free(arena);
    assert_int_equal(order_count, 3);
    assert_int_equal(order[0] * 100 + order[1] * 10 + order[2], 321);
}

static void test_arena_copies_text(void **state)
{
    struct arena *arena = arena_new(0);
    (void)state;
    struct slice copy = arena_dup(arena, SLICE("a\0b"));
    assert_int_equal(copy.len, 3);
    assert_int_equal(copy.data[3], 0);
    assert_string_equal(arena_printf(arena, "%s-%d", "x", 5), "x-5");
    assert_int_equal(arena_dup(arena, (struct slice){0}).len, 0);
    arena_free(arena);
}

static void test_buf_stops_at_its_maximum(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, 10);
    buf_add_str(&buf, "12345");
    buf_printf(&buf, "%s", "678901");
    assert_true(buf.is_full);
    buf_add_byte(&buf, 'x');
    assert_int_equal(buf.len, 5);
    assert_string_equal(buf_text(&buf), "12345");
    buf_reset(&buf);
    assert_false(buf.is_full);
    buf_add_str(&buf, "1234567890");
    assert_false(buf.is_full);
    assert_false(buf_reserve(&buf, SIZE_MAX));
    buf_fini(&buf);
}

static void test_buf_drops_and_gives(void **state)
{
    struct buf buf;
    size_t len = 0;
    (void)state;
    buf_init(&buf, 1000000);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&buf, "%0300d", i);
    }
    assert_int_equal(buf.len, 300000);
    buf_drop(&buf, 299999);
    assert_true(slice_eq(buf_slice(&buf), SLICE("9")));
    buf_drop(&buf, 1);
    assert_int_equal(buf.len, 0);
    buf_add_slice(&buf, SLICE("ab"));
    uint8_t *data = buf_take(&buf, &len);
    assert_int_equal(len, 2);
    assert_memory_equal(data, "ab", 2);
    assert_null(buf.data);
    free(data);
    buf_fini(&buf);
}

static void test_blob_lives_while_someone_refers(void **state)
{
    struct blob *blob = blob_new(SLICE("bytes"));
    (void)state;
    assert_ptr_equal(blob_ref(blob), blob);
    blob_unref(blob);
    assert_true(slice_eq(blob_slice(blob), SLICE("bytes")));
    blob_unref(blob);
    assert_null(blob_ref(NULL));
    blob_unref(NULL);
    assert_int_equal(blob_slice(NULL).len, 0);
}

static void test_payload_holds_its_parts(void **state)
{
    struct payload payload;
    struct buf buf;
    struct blob *blob = blob_new(SLICE("blob"));
    (void)state;
    payload_init(&payload);
    buf_init(&buf, 100);
    for (int i = 0; i < 5; i++) {
        buf_add_str(&buf, "head");
        payload_add_buf(&payload, &buf);
        payload_add_blob(&payload, blob);
    }
    assert_int_equal(payload.count, 10);
    assert_int_equal(payload.bytes, 40);
    struct payload_part part = payload_take(&payload, 1);
    payload_fini(&payload);
    assert_true(slice_eq(part.bytes, SLICE("blob")));
    part.release(part.owner);
    assert_int_equal(blob->refs, 1);
    blob_unref(blob);
    buf_fini(&buf);
}

static void test_slice_orders_as_go(void **state)
{
    (void)state;
    assert_true(slice_cmp(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_cmp(SLICE("b"), SLICE("ab")) > 0);
    assert_true(slice_cmp(SLICE("\x80"), SLICE("\x7f")) > 0);
    assert_int_equal(slice_cmp((struct slice){0}, SLICE("")), 0);
    assert_true(slice_has_prefix(SLICE("abc"), SLICE("ab")));
    assert_true(slice_has_prefix(SLICE("abc"), (struct slice){0}));
    assert_false(slice_has_prefix(SLICE("a"), SLICE("ab")));
}

static void count_release(void *owner)
{
    ++*(int *)owner;
}

static void test_payload_releases_its_home_once(void **state)
{
    (void)state;
    struct payload payload;
    int released = 0;
    payload_init(&payload);
    payload_set_home(&payload, (struct payload_home){count_release, NULL, &released});
    payload_add_lent(&payload, SLICE("ab"));
    payload_add_lent(&payload, SLICE("c"));
    assert_int_equal(payload.bytes, 3);
    payload_fini(&payload);
    assert_int_equal(released, 1);
    payload_set_home(&payload, (struct payload_home){count_release, NULL, &released});
    struct payload_home home = payload_take_home(&payload);
    payload_fini(&payload);
    assert_int_equal(released, 1);
    home.release(home.owner);
    assert_int_equal(released, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_aligns_and_counts),
        cmocka_unit_test(test_arena_holds_its_limit),
        cmocka_unit_test(test_arena_defers_last_first),
        cmocka_unit_test(test_arena_copies_text),
        cmocka_unit_test(test_buf_stops_at_its_maximum),
        cmocka_unit_test(test_buf_drops_and_gives),
        cmocka_unit_test(test_blob_lives_while_someone_refers),
        cmocka_unit_test(test_payload_holds_its_parts),
        cmocka_unit_test(test_payload_releases_its_home_once),
        cmocka_unit_test(test_slice_orders_as_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
