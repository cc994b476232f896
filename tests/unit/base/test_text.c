/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_duration(const char *text, int64_t ns)
{
    struct why why = {""};
    int64_t got = 42;
    struct err e = text_parse_duration(text, &got, &why);
    if (err_is(e) || got != ns) {
        fail_msg("%s: %s, %lld", text, why.text, (long long)got);
    }
}

static void expect_no_duration(const char *text, const char *words)
{
    struct why why = {""};
    int64_t got = 42;
    assert_true(IS(text_parse_duration(text, &got, &why), BAD_INPUT));
    assert_string_equal(why.text, words);
    assert_int_equal(got, 42);
}

static void test_duration_parses_as_go(void **state)
{
    (void)state;
    expect_duration("0", 0);
    expect_duration("+0", 0);
    expect_duration("5s", 5000000000);
    expect_duration("-1.5h", -5400000000000);
    expect_duration("1h15m30.918s", 4530918000000);
    expect_duration("100ms", 100000000);
    expect_duration("3us", 3000);
    expect_duration("3µs", 3000);
    expect_duration(".5s", 500000000);
    expect_duration("1.s", 1000000000);
    expect_duration("2562047h47m16.854775807s", INT64_MAX);
    expect_duration("-9223372036854775808ns", INT64_MIN);
    expect_duration("0.9223372036854775807000h", 3320413933267);
}

static void test_duration_refuses_as_go(void **state)
{
    (void)state;
    expect_no_duration("", "time: invalid duration \"\"");
    expect_no_duration("3", "time: missing unit in duration \"3\"");
    expect_no_duration("-", "time: invalid duration \"-\"");
    expect_no_duration("s", "time: invalid duration \"s\"");
    expect_no_duration(".s", "time: invalid duration \".s\"");
    expect_no_duration("abc", "time: invalid duration \"abc\"");
    expect_no_duration("5y", "time: unknown unit \"y\" in duration \"5y\"");
    expect_no_duration("9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\"");
    expect_no_duration("99999999999999h", "time: invalid duration \"99999999999999h\"");
}

static void test_duration_prints_as_go(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {{0, "0s"}, {1, "1ns"}, {1100, "1.1µs"}, {2200000, "2.2ms"}, {3300000000, "3.3s"},
        {245000000000, "4m5s"}, {245001000000, "4m5.001s"}, {18367001000000, "5h6m7.001s"},
        {480000000001, "8m0.000000001s"}, {INT64_MAX, "2562047h47m16.854775807s"},
        {INT64_MIN, "-2562047h47m16.854775808s"}, {3600000000000, "1h0m0s"},
        {-1500000000, "-1.5s"}};
    char out[TEXT_DURATION_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_string_equal(text_format_duration(cases[i].ns, out), cases[i].text);
    }
}

static void expect_errno(int sys_errno, const char *expected)
{
    char words[TEXT_ERRNO_SIZE];
    assert_ptr_equal(text_errno(sys_errno, words), words);
    assert_string_equal(words, expected);
}

static void test_errno_has_gos_words(void **state)
{
    (void)state;
    expect_errno(ENOENT, "no such file or directory");
    expect_errno(ENOTDIR, "not a directory");
    expect_errno(ENOSPC, "no space left on device");
    expect_errno(EIO, "input/output error");
    expect_errno(EDOTDOT, "RFS specific error");
    expect_errno(EILSEQ, "invalid or incomplete multibyte or wide character");
    expect_errno(4095, "errno 4095");
}

static void test_number_takes_every_base(void **state)
{
    uint64_t value = 0;
    int64_t number = 0;
    (void)state;
    assert_int_equal(text_parse_uint("0x10", 64, &value), TEXT_NUMBER_OK);
    assert_int_equal(value, 16);
    assert_int_equal(text_parse_uint("010", 64, &value), TEXT_NUMBER_OK);
    assert_int_equal(value, 8);
    assert_int_equal(text_parse_uint("0b101", 64, &value), TEXT_NUMBER_OK);
    assert_int_equal(value, 5);
    assert_int_equal(text_parse_uint("0x_ff", 64, &value), TEXT_NUMBER_OK);
    assert_int_equal(value, 255);
    assert_int_equal(text_parse_uint("18446744073709551615", 64, &value), TEXT_NUMBER_OK);
    assert_true(value == UINT64_MAX);
    assert_int_equal(text_parse_int("-9223372036854775808", 64, &number), TEXT_NUMBER_OK);
    assert_true(number == INT64_MIN);
    assert_int_equal(text_parse_int("-0x80", 64, &number), TEXT_NUMBER_OK);
    assert_int_equal(number, -128);
    assert_int_equal(text_parse_int10("010", &number), TEXT_NUMBER_OK);
    assert_int_equal(number, 10);
}

static void test_number_refuses(void **state)
{
    static const char *const bad[] = {
        "", "x", "1_0", "0x", "0x_", "0xg", "08", "1.5", " 1", "1 ", "+1"};
    uint64_t value = 7;
    int64_t number = 7;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(text_parse_uint(bad[i], 64, &value), TEXT_NUMBER_SYNTAX);
    }
    assert_int_equal(text_parse_uint("18446744073709551616", 64, &value), TEXT_NUMBER_RANGE);
    assert_int_equal(text_parse_uint("4294967296", 32, &value), TEXT_NUMBER_RANGE);
    assert_int_equal(text_parse_int("9223372036854775808", 64, &number), TEXT_NUMBER_RANGE);
    assert_int_equal(text_parse_int10("0x1", &number), TEXT_NUMBER_SYNTAX);
    assert_int_equal(value, 7);
    assert_int_equal(number, 7);
}

static void test_id_is_hexadecimal_and_fits(void **state)
{
    static const struct {
        const char *text;
        bool is_id;
        uint64_t id;
    } rows[] = {
        {"0", true, 0},
        {"8e9e05c52164694d", true, 0x8e9e05c52164694d},
        {"8E9E05C52164694D", true, 0x8e9e05c52164694d},
        {"ffffffffffffffff", true, UINT64_MAX},
        {"00000000000000000001", true, 1},
        {"10000000000000000", false, 0},
        {"", false, 0},
        {"0x1", false, 0},
        {"-1", false, 0},
        {"1 ", false, 0},
        {"g", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t id = 7;
        assert_int_equal(text_parse_id(slice_str(rows[i].text), &id), rows[i].is_id);
        assert_true(id == (rows[i].is_id ? rows[i].id : 7));
    }
}

static void test_list_splits_and_joins(void **state)
{
    struct arena *arena = arena_new(0);
    struct text_list list = text_split(arena, "b,,a,b", ',');
    (void)state;
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[1], "");
    assert_null(list.items[4]);
    list = text_list_unique(arena, list);
    assert_string_equal(text_list_join(arena, &list, "+"), "+a+b");
    assert_true(text_list_has(&list, "a"));
    assert_false(text_list_has(&list, "c"));
    assert_int_equal(text_split(arena, "", ',').count, 1);
    assert_string_equal(text_trim(arena, " \tx y\n"), "x y");
    assert_string_equal(text_quote(arena, "a\"\\\n\x01"), "\"a\\\"\\\\\\n\\x01\"");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration_parses_as_go),
        cmocka_unit_test(test_duration_refuses_as_go),
        cmocka_unit_test(test_duration_prints_as_go),
        cmocka_unit_test(test_errno_has_gos_words),
        cmocka_unit_test(test_number_takes_every_base),
        cmocka_unit_test(test_number_refuses),
        cmocka_unit_test(test_id_is_hexadecimal_and_fits),
        cmocka_unit_test(test_list_splits_and_joins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
