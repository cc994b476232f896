/* SPDX-License-Identifier: Apache-2.0
 * Whose turn it is, and which command lines are the proxy's. */
#include "tcpproxy/inner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

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

/* How often each of three was picked. */
static void count_picks(struct proxy *proxy, size_t times, size_t picks[3])
{
    memset(picks, 0, 3 * sizeof(*picks));
    for (size_t i = 0; i < times; i++) {
        picks[pick_remote(proxy) - proxy->remotes]++;
    }
}

static void test_the_lowest_priority_goes_first(void **state)
{
    (void)state;
    struct remote remotes[3] = {{.priority = 20}, {.priority = 10}, {.priority = 10}};
    struct proxy proxy = {.remotes = remotes, .remotes_count = 3};
    size_t picks[3];
    count_picks(&proxy, 100, picks);
    assert_int_equal(picks[0], 0);
    assert_int_equal(picks[1], 50);
    remotes[1].is_inactive = remotes[2].is_inactive = true;
    count_picks(&proxy, 10, picks);
    assert_int_equal(picks[0], 10);
}

/* Chances that these bounds are missed: far below one in a billion. */
static void test_weights_are_shares(void **state)
{
    (void)state;
    struct remote remotes[3] = {{.weight = 10}, {.weight = 30}, {.weight = 0}};
    struct proxy proxy = {.remotes = remotes, .remotes_count = 3};
    size_t picks[3];
    count_picks(&proxy, 40000, picks);
    assert_in_range(picks[0], 9000, 11000);
    assert_in_range(picks[1], 28000, 31500);
    assert_in_range(picks[2], 200, 700);
    remotes[0].is_inactive = remotes[1].is_inactive = true;
    count_picks(&proxy, 10, picks);
    assert_int_equal(picks[2], 10);
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
        cmocka_unit_test(test_the_lowest_priority_goes_first),
        cmocka_unit_test(test_weights_are_shares),
        cmocka_unit_test(test_what_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
