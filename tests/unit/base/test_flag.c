/* SPDX-License-Identifier: Apache-2.0 */
#include "base/flag.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/url.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct options {
    const char *name;
    bool verbose;
    int64_t number;
    uint32_t small;
    uint32_t streams;
    uint64_t big;
    int64_t wait_ns;
    double rate;
    struct text_list list;
    struct text_list set;
    struct url_list urls;
    const char *mode;
    const char *modes;
    int calls;
};

static struct err call(struct arena *arena, void *target, const char *value, struct why *why)
{
    (void)arena;
    if (strcmp(value, "bad") == 0) {
        return why_set(why, ERR(BAD_INPUT), "no");
    }
    ((struct options *)target)->calls++;
    return OK;
}

#define FIELD(name) FLAG_FIELD(struct options, name)

static const struct flag flags[] = {
    {"name", FLAG_STRING, FIELD(name)},
    {"verbose", FLAG_BOOL, FIELD(verbose)},
    {"number", FLAG_INT, FIELD(number)},
    {"small", FLAG_UINT, FIELD(small)},
    {"streams", FLAG_UINT32, FIELD(streams)},
    {"big", FLAG_UINT, FIELD(big)},
    {"wait", FLAG_DURATION, FIELD(wait_ns)},
    {"rate", FLAG_FLOAT, FIELD(rate)},
    {"list", FLAG_STRINGS, FIELD(list)},
    {"set", FLAG_SET, FIELD(set)},
    {"urls", FLAG_URLS, FIELD(urls)},
    {"mode", FLAG_ENUM, FIELD(mode), .choices = "new,existing"},
    {"modes", FLAG_ENUMS, FIELD(modes), .choices = "a,b"},
    {"call", FLAG_CALL, .set = call},
    {.name = "old", .kind = FLAG_IGNORED},
};

static const struct flag_table table = {flags, COUNT_OF(flags), sizeof(flags[0])};
static struct arena *arena;
static struct options options;
static bool is_set[COUNT_OF(flags)];
static struct flag_run run;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    options = (struct options){0};
    memset(is_set, 0, sizeof(is_set));
    run = (struct flag_run){.arena = arena, .target = &options, .is_set = is_set};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* words: the refusal, or NULL when the line must parse. */
static void parse(const char *line, const char *words)
{
    struct text_list args = text_split(arena, line, ' ');
    struct why why = {""};
    struct err e = flag_parse(&table, (int)args.count, (char *const *)args.items, &run, &why);
    assert_string_equal(why.text, words ? words : "");
    assert_int_equal(e.code, words ? ERR_BAD_INPUT : ERR_OK);
}

static void test_flag_takes_every_kind(void **state)
{
    (void)state;
    parse("x -name=a --verbose --number -3 --small=99999999999 --streams 0xff --big 1 --wait=1m "
          "--rate 0.5 --list b,a --set b,a,b --urls http://b:1,http://a:1 --mode existing "
          "--modes b,a --call z --old --old=1",
        NULL);
    assert_string_equal(options.name, "a");
    assert_true(options.verbose);
    assert_int_equal(options.number, -3);
    assert_true(options.small == UINT32_MAX);
    assert_int_equal(options.streams, 255);
    assert_int_equal(options.big, 1);
    assert_int_equal(options.wait_ns, 60000000000);
    assert_true(options.rate == 0.5);
    assert_string_equal(text_list_join(arena, &options.list, ","), "b,a");
    assert_string_equal(text_list_join(arena, &options.set, ","), "a,b");
    assert_string_equal(url_list_text(arena, &options.urls), "http://a:1,http://b:1");
    assert_string_equal(options.mode, "existing");
    assert_string_equal(options.modes, "b,a");
    assert_int_equal(options.calls, 1);
    assert_true(is_set[0] && is_set[COUNT_OF(flags) - 1]);
    assert_int_equal(run.arg_index, 27);
}

static void test_flag_stops_at_an_argument(void **state)
{
    (void)state;
    parse("x --verbose=false --name a b --number 1", NULL);
    assert_int_equal(run.arg_index, 4);
    assert_false(options.verbose);
    assert_int_equal(options.number, 0);
    parse("x --name=a -- --number=1", NULL);
    assert_int_equal(run.arg_index, 3);
    parse("x - --name=b", NULL);
    assert_int_equal(run.arg_index, 1);
    assert_string_equal(options.name, "a");
}

static void test_flag_boolean_takes_no_next_argument(void **state)
{
    (void)state;
    parse("x --verbose false", NULL);
    assert_true(options.verbose);
    assert_int_equal(run.arg_index, 2);
}

static void test_flag_meets_help(void **state)
{
    (void)state;
    parse("x --name=a -h --nope", NULL);
    assert_true(run.is_help);
    run.is_help = false;
    parse("x --help", NULL);
    assert_true(run.is_help);
}

static void test_flag_refuses_with_gos_words(void **state)
{
    (void)state;
    parse("x --nope", "flag provided but not defined: -nope");
    parse("x -nope=1", "flag provided but not defined: -nope");
    parse("x --=x", "bad flag syntax: --=x");
    parse("x ---x", "bad flag syntax: ---x");
    parse("x --name", "flag needs an argument: -name");
    parse("x --number=x", "invalid value \"x\" for flag -number: parse error");
    parse("x --big=99999999999999999999999",
        "invalid value \"99999999999999999999999\" for flag -big: value out of range");
    parse("x --big=-1", "invalid value \"-1\" for flag -big: parse error");
    parse("x --verbose=maybe", "invalid boolean value \"maybe\" for -verbose: parse error");
    parse("x --wait=5", "invalid value \"5\" for flag -wait: parse error");
    parse("x --rate=z", "invalid value \"z\" for flag -rate: parse error");
    parse("x --streams=x",
        "invalid value \"x\" for flag -streams: strconv.ParseUint: parsing \"x\": invalid syntax");
    parse("x --streams=4294967296",
        "invalid value \"4294967296\" for flag -streams: "
        "strconv.ParseUint: parsing \"4294967296\": value out of range");
    parse("x --mode=foo", "invalid value \"foo\" for flag -mode: invalid value");
    parse("x --modes=a,zz", "invalid value \"a,zz\" for flag -modes: invalid value \"zz\"");
    parse("x --urls=ftp://a:1", "invalid value \"ftp://a:1\" for flag -urls: URL scheme must be "
                                "http, https, unix, or unixs: ftp://a:1");
    parse("x --call=bad", "invalid value \"bad\" for flag -call: no");
    assert_false(is_set[0]);
}

static void test_flag_empty_urls_keep_what_was_there(void **state)
{
    (void)state;
    parse("x --urls=http://a:1 --urls=", NULL);
    assert_int_equal(options.urls.count, 1);
}

static void test_flag_names_its_variable(void **state)
{
    (void)state;
    assert_string_equal(flag_env_name(arena, "ETCD", "max-txn-ops"), "ETCD_MAX_TXN_OPS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flag_takes_every_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_stops_at_an_argument, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_boolean_takes_no_next_argument, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_meets_help, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_refuses_with_gos_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_empty_urls_keep_what_was_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flag_names_its_variable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
