/* SPDX-License-Identifier: Apache-2.0
 * A server on one end of socket pairs. Handlers: /echo gathers up to 16 bytes, /stream answers
 * pieces, /held holds its body up until it is let go and counts it, /thread answers from a thread
 * of its own, /large answers 256 KiB and is counted, anything else answers at once. */
#include "base/clock.h"
#include "base/mem.h"
#include "http/conn.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

/* What is waited for at most: much longer than it ever takes. */
enum { PATIENCE_MS = 60000 };

static struct http_server *server;
static struct http_site site;
static SSL_CTX *server_context;
static atomic_int closed_streams;
static atomic_int late_requests;
static atomic_int idle_fd; /* answers come once this end sees its connection closed; 0: soon */
static atomic_size_t streamed_bytes;
static char answer[1 << 16];

static void on_gathered(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    assert_ptr_equal(arg, &site);
    if (event == HTTP_BODY_GONE) {
        http_abort(request);
    } else if (event == HTTP_BODY_END) {
        http_set_header(request, "Content-Type", "text/x-echo");
        http_set_header(request, "Access-Control-A", "first\r\nInjected: x");
        http_respond(request, 200, bytes);
    } else if (event == HTTP_BODY_TOO_BIG) {
        http_respond_error(request, 413, "too big");
    } else if (event == HTTP_BODY_NO_ROOM) {
        http_respond_error(request, 503, "no room");
    } else {
        http_respond(request, 400, bytes);
    }
}

static void on_piece(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    struct buf out;
    (void)arg;
    buf_init(&out, 1 << 20);
    if (event == HTTP_BODY_BYTES) {
        buf_add_str(&out, "got ");
        buf_add_slice(&out, bytes);
        http_write(request, &out);
    } else {
        http_end(request);
    }
}

static void on_closed(struct http_request *request, void *arg)
{
    (void)arg;
    atomic_fetch_add(&closed_streams, 1);
    http_end(request);
}

/* Writes until 8 MiB were written, never holding more than the bound. */
static void on_writable(struct http_request *request, void *arg)
{
    (void)arg;
    while (http_pending(request) < HTTP_PENDING_HIGH && atomic_load(&streamed_bytes) < 8 << 20) {
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_true(buf_reserve(&out, 65536));
        memset(out.data, 'x', 65536);
        out.len = 65536;
        atomic_fetch_add(&streamed_bytes, out.len);
        http_write(request, &out);
    }
    if (atomic_load(&streamed_bytes) == 8 << 20) {
        atomic_store(&streamed_bytes, 0);
        http_end(request);
    }
}

static void *respond_later(void *arg)
{
    char byte;
    int fd = atomic_load(&idle_fd);
    if (fd) {
        (void)recv(fd, &byte, 1, MSG_PEEK);
    } else {
        usleep(20000);
    }
    http_respond(arg, 200, SLICE("later"));
    return NULL;
}

static const struct http_stream echo_stream = {.body = on_piece, .closed = on_closed};
static void ignore_piece(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    (void)request;
    (void)event;
    (void)bytes;
    (void)arg;
}
static const struct http_stream big_stream = {
    .body = ignore_piece, .writable = on_writable, .closed = on_closed};

static struct http_request *_Atomic held;
static atomic_size_t held_bytes;

static void on_held_piece(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    (void)arg;
    atomic_fetch_add(&held_bytes, bytes.len);
    if (event == HTTP_BODY_BYTES && !atomic_load(&held)) {
        http_body_pause(request, true);
        atomic_store(&held, request);
    } else if (event == HTTP_BODY_END) {
        http_respond(request, 200, SLICE("all"));
    }
}

static void let_go(struct http_task *task)
{
    (void)task;
    http_body_pause(atomic_load(&held), false);
}

static const struct http_stream held_stream = {.body = on_held_piece, .closed = on_closed};

enum { LARGE = 256 << 10 };

static atomic_int large_requests;

static void serve_large(struct http_request *request)
{
    static uint8_t body[LARGE];
    atomic_fetch_add(&large_requests, 1);
    memset(body, 'x', sizeof(body));
    http_respond(request, 200, slice_of(body, sizeof(body)));
}

static void serve(struct http_request *request, void *arg)
{
    pthread_t thread;
    if (slice_eq(http_path(request), SLICE("/echo"))) {
        http_body_gather(request, 16, on_gathered, arg);
    } else if (slice_eq(http_path(request), SLICE("/stream"))) {
        http_start(request, 200);
        http_body_stream(request, &echo_stream, arg);
    } else if (slice_eq(http_path(request), SLICE("/big"))) {
        http_body_stream(request, &big_stream, arg);
        http_start(request, 200);
        on_writable(request, arg);
    } else if (slice_eq(http_path(request), SLICE("/held"))) {
        http_body_stream(request, &held_stream, arg);
    } else if (slice_eq(http_path(request), SLICE("/large"))) {
        serve_large(request);
    } else if (slice_eq(http_path(request), SLICE("/thread"))) {
        atomic_fetch_add(&late_requests, 1);
        assert_int_equal(pthread_create(&thread, NULL, respond_later, request), 0);
        pthread_detach(thread);
    } else {
        http_respond_error(request, 404, "404 page not found");
    }
}

/* The last one that was turned away. */
static struct {
    atomic_int count;
    enum err_code code;
    char peer[32];
    char server_name[32];
    char why[128];
} turned_away;

static void on_refused(const struct http_refused *refused, void *arg)
{
    (void)arg;
    turned_away.code = refused->err.code;
    snprintf(turned_away.peer, sizeof(turned_away.peer), "%s", refused->peer);
    snprintf(turned_away.server_name, sizeof(turned_away.server_name), "%s", refused->server_name);
    snprintf(turned_away.why, sizeof(turned_away.why), "%s", refused->why);
    atomic_fetch_add(&turned_away.count, 1);
}

/* One more than at the last look, and nobody else. */
static void assert_turned_away(enum err_code code, const char *why)
{
    static int count;
    if (!why) {
        count = atomic_load(&turned_away.count);
        return;
    }
    for (int i = 0; i < PATIENCE_MS && atomic_load(&turned_away.count) == count; i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&turned_away.count), ++count);
    assert_string_equal(turned_away.why, why);
    assert_int_equal(turned_away.code, code);
    assert_string_equal(turned_away.peer, "127.0.0.1:5");
}

static void start_server(const struct http_options *times)
{
    struct http_options options = {
        .header_ms = times->header_ms ? times->header_ms : PATIENCE_MS,
        .handshake_ms = times->handshake_ms ? times->handshake_ms : PATIENCE_MS,
        .idle_ms = times->idle_ms ? times->idle_ms : PATIENCE_MS,
        .body_ms = times->body_ms ? times->body_ms : PATIENCE_MS,
        .handshakes_max = 3,
        .connections_max = 8,
        .gathered_bytes_max = 40,
    };
    server = http_server_new(&options);
    assert_false(err_is(http_server_start(server, NULL)));
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    atomic_store(&late_requests, 0);
    atomic_store(&large_requests, 0);
    atomic_store(&idle_fd, 0);
    site = (struct http_site){.serve = serve, .arg = &site, .refused = on_refused};
    assert_turned_away(ERR_OK, NULL);
    start_server(&(struct http_options){0});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_server_stop(server);
    http_server_free(server);
    return 0;
}

/* Another server, which waits for one thing less long. */
static void restart_server(const struct http_options *times)
{
    teardown(NULL);
    start_server(times);
}

static int dial(void)
{
    int fds[2];
    struct timeval timeout = {PATIENCE_MS / 1000, 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    http_adopt(server, &site, fds[1], "127.0.0.1:5");
    return fds[0];
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until the end, or until text is in what came; cuts the Date line out. */
static const char *hear(int fd, const char *until)
{
    size_t len = 0;
    ssize_t got;
    answer[0] = 0;
    while ((!until || !strstr(answer, until)) &&
           (got = recv(fd, answer + len, sizeof(answer) - len - 1, 0)) > 0) {
        len += (size_t)got;
        answer[len] = 0;
    }
    for (char *date; (date = strstr(answer, "Date: "));) {
        char *end = strstr(date, "\r\n") + 2;
        memmove(date, end, strlen(end) + 1);
    }
    return answer;
}

static const char *ask(const char *text)
{
    int fd = dial();
    say(fd, text);
    shutdown(fd, SHUT_WR);
    hear(fd, NULL);
    close(fd);
    return answer;
}

static void test_answer_has_gos_headers(void **state)
{
    (void)state;
    assert_string_equal(ask("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; "
        "charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
        "Content-Length: 19\r\nConnection: close\r\n\r\n404 page not found\n");
}

static void test_body_is_gathered_and_headers_cannot_be_split(void **state)
{
    (void)state;
    assert_string_equal(ask("POST /echo HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"),
        "HTTP/1.0 200 OK\r\nAccess-Control-A: first  Injected: x\r\nContent-Type: "
        "text/x-echo\r\nContent-Length: 5\r\n\r\nhello");
}

static void test_chunked_body_is_gathered(void **state)
{
    (void)state;
    ask("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_non_null(strstr(answer, "\r\n\r\nabcde"));
}

static void test_connection_serves_pipelined_requests_in_order(void **state)
{
    (void)state;
    ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1GET /thread HTTP/1.1\r\nHost: "
        "a\r\n\r\n"
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n3");
    const char *second = strstr(answer, "later");
    assert_non_null(second);
    assert_non_null(strstr(second, "\r\n\r\n3"));
    assert_null(strstr(answer, "Connection: close\r\n\r\n1"));
}

static void test_unwanted_body_is_thrown_away(void **state)
{
    (void)state;
    ask("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET POST /echo HTTP/1.1\r\nHost: "
        "a\r\nContent-Length: 1\r\n\r\n3");
    assert_non_null(strstr(answer, "page not found\nHTTP/1.1 200 OK"));
}

static void test_too_big_a_body_is_413(void **state)
{
    (void)state;
    ask("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 17\r\n\r\n");
    assert_non_null(strstr(answer, "413 Request Entity Too Large"));
    assert_non_null(strstr(answer, "Connection: close"));
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
            "chunked\r\n\r\nff\r\n01234567890123456789");
    assert_non_null(strstr(hear(fd, NULL), "413 Request Entity Too Large"));
    close(fd);
}

static void test_bodies_have_one_limit_together(void **state)
{
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n";
    int fds[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        fds[i] = dial();
        say(fds[i], head);
        say(fds[i], "0123456789abcd");
    }
    int64_t until_ms = clock_mono_ms() + PATIENCE_MS;
    int fd;
    do { /* until both stand in the server's memory */
        fd = dial();
        say(fd, head);
        say(fd, "0123456789abcdef");
        shutdown(fd, SHUT_WR);
        hear(fd, NULL);
        close(fd);
    } while (!strstr(answer, "503 Service Unavailable") && clock_mono_ms() < until_ms);
    assert_non_null(strstr(answer, "503 Service Unavailable"));
    for (int i = 0; i < 2; i++) {
        say(fds[i], "ef");
        assert_non_null(strstr(hear(fds[i], "0123456789abcdef"), "200 OK"));
        close(fds[i]);
    }
    fd = dial();
    say(fd, head);
    say(fd, "0123456789abcdef");
    assert_non_null(strstr(hear(fd, "0123456789abcdef"), "200 OK"));
    close(fd);
}

static int64_t cpu_ms(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return spent.tv_sec * 1000 + spent.tv_nsec / 1000000;
}

/* A reader whose input is full is not asked to read again and again. */
static void test_a_body_that_is_held_up_costs_nothing(void **state)
{
    enum { BYTES = 160 << 10, WAIT_MS = 400 };
    static char body[BYTES];
    struct http_task task = {.run = let_go};
    (void)state;
    atomic_store(&held, NULL);
    atomic_store(&held_bytes, 0);
    int fd = dial();
    say(fd, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 163840\r\n\r\n");
    memset(body, 'x', sizeof(body));
    assert_int_equal(send(fd, body, sizeof(body), MSG_NOSIGNAL), sizeof(body));
    while (!atomic_load(&held)) {
        usleep(1000);
    }
    usleep(20000); /* until the input is full */
    int64_t began_ms = clock_mono_ms();
    int64_t spent_ms = cpu_ms();
    usleep(WAIT_MS * 1000);
    spent_ms = cpu_ms() - spent_ms;
    assert_in_range(spent_ms, 0, (clock_mono_ms() - began_ms) / 3);
    assert_in_range(atomic_load(&held_bytes), 1, BYTES - 1);
    http_run(server, &task);
    assert_non_null(strstr(hear(fd, "all"), "200 OK"));
    assert_int_equal(atomic_load(&held_bytes), BYTES);
    close(fd);
}

/* Requests with so much in their heads that what is held back of them is a full input. */
static void ask_much(int fd, int requests)
{
    enum { FILL = 6 << 10 };
    static char text[FILL + 100];
    snprintf(text, sizeof(text), "GET /large HTTP/1.1\r\nHost: a\r\nFill: %0*d\r\n\r\n", FILL, 0);
    for (int i = 0; i < requests; i++) {
        say(fd, text);
    }
}

/* Reads to the end, or until that much came. */
static size_t read_bytes(int fd, size_t bytes)
{
    size_t total = 0;
    ssize_t got = 1;
    while (total < bytes && (got = recv(fd, answer, sizeof(answer), 0)) > 0) {
        total += (size_t)got;
    }
    return total;
}

/* Who asks and asks and does not read is not answered without end; who reads then gets it all,
 * whether its own end is closed or not. */
static void test_answers_that_are_not_read_hold_requests_back(void **state)
{
    enum { REQUESTS = 20, WAIT_MS = 400 };
    (void)state;
    for (int is_ended = 0; is_ended < 2; is_ended++) {
        atomic_store(&large_requests, 0);
        int fd = dial();
        ask_much(fd, REQUESTS);
        if (is_ended) {
            shutdown(fd, SHUT_WR);
        }
        for (int i = 0; i < PATIENCE_MS && atomic_load(&large_requests) < 4; i++) {
            usleep(1000);
        }
        usleep(20000); /* until the input is full */
        int64_t began_ms = clock_mono_ms();
        int64_t spent_ms = cpu_ms();
        usleep(WAIT_MS * 1000); /* for more of them, if nothing held them back */
        spent_ms = cpu_ms() - spent_ms;
        assert_in_range(spent_ms, 0, (clock_mono_ms() - began_ms) / 3);
        assert_in_range(atomic_load(&large_requests), 4, REQUESTS - 5);
        assert_true(read_bytes(fd, REQUESTS * LARGE) >= REQUESTS * LARGE);
        assert_int_equal(atomic_load(&large_requests), REQUESTS);
        if (is_ended) {
            assert_in_range(read_bytes(fd, SIZE_MAX), 0, REQUESTS * 200); /* then it is closed */
        }
        close(fd);
    }
}

/* By its first byte the whole answer waits to be sent. */
static int ask_large(void)
{
    char first;
    int fd = dial();
    say(fd, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(recv(fd, &first, 1, MSG_PEEK), 1);
    return fd;
}

static void test_who_reads_slowly_is_not_idle(void **state)
{
    (void)state;
    restart_server(&(struct http_options){.idle_ms = 200});
    int fd = ask_large();
    usleep(900000);
    assert_true(read_bytes(fd, LARGE) >= LARGE);
    assert_in_range(read_bytes(fd, SIZE_MAX), 0, 200); /* then it is, and is closed */
    close(fd);
}

static void test_drain_leaves_the_answer_that_is_being_read(void **state)
{
    (void)state;
    int fd = ask_large();
    http_server_drain(server, 0);
    assert_in_range(read_bytes(fd, SIZE_MAX), LARGE, LARGE + 200);
    close(fd);
}

static void test_broken_chunks_are_400(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_non_null(strstr(hear(fd, NULL), "400 Bad Request"));
    assert_non_null(strstr(answer, "invalid byte in chunk length"));
    close(fd);
}

static void test_bad_request_is_answered_and_closed(void **state)
{
    (void)state;
    assert_string_equal(ask("GET / HTTP/1.1\r\n\r\n"),
        "HTTP/1.1 400 Bad Request: missing required Host header\r\nContent-Type: text/plain; "
        "charset=utf-8\r\n"
        "Connection: close\r\n\r\n400 Bad Request: missing required Host header");
}

static void test_other_expectations_are_417(void **state)
{
    (void)state;
    assert_string_equal(ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: foo\r\n\r\n"),
        "HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

static void test_expectation_is_met_when_the_body_is_wanted(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_string_equal(hear(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "ok");
    assert_non_null(strstr(hear(fd, "\r\n\r\nok"), "200 OK"));
    close(fd);
    ask("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n");
    assert_null(strstr(answer, "Continue"));
    ask("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_non_null(strstr(answer, "Connection: close"));
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    ask("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(answer, "Content-Length: 19\r\n\r\n"));
    assert_null(strstr(answer, "page not found"));
}

static void test_stream_answers_while_the_body_comes(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    assert_string_equal(hear(fd, "got ab\r\n"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ngot ab\r\n");
    say(fd, "1\r\nc\r\n");
    assert_string_equal(hear(fd, "got c\r\n"), "5\r\ngot c\r\n");
    say(fd, "0\r\n\r\n");
    assert_string_equal(hear(fd, "0\r\n\r\n"), "0\r\n\r\n");
    say(fd, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(hear(fd, "found\n"), "404"));
    close(fd);
}

static void test_stream_learns_that_the_client_went_away(void **state)
{
    (void)state;
    int before = atomic_load(&closed_streams);
    int fd = dial();
    say(fd, "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    hear(fd, "got ab\r\n");
    close(fd);
    for (int i = 0; i < PATIENCE_MS / 10 && atomic_load(&closed_streams) == before; i++) {
        usleep(10000);
    }
    assert_int_equal(atomic_load(&closed_streams), before + 1);
}

static void test_stream_is_held_back_by_a_slow_client(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /big HTTP/1.0\r\n\r\n");
    for (int i = 0; i < PATIENCE_MS / 10 && atomic_load(&streamed_bytes) == 0; i++) {
        usleep(10000);
    }
    usleep(200000); /* for more of it, if nothing held it back */
    assert_in_range(atomic_load(&streamed_bytes), 1, 3 << 20);
    size_t total = 0;
    ssize_t got;
    while ((got = recv(fd, answer, sizeof(answer), 0)) > 0) {
        total += (size_t)got;
    }
    assert_in_range(total, 8 << 20, (8 << 20) + 200);
    close(fd);
}

static void test_silence_is_cut_off(void **state)
{
    static const char start[] = "GET / HTTP/1.1\r\nHo";
    (void)state;
    restart_server(&(struct http_options){.header_ms = 400});
    int silent = dial();
    int half = dial();
    (void)send(half, start, sizeof(start) - 1, MSG_NOSIGNAL); /* it may be cut off already */
    assert_string_equal(hear(silent, NULL), "");
    assert_string_equal(hear(half, NULL), "");
    close(silent);
    close(half);
    restart_server(&(struct http_options){.body_ms = 300});
    int body = dial();
    say(body, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
    assert_string_equal(hear(body, NULL), "");
    close(body);
    restart_server(&(struct http_options){.idle_ms = 400});
    int idle = dial();
    say(idle, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(hear(idle, NULL), "404"));
    close(idle);
}

static void test_the_silent_make_room(void **state)
{
    (void)state;
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = dial();
    }
    assert_string_equal(hear(fds[0], NULL), ""); /* pushed out by the fourth */
    say(fds[3], "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(hear(fds[3], "found\n"), "404"));
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
}

static void test_connections_are_capped(void **state)
{
    (void)state;
    int fds[11];
    for (int i = 0; i < 11; i++) {
        bool is_one_more = i >= 8;
        site.is_vital = i > 8; /* one in eight more are these */
        fds[i] = dial();
        if (is_one_more && i != 9) {
            assert_string_equal(hear(fds[i], NULL), "");
            assert_turned_away(ERR_DENIED, "too many open connections");
            continue;
        }
        say(fds[i], "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_non_null(strstr(hear(fds[i], "found\n"), "404"));
        assert_int_equal(http_connections(server), is_one_more ? 9 : i + 1);
    }
    for (int i = 0; i < 11; i++) {
        close(fds[i]);
    }
}

static void test_stop_breaks_streams(void **state)
{
    (void)state;
    int before = atomic_load(&closed_streams);
    int fd = dial();
    say(fd, "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    hear(fd, "got ab\r\n");
    http_server_stop(server);
    assert_int_equal(atomic_load(&closed_streams), before + 1);
    assert_string_equal(hear(fd, NULL), "");
    close(fd);
}

/* A server that ends. PATIENCE_MS at most for each step. */

static char ran[4]; /* the tasks' letters, in their order */
static atomic_size_t ran_count;
static atomic_bool is_let_go;
static atomic_bool has_begun;

static void note_a(struct http_task *task)
{
    (void)task;
    ran[atomic_fetch_add(&ran_count, 1)] = 'A';
}

static void note_b(struct http_task *task)
{
    (void)task;
    ran[atomic_fetch_add(&ran_count, 1)] = 'B';
}

static void hold_gate(struct http_task *task)
{
    (void)task;
    for (int i = 0; i < PATIENCE_MS && !atomic_load(&is_let_go); i++) {
        usleep(1000);
    }
}

static struct http_task gate = {.run = hold_gate};
static struct http_task task_a = {.run = note_a};
static struct http_task task_b = {.run = note_b};
static struct http_task task_late = {.run = note_b};

/* Comes with the stop, so that what it queues is for the thread's very end. */
static void queue_last(struct http_task *task)
{
    (void)task;
    http_run(server, &gate);
    http_run(server, &task_a);
}

static struct http_task last = {.run = queue_last};

static void await_stop(struct http_task *task)
{
    (void)task;
    atomic_store(&has_begun, true);
    for (int i = 0; i < PATIENCE_MS && mailbox_count(&server->tasks) == 0; i++) {
        usleep(1000);
    }
    http_run(server, &last);
}

static struct http_task first = {.run = await_stop};

static void *stop_server(void *arg)
{
    (void)arg;
    http_server_stop(server);
    return NULL;
}

/* It is no other thread's turn before the server's own last one, nor at the same time. */
static void test_a_task_that_comes_late_waits_its_turn(void **state)
{
    pthread_t stopper;
    (void)state;
    http_run(server, &first);
    for (int i = 0; i < PATIENCE_MS && !atomic_load(&has_begun); i++) {
        usleep(1000);
    }
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, NULL), 0);
    for (int i = 0; i < PATIENCE_MS && !mailbox_is_closed(&server->tasks); i++) {
        usleep(1000);
    }
    assert_true(mailbox_is_closed(&server->tasks));
    http_run(server, &task_b);
    atomic_store(&is_let_go, true);
    pthread_join(stopper, NULL);
    assert_string_equal(ran, "AB");
    http_run(server, &task_late);
    assert_string_equal(ran, "ABB");
}

static void test_drain_waits_for_answers_not_for_streams(void **state)
{
    (void)state;
    int idle = dial();
    say(idle, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(idle, "found\n");
    atomic_store(&idle_fd, idle); /* which the drain closes first */
    int stream = dial();
    say(stream,
        "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    hear(stream, "got ab\r\n");
    int busy = dial();
    say(busy, "GET /thread HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < PATIENCE_MS && atomic_load(&late_requests) == 0; i++) {
        usleep(1000);
    }
    int64_t start_ms = clock_mono_ms();
    http_server_drain(server, PATIENCE_MS);
    assert_true(clock_mono_ms() - start_ms < PATIENCE_MS);
    assert_string_equal(hear(idle, NULL), "");
    assert_non_null(strstr(hear(busy, NULL), "later"));
    assert_non_null(strstr(answer, "Connection: close"));
    say(stream, "1\r\nc\r\n");
    assert_string_equal(hear(stream, "got c\r\n"), "5\r\ngot c\r\n");
    close(idle);
    close(stream);
    close(busy);
}

static SSL_CTX *context_ref(void *arg)
{
    (void)arg;
    SSL_CTX_up_ref(server_context);
    return server_context;
}

static struct err admit_none(SSL *ssl, void *arg, struct why *why)
{
    (void)ssl;
    (void)arg;
    return why_set(why, ERR(DENIED), "nobody may");
}

static SSL_CTX *make_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_pubkey(cert, key);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_sign(cert, key, EVP_sha256());
    assert_int_equal(SSL_CTX_use_certificate(context, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return context;
}

static void test_tls_serves_and_says_goodbye(void **state)
{
    (void)state;
    server_context = make_context();
    site.tls = context_ref;
    int fd = dial();
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    const char *request =
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\ntls";
    assert_int_equal(SSL_write(ssl, request, (int)strlen(request)), (int)strlen(request));
    int got;
    int len = 0;
    while ((got = SSL_read(ssl, answer + len, (int)sizeof(answer) - len - 1)) > 0) {
        len += got;
    }
    answer[len] = 0;
    assert_non_null(strstr(answer, "\r\n\r\ntls"));
    assert_int_equal(SSL_get_error(ssl, got), SSL_ERROR_ZERO_RETURN); /* a clean close_notify */
    SSL_free(ssl);
    close(fd);
    site.admit = admit_none;
    fd = dial();
    ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "the.name");
    (void)SSL_connect(ssl);
    assert_true(SSL_read(ssl, answer, 1) <= 0);
    assert_turned_away(ERR_DENIED, "nobody may");
    assert_string_equal(turned_away.server_name, "the.name");
    SSL_free(ssl);
    close(fd);
    site.admit = NULL;
    SSL_CTX_set_verify(server_context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    fd = dial();
    ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    (void)SSL_connect(ssl);
    assert_true(SSL_read(ssl, answer, 1) <= 0);
    assert_turned_away(ERR_BAD_TLS, "tls: peer did not return a certificate");
    SSL_free(ssl);
    close(fd);
    SSL_CTX_free(context);
    restart_server(&(struct http_options){.handshake_ms = 300});
    fd = dial();                                     /* half a handshake */
    (void)send(fd, "\x16\x03\x01", 3, MSG_NOSIGNAL); /* it may be cut off already */
    assert_string_equal(hear(fd, NULL), "");
    assert_turned_away(ERR_TIMEDOUT, "tls: handshake: i/o timeout");
    close(fd);
    restart_server(&(struct http_options){0});
    close(dial()); /* a probe */
    assert_turned_away(ERR_CLOSED, "EOF");
    fd = dial(); /* no TLS at all */
    say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_null(strstr(hear(fd, NULL), "200"));
    assert_turned_away(ERR_BAD_TLS, "tls: http request");
    close(fd);
    SSL_CTX_free(server_context);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_answer_has_gos_headers),
        TEST(test_body_is_gathered_and_headers_cannot_be_split),
        TEST(test_chunked_body_is_gathered),
        TEST(test_connection_serves_pipelined_requests_in_order),
        TEST(test_unwanted_body_is_thrown_away),
        TEST(test_too_big_a_body_is_413),
        TEST(test_bodies_have_one_limit_together),
        TEST(test_a_body_that_is_held_up_costs_nothing),
        TEST(test_answers_that_are_not_read_hold_requests_back),
        TEST(test_who_reads_slowly_is_not_idle),
        TEST(test_drain_leaves_the_answer_that_is_being_read),
        TEST(test_broken_chunks_are_400),
        TEST(test_bad_request_is_answered_and_closed),
        TEST(test_other_expectations_are_417),
        TEST(test_expectation_is_met_when_the_body_is_wanted),
        TEST(test_head_has_no_body),
        TEST(test_stream_answers_while_the_body_comes),
        TEST(test_stream_learns_that_the_client_went_away),
        TEST(test_stream_is_held_back_by_a_slow_client),
        TEST(test_silence_is_cut_off),
        TEST(test_the_silent_make_room),
        TEST(test_connections_are_capped),
        TEST(test_stop_breaks_streams),
        TEST(test_a_task_that_comes_late_waits_its_turn),
        TEST(test_drain_waits_for_answers_not_for_streams),
        TEST(test_tls_serves_and_says_goodbye),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
