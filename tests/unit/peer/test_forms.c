/* SPDX-License-Identifier: Apache-2.0
 * In which form a store goes to a member that is another process by now than the one that said what
 * it takes. That member is this test, by hand.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "pair.h"
#include "tests/shared/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LOOK_MS = 20 };

static char folder[FOLDER_PATH_MAX];
static char heard[8192];

static void start(void)
{
    struct backend_batch *batch = backend_batch_new();
    struct timeval timeout = {0, LOOK_MS * 1000};
    folder_make(folder);
    assert_false(err_is(backend_open(&(struct backend_options){.path = folder}, &one.store, NULL)));
    backend_batch_put(batch, SLICE("d1"), SLICE("value"));
    assert_false(err_is(backend_write(one.store, batch, NULL)));
    backend_batch_free(batch);
    one.files_format = one.rows_format = "1";
    assert_int_equal(listen(two.listen_fd, 64), 0);
    setsockopt(two.listen_fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    node_start(&one, CLUSTER);
    node_knows(&one, &two);
}

static int teardown(void **state)
{
    struct backend *store = one.store;
    pair_teardown(state);
    backend_close(store);
    folder_remove(folder);
    return 0;
}

/* Until that is in what came, or the end; false: the end. */
static bool hear(int fd, const char *until)
{
    struct timeval timeout = {NODE_WAIT_MS / 1000, 0};
    size_t len = 0;
    ssize_t got = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    heard[0] = 0;
    while (!strstr(heard, until) && len < sizeof(heard) - 1 &&
           (got = recv(fd, heard + len, sizeof(heard) - len - 1, 0)) > 0) {
        len += (size_t)got;
        heard[len] = 0;
    }
    return strstr(heard, until) != NULL;
}

/* Two dials a stream and says what it takes. Gives. */
static int attach(const char *stream, const char *takes)
{
    int fd = node_dial(&one);
    char *request = mem_printf("GET /raft/stream/%s/22 HTTP/1.1\r\nHost: a\r\nX-Server-From: 22\r\n"
                               "X-Server-Version: 3.6.0\r\nX-Min-Cluster-Version: 3.0.0\r\n"
                               "X-Etcd-Cluster-ID: c1\r\nX-Raft-To: 11\r\n%s\r\n",
        stream, takes);
    assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    free(request);
    assert_true(hear(fd, "HTTP/1.1 200 "));
    return fd;
}

/* The next connection's request is such a post, whose head is what was heard then. Gives; -1: it is
 * something else, or none comes. */
static int take_post(void)
{
    int fd = accept(two.listen_fd, NULL, NULL);
    if (fd >= 0 && !(hear(fd, "\r\n\r\n") && strstr(heard, "POST /raft/snapshot "))) {
        close(fd);
        return -1;
    }
    return fd;
}

static int await_post(void)
{
    int64_t deadline_ms = clock_mono_ms() + NODE_WAIT_MS;
    int fd;
    while ((fd = take_post()) < 0 && clock_mono_ms() < deadline_ms) {
    }
    assert_true(fd >= 0);
    return fd;
}

static bool is_post_in(const char *form)
{
    int fd = await_post();
    close(fd);
    return strstr(heard, form) != NULL;
}

/* As long as it is the process that said so, one of its streams stands. */
static void test_who_listens_is_sent_what_it_takes(void **state)
{
    (void)state;
    start();
    int first = attach("message", "X-Ketcd-Files: 1\r\n");
    int second = attach("msgapp", "X-Ketcd-Files: 1\r\n");
    pair_send_snapshot(7);
    assert_true(is_post_in("X-Ketcd-Files-Body: 1\r\n"));
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    close(second);
    int again = attach("msgapp", "X-Ketcd-Rows: 1\r\n");
    pair_send_snapshot(7);
    assert_true(is_post_in("X-Ketcd-Rows-Body: 1\r\n"));
    close(again);
    close(first);
}

/* The next process may be another release, or etcd: only a database is read by all. */
static void test_who_listens_no_more_is_sent_a_database(void **state)
{
    (void)state;
    start();
    int first = attach("message", "X-Ketcd-Files: 1\r\n");
    int second = attach("msgapp", "X-Ketcd-Files: 1\r\n");
    close(first);
    close(second);
    assert_true(node_await_silence(&one, TWO));
    pair_send_snapshot(7);
    assert_false(is_post_in("-Body: "));
}

/* It ended while the files were made. */
static void test_what_was_made_for_an_earlier_process_is_not_sent(void **state)
{
    (void)state;
    start();
    atomic_store(&one.is_open_held, true);
    int fd = attach("message", "X-Ketcd-Files: 1\r\n");
    pair_send_snapshot(7);
    assert_true(node_await_atomic(&one.opening, 1));
    close(fd);
    assert_true(node_await_silence(&one, TWO));
    atomic_store(&one.is_open_held, false);
    while (!node_has(&one.snapshots_failed, &one, 1)) {
        fd = take_post();
        assert_true(fd < 0);
    }
    assert_false(node_has_files(&one));
}

/* What is known of it is wrong, whatever the reason. */
static void test_who_does_not_read_a_form_is_sent_a_database(void **state)
{
    static const char no[] = "HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 0\r\n\r\n";
    (void)state;
    start();
    int stream = attach("message", "X-Ketcd-Files: 1\r\n");
    pair_send_snapshot(7);
    int fd = await_post();
    assert_non_null(strstr(heard, "X-Ketcd-Files-Body: 1\r\n"));
    assert_int_equal(write(fd, no, sizeof(no) - 1), (ssize_t)sizeof(no) - 1);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    close(fd);
    pair_send_snapshot(7);
    assert_false(is_post_in("-Body: "));
    close(stream);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, pair_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_who_listens_is_sent_what_it_takes),
        TEST(test_who_listens_no_more_is_sent_a_database),
        TEST(test_what_was_made_for_an_earlier_process_is_not_sent),
        TEST(test_who_does_not_read_a_form_is_sent_a_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
