/* SPDX-License-Identifier: Apache-2.0
 * The peer listener's answers, status by status and text by text, to what members and others send:
 * as the reference answers, but for its 403 to a misdirected message. */
#include "base/mem.h"
#include "node.h"
#include "peer/inner.h"
#include "peer/remote.h"
#include "peer/version.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLUSTER = 0xc1, SELF = 0x11, OTHER = 0x22, REMOVED = 0x33 };

/* What each request of a member of this cluster has. */
#define GOOD                                                                                       \
    "X-Server-From: 22\r\nX-Server-Version: 3.5.30\r\nX-Min-Cluster-Version: 3.0.0\r\n"            \
    "X-Etcd-Cluster-ID: c1\r\n"

static struct node node;
static char answer[8192];

static int setup(void **state)
{
    struct node other = {.id = OTHER, .url = "http://127.0.0.1:1"};
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    node_init(&node, SELF, false);
    node.removed_id = REMOVED;
    node_start(&node, CLUSTER);
    other.urls[0] = other.url;
    node_knows(&node, &other);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    node_stop(&node);
    return 0;
}

/* The answer up to its end, or until it says so much. */
static const char *ask_bytes(struct slice request, const char *until)
{
    size_t len = 0;
    ssize_t got;
    int fd = node_dial(&node);
    assert_int_equal(write(fd, request.data, request.len), (ssize_t)request.len);
    answer[0] = 0;
    while ((!until || !strstr(answer, until)) &&
           (got = read(fd, answer + len, sizeof(answer) - len - 1)) > 0) {
        len += (size_t)got;
        answer[len] = 0;
    }
    close(fd);
    return answer;
}

static const char *ask(const char *line, const char *fields, const char *body)
{
    char *request = mem_printf("%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "
                               "%zu\r\n%s\r\n%s",
        line, strlen(body), fields, body);
    ask_bytes(slice_str(request), NULL);
    free(request);
    return answer;
}

static void expect(const char *status, const char *text)
{
    char *start = mem_printf("HTTP/1.1 %s\r\n", status);
    const char *body = strstr(answer, "\r\n\r\n");
    assert_int_equal(strncmp(answer, start, strlen(start)), 0);
    assert_non_null(body);
    assert_string_equal(body + 4, text);
    free(start);
}

static void test_headers_are_checked(void **state)
{
    (void)state;
    ask("GET /raft", GOOD, "");
    expect("405 Method Not Allowed", "Method Not Allowed\n");
    assert_non_null(strstr(answer, "Allow: POST\r\n"));
    ask("POST /raft", "", "");
    expect("412 Precondition Failed", "incompatible version\n");
    assert_non_null(strstr(answer, "X-Etcd-Cluster-Id: c1\r\n"));
    ask("POST /raft",
        "X-Server-Version: 3.7.0\r\nX-Min-Cluster-Version: 3.7.0\r\nX-Etcd-Cluster-ID: c1\r\n", "");
    expect("412 Precondition Failed", "incompatible version\n");
    ask("POST /raft",
        "X-Server-Version: 3.6.0\r\nX-Min-Cluster-Version: 3.0.0\r\nX-Etcd-Cluster-ID: c2\r\n", "");
    expect("412 Precondition Failed", "cluster ID mismatch\n");
    ask("POST /raft/snapshot", "", "");
    expect("412 Precondition Failed", "incompatible version\n");
    ask("GET /raft/stream/message/22", "", "");
    expect("412 Precondition Failed", "incompatible version\n");
    assert_non_null(strstr(answer, "X-Server-Version: 3.6.14\r\n"));
}

static void test_versions_are_compared(void **state)
{
    (void)state;
    assert_true(version_is_compatible(SLICE("3.6.14"), SLICE("3.0.0")));
    assert_true(version_is_compatible(SLICE("3.7.0-rc.1"), SLICE("3.0.0")));
    assert_true(version_is_compatible(SLICE("3.0.0+git"), SLICE("3.6.99")));
    assert_false(version_is_compatible(SLICE("2.3.9"), SLICE("2.1.0")));
    assert_false(version_is_compatible(SLICE("3.6.0"), SLICE("3.7.0")));
    assert_false(version_is_compatible(SLICE("three"), SLICE("3.0.0")));
    assert_false(version_is_compatible(SLICE("3"), SLICE("3.0.0")));
    assert_false(version_is_compatible(SLICE("9999999999.0.0"), SLICE("3.0.0")));
    assert_false(version_is_compatible((struct slice){0}, SLICE("3.0.0")));
    assert_true(version_has_streams(SLICE("3.4.23")));
    assert_false(version_has_streams((struct slice){0}));
}

/* Only a removed sender gets 403: it would end a member of etcd. */
static void test_posts_are_answered(void **state)
{
    (void)state;
    ask("POST /raft", GOOD, "\x08\x08\x10\x11\x18\x22\x20\x01");
    expect("204 No Content", "");
    assert_true(node_await_heard(&node, 1));
    assert_int_equal(node.heard[0].from, OTHER);
    ask("POST /raft", GOOD, "\x08\x08\x10\x12\x18\x22\x20\x01");
    expect("412 Precondition Failed", "cannot process message to mismatch member\n");
    ask("POST /raft", GOOD, "\x08\x08\x10\x11\x18\x33\x20\x01");
    expect("403 Forbidden", "{\"message\":\"cannot process message from removed member\"}");
    ask("POST /raft", GOOD, "\x08\x06\x10");
    expect("400 Bad Request", "error unmarshalling raft message\n");
    ask("POST /raft", GOOD, "\x08\x0b\x10\x11\x18\x22"); /* a status report: never travels */
    expect("500 Internal Server Error", "error processing raft message\n");
    assert_int_equal(node.heard_count, 1);
}

static void test_streams_are_refused(void **state)
{
    (void)state;
    ask("POST /raft/stream/message/22", GOOD, "");
    expect("405 Method Not Allowed", "Method Not Allowed\n");
    ask("GET /raft/stream/other/22", GOOD, "");
    expect("404 Not Found", "invalid path\n");
    ask("GET /raft/stream/message/22/23", GOOD, "");
    expect("404 Not Found", "invalid path\n");
    ask("GET /raft/stream/message/xyz", GOOD, "");
    expect("404 Not Found", "invalid from\n");
    ask("GET /raft/stream/message/11111111111111111", GOOD, "");
    expect("404 Not Found", "invalid from\n");
    ask("GET /raft/stream/msgapp/33", GOOD, "");
    expect("410 Gone", "removed member\n");
    ask("GET /raft/stream/msgapp/44", GOOD "X-PeerURLs: http://127.0.0.1:1\r\n", "");
    expect("404 Not Found", "error sender not found\n");
    ask("GET /raft/stream/msgapp/22", GOOD "X-Raft-To: 12\r\n", "");
    expect("412 Precondition Failed", "to field mismatch\n");
}

/* Remotes that are no members, counted on the thread that may. */
struct strangers {
    struct http_task task;
    size_t count;
    size_t urls; /* of all */
    atomic_bool is_done;
};

static void run_strangers(struct http_task *task)
{
    struct strangers *strangers = CONTAINER_OF(task, struct strangers, task);
    LIST_EACH(item, &node.peer->remotes)
    {
        const struct remote *remote = LIST_ITEM(item, struct remote, node);
        strangers->count += !remote->is_member;
        strangers->urls += remote->is_member ? 0 : remote->urls.count;
    }
    atomic_store(&strangers->is_done, true);
}

static bool are_counted(void *arg)
{
    return atomic_load(&((struct strangers *)arg)->is_done);
}

static struct strangers count_strangers(void)
{
    struct strangers strangers = {.task.run = run_strangers};
    http_run(peer_http(node.peer), &strangers.task);
    assert_true(node_await_until(are_counted, &strangers));
    return strangers;
}

/* Whoever says that he is of this cluster is remembered, to be answered: so many, and no more. */
static void test_strangers_are_bounded(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= RAFT_MEMBERS_MAX + 2; i++) {
        char *line = mem_printf("GET /raft/stream/msgapp/%x", 0x1000 + i);
        ask(line, GOOD "X-PeerURLs: http://127.0.0.1:1\r\n", "");
        expect("404 Not Found", "error sender not found\n");
        free(line);
        assert_int_equal(
            count_strangers().count, i < RAFT_MEMBERS_MAX ? i : (unsigned)RAFT_MEMBERS_MAX);
    }
}

static void test_urls_of_a_stranger_are_bounded(void **state)
{
    enum { URLS = 64 };
    struct buf fields;
    (void)state;
    buf_init(&fields, SIZE_MAX);
    buf_add_str(&fields, GOOD "X-PeerURLs: http://127.0.0.1:1");
    for (size_t i = 0; i < 2 * URLS; i++) {
        buf_add_str(&fields, ",http://127.0.0.1:2");
    }
    buf_add_str(&fields, "\r\n");
    ask("GET /raft/stream/msgapp/44", buf_text(&fields), "");
    expect("404 Not Found", "error sender not found\n");
    buf_fini(&fields);
    struct strangers strangers = count_strangers();
    assert_int_equal(strangers.count, 1);
    assert_int_equal(strangers.urls, URLS);
}

static void test_a_stream_begins_at_once(void **state)
{
    (void)state;
    ask_bytes(
        SLICE("GET /raft/stream/msgapp/22 HTTP/1.1\r\nHost: a\r\n" GOOD "X-Raft-To: 11\r\n\r\n"),
        "\r\n\r\n");
    assert_int_equal(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17), 0);
    assert_non_null(strstr(answer, "X-Server-Version: 3.6.14\r\n"));
    assert_non_null(strstr(answer, "X-Etcd-Cluster-Id: c1\r\n"));
    assert_non_null(strstr(answer, "Transfer-Encoding: chunked\r\n"));
}

static const char *post_with(const char *fields, struct slice body, uint64_t length)
{
    struct buf request;
    buf_init(&request, 1 << 20);
    buf_printf(&request,
        "POST /raft/snapshot HTTP/1.1\r\nHost: a\r\nContent-Length: %llu\r\n" GOOD "%s\r\n",
        (unsigned long long)length, fields);
    buf_add_slice(&request, body);
    ask_bytes(buf_slice(&request), body.len < length ? "\n\n" : "HTTP/1.1 ");
    buf_fini(&request);
    return answer;
}

static const char *post_snapshot(struct slice body, uint64_t length)
{
    return post_with("", body, length);
}

/* With a database behind it. */
static void post_whole(struct slice message, const char *fields)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_add_slice(&body, message);
    node_add_database(&node, &body);
    post_with(fields, buf_slice(&body), body.len);
    buf_fini(&body);
}

static void test_bogus_snapshots_are_refused(void **state)
{
    static const char huge[] = "\x00\x00\x00\x00\x04\x00\x00\x01xxxx";
    static const char vote[] = "\x00\x00\x00\x00\x00\x00\x00\x08\x08\x05\x10\x11\x18\x22\x20\x01";
    static const char lost[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x12\x18\x22\x20\x01J\x00";
    static const char gone[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x33\x20\x01J\x00";
    static const char junk[] = "\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff";
    (void)state;
    assert_non_null(strstr(
        post_snapshot(slice_of(huge, sizeof(huge) - 1), sizeof(huge) - 1), "400 Bad Request"));
    assert_non_null(strstr(
        post_snapshot(slice_of(vote, sizeof(vote) - 1), sizeof(vote) - 1), "400 Bad Request"));
    assert_non_null(strstr(post_snapshot(slice_of(lost, sizeof(lost) - 1), sizeof(lost) - 1),
        "412 Precondition Failed"));
    assert_non_null(
        strstr(post_snapshot(slice_of(gone, sizeof(gone) - 1), sizeof(gone) - 1), "403 Forbidden"));
    assert_non_null(strstr(
        post_snapshot(slice_of(junk, sizeof(junk) - 1), sizeof(junk) - 1), "400 Bad Request"));
    assert_non_null(strstr(post_snapshot(SLICE("\x00\x00"), 2), "400 Bad Request"));
    assert_false(node_has_files(&node));
    assert_int_equal(node.heard_count, 0);
}

/* Its sender takes this member for what it was before, or will be: a form that is not read is
 * refused, and never kept for a database. */
static void test_a_form_that_is_not_read_is_refused(void **state)
{
    static const char good[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x22\x20\x01J\x00";
    static const char *const fields[] = {
        "X-Ketcd-Files-Body: other\r\n", "X-Ketcd-Rows-Body: other\r\n", "X-Ketcd-Files-Body:\r\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        post_whole(slice_of(good, sizeof(good) - 1), fields[i]);
        expect(
            "415 Unsupported Media Type", "a snapshot in a form that this member does not read\n");
    }
    assert_false(node_has_files(&node));
    assert_int_equal(node.heard_count, 0);
    assert_int_equal(atomic_load(&node.peer->receiving), 0);
}

/* Nor is anything else that is none. */
static void test_what_is_no_database_is_refused(void **state)
{
    static const char bad[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x22\x20\x01J\x00"
        "ketcd files\n0000000000000000.files.0\n";
    (void)state;
    post_snapshot(slice_of(bad, sizeof(bad) - 1), sizeof(bad) - 1);
    assert_non_null(strstr(answer, "500 Internal Server Error"));
    assert_true(node_await_snap_dir(&node, true));
    assert_int_equal(node.heard_count, 0);
}

/* Whole, and cut off in the middle of the database. */
static void test_half_a_snapshot_is_none(void **state)
{
    static const char good[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x22\x20\x01J\x00";
    (void)state;
    struct slice body = slice_of(good, sizeof(good) - 1);
    int fd = node_dial(&node);
    char *head = mem_printf("POST /raft/snapshot HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n%s"
                            "\r\n",
        GOOD);
    assert_int_equal(write(fd, head, strlen(head)), (ssize_t)strlen(head));
    assert_int_equal(write(fd, body.data, body.len), (ssize_t)body.len);
    assert_true(node_await_snap_dir(&node, false));
    close(fd);
    free(head);
    assert_true(node_await_snap_dir(&node, true));
    assert_int_equal(node.heard_count, 0);
    post_whole(body, "");
    assert_non_null(strstr(answer, "204 No Content"));
    assert_int_equal(node.heard_count, 1);
    assert_non_null(node.snapshot_path);
}

enum { TRICKLE_MAX = 60000 };

static int begin_snapshot(struct slice message)
{
    int fd = node_dial(&node);
    char *head = mem_printf("POST /raft/snapshot HTTP/1.1\r\nHost: a\r\n"
                            "Content-Length: 100000\r\n%s\r\n",
        GOOD);
    assert_int_equal(write(fd, head, strlen(head)), (ssize_t)strlen(head));
    assert_int_equal(write(fd, message.data, message.len), (ssize_t)message.len);
    free(head);
    return fd;
}

/* Whether an answer came, or the end. */
static bool is_ended(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno == ECONNRESET;
}

/* Never silent, and never done. */
static void test_a_snapshot_that_trickles_is_given_up(void **state)
{
    static const char good[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x22\x20\x01J\x00";
    (void)state;
    node.peer->options.progress_ms = 300;
    int fd = begin_snapshot(slice_of(good, sizeof(good) - 1));
    int sent = 0;
    while (!is_ended(fd) && sent < TRICKLE_MAX) {
        ssize_t got = write(fd, "x", 1);
        (void)got; /* it may be closed by now */
        sent++;
        usleep(1000);
    }
    assert_true(sent < TRICKLE_MAX);
    close(fd);
    assert_true(node_await_snap_dir(&node, true));
    assert_int_equal(node.heard_count, 0);
}

struct receiving {
    unsigned count;
};

static bool is_receiving(void *arg)
{
    return atomic_load(&node.peer->receiving) == ((struct receiving *)arg)->count;
}

/* Each may take a disk's room and a thread. */
static void test_few_snapshots_come_at_once(void **state)
{
    enum { RECEIVING = 4 };
    static const char good[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x22\x20\x01J\x00";
    int fds[RECEIVING];
    (void)state;
    for (size_t i = 0; i < RECEIVING; i++) {
        fds[i] = begin_snapshot(SLICE(""));
    }
    assert_true(node_await_until(is_receiving, &(struct receiving){RECEIVING}));
    ask("POST /raft/snapshot", GOOD, "");
    expect("500 Internal Server Error", "too many snapshots under way\n");
    for (size_t i = 0; i < RECEIVING; i++) {
        close(fds[i]);
    }
    assert_true(node_await_until(is_receiving, &(struct receiving){0}));
    post_whole(slice_of(good, sizeof(good) - 1), "");
    assert_non_null(strstr(answer, "204 No Content"));
}

static void await_end(int fd)
{
    char bytes[13] = "";
    assert_true(recv(fd, bytes, sizeof(bytes) - 1, 0) >= 0);
    assert_string_equal(bytes, "HTTP/1.1 500");
    close(fd);
}

/* One of its sender's own, and one of a leader before. */
static void test_a_newer_snapshot_ends_older_ones(void **state)
{
    static const char term_1[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x22\x20\x01J\x00";
    static const char term_2[] =
        "\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11\x18\x23\x20\x02J\x00";
    (void)state;
    int first = begin_snapshot(slice_of(term_1, sizeof(term_1) - 1));
    assert_true(node_await_snap_dir(&node, false));
    int second = begin_snapshot(slice_of(term_1, sizeof(term_1) - 1));
    await_end(first);
    post_whole(slice_of(term_2, sizeof(term_2) - 1), "");
    assert_non_null(strstr(answer, "204 No Content"));
    await_end(second);
    assert_int_equal(node.heard_count, 1);
}

/* As etcd sends it. */
static void test_a_snapshot_whose_length_is_not_told_is_taken(void **state)
{
    static const char head[] =
        "POST /raft/snapshot HTTP/1.1\r\nHost: a\r\n" GOOD "Transfer-Encoding: chunked\r\n\r\n"
        "12\r\n\x00\x00\x00\x00\x00\x00\x00\x0a\x08\x07\x10\x11"
        "\x18\x22\x20\x01J\x00\r\n";
    struct buf database;
    struct buf request;
    (void)state;
    buf_init(&database, 1 << 20);
    buf_init(&request, 1 << 20);
    node_add_database(&node, &database);
    buf_add(&request, head, sizeof(head) - 1);
    buf_printf(&request, "%zx\r\n", database.len);
    buf_add_slice(&request, buf_slice(&database));
    buf_add_str(&request, "\r\n0\r\n\r\n");
    ask_bytes(buf_slice(&request), "HTTP/1.1 ");
    buf_fini(&request);
    buf_fini(&database);
    assert_non_null(strstr(answer, "204 No Content"));
    assert_int_equal(node.heard_count, 1);
    assert_non_null(node.snapshot_path);
}

static void test_pages_are_the_references(void **state)
{
    (void)state;
    ask("GET /members", "", "");
    expect("200 OK", "[{\"id\":1}]\n");
    assert_non_null(strstr(answer, "Content-Type: application/json\r\n"));
    ask("POST /members", "", "");
    expect("405 Method Not Allowed", "Method Not Allowed\n");
    ask("GET /downgrade/enabled", "", "");
    expect("200 OK", "true");
    assert_non_null(strstr(answer, "Content-Type: text/plain\r\n"));
    ask("GET /members/hashkv", "", "{\"revision\":0}");
    expect("200 OK", "{\"header\":{\"revision\":7},\"hash\":4275878552,\"compact_revision\":-1}");
    ask("GET /members/hashkv", "", "{\"revision\":1}");
    expect("400 Bad Request", "mvcc: required revision has been compacted\n");
    ask("GET /members/hashkv", "", "");
    expect("400 Bad Request", "error unmarshalling request\n");
    ask("GET /members/hashkv", "X-Etcd-Cluster-ID: c2\r\n", "{}");
    expect("412 Precondition Failed", "cluster ID mismatch\n");
    ask("POST /members/promote/404", "", "");
    expect("404 Not Found", "membership: ID not found\n");
    ask("POST /members/promote/0x1", "", "");
    expect("404 Not Found", "member 0x1 not found in cluster\n");
    ask("POST /members/promote/18446744073709551616", "", "");
    expect("404 Not Found", "member 18446744073709551616 not found in cluster\n");
    ask("GET /leases", "", "");
    expect("405 Method Not Allowed", "Method Not Allowed\n");
    ask("POST /leases", "", "zz");
    expect("400 Bad Request", "error unmarshalling request\n");
    ask("POST /leases", "", "\x08\xf4\x03");
    expect("400 Bad Request", "not a primary lessor\n");
    ask("POST /leases", "", "\x08\x94\x03");
    expect("404 Not Found", "lease not found\n");
    ask("GET /other", "", "");
    expect("404 Not Found", "404 page not found\n");
    ask("GET /raft/probing", "", "");
    assert_non_null(strstr(answer, "\r\n\r\n{\"OK\":true,\"Now\":\"20"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_headers_are_checked, setup, teardown),
        cmocka_unit_test(test_versions_are_compared),
        cmocka_unit_test_setup_teardown(test_posts_are_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_urls_of_a_stranger_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stream_begins_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bogus_snapshots_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_form_that_is_not_read_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_database_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_a_snapshot_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_snapshot_that_trickles_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_few_snapshots_come_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_newer_snapshot_ends_older_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_snapshot_whose_length_is_not_told_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages_are_the_references, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
