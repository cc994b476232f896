/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/ctl.h"

#include "base/pb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The words of line, each in brackets. */
static void assert_words(const char *line, const char *expected)
{
    struct arena *arena = arena_new(0);
    struct lines_words words;
    struct why why;
    char *text = arena_strdup(arena, "");

    assert_false(err_is(lines_split(arena, line, &words, &why)));
    for (size_t i = 0; i < words.count; i++) {
        text = arena_printf(arena, "%s[%s]", text, words.texts[i]);
    }
    assert_null(words.texts[words.count]);
    assert_string_equal(text, expected);
    arena_free(arena);
}

static void test_words_are_split_at_white_space_outside_quotes(void **state)
{
    (void)state;
    assert_words("", "");
    assert_words("  put a\tb ", "[put][a][b]");
    assert_words("put 'k k' \"v\\x41\\\"\"", "[put][k k][vA\"]");
    assert_words("put 'a\"b' \"\" ''", "[put][a\"b][][]");
    assert_words("put k'1' v\"2", "[put][k'1'][v\"2]");
    assert_words("put \"k", "[put][k]");
}

static void test_words_refuse_bad_escapes(void **state)
{
    struct arena *arena = arena_new(0);
    struct lines_words words;
    struct why why;

    (void)state;
    assert_true(err_is(lines_split(arena, "put \"\\q\"", &words, &why)));
    assert_string_equal(why.text, "invalid syntax");
    arena_free(arena);
}

static void test_words_keep_what_is_behind_a_nul(void **state)
{
    struct arena *arena = arena_new(0);
    struct lines_words words;
    struct why why;

    (void)state;
    assert_false(err_is(lines_split(arena, "put a \"a\\x00b\" \"\\000\" a \"\"", &words, &why)));
    assert_int_equal(words.count, 6);
    assert_true(slice_eq(lines_bytes(&words, words.texts[1]), SLICE("a")));
    assert_true(slice_eq(lines_bytes(&words, words.texts[2]), SLICE("a\0b")));
    assert_true(slice_eq(lines_bytes(&words, words.texts[3]), SLICE("\0")));
    assert_true(slice_eq(lines_bytes(&words, words.texts[5]), SLICE("")));
    assert_true(slice_eq(lines_bytes(&words, "a"), SLICE("a")));
    assert_true(lines_are_whole(&words, words.texts + 2, 2));
    assert_false(lines_are_whole(&words, words.texts + 1, 2));
    assert_false(lines_are_whole(&words, (char *[]){words.texts[2], words.texts[4]}, 2));
    arena_free(arena);
}

static void assert_compare(const char *line, Etcdserverpb__Compare__CompareTarget target,
    Etcdserverpb__Compare__CompareResult result, int64_t number)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__Compare *compare;
    struct why why;

    assert_false(err_is(lines_compare(arena, line, &compare, &why)));
    assert_int_equal(compare->target, target);
    assert_int_equal(compare->result, result);
    assert_true(slice_eq(pb_slice(compare->key), SLICE("k y")));
    assert_int_equal(compare->target_union_case, 4 + (int)target);
    if (target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE) {
        assert_true(slice_eq(pb_slice(compare->value), SLICE("x")));
    } else {
        assert_true(compare->version == number);
    }
    arena_free(arena);
}

static void test_compare_has_every_target_and_operator(void **state)
{
    (void)state;
    assert_compare("ver(\"k y\") = \"1\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 1);
    assert_compare("version(\"k y\") != \"-1\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__NOT_EQUAL, -1);
    assert_compare("c(\"k\\x20y\") < \"5\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__LESS, 5);
    assert_compare("create(`k y`) > \"5\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER, 5);
    assert_compare("m(\"k y\")   =\t\"7\" junk", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 7);
    assert_compare("mod( \"k y\") = \"7\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 7);
    assert_compare("val(\"k y\") = \"x\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 0);
    assert_compare("value(\"k y\") > \"x\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER, 0);
    assert_compare("lease(\"k y\") = \"0\"", ETCDSERVERPB__COMPARE__COMPARE_TARGET__LEASE,
        ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL, 0);
}

static void test_compare_refuses_with_etcdctl_texts(void **state)
{
    static const char *const rows[][2] = {
        {"foo", "malformed comparison: foo"},
        {"zz(\"a\") > \"0\"", "malformed comparison: zz(\"a\") > \"0\" (unknown target zz)"},
        {"ver(\"a\") > \"1\\x00\"", "invalid txn compare request: ver(\"a\") > \"1\\x00\""},
        {"ver(\"a\") > \"x\"", "invalid txn compare request: ver(\"a\") > \"x\""},
        {"ver(a) > \"0\"", "malformed comparison: ver(a) > \"0\"; got ver(\"\")  \"\""},
        {"ver(\"a\" > \"0\"", "malformed comparison: ver(\"a\" > \"0\"; got ver(\"a\")  \"\""},
        {"create(\"a\")>\"0\"",
            "malformed comparison: create(\"a\")>\"0\"; got create(\"a\")  \"\""},
        {"ver(\"a\") > 0", "malformed comparison: ver(\"a\") > 0; got ver(\"a\") > \"\""},
        {"ver(\"a\") >= \"0\"", "malformed comparison: ver(\"a\") >= \"0\" (unknown operator >=)"},
    };
    struct arena *arena = arena_new(0);

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Etcdserverpb__Compare *compare;
        struct why why;
        assert_true(IS(lines_compare(arena, rows[i][0], &compare, &why), BAD_INPUT));
        assert_string_equal(why.text, rows[i][1]);
    }
    arena_free(arena);
}

struct watch_row {
    const char *typed;
    const char *args;
    const char *env_key;
    const char *env_end;
    const char *expected; /* "keys|exec", or the error */
};

static size_t split(struct arena *arena, const char *text, char **out)
{
    size_t count = 0;

    for (char *rest, *word = strtok_r(arena_strdup(arena, text), " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        out[count++] = word;
    }
    return count;
}

static void assert_watch(const struct watch_row *row, bool is_interactive)
{
    struct arena *arena = arena_new(0);
    char *typed[16], *args[16];
    struct watch_words words = {typed, split(arena, row->typed, typed), args,
        split(arena, row->args, args), row->env_key, row->env_end};
    struct watch_args parsed;
    struct why why;
    char *text = arena_strdup(arena, "");

    if (err_is(watch_args_parse(arena, &words, is_interactive, &parsed, &why))) {
        assert_string_equal(why.text, row->expected);
        arena_free(arena);
        return;
    }
    for (size_t i = 0; i < parsed.keys_count; i++) {
        text = arena_printf(arena, "%s%s%s", text, i ? " " : "", parsed.keys[i]);
    }
    text = arena_printf(arena, "%s|", text);
    for (size_t i = 0; i < parsed.exec_count; i++) {
        text = arena_printf(arena, "%s%s%s", text, i ? " " : "", parsed.exec[i]);
    }
    assert_string_equal(text, row->expected);
    arena_free(arena);
}

static void test_watch_words_become_keys_and_a_command(void **state)
{
    static const struct watch_row rows[] = {
        {"foo", "foo", "", "", "foo|"},
        {"foo bar", "foo bar", "", "", "foo bar|"},
        {"foo --rev 1 bar", "foo bar", "", "", "foo bar|"},
        {"foo -- echo x", "foo echo x", "", "", "foo|echo x"},
        {"foo bar --rev 1 -- echo foo", "foo bar echo foo", "", "", "foo bar|echo foo"},
        {"", "", "key", "", "key|"},
        {"", "", "key", "end", "key end|"},
        {"-- echo x", "echo x", "key", "", "key|echo x"},
        {"--rev 1 -- echo x", "echo x", "key", "end", "key end|echo x"},
        {"", "", "", "", "bad number of arguments"},
        {"foo --", "foo", "", "", "bad number of arguments (found separator --, but no commands)"},
        {"foo", "foo", "key", "", "bad number of arguments (found conflicting environment key)"},
        {"foo -- echo 1", "foo echo 1", "key", "",
            "bad number of arguments (found conflicting environment key)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_watch(&rows[i], false);
    }
}

static void test_watch_lines_of_interactive_mode(void **state)
{
    static const struct watch_row rows[] = {
        {"foo", "foo", "", "", "foo|"},
        {"--prefix", "", "", "", "bad number of arguments"},
        {"foo -- echo x", "foo echo x", "", "", "foo|echo x"},
        {"foo", "foo", "key", "", "bad number of arguments (found conflicting environment key)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_watch(&rows[i], true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_split_at_white_space_outside_quotes),
        cmocka_unit_test(test_words_refuse_bad_escapes),
        cmocka_unit_test(test_words_keep_what_is_behind_a_nul),
        cmocka_unit_test(test_compare_has_every_target_and_operator),
        cmocka_unit_test(test_compare_refuses_with_etcdctl_texts),
        cmocka_unit_test(test_watch_words_become_keys_and_a_command),
        cmocka_unit_test(test_watch_lines_of_interactive_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
