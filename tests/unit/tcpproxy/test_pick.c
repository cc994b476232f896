/* SPDX-License-Identifier: Apache-2.0
 * Whose turn it is, and which command lines are the proxy's. */
#include "tcpproxy/inner.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_turns_pass_over_the_lost(void **state)
{
    (void)state;
    struct remote remotes[3] = {{.host = "a"}, {.host = "b"}, {.host = "c"}};
    struct proxy proxy = {.remotes = remotes, .remotes_count = 3};
    static const char *const all[] = {"a", "b", "c", "a", "b", "c"};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_string_equal(pick_remote(&proxy)->host, all[i]);
    }
    remotes[1].is_inactive = true;
    for (int i = 0; i < 6; i++) {
        assert_string_not_equal(pick_remote(&proxy)->host, "b");
    }
    remotes[0].is_inactive = remotes[2].is_inactive = true;
    assert_null(pick_remote(&proxy));
    remotes[1].is_inactive = false;
    assert_string_equal(pick_remote(&proxy)->host, "b");
}

static void test_what_is_asked(void **state)
{
    (void)state;
    static char etcd[] = "etcd";
    static char gateway[] = "gateway";
    static char grpc[] = "grpc-proxy";
    static char name[] = "--name=gateway";
    assert_true(tcpproxy_is_asked(2, (char *[]){etcd, gateway, NULL}));
    assert_true(tcpproxy_is_asked(2, (char *[]){etcd, grpc, NULL}));
    assert_false(tcpproxy_is_asked(2, (char *[]){etcd, name, NULL}));
    assert_false(tcpproxy_is_asked(1, (char *[]){etcd, NULL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_pass_over_the_lost),
        cmocka_unit_test(test_what_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
