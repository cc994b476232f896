/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include "pki/names.h"

#include <string.h>

static void test_san_reads_addresses_and_names(void **state)
{
    (void)state;
    struct pki_san san;
    assert_int_equal(pki_san_parse("10.0.0.1", &san, NULL).code, ERR_OK);
    assert_true(san.is_ip && san.ip_len == 4);
    assert_int_equal(pki_san_parse("FD00::01", &san, NULL).code, ERR_OK);
    assert_true(san.is_ip && san.ip_len == 16);
    assert_string_equal(san.text, "fd00::1");
    assert_int_equal(pki_san_parse("*.etcd.svc", &san, NULL).code, ERR_OK);
    assert_false(san.is_ip);
}

static void test_san_refuses_what_is_neither(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "a b", "-a", "a..b", "a.", "*", "a.*.b", "http://x", "10.0.0.1:2379", "[::1]", "a,b"};
    struct pki_san san = {.ip_len = 99};
    struct why why;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(pki_san_parse(bad[i], &san, &why).code, ERR_BAD_INPUT);
        assert_non_null(strstr(why.text, bad[i]));
    }
    assert_int_equal(san.ip_len, 99);
}

static void test_names_are_taken_once(void **state)
{
    (void)state;
    struct pki_options options;
    struct pki_names names;
    pki_options_init(&options);
    options.name = "localhost";
    options.sans[options.sans_count++] = "LOCALHOST";
    options.sans[options.sans_count++] = "0:0:0:0:0:0:0:1";
    assert_int_equal(pki_names_wanted(&options, &names, NULL).code, ERR_OK);
    assert_int_equal(names.count, 3);
}

static void test_names_refuse_a_long_node(void **state)
{
    (void)state;
    struct pki_options options;
    struct pki_names names;
    char name[80];
    pki_options_init(&options);
    memset(name, 'a', sizeof(name));
    name[70] = '\0';
    name[35] = '.';
    options.name = name;
    assert_int_equal(pki_names_wanted(&options, &names, NULL).code, ERR_BAD_INPUT);
}

int run_names_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_san_reads_addresses_and_names),
        cmocka_unit_test(test_san_refuses_what_is_neither),
        cmocka_unit_test(test_names_are_taken_once),
        cmocka_unit_test(test_names_refuse_a_long_node),
    };
    return cmocka_run_group_tests_name("pki names", tests, NULL, NULL);
}
