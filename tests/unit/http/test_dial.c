/* SPDX-License-Identifier: Apache-2.0
 * Dialing on a loop of its own, beside a clock that the test stops. */
#include "base/clock.h"
#include "http/dial.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* What is waited for at most: much longer than it ever takes. */
enum { PATIENCE_MS = 60000 };

static struct event_base *base;
static int64_t stopped_at_ms; /* 0: the clock runs */
static struct {
    bool is_done;
    int fd;
    struct err err;
    char why[256];
} got;

int64_t __real_clock_mono_ms(void);
int64_t __wrap_clock_mono_ms(void);

int64_t __wrap_clock_mono_ms(void)
{
    return stopped_at_ms ? stopped_at_ms : __real_clock_mono_ms();
}

/* What names stand for here: 127.0.0.1 at each of these ports. */
enum { PORTS_MAX = 3 };
static const char *ports[PORTS_MAX];
static size_t ports_count;

int __real_getaddrinfo(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out);

int __wrap_getaddrinfo(
    const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    (void)host;
    (void)port;
    for (size_t i = 0; i < ports_count; i++) {
        int failure = __real_getaddrinfo("127.0.0.1", ports[i], hints, out);
        if (failure) {
            return failure;
        }
        out = &(*out)->ai_next;
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    memset(&got, 0, sizeof(got));
    base = event_base_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stopped_at_ms = 0;
    event_base_free(base);
    return 0;
}

static void on_dialed(void *arg, int fd, struct err err, const char *why)
{
    assert_ptr_equal(arg, &got);
    got.is_done = true;
    got.fd = fd;
    got.err = err;
    snprintf(got.why, sizeof(got.why), "%s", why);
    event_base_loopbreak(base);
}

static void dial(const struct http_target *target, int64_t dial_ms)
{
    dial_start(base, target, &(struct http_dialing){.dial_ms = dial_ms}, on_dialed, &got);
    assert_false(got.is_done);
    event_base_loop(base, 0);
    assert_true(got.is_done);
}

/* The number that the next descriptor gets. */
static int next_fd(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

/* A listener on loopback whose queue is full: the kernel drops whatever else comes. */
struct full {
    int listener;
    int filler;
    char port[8];
    char authority[32];
};

static void full_open(struct full *full)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct sockaddr *any = (struct sockaddr *)&address;
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    full->listener = socket(AF_INET, SOCK_STREAM, 0);
    full->filler = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(full->listener, any, size), 0);
    assert_int_equal(listen(full->listener, 0), 0);
    assert_int_equal(getsockname(full->listener, any, &size), 0);
    assert_int_equal(connect(full->filler, any, size), 0);
    struct pollfd queued = {.fd = full->listener, .events = POLLIN};
    assert_int_equal(poll(&queued, 1, PATIENCE_MS), 1);
    snprintf(full->port, sizeof(full->port), "%u", ntohs(address.sin_port));
    snprintf(full->authority, sizeof(full->authority), "127.0.0.1:%s", full->port);
}

static void full_close(struct full *full)
{
    close(full->filler);
    close(full->listener);
}

/* The loop's timer comes while there is time left by the clock. */
static void test_an_early_timer_is_a_timeout_and_closes_the_socket(void **state)
{
    struct full full;
    (void)state;
    full_open(&full);
    int next = next_fd();
    stopped_at_ms = clock_mono_ms();
    dial(&(struct http_target){.authority = full.authority, .host = "127.0.0.1", .port = full.port},
        20);
    assert_int_equal(got.err.code, ERR_TIMEDOUT);
    assert_int_equal(got.fd, -1);
    assert_non_null(strstr(got.why, "i/o timeout"));
    assert_int_equal(next_fd(), next);
    full_close(&full);
}

static void test_what_fails_at_once_keeps_its_reason(void **state)
{
    (void)state;
    stopped_at_ms = clock_mono_ms();
    dial(
        &(struct http_target){.authority = "127.0.0.1:99999", .host = "127.0.0.1", .port = "99999"},
        PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_BAD_INPUT);
    assert_int_equal(got.fd, -1);
    assert_string_equal(got.why, "dial 127.0.0.1:99999: invalid port");
}

static int open_listener(char port[8])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(port, 8, "%u", ntohs(address.sin_port));
    return fd;
}

static void dial_name(int64_t dial_ms)
{
    dial(&(struct http_target){.authority = "name:1", .host = "name", .port = "1"}, dial_ms);
}

/* As where a firewall drops what goes to a name's first address. */
static void test_an_address_that_is_silent_leaves_time_for_the_next(void **state)
{
    struct full full;
    char port[8];
    struct sockaddr_in to;
    socklen_t size = sizeof(to);
    (void)state;
    full_open(&full);
    int listener = open_listener(port);
    ports[0] = ports[1] = full.port;
    ports[2] = port;
    ports_count = 3;
    dial_name(4000);
    assert_string_equal(err_is(got.err) ? got.why : "", "");
    assert_int_equal(getpeername(got.fd, (struct sockaddr *)&to, &size), 0);
    char reached[8];
    snprintf(reached, sizeof(reached), "%u", ntohs(to.sin_port));
    assert_string_equal(reached, port);
    close(got.fd);
    close(listener);
    full_close(&full);
}

static void test_addresses_that_are_all_silent_take_no_longer_than_one(void **state)
{
    struct full full;
    (void)state;
    full_open(&full);
    int next = next_fd();
    ports[0] = ports[1] = ports[2] = full.port;
    ports_count = 3;
    int64_t start = clock_mono_ms();
    dial_name(700);
    assert_in_range(clock_mono_ms() - start, 690, PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_TIMEDOUT);
    assert_string_equal(got.why, "dial name:1: i/o timeout");
    assert_int_equal(next_fd(), next);
    full_close(&full);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_early_timer_is_a_timeout_and_closes_the_socket),
        TEST(test_what_fails_at_once_keeps_its_reason),
        TEST(test_an_address_that_is_silent_leaves_time_for_the_next),
        TEST(test_addresses_that_are_all_silent_take_no_longer_than_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
