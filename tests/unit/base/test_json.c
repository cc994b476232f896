/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct buf out;
static struct json json;

static int setup(void **state)
{
    (void)state;
    buf_init(&out, 1 << 20);
    json_init(&json, &out, JSON_PLAIN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&out);
    return 0;
}

static void fill(unsigned style)
{
    json_init(&json, &out, style);
    json_open(&json, '{');
    json_add_key(&json, "a");
    json_open(&json, '[');
    json_add_int(&json, -1);
    json_add_uint_text(&json, UINT64_MAX);
    json_add_int_text(&json, INT64_MIN);
    json_close(&json, ']');
    json_add_key(&json, "b");
    json_open(&json, '{');
    json_close(&json, '}');
    json_add_key(&json, "c");
    json_add_bytes(&json, SLICE("foo"));
    json_add_key(&json, "d");
    json_add_bool(&json, true);
    json_close(&json, '}');
}

static void test_writer_places_commas(void **state)
{
    (void)state;
    fill(JSON_PLAIN);
    assert_string_equal(buf_text(&out),
        "{\"a\":[-1,\"18446744073709551615\",\"-9223372036854775808\"],\"b\":{},"
        "\"c\":\"Zm9v\",\"d\":true}");
}

static void test_writer_spaces_as_the_reference(void **state)
{
    (void)state;
    fill(JSON_SPACED);
    assert_string_equal(buf_text(&out),
        "{\"a\":[-1, \"18446744073709551615\", \"-9223372036854775808\"], \"b\":{}, "
        "\"c\":\"Zm9v\", \"d\":true}");
}

static void test_strings_are_escaped(void **state)
{
    (void)state;
    json_add_string(&json, SLICE("\"\\/\b\f\n\r\t\x01\x7f<&>\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80"));
    assert_string_equal(buf_text(&out),
        "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\x7f<&>\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\"");
}

static void test_html_is_escaped_where_asked(void **state)
{
    (void)state;
    json_init(&json, &out, JSON_HTML_SAFE);
    json_add_string(&json, SLICE("<&>\xe2\x80\xa8\xe2\x80\xa9\xc3\xa9"));
    assert_string_equal(buf_text(&out), "\"\\u003c\\u0026\\u003e\\u2028\\u2029\xc3\xa9\"");
}

static void test_bad_utf8_is_replaced(void **state)
{
    (void)state;
    json_add_string(&json, SLICE("a\xff\xed\xa0\x80"));
    assert_string_equal(buf_text(&out), "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void test_doubles_are_printed_as_go_prints_them(void **state)
{
    (void)state;
    const double numbers[] = {0, 1, 1e20, 1e21, 0.000001, 1e-7, 1.5e-10, -2.25, 1.0 / 3};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        json_add_double(&json, numbers[i]);
    }
    assert_string_equal(buf_text(&out),
        "0,1,100000000000000000000,1e+21,0.000001,1e-7,1.5e-10,-2.25,0.3333333333333333");
}

static void test_parse_keeps_unsigned_numbers(void **state)
{
    (void)state;
    struct json_object *value = NULL;
    assert_false(err_is(json_parse(SLICE(" {\"id\":18446744073709551615} \n"), 100, &value, NULL)));
    assert_true(json_object_get_uint64(json_object_object_get(value, "id")) == UINT64_MAX);
    json_object_put(value);
    assert_false(err_is(json_parse(SLICE("12"), 100, &value, NULL)));
    assert_int_equal(json_object_get_int(value), 12);
    json_object_put(value);
}

static void test_parse_refuses_what_is_not_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{", "{\"a\":}", "{} x", "[1,]", "'a'", "\"\xff\"", "nul", "1 2"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct json_object *value = NULL;
        struct why why = {""};
        assert_true(IS(json_parse(slice_str(bad[i]), 100, &value, &why), BAD_INPUT));
        assert_null(value);
        assert_true(strlen(why.text) > 0);
    }
}

static void test_parse_has_limits(void **state)
{
    (void)state;
    struct json_object *value = NULL;
    char deep[3 * JSON_DEPTH_MAX];
    memset(deep, '[', sizeof(deep));
    assert_true(
        IS(json_parse(slice_of(deep, sizeof(deep)), sizeof(deep), &value, NULL), BAD_INPUT));
    assert_true(IS(json_parse(SLICE("[1,2]"), 4, &value, NULL), TOO_BIG));
    assert_null(value);
}

static void test_base64_takes_both_alphabets(void **state)
{
    (void)state;
    const struct {
        const char *text;
        const char *bytes;
    } cases[] = {{"", ""}, {"Zm9v", "foo"}, {"Zm8=", "fo"}, {"Zm8", "fo"}, {"Zg==", "f"},
        {"Zg", "f"}, {"_-8", "\xff\xef"}, {"/+8=", "\xff\xef"}, {"Zm9v\n", "foo"},
        {"Zm\r\n9vYg\n", "foob"}, {"Zh==", "f"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_reset(&out);
        assert_true(base64_take(slice_str(cases[i].text), &out));
        assert_string_equal(buf_text(&out), cases[i].bytes);
    }
}

static void test_base64_refuses_the_rest(void **state)
{
    (void)state;
    static const char *const bad[] = {"!!!", "Z", "Zm 9v", "Zm9v=", "Zm8==", "Zm9-/+_", "Z===", "=",
        "====", "Zg==Zg==", "Zm8=\x01"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(base64_take(slice_str(bad[i]), &out));
        assert_int_equal(out.len, 0);
    }
}

static void test_base64_url_has_no_padding(void **state)
{
    (void)state;
    base64_add_url(&out, SLICE("\xff\xef"));
    base64_add_url(&out, SLICE("f"));
    assert_string_equal(buf_text(&out), "_-8Zg");
}

static void test_utf8_is_strict(void **state)
{
    (void)state;
    assert_true(utf8_is_valid(SLICE("a\xc3\xa9\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf")));
    static const char *const bad[] = {"\x80", "\xc3", "\xc0\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(utf8_is_valid(slice_str(bad[i])));
    }
    utf8_add(&out, 0x20ac);
    utf8_add(&out, 0xd800);
    utf8_add(&out, 0x1f600);
    assert_string_equal(buf_text(&out), "\xe2\x82\xac\xef\xbf\xbd\xf0\x9f\x98\x80");
}

static void test_utf8_is_mended_byte_by_byte(void **state)
{
    struct arena *arena = arena_new(0);
    (void)state;
    assert_string_equal(utf8_mend(arena, ""), "");
    assert_string_equal(utf8_mend(arena, "a\xc3\xa9"), "a\xc3\xa9");
    assert_string_equal(utf8_mend(arena, "\xffz\xed\xa0"), "\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd");
    arena_free(arena);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_writer_places_commas),
        TEST(test_writer_spaces_as_the_reference),
        TEST(test_strings_are_escaped),
        TEST(test_html_is_escaped_where_asked),
        TEST(test_bad_utf8_is_replaced),
        TEST(test_doubles_are_printed_as_go_prints_them),
        TEST(test_parse_keeps_unsigned_numbers),
        TEST(test_parse_refuses_what_is_not_json),
        TEST(test_parse_has_limits),
        TEST(test_base64_takes_both_alphabets),
        TEST(test_base64_refuses_the_rest),
        TEST(test_base64_url_has_no_padding),
        TEST(test_utf8_is_strict),
        TEST(test_utf8_is_mended_byte_by_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
