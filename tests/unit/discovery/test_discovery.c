/* SPDX-License-Identifier: Apache-2.0
 *
 * What records and registry keys mean. Asking for them is e2e/cases/test_discovery.py. */
#include "base/mem.h"
#include "discovery/dns.h"
#include "discovery/registry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct text_list from_dns(const char *scheme, const char *peer_urls, struct why *why)
{
    static const struct srv_record items[] = {
        {1, 1, 2380, "127.0.0.1"}, {1, 1, 2380, "127.0.0.2"}, {1, 1, 1, "127.0.0.3"}};
    struct srv_records records = {items, COUNT_OF(items)};
    struct url_list urls;
    struct text_list list = {NULL, 0};
    assert_false(err_is(url_list_parse(arena, peer_urls, &urls, NULL)));
    struct dns_self self = {
        .name = "me", .peer_urls = &urls, .service = "etcd-server", .scheme = scheme};
    struct err err = dns_members(arena, &self, &records, &list, why);
    assert_int_equal(err_is(err), list.count == 0);
    return list;
}

static void test_records_name_the_one_that_asks(void **state)
{
    (void)state;
    struct text_list list = from_dns("http", "http://127.0.0.2:2380", NULL);
    assert_string_equal(text_list_join(arena, &list, ","),
        "0=http://127.0.0.1:2380,me=http://127.0.0.2:2380,1=http://127.0.0.3:1");
    list = from_dns("http", "http://127.0.0.2:2381", NULL); /* the port is part of it */
    assert_string_equal(text_list_join(arena, &list, ","),
        "0=http://127.0.0.1:2380,1=http://127.0.0.2:2380,2=http://127.0.0.3:1");
}

static void test_record_of_another_scheme_is_left_out(void **state)
{
    (void)state;
    struct why why = {""};
    struct text_list list = from_dns("https", "http://127.0.0.2:2380", &why);
    assert_string_equal(
        text_list_join(arena, &list, ","), "0=https://127.0.0.1:2380,1=https://127.0.0.3:1");
}

static void test_records_without_any_member_are_refused(void **state)
{
    struct srv_records none = {NULL, 0};
    struct url_list urls = {NULL, 0};
    struct dns_self self = {"me", &urls, "etcd-server", "http"};
    struct text_list list = {NULL, 0};
    struct why why = {""};
    (void)state;
    assert_true(IS(dns_members(arena, &self, &none, &list, &why), BAD_CONFIG));
}

static struct registry *registry_of(const char *size)
{
    struct registry *registry = registry_new(arena, "tok", 0xab);
    assert_false(err_is(registry_set_size(registry, slice_str(size), NULL)));
    return registry;
}

static const char *put(struct registry *registry, const char *id, const char *value, int64_t at)
{
    const char *key = arena_printf(arena, "/_etcd/registry/tok/members/%s", id);
    return registry_add(registry, slice_str(key), slice_str(value), at);
}

static void test_registry_keys_are_those_of_etcd(void **state)
{
    (void)state;
    struct registry *registry = registry_of("3");
    assert_string_equal(registry->size_key, "/_etcd/registry/tok/_config/size");
    assert_string_equal(registry->members_prefix, "/_etcd/registry/tok/members");
    assert_string_equal(registry->self_key, "/_etcd/registry/tok/members/ab");
}

static void test_registry_size_is_a_positive_number(void **state)
{
    static const char *const bad[] = {"", "x", "0", "-1", " 3", "3 ", "99999999999999999999"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct why why = {""};
        struct registry *registry = registry_new(arena, "tok", 1);
        assert_true(IS(registry_set_size(registry, slice_str(bad[i]), &why), BAD_CONFIG));
        assert_string_equal(why.text, "discovery: size key is bad");
        assert_int_equal(registry->size, 0);
    }
    struct registry *registry = registry_new(arena, "tok", 1);
    assert_true(IS(registry_set_size(registry, slice_of("3\0", 2), NULL), BAD_CONFIG));
}

static void test_registry_takes_the_first_in_time(void **state)
{
    (void)state;
    struct registry *registry = registry_of("2");
    const char *cluster = NULL;
    assert_null(put(registry, "1", "c=http://h:3", 30));
    assert_null(put(registry, "2", " b=http://h:2\n", 20));
    assert_null(put(registry, "ab", "a=http://h:1,a=http://h:4", 10));
    assert_false(registry_excludes_self(registry));
    assert_false(err_is(registry_cluster(registry, &cluster, NULL)));
    assert_string_equal(cluster, "a=http://h:1,a=http://h:4,b=http://h:2");
}

static void test_registry_without_a_place(void **state)
{
    (void)state;
    struct registry *registry = registry_of("2");
    put(registry, "1", "c=http://h:3", 30);
    assert_false(registry_excludes_self(registry)); /* one place is left */
    put(registry, "2", "b=http://h:2", 20);
    assert_true(registry_excludes_self(registry));
    put(registry, "ab", "a=http://h:1", 40); /* came too late */
    assert_true(registry_excludes_self(registry));
    registry_clear(registry);
    assert_false(registry_excludes_self(registry));
}

static void test_registry_refuses_what_is_no_member(void **state)
{
    (void)state;
    struct registry *registry = registry_of("2");
    assert_string_equal(registry_add(registry, SLICE("/other"), SLICE("a=http://h:1"), 1),
        "invalid peer registry key");
    assert_string_equal(
        put(registry, "1", "http://h:1", 1), "invalid peer info returned from discovery service");
    assert_null(put(registry, "1", "a=http://h:1", 1));
    assert_string_equal(
        put(registry, "1", "a=http://h:2", 2), "found duplicate peer from discovery service");
    char *big = arena_alloc(arena, 20000);
    memset(big, '=', 20000);
    assert_non_null(
        registry_add(registry, SLICE("/_etcd/registry/tok/members/9"), slice_of(big, 20000), 3));
    assert_int_equal(registry->count, 1);
}

static void test_registry_is_bounded(void **state)
{
    enum { MANY = 1024 };
    (void)state;
    struct registry *registry = registry_of("2000");
    for (int i = 0; i < MANY; i++) {
        assert_null(put(registry, arena_printf(arena, "%d", i), "a=http://h:1", i));
    }
    assert_non_null(put(registry, "more", "a=http://h:1", MANY));
    assert_int_equal(registry->count, MANY);
}

static void test_registry_with_a_malformed_member_is_refused(void **state)
{
    struct why why = {""};
    const char *cluster = NULL;
    (void)state;
    struct registry *registry = registry_of("1");
    put(registry, "1", "a=nowhere", 1);
    assert_true(IS(registry_cluster(registry, &cluster, &why), BAD_CONFIG));
    assert_string_equal(why.text, "discovery: invalid peer URL");
    assert_null(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records_name_the_one_that_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_of_another_scheme_is_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_records_without_any_member_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry_keys_are_those_of_etcd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry_size_is_a_positive_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry_takes_the_first_in_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry_without_a_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry_refuses_what_is_no_member, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registry_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_registry_with_a_malformed_member_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
