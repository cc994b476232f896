/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include "mvcc/row.h"

static void assert_round_trip(const struct row *row)
{
    uint8_t bytes[ROW_HEAD_MAX + 64];
    size_t len = row_head(row, bytes);
    memcpy(bytes + len, row->key.data, row->key.len);
    struct row back;
    assert_false(err_is(row_read(row->main, row->sub, slice_of(bytes, len + row->key.len), &back)));
    assert_int_equal(back.is_tombstone, row->is_tombstone);
    assert_int_equal(back.link_main, row->link_main);
    assert_int_equal(back.link_sub, row->link_sub);
    assert_int_equal(back.create, row->create);
    assert_int_equal(back.version, row->version);
    assert_int_equal(back.lease, row->lease);
    assert_true(slice_eq(back.key, row->key));
    for (size_t cut = 0; cut <= len; cut++) {
        assert_true(err_is(row_read(row->main, row->sub, slice_of(bytes, cut), &back)));
    }
}

static void test_row_comes_back_as_written(void **state)
{
    (void)state;
    struct row row = {.main = 5, .sub = 2, .create = 5, .version = 1, .key = SLICE("k")};
    assert_round_trip(&row);
    row = (struct row){.main = INT64_MAX - 1,
        .sub = 4000000,
        .link_main = 1,
        .link_sub = 9,
        .create = 1,
        .version = INT64_MAX,
        .lease = -2,
        .key = SLICE("key")};
    assert_round_trip(&row);
    row = (struct row){.main = 5,
        .sub = 2,
        .link_main = 5,
        .link_sub = 1,
        .is_tombstone = true,
        .key = SLICE("k")};
    assert_round_trip(&row);
}

static void test_row_refuses_nonsense(void **state)
{
    (void)state;
    struct row row;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\3\0k", 3},       /* unknown kind */
        {"\2\7\0k", 4},     /* a link before revision 1 */
        {"\2\1\2k", 4},     /* a link to itself */
        {"\1\0\0\0\0k", 6}, /* version 0 */
        {"\1\0\5\1\0k", 6}, /* created at revision 0 */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = row_read(5, 2, slice_of(bad[i].bytes, bad[i].len), &row);
        assert_string_equal(err_name(err), "BAD_FORMAT");
    }
}

static void test_row_key_is_checked(void **state)
{
    (void)state;
    revision main;
    int64_t sub;
    struct row_key key = row_key('l', 258, 3);
    assert_memory_equal(key.bytes, "l\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0\3", ROW_KEY_BYTES);
    assert_false(err_is(row_key_read(row_key_slice(&key), 'l', &main, &sub)));
    assert_int_equal(main, 258);
    assert_int_equal(sub, 3);
    assert_true(err_is(row_key_read(row_key_slice(&key), 'd', &main, &sub)));
    assert_true(err_is(row_key_read(slice_of(key.bytes, 16), 'l', &main, &sub)));
    key = row_key('l', 0, 0);
    assert_true(err_is(row_key_read(row_key_slice(&key), 'l', &main, &sub)));
    key = row_key('l', -1, 0);
    assert_true(err_is(row_key_read(row_key_slice(&key), 'l', &main, &sub)));
}

int run_row_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_comes_back_as_written),
        cmocka_unit_test(test_row_refuses_nonsense),
        cmocka_unit_test(test_row_key_is_checked),
    };
    return cmocka_run_group_tests_name("row", tests, NULL, NULL);
}
