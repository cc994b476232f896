/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int run_nothing(struct cmd_run *run)
{
    (void)run;
    return CMD_EXIT_OK;
}

static const struct cmd_option root_options[] = {
    {"write-out", CMD_STRING, "simple", "output format", 'w', true},
    {"endpoints", CMD_LIST, "127.0.0.1:2379", "endpoints", 0, true},
    {"timeout", CMD_DURATION, "2s", "how long", 0, true},
    {"debug", CMD_BOOL, "false", "more words", 'v', true},
    {0},
};
static const struct cmd_option get_options[] = {
    {"limit", CMD_INT64, "0", "most results", 0, false},
    {"prefix", CMD_BOOL, "false", "by prefix", 'p', false},
    {"ops", CMD_UINT, "128", "most operations", 0, false},
    {0},
};
static const struct cmd get = {
    .use = "get [options] <key>", .brief = "Gets keys", .options = get_options, .run = run_nothing};
static const struct cmd grant = {
    .use = "grant <ttl>", .brief = "Creates leases", .run = run_nothing};
static const struct cmd list = {.use = "list", .brief = "Lists leases", .run = run_nothing};
static const struct cmd *const lease_children[] = {&grant, &list, NULL};
static const struct cmd lease = {
    .use = "lease <subcommand>", .brief = "Leases", .children = lease_children};
static const struct cmd alarm = {
    .use = "alarm", .brief = "Alarms", .text = "Two\nlines.\n", .run = run_nothing};
static const struct cmd *const children[] = {&get, &lease, &alarm, NULL};
static const struct cmd root = {
    .use = "ctl", .brief = "A client.", .options = root_options, .children = children};

enum { WORDS_MAX = 16 };

/* The words of a line, taken apart; run->arena is the caller's to free. */
static enum cmd_outcome parse(const char *line, struct cmd_run *run, struct why *why)
{
    char *words[WORDS_MAX];
    size_t count = 0;

    *run = (struct cmd_run){.arena = arena_new(0)};
    for (char *rest, *word = strtok_r(arena_strdup(run->arena, line), " ", &rest); word;
         word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    return cmd_parse(&root, count, words, run, why);
}

static void assert_refused(const char *line, enum cmd_outcome outcome, const char *text)
{
    struct cmd_run run;
    struct why why;

    assert_int_equal(parse(line, &run, &why), outcome);
    assert_string_equal(why.text, text);
    arena_free(run.arena);
}

static const struct cmd *found(const struct cmd_run *run)
{
    return run->path[run->depth - 1];
}

static void test_command_is_found_among_options(void **state)
{
    struct cmd_run run;
    struct why why;

    (void)state;
    assert_int_equal(parse("-w json get --limit 5 key -p", &run, &why), CMD_OK);
    assert_ptr_equal(found(&run), &get);
    assert_int_equal(run.args_count, 1);
    assert_string_equal(run.args[0], "key");
    assert_string_equal(cmd_text(&run, "write-out"), "json");
    assert_int_equal(cmd_int(&run, "limit"), 5);
    assert_true(cmd_bool(&run, "prefix"));
    assert_false(cmd_bool(&run, "debug"));
    arena_free(run.arena);
}

static void test_command_may_be_a_unique_prefix(void **state)
{
    struct cmd_run run;
    struct why why;

    (void)state;
    assert_int_equal(parse("le gr 10", &run, &why), CMD_OK);
    assert_ptr_equal(found(&run), &grant);
    assert_string_equal(run.args[0], "10");
    arena_free(run.arena);
}

static void test_group_without_a_known_child_is_a_question_for_help(void **state)
{
    struct cmd_run run;
    struct why why;

    (void)state;
    assert_int_equal(parse("lease bogus", &run, &why), CMD_HELP);
    arena_free(run.arena);
    assert_int_equal(parse("", &run, &why), CMD_HELP);
    arena_free(run.arena);
    assert_int_equal(parse("get --help", &run, &why), CMD_HELP);
    arena_free(run.arena);
}

static void test_unknown_command_suggests_neighbours(void **state)
{
    (void)state;
    assert_refused("bogus", CMD_UNKNOWN, "unknown command \"bogus\" for \"ctl\"");
    assert_refused("gett a", CMD_UNKNOWN,
        "unknown command \"gett\" for \"ctl\"\n\nDid you mean this?\n\tget\n");
    /* An option that the root does not know swallows the command's name. */
    assert_refused("--limit get al", CMD_BAD_OPTION, "unknown flag: --limit");
}

static void test_bad_options_fail_with_pflag_texts(void **state)
{
    (void)state;
    assert_refused("get --bogus a", CMD_BAD_OPTION, "unknown flag: --bogus");
    assert_refused("get -x a", CMD_BAD_OPTION, "unknown shorthand flag: 'x' in -x");
    assert_refused("get a --limit", CMD_BAD_OPTION, "flag needs an argument: --limit");
    assert_refused("get a -w", CMD_BAD_OPTION, "flag needs an argument: 'w' in -w");
    assert_refused("get --=a", CMD_BAD_OPTION, "bad flag syntax: --=a");
    assert_refused("get --limit x", CMD_BAD_OPTION,
        "invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing \"x\": invalid "
        "syntax");
    assert_refused("get --limit 9223372036854775808", CMD_BAD_OPTION,
        "invalid argument \"9223372036854775808\" for \"--limit\" flag: strconv.ParseInt: parsing "
        "\"9223372036854775808\": value out of range");
    assert_refused("get --ops -1", CMD_BAD_OPTION,
        "invalid argument \"-1\" for \"--ops\" flag: strconv.ParseUint: parsing \"-1\": invalid "
        "syntax");
    assert_refused("get -p=maybe", CMD_BAD_OPTION,
        "invalid argument \"maybe\" for \"-p, --prefix\" flag: strconv.ParseBool: parsing "
        "\"maybe\": invalid syntax");
    assert_refused("get --timeout 5", CMD_BAD_OPTION,
        "invalid argument \"5\" for \"--timeout\" flag: time: missing unit in duration \"5\"");
}

static void test_options_take_their_forms(void **state)
{
    struct cmd_run run;
    struct why why;

    (void)state;
    assert_int_equal(
        parse("get -pvwjson --limit=0x10 --timeout 1m30s -- -a --b", &run, &why), CMD_OK);
    assert_true(cmd_bool(&run, "prefix") && cmd_bool(&run, "debug"));
    assert_string_equal(cmd_text(&run, "write-out"), "json");
    assert_int_equal(cmd_int(&run, "limit"), 16);
    assert_true(cmd_int(&run, "timeout") == 90000000000);
    assert_int_equal(run.args_count, 2);
    assert_string_equal(run.args[1], "--b");
    arena_free(run.arena);
}

static void test_list_is_replaced_once_then_grows(void **state)
{
    struct cmd_run run;
    struct why why;

    (void)state;
    assert_int_equal(parse("get k", &run, &why), CMD_OK);
    assert_string_equal(
        cmd_value_text(cmd_value(&run, "endpoints"), run.arena), "[127.0.0.1:2379]");
    arena_free(run.arena);
    assert_int_equal(parse("get k --endpoints a,\"b,c\" --endpoints d", &run, &why), CMD_OK);
    assert_string_equal(cmd_value_text(cmd_value(&run, "endpoints"), run.arena), "[a,b,c,d]");
    assert_int_equal(cmd_value(&run, "endpoints")->items_count, 3);
    arena_free(run.arena);
    assert_int_equal(parse("get k --endpoints=", &run, &why), CMD_OK);
    assert_int_equal(cmd_value(&run, "endpoints")->items_count, 0);
    arena_free(run.arena);
}

static void assert_usage(const char *line, const char *expected)
{
    static const struct cmd_versions versions = {"3.6.0", "3.6"};
    struct cmd_run run;
    struct why why;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)parse(line, &run, &why);
    cmd_usage(&run, &versions, out);
    fclose(out);
    assert_string_equal(text, expected);
    free(text);
    arena_free(run.arena);
}

static void test_usage_of_a_command(void **state)
{
    (void)state;
    assert_usage("get", "NAME:\n  get - Gets keys\n\nUSAGE:\n  ctl get [options] <key> [flags]\n\n"
                        "OPTIONS:\n"
                        "  -h, --help[=false]\thelp for get\n"
                        "      --limit=0\t\tmost results\n"
                        "      --ops=128\t\tmost operations\n"
                        "  -p, --prefix[=false]\tby prefix\n"
                        "\nGLOBAL OPTIONS:\n"
                        "  -v, --debug[=false]\t\t\tmore words\n"
                        "      --endpoints=[127.0.0.1:2379]\tendpoints\n"
                        "      --timeout=2s\t\t\thow long\n"
                        "  -w, --write-out=\"simple\"\t\toutput format\n\n");
}

static void test_usage_of_the_root(void **state)
{
    (void)state;
    assert_usage("", "NAME:\n  ctl - A client.\n\nUSAGE:\n  ctl [flags]\n\nVERSION:\n  "
                     "3.6.0\n\nAPI VERSION:\n  3.6\n\n"
                     "COMMANDS:\n  alarm\t\tAlarms\n  get\t\tGets keys\n  lease grant\tCreates "
                     "leases\n  lease list\tLists leases\n"
                     "\nOPTIONS:\n"
                     "  -v, --debug[=false]\t\t\tmore words\n"
                     "      --endpoints=[127.0.0.1:2379]\tendpoints\n"
                     "  -h, --help[=false]\t\t\thelp for ctl\n"
                     "      --timeout=2s\t\t\thow long\n"
                     "  -w, --write-out=\"simple\"\t\toutput format\n\n");
}

static void test_usage_has_the_description(void **state)
{
    struct cmd_run run;
    struct why why;
    struct cmd_versions versions = {"", ""};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    (void)parse("alarm", &run, &why);
    cmd_usage(&run, &versions, out);
    fclose(out);
    assert_non_null(strstr(text, "\n\nDESCRIPTION:\n  Two\n  lines.\n\nOPTIONS:\n"));
    free(text);
    arena_free(run.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_is_found_among_options),
        cmocka_unit_test(test_command_may_be_a_unique_prefix),
        cmocka_unit_test(test_group_without_a_known_child_is_a_question_for_help),
        cmocka_unit_test(test_unknown_command_suggests_neighbours),
        cmocka_unit_test(test_bad_options_fail_with_pflag_texts),
        cmocka_unit_test(test_options_take_their_forms),
        cmocka_unit_test(test_list_is_replaced_once_then_grows),
        cmocka_unit_test(test_usage_of_a_command),
        cmocka_unit_test(test_usage_of_the_root),
        cmocka_unit_test(test_usage_has_the_description),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
