/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <string.h>

/* Runs etcd-pki and holds its exit code and its words, on either stream, against these. */
static void assert_cli(const struct folder *folder, const char *args, int code, const char *text)
{
    const char *said = shell(folder, "'%s' %s; echo exit $?", program_path, args);
    char end[16];
    snprintf(end, sizeof(end), "exit %d\n", code);
    if (strstr(said, end) == NULL || strstr(said, text) == NULL) {
        fail_msg("etcd-pki %s: wanted \"%s\" and %s, got: %s", args, text, end, said);
    }
}

static void test_cli_helps(void **state)
{
    assert_cli(*state, "help", 0, "Usage:");
    assert_cli(*state, "init --help", 0, "Usage:");
    assert_cli(*state, "version", 0, "etcd-pki Version: ");
}

static void test_cli_refuses_wrong_usage(void **state)
{
    assert_cli(*state, "", 2, "a command is needed");
    assert_cli(*state, "nonsense", 2, "unknown command");
    assert_cli(*state, "init", 2, "--dir is needed");
    assert_cli(*state, "init --dir", 2, "see etcd-pki help");
    assert_cli(*state, "init --dir pki --nonsense", 2, "see etcd-pki help");
    assert_cli(*state, "init --dir pki stray", 2, "unexpected argument");
    assert_cli(*state, "init --dir pki --days 1x", 2, "is not a number of days");
    assert_cli(*state, "init --dir pki --days 36501", 2, "is not a number of days");
    assert_cli(*state, "show --dir pki -w yaml", 2, "is none of table, plain, json");
    assert_string_equal(shell(*state, "ls"), "");
}

static void test_cli_refuses_bad_names_and_keys(void **state)
{
    assert_cli(*state, "init --dir pki --san good,bad..one", 1, "\"bad..one\" is neither");
    assert_cli(*state, "init --dir pki --key-type dsa", 1, "key type \"dsa\"");
    assert_cli(*state, "show --dir pki", 1, "pki: ");
}

static void test_cli_makes_shows_and_verifies(void **state)
{
    assert_cli(*state, "init --dir pki --name n1 --san 192.0.2.1,a.example --key-type ecdsa:p384",
        0, "wrote pki/server.crt");
    assert_cli(*state, "show --dir pki", 0, "EC 384");
    assert_cli(*state, "verify --dir pki --name n1 --san a.example", 0, "pki is sound");
    assert_cli(*state, "verify --dir pki --san b.example -w json", 1, "\"sound\":false");
    shell(*state, "rm pki/client.key");
    assert_cli(*state, "verify --dir pki", 1, "pki/client.key: is missing");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int run_cli_tests(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cli_helps),
        TEST(test_cli_refuses_wrong_usage),
        TEST(test_cli_refuses_bad_names_and_keys),
        TEST(test_cli_makes_shows_and_verifies),
    };
    return cmocka_run_group_tests_name("pki cli", tests, NULL, NULL);
}
