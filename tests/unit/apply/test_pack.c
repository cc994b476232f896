/* SPDX-License-Identifier: Apache-2.0
 *
 * What is packed by hand is, byte for byte, what protobuf-c packs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply/apply.h"
#include "apply/view.h"
#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"

enum { KVS_MAX = 300 };

static uint32_t seed = 7;

static uint32_t next_random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* Zeros, small and large numbers, and negative ones. */
static int64_t any_number(void)
{
    int64_t number = (int64_t)((uint64_t)next_random() << 40 | next_random());
    switch (next_random() % 4) {
    case 0:
        return 0;
    case 1:
        return next_random() % 200;
    case 2:
        return -number;
    default:
        return number;
    }
}

static struct slice any_bytes(struct arena *arena, size_t len)
{
    uint8_t *bytes = arena_alloc(arena, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)next_random();
    }
    return slice_of(bytes, len);
}

static void any_rows(struct arena *arena, struct apply_rows *out, size_t value_max)
{
    struct mvcc_kv *kvs = arena_alloc(arena, KVS_MAX * sizeof(*kvs));
    *out = (struct apply_rows){.kvs = kvs,
        .count = next_random() % KVS_MAX,
        .total = any_number(),
        .has_more = next_random() % 2,
        .rev = any_number()};
    for (size_t i = 0; i < out->count; i++) {
        kvs[i] = (struct mvcc_kv){any_bytes(arena, 1 + next_random() % 300),
            any_bytes(arena, next_random() % value_max), any_number(), any_number(), any_number(),
            any_number()};
    }
}

static void pack_as_message(const struct apply_rows *rows, struct arena *arena, struct buf *out)
{
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    response.header = view_header(arena, rows->rev);
    response.kvs = view_kvs(arena, rows->kvs, rows->count);
    response.n_kvs = rows->count;
    response.more = rows->has_more;
    response.count = rows->total;
    pb_pack(&response, out);
}

static void gather(const struct payload *payload, struct buf *out)
{
    for (size_t i = 0; i < payload->count; i++) {
        buf_add_slice(out, payload->parts[i].bytes);
    }
    assert_int_equal(out->len, payload->bytes);
}

static void check_same(const struct apply_rows *rows, struct arena *arena, bool is_one_part)
{
    struct payload payload;
    struct buf want;
    struct buf got;
    struct buf head;
    struct buf number;
    buf_init(&want, SIZE_MAX);
    buf_init(&got, SIZE_MAX);
    buf_init(&head, SIZE_MAX);
    buf_init(&number, SIZE_MAX);
    payload_init(&payload);
    wire_add_varint_nz(&number, 3, (uint64_t)rows->rev);
    wire_add_bytes(&head, 1, buf_slice(&number));
    apply_rows_pack(rows, buf_slice(&head), is_one_part ? NULL : arena, &payload);
    if (is_one_part) {
        assert_int_equal(payload.count, 1);
    }
    pack_as_message(rows, arena, &want);
    gather(&payload, &got);
    assert_true(slice_eq(buf_slice(&want), buf_slice(&got)));
    payload_fini(&payload);
    buf_fini(&want);
    buf_fini(&got);
    buf_fini(&head);
    buf_fini(&number);
}

static void test_pack_is_what_protobuf_packs(void **state)
{
    (void)state;
    static const size_t value_max[] = {1, 64, 1000, 3000, 70000};
    for (int i = 0; i < 50; i++) {
        struct arena *arena = arena_new(0);
        struct apply_rows rows;
        any_rows(arena, &rows, value_max[(size_t)i % COUNT_OF(value_max)]);
        check_same(&rows, arena, false);
        check_same(&rows, arena, true);
        arena_free(arena);
    }
}

static void test_pack_of_nothing_is_its_head(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct apply_rows rows = {.rev = 5};
    check_same(&rows, arena, false);
    check_same(&rows, arena, true);
    arena_free(arena);
}

static void test_pack_lends_large_values(void **state)
{
    (void)state;
    struct arena *arena = arena_new(0);
    struct payload payload;
    struct mvcc_kv kv = {.key = SLICE("k"), .value = any_bytes(arena, 4096), .mod = 2};
    struct apply_rows rows = {.kvs = &kv, .count = 1, .total = 1, .rev = 5};
    payload_init(&payload);
    apply_rows_pack(&rows, SLICE("\x0a\x00"), arena, &payload);
    assert_int_equal(payload.count, 3);
    assert_ptr_equal(payload.parts[1].bytes.data, kv.value.data);
    payload_fini(&payload);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack_is_what_protobuf_packs),
        cmocka_unit_test(test_pack_of_nothing_is_its_head),
        cmocka_unit_test(test_pack_lends_large_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
