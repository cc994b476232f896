/* SPDX-License-Identifier: Apache-2.0 */
#include "front/front.h"

#include "base/clock.h"
#include "base/mem.h"
#include "test_front.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* WAIT_MS: what is waited for at most, much longer than it ever takes. */
enum { LISTENERS = 6, WAIT_MS = 60000 };

static const char *const url_texts[LISTENERS] = {"http://127.0.0.1:0", "https://127.0.0.1:0",
    "http://127.0.0.1:0", "https://127.0.0.1:0", "unix://localhost:1", "http://[::1]:0"};
static const enum front_serves serves[LISTENERS] = {
    FRONT_BOTH, FRONT_BOTH, FRONT_HTTP, FRONT_GRPC, FRONT_BOTH, FRONT_BOTH};

struct world {
    struct arena *arena;
    struct front *front;
    char dir[64];
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    /* the last adoption */
    int count;
    int fd;
    bool is_grpc;
    bool is_tls;
    size_t tag;
    char address[128];
};

static void adopted(struct world *world, int fd, const struct front_peer *peer, bool is_grpc)
{
    pthread_mutex_lock(&world->mutex);
    world->count++;
    world->fd = fd;
    world->is_grpc = is_grpc;
    world->is_tls = peer->is_tls;
    world->tag = (size_t)(uintptr_t)peer->tag;
    snprintf(world->address, sizeof(world->address), "%s", peer->address);
    pthread_cond_broadcast(&world->cond);
    pthread_mutex_unlock(&world->mutex);
}

static void adopt_grpc(void *arg, int fd, const struct front_peer *peer)
{
    adopted(arg, fd, peer, true);
}

static void adopt_http(void *arg, int fd, const struct front_peer *peer)
{
    adopted(arg, fd, peer, false);
}

static struct world *world_open(const struct front_options *base)
{
    struct world *world = mem_new(sizeof(*world));
    struct url urls[LISTENERS];
    struct front_listener listeners[LISTENERS];
    struct why why = {0};
    struct front_options options = *base;
    pthread_mutex_init(&world->mutex, NULL);
    pthread_cond_init(&world->cond, NULL);
    world->arena = arena_new(0);
    snprintf(world->dir, sizeof(world->dir), "/tmp/ketcd-front-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    assert_int_equal(chdir(world->dir), 0);
    for (size_t i = 0; i < LISTENERS; i++) {
        assert_false(err_is(url_parse(world->arena, url_texts[i], &urls[i], &why)));
        listeners[i] = (struct front_listener){&urls[i], serves[i], (void *)(uintptr_t)i};
    }
    options.listeners = listeners;
    options.listeners_count = LISTENERS;
    options.adopt_grpc = adopt_grpc;
    options.adopt_http = adopt_http;
    options.arg = world;
    if (err_is(front_open(&options, &world->front, &why))) {
        fail_msg("%s", why.text);
    }
    front_start(world->front);
    return world;
}

static void world_close(struct world *world)
{
    front_close(world->front);
    assert_int_equal(access("localhost:1", F_OK), -1);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(world->dir), 0);
    arena_free(world->arena);
    pthread_mutex_destroy(&world->mutex);
    pthread_cond_destroy(&world->cond);
    free(world);
}

static int setup(void **state)
{
    *state = world_open(&(struct front_options){.sniff_ms = WAIT_MS, .half_open_max = 4});
    return 0;
}

static int setup_hasty(void **state)
{
    *state = world_open(&(struct front_options){.sniff_ms = 300, .half_open_max = 4});
    return 0;
}

static int teardown(void **state)
{
    world_close(*state);
    return 0;
}

static int dial(struct world *world, size_t i)
{
    unsigned port = 0;
    int fd;
    if (i == 4) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        snprintf(at.sun_path, sizeof(at.sun_path), "%s", front_address(world->front, i));
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        return fd;
    }
    sscanf(strrchr(front_address(world->front, i), ':'), ":%u", &port);
    if (i == 5) {
        struct sockaddr_in6 at = {.sin6_family = AF_INET6,
            .sin6_port = htons((uint16_t)port),
            .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        fd = socket(AF_INET6, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        return fd;
    }
    struct sockaddr_in at = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

/* Waits for the n-th adoption; false when none came in time. */
static bool wait_adopted(struct world *world, int count)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&world->mutex);
    while (world->count < count && rc == 0) {
        rc = pthread_cond_timedwait(&world->cond, &world->mutex, &until);
    }
    pthread_mutex_unlock(&world->mutex);
    return rc == 0;
}

static bool is_closed(int fd)
{
    char byte;
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, WAIT_MS) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static void assert_goes(struct world *world, size_t listener, struct slice bytes, bool is_grpc)
{
    uint8_t seen[4096];
    int before = world->count;
    int fd = dial(world, listener);
    assert_int_equal(send(fd, bytes.data, bytes.len, 0), bytes.len);
    assert_true(wait_adopted(world, before + 1));
    assert_int_equal(world->is_grpc, is_grpc);
    assert_int_equal(world->tag, listener);
    assert_true(fcntl(world->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(world->fd, F_GETFD) & FD_CLOEXEC);
    if (bytes.len) {
        assert_int_equal(recv(world->fd, seen, sizeof(seen), 0), bytes.len);
        assert_memory_equal(seen, bytes.data, bytes.len);
    }
    close(world->fd);
    close(fd);
}

#define PREFACE SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

/* The end of a connection is seen here before it is counted there. */
static void assert_half_open(const struct world *world, size_t wanted)
{
    for (int i = 0; i < WAIT_MS / 2 && front_half_open(world->front) != wanted; i++) {
        usleep(2000);
    }
    assert_int_equal(front_half_open(world->front), wanted);
}

static void test_front_hands_over_by_first_bytes(void **state)
{
    struct world *world = *state;
    uint8_t hello[2048];
    struct slice h2 = slice_of(hello, hello_make("\2h2", hello, sizeof(hello)));
    assert_goes(world, 0, PREFACE, true);
    assert_false(world->is_tls);
    assert_int_equal(strncmp(world->address, "127.0.0.1:", 10), 0);
    assert_goes(world, 0, SLICE("GET /health HTTP/1.1\r\n\r\n"), false);
    assert_goes(world, 1, h2, true);
    assert_true(world->is_tls);
    h2.len = hello_make(NULL, hello, sizeof(hello));
    assert_goes(world, 1, h2, false);
    assert_goes(world, 2, SLICE(""), false);
    assert_goes(world, 3, h2, true);
    assert_goes(world, 4, PREFACE, true);
    assert_string_equal(world->address, "@");
    assert_goes(world, 5, PREFACE, true);
    assert_int_equal(strncmp(world->address, "[::1]:", 6), 0);
    assert_half_open(world, 0);
}

static void test_front_waits_for_the_rest(void **state)
{
    struct world *world = *state;
    int fd = dial(world, 0);
    assert_int_equal(send(fd, "PRI * HT", 8, 0), 8);
    assert_half_open(world, 1);
    usleep(50000); /* it has looked at what came */
    assert_int_equal(world->count, 0);
    assert_int_equal(send(fd, "TP/2.0\r\n\r\nSM\r\n\r\n", 16, 0), 16);
    assert_true(wait_adopted(world, 1));
    assert_true(world->is_grpc);
    close(world->fd);
    close(fd);
}

static void test_front_closes_what_it_does_not_speak(void **state)
{
    struct world *world = *state;
    int fd = dial(world, 1);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    assert_true(is_closed(fd));
    close(fd);
    fd = dial(world, 0);
    assert_int_equal(send(fd, "\x16\x03\x01\x00\x05hello", 10, 0), 10);
    assert_true(is_closed(fd));
    close(fd);
    assert_int_equal(world->count, 0);
}

static void test_front_closes_the_silent_at_the_deadline(void **state)
{
    struct world *world = *state;
    int64_t from_ms = clock_mono_ms();
    int silent = dial(world, 0);
    int half = dial(world, 1);
    assert_int_equal(send(half, "\x16\x03\x01\x02", 4, 0), 4);
    assert_true(is_closed(silent));
    assert_true(clock_mono_ms() - from_ms >= 290);
    assert_true(is_closed(half));
    assert_half_open(world, 0);
    close(silent);
    close(half);
}

static void test_front_oldest_silent_gives_way(void **state)
{
    struct world *world = *state;
    int fds[5];
    for (size_t i = 0; i < 5; i++) {
        fds[i] = dial(world, 0);
        usleep(10000);
    }
    assert_true(is_closed(fds[0]));
    assert_half_open(world, 4);
    assert_goes(world, 0, PREFACE, true);
    for (size_t i = 0; i < 5; i++) {
        close(fds[i]);
    }
}

static void test_front_forgets_who_hangs_up(void **state)
{
    struct world *world = *state;
    for (size_t i = 0; i < 3; i++) {
        close(dial(world, i == 1));
    }
    assert_half_open(world, 0);
    assert_int_equal(world->count, 0);
}

static int64_t cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * 1000000000 + used.tv_nsec;
}

static void test_front_survives_without_descriptors(void **state)
{
    struct world *world = *state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit none = {.rlim_cur = (rlim_t)lowest + 1, .rlim_max = before.rlim_max};
    close(lowest);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int fd = dial(world, 0); /* takes the last descriptor; none is left for the other end */
    int64_t from_ns = clock_mono_ns();
    int64_t used_from_ns = cpu_ns();
    usleep(300000);
    int64_t used_ns = cpu_ns() - used_from_ns;
    int64_t took_ns = clock_mono_ns() - from_ns;
    assert_half_open(world, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(used_ns < took_ns / 3);
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    assert_true(wait_adopted(world, 1));
    close(world->fd);
    close(fd);
}

static void test_front_refuses_beyond_its_descriptors(void **state)
{
    (void)state;
    struct world *world = world_open(&(struct front_options){.fd_max = 5});
    int fd = dial(world, 0);
    assert_true(is_closed(fd));
    close(fd);
    world_close(world);
}

/* One URL, plain HTTP, and nothing in the file system. */
static struct world *open_one(const char *name, bool is_vital)
{
    struct world *world = mem_new(sizeof(*world));
    struct url url;
    struct why why = {0};
    struct front_listener listener = {.url = &url, .serves = FRONT_HTTP};
    struct front_options options = {.listeners = &listener,
        .listeners_count = 1,
        .adopt_http = adopt_http,
        .arg = world,
        .name = name,
        .is_vital = is_vital};
    pthread_mutex_init(&world->mutex, NULL);
    pthread_cond_init(&world->cond, NULL);
    world->arena = arena_new(0);
    assert_false(err_is(url_parse(world->arena, "http://127.0.0.1:0", &url, &why)));
    assert_false(err_is(front_open(&options, &world->front, &why)));
    front_start(world->front);
    return world;
}

static void close_one(struct world *world)
{
    front_close(world->front);
    arena_free(world->arena);
    pthread_mutex_destroy(&world->mutex);
    pthread_cond_destroy(&world->cond);
    free(world);
}

/* Whether the next one is let in, or closed. */
static bool comes_in(struct world *world, int *out_fd)
{
    int before = world->count;
    int count = before;
    *out_fd = dial(world, 0);
    struct pollfd poll_fd = {.fd = *out_fd, .events = POLLIN};
    while (count == before && poll(&poll_fd, 1, 1) == 0) {
        pthread_mutex_lock(&world->mutex);
        count = world->count;
        pthread_mutex_unlock(&world->mutex);
    }
    return count > before;
}

static void test_front_clients_leave_descriptors_to_the_peers(void **state)
{
    enum { LIMIT = 200, CLIENTS_MAX = LIMIT / 2, PEERS_MAX = LIMIT - 64 };
    struct rlimit before;
    int fds[LIMIT];
    size_t count = 0;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {.rlim_cur = LIMIT, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct world *clients = open_one("client", false);
    struct world *peers = open_one("peer", true);
    while (comes_in(clients, &fds[count++])) {
        fds[count++] = clients->fd;
        assert_true(clients->fd < CLIENTS_MAX);
    }
    assert_in_range(fds[count - 1], CLIENTS_MAX - 1, CLIENTS_MAX);
    for (int from = fds[count - 1]; from < PEERS_MAX - 2; from = fds[count - 1]) {
        assert_true(comes_in(peers, &fds[count++]));
        fds[count++] = peers->fd;
    }
    assert_false(comes_in(peers, &fds[count++]));
    while (count > 0) {
        close(fds[--count]);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close_one(peers);
    close_one(clients);
}

static void test_front_open_tells_who_has_the_port(void **state)
{
    struct world *world = *state;
    struct why why = {0};
    struct front *second = NULL;
    struct url url;
    char text[64];
    char expected[128];
    snprintf(text, sizeof(text), "http://%s", front_address(world->front, 0));
    assert_false(err_is(url_parse(world->arena, text, &url, &why)));
    struct front_listener listener = {.url = &url};
    struct front_options options = {.listeners = &listener, .listeners_count = 1};
    assert_int_equal(front_open(&options, &second, &why).code, ERR_IO);
    snprintf(expected, sizeof(expected), "listen tcp %s: bind: address already in use",
        front_address(world->front, 0));
    assert_string_equal(why.text, expected);
    assert_null(second);
}

static void test_front_stop_closes_all(void **state)
{
    struct world *world = *state;
    int fd = dial(world, 0);
    assert_half_open(world, 1);
    front_stop(world->front);
    assert_true(is_closed(fd));
    assert_int_equal(access("localhost:1", F_OK), -1);
    close(fd);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_front_hands_over_by_first_bytes),
        IN_WORLD(test_front_waits_for_the_rest),
        IN_WORLD(test_front_closes_what_it_does_not_speak),
        cmocka_unit_test_setup_teardown(
            test_front_closes_the_silent_at_the_deadline, setup_hasty, teardown),
        IN_WORLD(test_front_oldest_silent_gives_way),
        IN_WORLD(test_front_forgets_who_hangs_up),
        IN_WORLD(test_front_survives_without_descriptors),
        cmocka_unit_test(test_front_refuses_beyond_its_descriptors),
        cmocka_unit_test(test_front_clients_leave_descriptors_to_the_peers),
        IN_WORLD(test_front_open_tells_who_has_the_port),
        IN_WORLD(test_front_stop_closes_all),
    };
    int failed = cmocka_run_group_tests_name("front", tests, NULL, NULL);
    return failed + run_sniff_tests() + run_listen_tests();
}
