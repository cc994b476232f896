/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_quoted(struct slice bytes, const char *expected)
{
    struct buf buf;

    buf_init(&buf, 4096);
    gotext_quote(&buf, bytes);
    assert_string_equal(buf_text(&buf), expected);
    buf_fini(&buf);
}

static void test_quote_escapes_as_go_does(void **state)
{
    (void)state;
    assert_quoted(SLICE(""), "\"\"");
    assert_quoted(SLICE("a b"), "\"a b\"");
    assert_quoted(
        SLICE("\"\\\a\b\t\n\v\f\r\x1b\x7f"), "\"\\\"\\\\\\a\\b\\t\\n\\v\\f\\r\\x1b\\x7f\"");
    assert_quoted(SLICE("a\0b"), "\"a\\x00b\"");
    assert_quoted(
        SLICE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    assert_quoted(SLICE("\xc2\xa0\xe2\x80\xa8\xef\xbb\xbf"), "\"\\u00a0\\u2028\\ufeff\"");
}

static void test_quote_shows_bytes_that_are_no_utf8(void **state)
{
    (void)state;
    assert_quoted(SLICE("\xff"), "\"\\xff\"");
    assert_quoted(SLICE("\xc0\x80"), "\"\\xc0\\x80\"");
    assert_quoted(SLICE("\xe2\x82"), "\"\\xe2\\x82\"");
    assert_quoted(SLICE("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");
}

static void assert_unquoted(const char *text, const char *expected, size_t expected_used)
{
    struct buf buf;
    size_t used = 0;

    buf_init(&buf, 4096);
    struct err err = gotext_unquote(slice_str(text), &buf, &used);
    if (expected) {
        assert_false(err_is(err));
        assert_string_equal(buf_text(&buf), expected);
        assert_int_equal(used, expected_used);
    } else {
        assert_true(IS(err, BAD_INPUT));
    }
    buf_fini(&buf);
}

static void test_unquote_reads_what_go_writes(void **state)
{
    (void)state;
    assert_unquoted("\"\"", "", 2);
    assert_unquoted("\"a\" rest", "a", 3);
    assert_unquoted("\"\\x41\\102\\u0043\\U00000044\\n\\\"\"", "ABCD\n\"", 30);
    assert_unquoted("\"\\u20ac\"", "\xe2\x82\xac", 8);
    assert_unquoted("`a\\n\"`", "a\\n\"", 6);
}

static void test_unquote_refuses_what_go_refuses(void **state)
{
    static const char *const bad[] = {"", "a", "'a'", "\"a", "\"\\q\"", "\"\\x4\"", "\"\\xzz\"",
        "\"\\400\"", "\"\\ud800\"", "\"\\U00110000\"", "\"\\", "\"\n\"", "`a"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_unquoted(bad[i], NULL, 0);
    }
}

static void test_bytes_are_humanized(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {{0, "0 B"}, {9, "9 B"}, {10, "10 B"}, {999, "999 B"}, {1000, "1.0 kB"},
        {1500, "1.5 kB"}, {20480, "20 kB"}, {999999, "1000 kB"}, {2147483648, "2.1 GB"},
        {UINT64_MAX, "18 EB"}};
    char text[GOTEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(gotext_bytes(rows[i].bytes, text), rows[i].text);
    }
}

static void test_numbers_fail_with_strconv_texts(void **state)
{
    struct why why;
    int64_t number = 7;
    uint64_t natural = 7;

    (void)state;
    assert_false(err_is(gotext_parse_int("-9223372036854775808", 10, &number, &why)));
    assert_true(number == INT64_MIN);
    assert_false(err_is(gotext_parse_int("+7f", 16, &number, &why)));
    assert_int_equal(number, 0x7f);
    assert_false(err_is(gotext_parse_uint("ffffffffffffffff", 16, &natural, &why)));
    assert_true(natural == UINT64_MAX);
    assert_true(err_is(gotext_parse_int("x", 10, &number, &why)));
    assert_string_equal(why.text, "strconv.ParseInt: parsing \"x\": invalid syntax");
    assert_true(err_is(gotext_parse_int("", 10, &number, &why)));
    assert_true(err_is(gotext_parse_int("9223372036854775808", 10, &number, &why)));
    assert_string_equal(
        why.text, "strconv.ParseInt: parsing \"9223372036854775808\": value out of range");
    assert_true(err_is(gotext_parse_uint("-1", 10, &natural, &why)));
    assert_string_equal(why.text, "strconv.ParseUint: parsing \"-1\": invalid syntax");
    assert_true(natural == UINT64_MAX);
}

static void test_prefix_range_end_raises_the_last_byte(void **state)
{
    struct arena *arena = arena_new(0);

    (void)state;
    assert_true(slice_eq(prefix_range_end(arena, SLICE("abc")), SLICE("abd")));
    assert_true(slice_eq(prefix_range_end(arena, SLICE("a\xff\xff")), SLICE("b")));
    assert_true(slice_eq(prefix_range_end(arena, SLICE("\xff")), SLICE("\0")));
    assert_true(slice_eq(prefix_range_end(arena, SLICE("")), SLICE("\0")));
    arena_free(arena);
}

static void assert_printed(void (*print)(const struct grid *grid, FILE *out),
    const struct grid *grid, const char *expected)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    print(grid, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
}

static void test_grid_centres_titles_and_rights_cells(void **state)
{
    static const char *const titles[] = {"ID", "is_leader", "x"};
    struct arena *arena = arena_new(0);
    struct grid grid;

    (void)state;
    grid_init(&grid, arena, titles, 3);
    assert_printed(grid_print, &grid,
        "+----+-----------+---+\n| ID | IS LEADER | X "
        "|\n+----+-----------+---+\n+----+-----------+---+\n");
    grid_add(&grid, (const char *const[]){"123456", "true", ""});
    grid_add(&grid, (const char *const[]){"1", "f\xc3\xa9", "y"});
    assert_printed(grid_print, &grid,
        "+--------+-----------+---+\n"
        "|   ID   | IS LEADER | X |\n"
        "+--------+-----------+---+\n"
        "| 123456 |      true |   |\n"
        "|      1 |        f\xc3\xa9 | y |\n"
        "+--------+-----------+---+\n");
    assert_printed(grid_print_plain, &grid, "123456, true, \n1, f\xc3\xa9, y\n");
    arena_free(arena);
}

static void test_grid_wraps_words_at_30_columns(void **state)
{
    static const char *const titles[] = {"errors"};
    struct arena *arena = arena_new(0);
    struct grid grid;

    (void)state;
    grid_init(&grid, arena, titles, 1);
    grid_add(&grid, (const char *const[]){"memberID:8 alarm:NOSPACE and more words behind"});
    grid_add(&grid, (const char *const[]){"http://a-word-of-more-than-thirty-columns:2379"});
    assert_printed(grid_print, &grid,
        "+------------------------------------------------+\n"
        "|                     ERRORS                     |\n"
        "+------------------------------------------------+\n"
        "|                   memberID:8 alarm:NOSPACE and |\n"
        "|                              more words behind |\n"
        "| http://a-word-of-more-than-thirty-columns:2379 |\n"
        "+------------------------------------------------+\n");
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote_escapes_as_go_does),
        cmocka_unit_test(test_quote_shows_bytes_that_are_no_utf8),
        cmocka_unit_test(test_unquote_reads_what_go_writes),
        cmocka_unit_test(test_unquote_refuses_what_go_refuses),
        cmocka_unit_test(test_bytes_are_humanized),
        cmocka_unit_test(test_numbers_fail_with_strconv_texts),
        cmocka_unit_test(test_prefix_range_end_raises_the_last_byte),
        cmocka_unit_test(test_grid_centres_titles_and_rights_cells),
        cmocka_unit_test(test_grid_wraps_words_at_30_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
