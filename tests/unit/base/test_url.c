/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of refusal are what the reference etcd 3.5.30 prints for the same text. */
#include "base/mem.h"
#include "base/url.h"

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

static void expect_refused(const char *text, const char *words)
{
    struct why why = {""};
    struct url_list list = {NULL, 77};
    assert_true(IS(url_list_parse(arena, text, &list, &why), BAD_INPUT));
    assert_string_equal(why.text, words);
    assert_int_equal(list.count, 77);
}

static void test_url_comes_apart(void **state)
{
    struct url url;
    (void)state;
    assert_false(err_is(url_parse(arena, "HTTPS://[::1]:2379", &url, NULL)));
    assert_int_equal(url.scheme, URL_HTTPS);
    assert_string_equal(url.text, "https://[::1]:2379");
    assert_string_equal(url.authority, "[::1]:2379");
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.port, "2379");
    assert_string_equal(url.path, "");
    assert_true(url_is_tls(&url));
    assert_false(err_is(url_parse(arena, "http://user:pw@h:1/a%20b?q=1#f", &url, NULL)));
    assert_string_equal(url.host, "h");
    assert_string_equal(url.path, "/a b");
    assert_false(url_is_tls(&url));
    assert_false(err_is(url_parse(arena, "http://h", &url, NULL)));
    assert_string_equal(url.port, "");
}

/* As Go prints it; a member's id is made of it. */
static void test_url_is_printed_with_its_host_escaped(void **state)
{
    static const char *const cases[][3] = {
        {"http://a\xff:1", "http://a%FF:1", "a\xff:1"},
        {"http://a%ff:1", "http://a%FF:1", "a\xff:1"},
        {"http://u@\xc3\xa4.de:1?a=/@\xc3", "http://u@%C3%A4.de:1?a=/@\xc3", "\xc3\xa4.de:1"},
        {"https://[fe80::1%25en0]:1", "https://[fe80::1%25en0]:1", "[fe80::1%en0]:1"},
        {"http://<\"!$&'()*+,;=-_.~>:1/b%20", "http://<\"!$&'()*+,;=-_.~>:1/b%20",
            "<\"!$&'()*+,;=-_.~>:1"},
        {"unix://a\xff", "unix://a%FF", "a\xff"},
        {"//h\xff", "//h%FF", "h\xff"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct url url;
        assert_false(err_is(url_parse(arena, cases[i][0], &url, NULL)));
        assert_string_equal(url.text, cases[i][1]);
        assert_string_equal(url.authority, cases[i][2]);
    }
}

static void test_url_unix_names_a_path(void **state)
{
    struct url url;
    (void)state;
    assert_false(err_is(url_parse(arena, "unix:///run/e.sock", &url, NULL)));
    assert_true(url_is_unix(&url));
    assert_string_equal(url_unix_path(arena, &url), "/run/e.sock");
    assert_false(err_is(url_parse(arena, "unixs://localhost:12300", &url, NULL)));
    assert_true(url_is_tls(&url));
    assert_string_equal(url_unix_path(arena, &url), "localhost:12300");
}

static void test_url_list_refuses_as_etcd(void **state)
{
    (void)state;
    expect_refused("ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1");
    expect_refused("http://foo", "URL address does not have the form \"host:port\": http://foo");
    expect_refused("http://127.0.0.1:1/x", "URL must not contain a path: http://127.0.0.1:1/x");
    expect_refused("http://a b:1", "parse \"http://a b:1\": invalid character \" \" in host name");
    expect_refused(
        "http://127.0.0.1:abc", "parse \"http://127.0.0.1:abc\": invalid port \":abc\" after host");
    expect_refused("127.0.0.1:21400",
        "parse \"127.0.0.1:21400\": first path segment in URL cannot contain colon");
    expect_refused(
        "localhost:21400", "URL scheme must be http, https, unix, or unixs: localhost:21400");
    expect_refused("http://[::1:1", "parse \"http://[::1:1\": missing ']' in host");
    expect_refused(":", "parse \":\": missing protocol scheme");
    expect_refused("http://a:1,", "URL scheme must be http, https, unix, or unixs: ");
    expect_refused("", "URL scheme must be http, https, unix, or unixs: ");
    expect_refused("http://%zz:1", "parse \"http://%zz:1\": invalid URL escape \"%zz\"");
    expect_refused(
        "http://a\x01:1", "parse \"http://a\\x01:1\": net/url: invalid control character in URL");
    expect_refused(
        "http://::1:1", "URL address does not have the form \"host:port\": http://::1:1");
}

static void test_url_list_sorts(void **state)
{
    struct url_list list;
    (void)state;
    assert_false(err_is(url_list_parse(arena, "http://b:1, https://a:1,http://b:1", &list, NULL)));
    assert_int_equal(list.count, 3);
    assert_string_equal(url_list_text(arena, &list), "http://b:1,http://b:1,https://a:1");
    assert_false(
        err_is(url_list_parse_unique(arena, "http://b:1,https://a:1,http://b:1", &list, NULL)));
    assert_string_equal(url_list_text(arena, &list), "http://b:1,https://a:1");
    assert_null(url_list_texts(arena, &list)[2]);
}

static void expect_split(const char *text, const char *words)
{
    const char *host = "h";
    const char *port = "p";
    struct why why = {""};
    assert_true(IS(url_split_host_port(arena, text, &host, &port, &why), BAD_INPUT));
    assert_string_equal(why.text, words);
    assert_string_equal(host, "h");
}

static void test_host_port_splits_as_go(void **state)
{
    const char *host = NULL;
    const char *port = NULL;
    (void)state;
    assert_false(err_is(url_split_host_port(arena, "[::1]:80", &host, &port, NULL)));
    assert_string_equal(host, "::1");
    assert_string_equal(port, "80");
    assert_false(err_is(url_split_host_port(arena, ":80", &host, &port, NULL)));
    assert_string_equal(host, "");
    expect_split("h", "address h: missing port in address");
    expect_split("::1:80", "address ::1:80: too many colons in address");
    expect_split("[::1]", "address [::1]: missing port in address");
    expect_split("[::1", "address [::1: missing ']' in address");
    expect_split("a[:80", "address a[:80: unexpected '[' in address");
    expect_split("a]:80", "address a]:80: unexpected ']' in address");
}

static void test_cluster_groups_by_name(void **state)
{
    struct url_cluster cluster;
    struct why why = {""};
    (void)state;
    assert_false(err_is(
        url_cluster_parse(arena, "b=http://h:3,a=http://h:2,,a=http://h:1", &cluster, &why)));
    assert_int_equal(cluster.count, 2);
    assert_string_equal(
        url_cluster_text(arena, &cluster), "a=http://h:1,a=http://h:2,b=http://h:3");
    assert_int_equal(url_cluster_find(&cluster, "a")->urls.count, 2);
    assert_null(url_cluster_find(&cluster, "c"));
    assert_false(err_is(url_cluster_parse(arena, "", &cluster, &why)));
    assert_int_equal(cluster.count, 0);
    assert_true(IS(url_cluster_parse(arena, "a", &cluster, &why), BAD_INPUT));
    assert_string_equal(why.text, "URL scheme must be http, https, unix, or unixs: ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_url_comes_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_url_is_printed_with_its_host_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_url_unix_names_a_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_url_list_refuses_as_etcd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_url_list_sorts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_port_splits_as_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster_groups_by_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
