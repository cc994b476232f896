/* SPDX-License-Identifier: Apache-2.0
 * What a member says on the streams that another has dialed, whether that one reads them or not. */
#include "base/buf.h"
#include "base/mem.h"
#include "node.h"
#include "peer/codec.h"
#include "peer/remote.h"

#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLUSTER = 0xc1, SELF = 0x11, OTHER = 0x22, APPENDS = 80, APPEND_BYTES = 256 << 10 };

static struct node node;

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    node_init(&node, SELF, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_stop(&node);
    return 0;
}

static void start(void)
{
    struct node other = {.id = OTHER, .url = "http://127.0.0.1:1"};
    other.urls[0] = other.url;
    node_start(&node, CLUSTER);
    node_knows(&node, &other);
}

/* Reads up to the end of the answer's head: what comes then is the stream. */
static int dial_stream(const char *kind)
{
    char head[1024] = "";
    size_t len = 0;
    char *request = mem_printf("GET /raft/stream/%s/22 HTTP/1.1\r\nHost: a\r\nX-Raft-To: 11\r\n"
                               "X-Server-From: 22\r\nX-Server-Version: 3.5.30\r\n"
                               "X-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: c1\r\n\r\n",
        kind);
    int fd = node_dial(&node);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    while (!strstr(head, "\r\n\r\n")) {
        assert_true(len < sizeof(head) - 1);
        assert_int_equal(read(fd, head + len, 1), 1);
        len++;
    }
    assert_int_equal(strncmp(head, "HTTP/1.1 200 ", 13), 0);
    free(request);
    return fd;
}

/* Reads until these bytes have come; those before them are thrown away. */
static bool await_bytes(int fd, struct slice wanted)
{
    struct buf got;
    char piece[4096];
    ssize_t len;
    buf_init(&got, SIZE_MAX);
    do {
        len = read(fd, piece, sizeof(piece));
        buf_add(&got, piece, len > 0 ? (size_t)len : 0);
    } while (len > 0 && !memmem(got.data, got.len, wanted.data, wanted.len));
    buf_fini(&got);
    return len > 0;
}

static bool await_count(int fd, size_t bytes)
{
    static char piece[1 << 16];
    ssize_t len = 1;
    while (len > 0 && bytes > 0) {
        len = read(fd, piece, sizeof(piece));
        bytes -= len > 0 && (size_t)len < bytes ? (size_t)len : len > 0 ? bytes : 0;
    }
    return bytes == 0;
}

static void send_append(uint64_t index, size_t bytes)
{
    struct raft_message message = {
        .type = RAFT_MSG_APP, .to = OTHER, .from = SELF, .term = 1, .log_term = 1, .index = index};
    message.entries = mem_new(sizeof(*message.entries));
    message.entries_count = 1;
    message.entries[0] =
        (struct raft_entry){.term = 1, .index = index + 1, .data = blob_new_size(bytes)};
    peer_send(node.peer, &message, 1);
}

/* 20 MiB of appends wait for one that does not read them; the heartbeat behind them arrives. */
static void test_heartbeats_do_not_wait_behind_appends(void **state)
{
    struct raft_message heartbeat = {
        .type = RAFT_MSG_HEARTBEAT, .to = OTHER, .from = SELF, .term = 7, .commit = 99};
    struct buf wanted;
    (void)state;
    start();
    int appends = dial_stream("msgapp");
    int others = dial_stream("message");
    for (uint64_t i = 1; i <= APPENDS; i++) {
        send_append(i, APPEND_BYTES);
    }
    buf_init(&wanted, SIZE_MAX);
    codec_add_message(&heartbeat, &wanted);
    peer_send(node.peer, &heartbeat, 1);
    assert_true(await_bytes(others, buf_slice(&wanted)));
    assert_true(await_count(appends, (size_t)APPENDS * APPEND_BYTES));
    assert_int_equal(node.unreachable, 0);
    buf_fini(&wanted);
    close(appends);
    close(others);
}

/* What does not go is bounded and reported, others are served, and the stream ends. */
static void test_a_remote_that_does_not_read_is_given_up(void **state)
{
    (void)state;
    node.write_ms = 1000;
    start();
    int appends = dial_stream("msgapp");
    for (uint64_t i = 1; i <= 300; i++) {
        send_append(i, 1 << 20);
    }
    assert_true(node_await(&node.unreachable, &node, 100));
    assert_true(node_await_active(&node, OTHER, false));
    assert_true(node_await(&node.unreachable, &node, 280)); /* what waited is lost with it */
    close(dial_stream("message"));
    close(appends);
}

/* When the next sign of life is due on each stream. */
struct due {
    struct http_task task;
    struct timeval at[2];
    bool is_set[2];
    atomic_bool is_done;
};

static void run_due(struct http_task *task)
{
    struct due *due = CONTAINER_OF(task, struct due, task);
    const struct remote *remote = remote_find(node.peer, OTHER);
    for (size_t i = 0; i < COUNT_OF(due->at); i++) {
        due->is_set[i] = event_pending(remote->writers[i].heartbeat, EV_TIMEOUT, &due->at[i]) != 0;
    }
    atomic_store(&due->is_done, true);
}

/* So that who waits as long as this member does hears something before it gives up. Late is what a
 * slow machine makes it: what is asked is when it is due. */
static void test_a_stream_with_nothing_to_say_says_so(void **state)
{
    struct due due = {.task.run = run_due};
    struct timeval now;
    struct buf sign;
    (void)state;
    node.read_ms = 900;
    start();
    int streams[] = {dial_stream("message"), dial_stream("msgapp")};
    http_run(peer_http(node.peer), &due.task);
    while (!atomic_load(&due.is_done)) {
        usleep(1000);
    }
    gettimeofday(&now, NULL);
    for (size_t i = 0; i < COUNT_OF(due.at); i++) {
        int64_t left_ms =
            (due.at[i].tv_sec - now.tv_sec) * 1000 + (due.at[i].tv_usec - now.tv_usec) / 1000;
        assert_true(due.is_set[i]);
        assert_true(left_ms <= node.read_ms / 2);
    }
    for (int i = 0; i < 2; i++) {
        struct frame_writer frames;
        frame_writer_init(&frames, i ? FRAME_MSGAPP : FRAME_MESSAGE);
        buf_init(&sign, SIZE_MAX);
        frame_add_heartbeat(&frames, &sign);
        assert_true(await_bytes(streams[i], buf_slice(&sign)));
        assert_true(await_bytes(streams[i], buf_slice(&sign)));
        buf_fini(&sign);
        close(streams[i]);
    }
}

struct dialing {
    struct http_task task;
    size_t used;
    atomic_bool is_done;
};

static void ask_for_targets(struct http_task *task)
{
    struct dialing *dialing = CONTAINER_OF(task, struct dialing, task);
    struct remote *remote = remote_find(node.peer, OTHER);
    size_t before = arena_used(remote->arena);
    struct http_target target;
    for (int i = 0; i < 1000; i++) {
        target = remote_target(remote);
    }
    assert_string_equal(target.unix_path, "localhost:1");
    dialing->used = arena_used(remote->arena) - before;
    atomic_store(&dialing->is_done, true);
}

static bool has_asked(void *arg)
{
    const struct dialing *dialing = arg;
    return atomic_load(&dialing->is_done);
}

/* A member that is gone is dialed ten times a second, for as long as it is. */
static void test_dialing_takes_no_memory_that_stays(void **state)
{
    struct node other = {.id = OTHER, .url = "unix://localhost:1"};
    static struct dialing dialing = {.task = {.run = ask_for_targets}};
    (void)state;
    other.urls[0] = other.url;
    node_start(&node, CLUSTER);
    node_knows(&node, &other);
    http_run(peer_http(node.peer), &dialing.task);
    assert_true(node_await_until(has_asked, &dialing));
    assert_int_equal(dialing.used, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_heartbeats_do_not_wait_behind_appends),
        TEST(test_a_remote_that_does_not_read_is_given_up),
        TEST(test_dialing_takes_no_memory_that_stays),
        TEST(test_a_stream_with_nothing_to_say_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
