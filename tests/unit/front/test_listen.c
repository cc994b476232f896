/* SPDX-License-Identifier: Apache-2.0 */
#include "front/listen.h"

#include "base/address.h"
#include "base/mem.h"
#include "test_front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What the machine answers to sockets of IPv6; 0: what it does. */
static struct {
    int socket;
    int only_v6;
    int bind;
} refusal;

int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);

static int refuse(int code)
{
    errno = code;
    return -1;
}

int __wrap_socket(int family, int type, int protocol)
{
    return family == AF_INET6 && refusal.socket ? refuse(refusal.socket)
                                                : __real_socket(family, type, protocol);
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return level == IPPROTO_IPV6 && refusal.only_v6
               ? refuse(refusal.only_v6)
               : __real_setsockopt(fd, level, name, value, len);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    return address->sa_family == AF_INET6 && refusal.bind ? refuse(refusal.bind)
                                                          : __real_bind(fd, address, len);
}

static int setup(void **state)
{
    (void)state;
    memset(&refusal, 0, sizeof(refusal));
    return 0;
}

static const char *const wildcards[] = {"0.0.0.0", "[::]", "[::ffff:0.0.0.0]"};
enum { WILDCARDS = sizeof(wildcards) / sizeof(wildcards[0]) };

static struct err open_at(
    const char *host, unsigned port, struct listen_result *out, struct why *why)
{
    char text[64];
    struct url url;
    struct arena *arena = arena_new(0);
    snprintf(text, sizeof(text), "http://%s:%u", host, port);
    assert_false(err_is(url_parse(arena, text, &url, why)));
    struct err e = listen_open(&url, false, out, why);
    arena_free(arena);
    return e;
}

static void close_at(struct listen_result *at)
{
    close(at->fd);
    free(at->address);
}

static unsigned port_of(const struct listen_result *at)
{
    unsigned port = 0;
    assert_int_equal(sscanf(strrchr(at->address, ':'), ":%u", &port), 1);
    return port;
}

static bool answers(int family, unsigned port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
        .sin6_port = htons((uint16_t)port),
        .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool is_v4 = family == AF_INET;
    int fd = __real_socket(family, SOCK_STREAM, 0);
    int rc = connect(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
        is_v4 ? sizeof(v4) : sizeof(v6));
    close(fd);
    return rc == 0;
}

static void need_ipv6(void)
{
    struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = __real_socket(AF_INET6, SOCK_STREAM, 0);
    int rc = fd < 0 ? -1 : __real_bind(fd, (struct sockaddr *)&own, sizeof(own));
    int code = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (rc != 0) {
        print_message("no IPv6 on loopback: %s\n", strerror(code));
        skip();
    }
}

static void test_listen_wildcard_takes_both_families(void **state)
{
    (void)state;
    need_ipv6();
    for (size_t i = 0; i < WILDCARDS; i++) {
        struct listen_result at;
        struct why why = {0};
        int is_only_v6 = -1;
        socklen_t len = sizeof(is_only_v6);
        assert_false(err_is(open_at(wildcards[i], 0, &at, &why)));
        assert_int_equal(strncmp(at.address, "[::]:", 5), 0);
        assert_int_equal(getsockopt(at.fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_only_v6, &len), 0);
        assert_int_equal(is_only_v6, 0);
        assert_true(answers(AF_INET, port_of(&at)));
        assert_true(answers(AF_INET6, port_of(&at)));
        close_at(&at);
    }
}

static void test_listen_wildcard_is_of_ipv4_where_there_is_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < (size_t)3 * WILDCARDS; i++) {
        struct listen_result at;
        struct why why = {0};
        refusal.socket = i / WILDCARDS == 0 ? EAFNOSUPPORT : 0;
        refusal.only_v6 = i / WILDCARDS == 1 ? ENOPROTOOPT : 0;
        refusal.bind = i / WILDCARDS == 2 ? EADDRNOTAVAIL : 0;
        assert_false(err_is(open_at(wildcards[i % WILDCARDS], 0, &at, &why)));
        assert_int_equal(strncmp(at.address, "0.0.0.0:", 8), 0);
        assert_true(answers(AF_INET, port_of(&at)));
        close_at(&at);
    }
}

/* What else is wrong is told, and an address of IPv6 stays one. */
static void test_listen_falls_back_from_nothing_else(void **state)
{
    struct listen_result at;
    struct why why = {0};
    (void)state;
    int before = dup(0);
    refusal.bind = EACCES;
    assert_int_equal(open_at("0.0.0.0", 0, &at, &why).code, ERR_IO);
    assert_string_equal(why.text, "listen tcp 0.0.0.0:0: bind: permission denied");
    refusal.bind = EADDRNOTAVAIL;
    assert_int_equal(open_at("[::1]", 0, &at, &why).code, ERR_IO);
    assert_string_equal(why.text, "listen tcp [::1]:0: bind: cannot assign requested address");
    refusal.bind = 0;
    refusal.socket = EMFILE;
    assert_int_equal(open_at("[::]", 0, &at, &why).code, ERR_IO);
    assert_string_equal(why.text, "listen tcp 0.0.0.0:0: socket: too many open files");
    int after = dup(0);
    assert_int_equal(after, before + 1); /* every socket was closed */
    close(after);
    close(before);
}

static void test_listen_wildcards_are_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < (size_t)WILDCARDS * WILDCARDS; i++) {
        struct listen_result at;
        struct listen_result other;
        struct why why = {0};
        char wanted[128];
        assert_false(err_is(open_at(wildcards[i / WILDCARDS], 0, &at, &why)));
        unsigned port = port_of(&at);
        assert_int_equal(open_at(wildcards[i % WILDCARDS], port, &other, &why).code, ERR_IO);
        snprintf(
            wanted, sizeof(wanted), "listen tcp 0.0.0.0:%u: bind: address already in use", port);
        assert_string_equal(why.text, wanted);
        close_at(&at);
    }
}

static void test_listen_mapped_address_is_of_ipv4(void **state)
{
    struct listen_result at;
    struct why why = {0};
    (void)state;
    assert_false(err_is(open_at("[::ffff:127.0.0.1]", 0, &at, &why)));
    assert_int_equal(strncmp(at.address, "127.0.0.1:", 10), 0);
    assert_true(answers(AF_INET, port_of(&at)));
    close_at(&at);
}

#define SET_UP(test) cmocka_unit_test_setup(test, setup)

int run_listen_tests(void)
{
    const struct CMUnitTest tests[] = {
        SET_UP(test_listen_wildcard_takes_both_families),
        SET_UP(test_listen_wildcard_is_of_ipv4_where_there_is_no_other),
        SET_UP(test_listen_falls_back_from_nothing_else),
        SET_UP(test_listen_wildcards_are_one),
        SET_UP(test_listen_mapped_address_is_of_ipv4),
    };
    return cmocka_run_group_tests_name("listen", tests, NULL, NULL);
}
