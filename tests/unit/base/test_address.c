/* SPDX-License-Identifier: Apache-2.0 */
#include "base/address.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct sockaddr_storage address_of(const char *ip)
{
    struct sockaddr_storage out = {.ss_family = strchr(ip, ':') ? AF_INET6 : AF_INET};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;
    void *to = out.ss_family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr;
    assert_int_equal(inet_pton(out.ss_family, ip, to), 1);
    v4->sin_port = htons(2380);
    return out;
}

static void test_address_is_written_as_go_does(void **state)
{
    static const struct {
        const char *of;
        const char *ip;
        const char *text;
    } rows[] = {
        {"10.0.0.5", "10.0.0.5", "10.0.0.5:2380"},
        {"0.0.0.0", "0.0.0.0", "0.0.0.0:2380"},
        {"::ffff:10.0.0.5", "10.0.0.5", "10.0.0.5:2380"},
        {"::ffff:0:0", "0.0.0.0", "0.0.0.0:2380"},
        {"::", "::", "[::]:2380"},
        {"::1", "::1", "[::1]:2380"},
        /* only like it: compatible, translated, and one bit off */
        {"::10.0.0.5", "::10.0.0.5", "[::10.0.0.5]:2380"},
        {"64:ff9b::a00:5", "64:ff9b::a00:5", "[64:ff9b::a00:5]:2380"},
        {"::fffe:a00:5", "::fffe:a00:5", "[::fffe:a00:5]:2380"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sockaddr_storage address = address_of(rows[i].of);
        char ip[INET6_ADDRSTRLEN];
        char text[ADDRESS_TEXT_MAX];
        address_ip(&address, ip);
        address_text(&address, text);
        assert_string_equal(ip, rows[i].ip);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_address_unmapped_is_of_ipv4(void **state)
{
    (void)state;
    struct sockaddr_storage address = address_of("::ffff:10.0.0.5");
    struct sockaddr_storage wanted = address_of("10.0.0.5");
    address_unmap(&address);
    assert_memory_equal(&address, &wanted, sizeof(wanted));
    address_unmap(&address);
    assert_memory_equal(&address, &wanted, sizeof(wanted));
    address = address_of("::1");
    wanted = address;
    address_unmap(&address);
    assert_memory_equal(&address, &wanted, sizeof(wanted));
}

static void test_address_of_a_unix_socket(void **state)
{
    (void)state;
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    char ip[INET6_ADDRSTRLEN] = "x";
    char text[ADDRESS_TEXT_MAX];
    address_ip(&address, ip);
    address_text(&address, text);
    assert_string_equal(ip, "");
    assert_string_equal(text, "@");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_is_written_as_go_does),
        cmocka_unit_test(test_address_unmapped_is_of_ipv4),
        cmocka_unit_test(test_address_of_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
