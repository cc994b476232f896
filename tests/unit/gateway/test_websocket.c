/* SPDX-License-Identifier: Apache-2.0
 * The gateway over a WebSocket: the upgrade, messages both ways, and how it ends. What goes out was
 * recorded from the reference. */
#include "base/mem.h"
#include "base/metric.h"
#include "fake_api.h"
#include "gateway/gateway.h"
#include "gateway/wsframe.h"

#include <linux/sockios.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define ASK(path, more)                                                                            \
    "GET " path " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"    \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" more "\r\n"
#define UPGRADED(more)                                                                             \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" more "\r\n"
#define CREATED                                                                                    \
    "{\"result\":{\"header\":{\"cluster_id\":\"414561183332360902\",\"member_id\":"                \
    "\"15803163887843120258\",\"revision\":\"2\",\"raft_term\":\"2\"},\"created\":true,"           \
    "\"cancel_reason\":\"\\u003c\\u0026\\u003e\"}}"

static struct http_server *server;
static struct gateway *gateway;
static struct http_site *site;
static uint8_t heard[1 << 16];
static size_t heard_len;

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fake_reset();
    metric_reset();
    server = http_server_new(NULL);
    gateway = gateway_new(&(struct gateway_options){.request_bytes_max = 1000});
    site = gateway_site(gateway, GATEWAY_CLIENT);
    assert_false(err_is(http_server_start(server, NULL)));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_server_stop(server);
    http_server_free(server);
    gateway_free(gateway);
    metric_reset();
    return 0;
}

static int dial(const char *request)
{
    int fds[2];
    struct timeval timeout = {60, 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    http_adopt(server, site, fds[1], "127.0.0.1:5");
    assert_int_equal(
        send(fds[0], request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return fds[0];
}

/* A masked frame; the mask is zero, so the payload stays readable. */
static void say(int fd, uint8_t first, const char *payload, size_t len)
{
    uint8_t frame[16 + 2000] = {first, (uint8_t)(0x80 | len)};
    size_t head = 6;
    if (len > FRAME_CONTROL_MAX) {
        frame[1] = 0x80 | 126;
        frame[2] = (uint8_t)(len >> 8);
        frame[3] = (uint8_t)len;
        head = 8;
    }
    assert_true(len <= 2000);
    memcpy(frame + head, payload, len);
    assert_int_equal(send(fd, frame, head + len, MSG_NOSIGNAL), (ssize_t)(head + len));
}

static void say_text(int fd, const char *text)
{
    say(fd, 0x80 | FRAME_TEXT, text, strlen(text));
}

/* Reads that many bytes, or all there are (0). */
static void hear(int fd, size_t want)
{
    ssize_t got = 1;
    heard_len = 0;
    while (got > 0 && (want == 0 || heard_len < want)) {
        size_t room = want ? want - heard_len : sizeof(heard) - heard_len;
        got = recv(fd, heard + heard_len, room, 0);
        assert_true(got >= 0);
        heard_len += (size_t)got;
    }
}

static void hears(int fd, const char *bytes, size_t len)
{
    hear(fd, len);
    assert_int_equal(heard_len, len);
    assert_memory_equal(heard, bytes, len);
}

static void hears_message(int fd, const char *text)
{
    struct buf frame;
    buf_init(&frame, 1 << 16);
    wsframe_add(&frame, FRAME_TEXT, slice_str(text));
    hears(fd, (const char *)frame.data, frame.len);
    buf_fini(&frame);
}

static void is_over(int fd)
{
    hear(fd, 0);
    assert_int_equal(heard_len, 0);
    close(fd);
}

static int open_socket(const char *request)
{
    int fd = dial(request);
    hears(fd, UPGRADED(""), strlen(UPGRADED("")));
    return fd;
}

static void test_a_call_is_answered_and_over(void **state)
{
    (void)state;
    int fd = open_socket(ASK("/v3/kv/range", ""));
    say_text(fd, "{}");
    hears_message(fd, "{\"code\":3, \"message\":\"etcdserver: key is not provided\"}");
    is_over(fd);
    fd = open_socket(ASK("/v3beta/kv/none", ""));
    hears_message(fd, "{\"code\":5, \"message\":\"Not Found\"}");
    is_over(fd);
    fd = open_socket(ASK("/v3/kv/range", ""));
    say_text(fd, "x");
    hears_message(
        fd, "{\"code\":3, \"message\":\"invalid character 'x' looking for beginning of value\"}");
    is_over(fd);
}

/* One message may come in fragments; between two stands a line feed. */
static void test_messages_are_pieces_of_the_body(void **state)
{
    (void)state;
    int fd = open_socket(ASK("/v3/kv/range", ""));
    say(fd, FRAME_TEXT, "{\"limit\":", 9);
    say(fd, 0x80 | FRAME_PING, "still there?", 12);
    hears(fd, "\x8a\x0cstill there?", 14);
    say(fd, 0x80 | FRAME_PONG, "", 0);
    say(fd, FRAME_CONTINUATION, "1", 1);
    say(fd, 0x80 | FRAME_CONTINUATION, "}", 1);
    hears_message(fd, "{\"code\":3, \"message\":\"etcdserver: key is not provided\"}");
    is_over(fd);
    fd = open_socket(ASK("/v3/kv/range", ""));
    say_text(fd, "{\"key\":\"Z");
    hears_message(fd, "{\"code\":3, \"message\":\"invalid character '\\\\n' in string literal\"}");
    is_over(fd);
}

static void wait_streams(int count)
{
    for (int i = 0; i < 6000 && fake_open_streams() != count; i++) {
        usleep(10000);
    }
    assert_int_equal(fake_open_streams(), count);
}

static void test_a_stream_lives_until_the_client_leaves(void **state)
{
    (void)state;
    int fd = open_socket(ASK("/v3/watch", ""));
    say_text(fd, "{\"create_request\":{\"key\":\"Zm9v\"}}");
    hears_message(fd, CREATED);
    wait_streams(1);
    say(fd, 0x80 | FRAME_CLOSE,
        "\x03\xe8"
        "bye",
        5);
    hears(fd, "\x88\x02\x03\xe8", 4);
    is_over(fd);
    wait_streams(0);
    fd = open_socket(ASK("/v3/watch", ""));
    say_text(fd, "{}");
    hears_message(fd, CREATED);
    close(fd);
    wait_streams(0);
}

static void test_a_bad_message_ends_the_requests_quietly(void **state)
{
    (void)state;
    int fd = open_socket(ASK("/v3/lease/keepalive", ""));
    say_text(fd, "x");
    is_over(fd);
    wait_streams(0);
}

static void test_who_leaves_cancels_a_patient_call(void **state)
{
    (void)state;
    int fd = open_socket(ASK("/v3/kv/txn", ""));
    say_text(fd, "{}");
    say(fd, 0x80 | FRAME_PING, "", 0); /* by its answer the call has begun */
    hears(fd, "\x8a\x00", 2);
    close(fd);
    int cancelled = 0;
    for (int i = 0; i < 6000 && !cancelled; i++) {
        usleep(10000);
        pthread_mutex_lock(&fake.mutex);
        cancelled = fake.cancelled_calls;
        pthread_mutex_unlock(&fake.mutex);
    }
    assert_int_equal(cancelled, 1);
}

static void test_an_answer_is_weighed_until_it_is_sent(void **state)
{
    char first;
    (void)state;
    fake.weighs = 4 << 20;
    int fd = open_socket(ASK("/v3/kv/range", ""));
    say_text(fd, "{\"key\":\"Zm9v\"}");
    assert_int_equal(recv(fd, &first, 1, MSG_PEEK), 1);
    assert_int_equal(atomic_load(&fake.emptied), 1);
    assert_int_equal(atomic_load(&fake.released), 0);
    close(fd);
    for (int i = 0; i < 60000 && atomic_load(&fake.released) == 0; i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&fake.released), 1);
}

/* Until the server has taken all that was said on that connection, and is through with it. */
static void wait_taken(int fd)
{
    int left = 1;
    for (int i = 0; i < 60000 && left; i++) {
        assert_int_equal(ioctl(fd, SIOCOUTQ, &left), 0);
        usleep(1000);
    }
    assert_int_equal(left, 0);
    int other = dial("GET /version HTTP/1.0\r\n\r\n");
    hear(other, 0);
    close(other);
}

static void flood_with_pings(int fd, size_t count)
{
    static const char ping[] = "\x89\x80\0\0\0";
    struct buf pings;
    buf_init(&pings, count * sizeof(ping));
    for (size_t i = 0; i < count; i++) {
        buf_add(&pings, ping, sizeof(ping));
    }
    for (size_t at = 0; at < pings.len;) {
        ssize_t sent = send(fd, pings.data + at, pings.len - at, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += (size_t)sent;
    }
    buf_fini(&pings);
}

static bool hears_empty_pong(int fd)
{
    hear(fd, 2);
    assert_int_equal(heard_len, 2);
    assert_int_equal(heard[0], 0x80 | FRAME_PONG);
    return heard[1] == 0;
}

/* Who pings and does not read is answered some, and at last the latest. */
static void test_pongs_do_not_pile_up(void **state)
{
    enum { PINGS = 50000 };
    static const char *const paths[] = {ASK("/v3/kv/range", ""), ASK("/v3/watch", "")};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        int fd = open_socket(paths[i]);
        size_t pongs = 0;
        flood_with_pings(fd, PINGS);
        say(fd, 0x80 | FRAME_PING, "last", 4);
        wait_taken(fd);
        while (hears_empty_pong(fd)) {
            pongs++;
        }
        assert_in_range(pongs, 1, PINGS / 2);
        hears(fd, "last", 4);
        close(fd);
    }
}

static void test_protocol_errors_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"\x81\x02{}", 4, "bad MASK"},
        {"\xc1\x80\0\0\0\0", 6, "RSV1 set"},
        {"\x83\x80\0\0\0\0", 6, "bad opcode 3"},
        {"\x80\x80\0\0\0\0", 6, "continuation after FIN"},
        {"\x89\xfe\0\0\0\0", 6, "len > 125 for control"},
        {"\x09\x80\0\0\0\0", 6, "FIN not set on control"},
        {"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", 12, "data before FIN"},
        {"\x79\x7f", 2,
            "RSV1 set, RSV2 set, RSV3 set, len > 125 for control, FIN not set on "
            "control, bad MASK"},
        {"\x82\xff\xff\0\0\0\0\0\0\0\0\0\0\0", 14, "bad length"},
        {"\x88\x82\0\0\0\0\x03\xee", 8, "bad close code 1006"},
        {"\x88\x83\0\0\0\0\x03\xe8\xff", 9, "invalid utf8 payload in close frame"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char want[200];
        int len = snprintf(
            want, sizeof(want), "\x88%c\x03\xea%s", (int)strlen(cases[i].text) + 2, cases[i].text);
        int fd = open_socket(ASK("/v3/watch", ""));
        assert_true(send(fd, cases[i].bytes, cases[i].len, MSG_NOSIGNAL) > 0);
        hears(fd, want, (size_t)len);
        is_over(fd);
    }
}

static void test_messages_are_limited(void **state)
{
    (void)state;
    char big[1900];
    memset(big, ' ', sizeof(big));
    big[0] = '"';
    int fd = open_socket(ASK("/v3/kv/range", ""));
    say(fd, FRAME_TEXT, big, sizeof(big));
    say(fd, FRAME_CONTINUATION, big + 1, sizeof(big) - 1);
    hears_message(fd, "{\"code\":8, \"message\":\"grpc: received message larger than max\"}");
    is_over(fd);
}

static void refused(const char *request, const char *status)
{
    int fd = dial(request);
    shutdown(fd, SHUT_WR);
    hear(fd, 0);
    heard[heard_len] = 0;
    assert_memory_equal(heard, status, strlen(status));
    assert_non_null(strstr((char *)heard, "\r\nSec-Websocket-Version: 13\r\n"));
    close(fd);
}

#define HEAD "Host: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"

static void test_bad_upgrades_are_refused(void **state)
{
    (void)state;
    refused("POST /v3/watch HTTP/1.1\r\n" HEAD "Content-Length: 0\r\n\r\n",
        "HTTP/1.1 405 Method Not Allowed\r\n");
    refused("GET /v3/watch HTTP/1.1\r\n" HEAD "Sec-WebSocket-Version: 13\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\n");
    refused("GET /v3/watch HTTP/1.1\r\n" HEAD
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\n");
    refused("GET /v3/watch HTTP/1.1\r\n" HEAD
            "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\n");
}

static void test_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *head;
        const char *token;
    } cases[] = {
        {ASK("/v3/kv/range", "Sec-WebSocket-Protocol: Bearer, abc.1 \r\n"),
            UPGRADED("Sec-WebSocket-Protocol: Bearer\r\n"), "abc.1"},
        {ASK("/v3/kv/range", "Sec-WebSocket-Protocol: Bearer\r\n"),
            UPGRADED("Sec-WebSocket-Protocol: Bearer\r\n"), ""},
        {ASK("/v3/kv/range", "Sec-WebSocket-Protocol: chat\r\n"), UPGRADED(""), ""},
        {ASK("/v3/kv/range", "Cookie: a=b; token=\"abc.2\"\r\n"), UPGRADED(""), "abc.2"},
        {ASK("/v3/kv/range", "Cookie: nottoken=x; token\r\n"), UPGRADED(""), ""},
        {ASK("/v3/kv/range", "Authorization: abc.3\r\n"), UPGRADED(""), ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int fd = dial(cases[i].request);
        hears(fd, cases[i].head, strlen(cases[i].head));
        say_text(fd, "{}");
        hears_message(fd, "{\"code\":3, \"message\":\"etcdserver: key is not provided\"}");
        is_over(fd);
        assert_string_equal(fake.token, cases[i].token);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_call_is_answered_and_over),
        TEST(test_messages_are_pieces_of_the_body),
        TEST(test_a_stream_lives_until_the_client_leaves),
        TEST(test_a_bad_message_ends_the_requests_quietly),
        TEST(test_who_leaves_cancels_a_patient_call),
        TEST(test_an_answer_is_weighed_until_it_is_sent),
        TEST(test_pongs_do_not_pile_up),
        TEST(test_protocol_errors_are_told),
        TEST(test_messages_are_limited),
        TEST(test_bad_upgrades_are_refused),
        TEST(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
