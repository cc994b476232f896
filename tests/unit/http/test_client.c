/* SPDX-License-Identifier: Apache-2.0
 * The client side against our own server over loopback, and against a socket that answers what the
 * test wrote. */
#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 3 << 20 };

static struct event_base *base;
static struct http_client *client;
static struct http_server *server;
static int listen_fd;
static char port[8];
static char authority[32];
static pthread_t acceptor;
static atomic_int accepted;
static _Atomic uint32_t came_from; /* IPv4, the last that was accepted */
static atomic_size_t body_bytes;

/* What the last call came to. */
static struct {
    bool is_done;
    struct err err;
    int status;
    char why[256];
    char body[4096];
    char type[64];
    size_t streamed;
    bool wants_stream;
} got;

static void on_body(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    (void)arg;
    if (event == HTTP_BODY_BYTES) {
        atomic_fetch_add(&body_bytes, bytes.len);
    } else if (event == HTTP_BODY_END) {
        http_respond(request, 200, SLICE("taken"));
    } else {
        http_respond(request, 400, bytes);
    }
}

static void on_echo(
    struct http_request *request, enum http_body_event event, struct slice bytes, void *arg)
{
    (void)arg;
    http_set_header(request, "X-Method", "echo");
    http_respond(request, event == HTTP_BODY_END ? 200 : 400, bytes);
}

static void on_closed(struct http_request *request, void *arg)
{
    (void)arg;
    http_end(request);
}

static const struct http_stream taking = {.body = on_body, .closed = on_closed};

static void serve_stream(struct http_request *request)
{
    http_start(request, 200);
    for (int i = 0; i < 3; i++) {
        struct buf piece;
        buf_init(&piece, 64);
        buf_add_str(&piece, "piece");
        http_write(request, &piece);
    }
    http_end(request);
}

static void serve(struct http_request *request, void *arg)
{
    (void)arg;
    if (slice_eq(http_path(request), SLICE("/echo"))) {
        http_body_gather(request, 1024, on_echo, NULL);
    } else if (slice_eq(http_path(request), SLICE("/take"))) {
        http_body_stream(request, &taking, NULL);
    } else if (slice_eq(http_path(request), SLICE("/stream"))) {
        serve_stream(request);
    } else {
        http_respond_error(request, 404, "404 page not found");
    }
}

static struct http_site site = {.serve = serve};

static void *accept_all(void *arg)
{
    int fd;
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    (void)arg;
    while ((fd = accept(listen_fd, (struct sockaddr *)&from, &size)) >= 0) {
        atomic_store(&came_from, ntohl(from.sin_addr.s_addr));
        atomic_fetch_add(&accepted, 1);
        http_adopt(server, &site, fd, "test");
    }
    return NULL;
}

static int open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(port, sizeof(port), "%u", ntohs(address.sin_port));
    snprintf(authority, sizeof(authority), "127.0.0.1:%s", port);
    return fd;
}

/* What is waited for at most: much longer than it ever takes. */
enum { PATIENCE_MS = 60000 };

static int set_up(int64_t idle_ms)
{
    signal(SIGPIPE, SIG_IGN);
    memset(&got, 0, sizeof(got));
    atomic_store(&accepted, 0);
    atomic_store(&body_bytes, 0);
    listen_fd = open_listener();
    server = http_server_new(&(struct http_options){.idle_ms = idle_ms});
    assert_false(err_is(http_server_start(server, NULL)));
    assert_int_equal(pthread_create(&acceptor, NULL, accept_all, NULL), 0);
    base = event_base_new();
    client = http_client_new(base, &(struct http_dialing){.dial_ms = PATIENCE_MS});
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return set_up(PATIENCE_MS);
}

static int setup_hasty(void **state)
{
    (void)state;
    return set_up(200);
}

static int teardown(void **state)
{
    (void)state;
    http_client_free(client);
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
    shutdown(listen_fd, SHUT_RDWR);
    pthread_join(acceptor, NULL);
    close(listen_fd);
    http_server_free(server);
    return 0;
}

static void on_done(void *arg, const struct http_answer *answer)
{
    assert_ptr_equal(arg, &got);
    struct slice type = http_answer_header(answer, "content-type");
    got.is_done = true;
    got.err = answer->err;
    got.status = answer->status;
    snprintf(got.why, sizeof(got.why), "%s", answer->why);
    snprintf(got.body, sizeof(got.body), "%.*s", (int)answer->body.len,
        answer->body.data ? (const char *)answer->body.data : "");
    snprintf(got.type, sizeof(got.type), "%.*s", (int)type.len,
        type.data ? (const char *)type.data : "");
    event_base_loopbreak(base);
}

static bool on_started(void *arg, const struct http_answer *answer)
{
    assert_ptr_equal(arg, &got);
    assert_int_equal(answer->status, 200);
    return got.wants_stream;
}

static void on_piece(void *arg, struct slice bytes)
{
    assert_ptr_equal(arg, &got);
    got.streamed += bytes.len;
}

static struct http_call call_of(const char *method, const char *path)
{
    return (struct http_call){.target = {.authority = authority, .host = "127.0.0.1", .port = port},
        .method = method,
        .path = path,
        .answer_max = 1024,
        .timeout_ms = PATIENCE_MS,
        .done = on_done,
        .arg = &got};
}

static void run(const struct http_call *call)
{
    got.is_done = false;
    http_client_call(client, call);
    assert_false(got.is_done);
    event_base_loop(base, 0);
    assert_true(got.is_done);
}

static void test_calls_share_one_connection(void **state)
{
    struct http_call call = call_of("POST", "/echo");
    (void)state;
    call.body = SLICE("hello");
    for (int i = 0; i < 5; i++) {
        run(&call);
        assert_int_equal(got.err.code, ERR_OK);
        assert_int_equal(got.status, 200);
        assert_string_equal(got.body, "hello");
    }
    struct http_call missing = call_of("GET", "/missing");
    run(&missing);
    assert_int_equal(got.status, 404);
    assert_string_equal(got.body, "404 page not found\n");
    assert_string_equal(got.type, "text/plain; charset=utf-8");
    assert_int_equal(atomic_load(&accepted), 1);
}

/* The server lets go of an idle connection; the next call gets a new one without an error. */
static void test_a_stale_connection_is_replaced(void **state)
{
    struct http_call call = call_of("GET", "/x");
    (void)state;
    run(&call);
    assert_int_equal(got.status, 404);
    for (int i = 0; i < PATIENCE_MS / 10 && http_connections(server) > 0; i++) {
        usleep(10000);
    }
    assert_int_equal(http_connections(server), 0);
    run(&call);
    assert_int_equal(got.err.code, ERR_OK);
    assert_int_equal(got.status, 404);
    assert_int_equal(atomic_load(&accepted), 2);
}

static void test_a_stream_comes_in_pieces(void **state)
{
    struct http_call call = call_of("GET", "/stream");
    (void)state;
    call.started = on_started;
    call.piece = on_piece;
    got.wants_stream = true;
    run(&call);
    assert_int_equal(got.err.code, ERR_CLOSED);
    assert_int_equal(got.streamed, 15);
    got.wants_stream = false;
    run(&call);
    assert_int_equal(got.err.code, ERR_UNSUPPORTED);
    assert_int_equal(got.streamed, 15);
}

static size_t produced;

static struct err produce(void *arg, void *out, size_t size, size_t *out_got, struct why *why)
{
    assert_ptr_equal(arg, &got);
    if (produced == SIZE_MAX) {
        return why_set(why, ERR(IO), "the disk is gone");
    }
    memset(out, 'x', size);
    *out_got = size;
    produced += size;
    return OK;
}

static void test_a_big_body_is_produced(void **state)
{
    struct http_call call = call_of("POST", "/take");
    (void)state;
    produced = 0;
    call.produce = produce;
    call.body_bytes = BIG;
    run(&call);
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "taken");
    assert_int_equal(atomic_load(&body_bytes), BIG);
    assert_int_equal(produced, BIG);
    produced = SIZE_MAX;
    run(&call);
    assert_int_equal(got.err.code, ERR_IO);
    assert_string_equal(got.why, "the disk is gone");
}

static void dial_from(const char *address)
{
    http_client_free(client);
    client = http_client_new(
        base, &(struct http_dialing){.dial_ms = PATIENCE_MS, .local_address = address});
}

static void test_connections_come_from_the_address_that_was_given(void **state)
{
    struct http_call call = call_of("GET", "/x");
    (void)state;
    run(&call);
    assert_int_equal(atomic_load(&came_from), INADDR_LOOPBACK);
    dial_from("127.0.0.77");
    run(&call);
    assert_int_equal(got.err.code, ERR_OK);
    assert_int_equal(atomic_load(&came_from), INADDR_LOOPBACK - 1 + 77);
    dial_from("::1"); /* of the other family: as the kernel likes */
    run(&call);
    assert_int_equal(got.err.code, ERR_OK);
    dial_from("192.0.2.1"); /* of nobody */
    run(&call);
    assert_int_equal(got.err.code, ERR_IO);
    assert_non_null(strstr(got.why, "bind 192.0.2.1: Cannot assign requested address"));
}

static struct err produce_some(void *arg, void *out, size_t size, size_t *out_got, struct why *why)
{
    (void)arg;
    (void)why;
    size_t step = produced % 3 ? size : 1000;
    size_t left = BIG - produced;
    *out_got = step < left ? step : left;
    memset(out, 'x', *out_got);
    produced += *out_got;
    return OK;
}

/* Chunks, as nobody knows how much there will be; what breaks off has no end. */
static void test_a_body_of_unknown_length_is_produced(void **state)
{
    struct http_call call = call_of("POST", "/take");
    (void)state;
    produced = 0;
    call.produce = produce_some;
    call.is_chunked = true;
    run(&call);
    assert_int_equal(got.status, 200);
    assert_string_equal(got.body, "taken");
    assert_int_equal(atomic_load(&body_bytes), BIG);
    produced = SIZE_MAX;
    call.produce = produce;
    run(&call);
    assert_int_equal(got.err.code, ERR_IO);
    assert_string_equal(got.why, "the disk is gone");
}

static void test_too_big_an_answer_is_refused(void **state)
{
    struct http_call call = call_of("GET", "/x");
    (void)state;
    call.answer_max = 5;
    run(&call);
    assert_int_equal(got.err.code, ERR_TOO_BIG);
}

static void test_a_name_is_looked_up(void **state)
{
    struct http_call call = call_of("GET", "/x");
    (void)state;
    call.target.host = "localhost"; /* may be ::1 first, where nobody listens */
    run(&call);
    assert_int_equal(got.err.code, ERR_OK);
    assert_int_equal(got.status, 404);
    call.timeout_ms = 3000; /* a name server may take longer to say no */
    call.target.host = "no-such-host.invalid";
    call.target.authority = "no-such-host.invalid:1";
    run(&call);
    assert_true(err_is(got.err));
}

static void test_nobody_listening_is_told(void **state)
{
    struct http_call call = call_of("GET", "/x");
    (void)state;
    call.target.port = "1";
    call.target.authority = "127.0.0.1:1";
    run(&call);
    assert_true(err_is(got.err));
    assert_non_null(strstr(got.why, "Connection refused"));
}

/* Answers one connection with text and closes it, or keeps it open. */
struct liar {
    int fd;
    const char *text;
    bool stays;
};

static void *lie(void *arg)
{
    const struct liar *liar = arg;
    char request[4096];
    int fd = accept(liar->fd, NULL, NULL);
    if (recv(fd, request, sizeof(request), 0) > 0) { /* who asks may have given up */
        (void)send(fd, liar->text, strlen(liar->text), MSG_NOSIGNAL);
    }
    if (liar->stays) {
        while (recv(fd, request, sizeof(request), 0) > 0) {
        }
    }
    close(fd);
    return NULL;
}

/* limits: timeout_ms and idle_ms. */
static void ask_liar_for(const char *text, bool stays, struct http_call limits)
{
    char keep_port[8];
    char keep_authority[32];
    pthread_t thread;
    memcpy(keep_port, port, sizeof(port));
    memcpy(keep_authority, authority, sizeof(authority));
    struct liar liar = {open_listener(), text, stays};
    struct http_call call = call_of("GET", "/x");
    call.timeout_ms = limits.timeout_ms;
    call.idle_ms = limits.idle_ms;
    assert_int_equal(pthread_create(&thread, NULL, lie, &liar), 0);
    run(&call);
    http_client_cancel(client);
    event_base_loop(base, EVLOOP_NONBLOCK); /* libevent closes a turn later */
    pthread_join(thread, NULL);
    close(liar.fd);
    memcpy(port, keep_port, sizeof(port));
    memcpy(authority, keep_authority, sizeof(authority));
}

static void ask_liar(const char *text, bool stays, int64_t timeout_ms)
{
    ask_liar_for(text, stays, (struct http_call){.timeout_ms = timeout_ms});
}

static void test_bad_answers_are_refused(void **state)
{
    (void)state;
    ask_liar("HTTP/1.1 20 OK\r\n\r\n", false, PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_BAD_FORMAT);
    ask_liar("SSH-2.0-x\r\n\r\n", false, PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_BAD_FORMAT);
    ask_liar("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", false, PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_CLOSED);
    ask_liar("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_BAD_FORMAT);
    ask_liar("", false, PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_CLOSED);
}

/* A field of so many bytes, and so many short ones. */
static void ask_liar_of(size_t long_bytes, size_t fields)
{
    struct buf text;
    buf_init(&text, SIZE_MAX);
    buf_add_str(&text, "HTTP/1.1 204 No Content\r\nA: ");
    for (size_t i = 0; i < long_bytes; i++) {
        buf_add_str(&text, "x");
    }
    buf_add_str(&text, "\r\n");
    for (size_t i = 0; i < fields; i++) {
        buf_add_str(&text, "B: y\r\n");
    }
    buf_add_str(&text, "\r\n");
    ask_liar(buf_text(&text), true, PATIENCE_MS);
    buf_fini(&text);
}

static void test_heads_of_answers_are_bounded(void **state)
{
    enum { BYTES = 64 << 10, FIELDS = 100 };
    (void)state;
    ask_liar_of(BYTES - 100, 0);
    assert_int_equal(got.err.code, ERR_OK);
    ask_liar_of(BYTES, 0);
    assert_int_equal(got.err.code, ERR_TOO_BIG);
    ask_liar_of(1, FIELDS - 1);
    assert_int_equal(got.err.code, ERR_OK);
    assert_int_equal(got.status, 204);
    ask_liar_of(1, FIELDS);
    assert_int_equal(got.err.code, ERR_BAD_FORMAT);
}

static void test_odd_answers_are_understood(void **state)
{
    (void)state;
    ask_liar("HTTP/1.0 200 OK\r\n\r\nup to the end", false, PATIENCE_MS);
    assert_int_equal(got.err.code, ERR_OK);
    assert_string_equal(got.body, "up to the end");
    ask_liar("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true, PATIENCE_MS);
    assert_int_equal(got.status, 204);
}

static void test_silence_ends_a_call(void **state)
{
    (void)state;
    int64_t start = clock_mono_ms();
    ask_liar("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", true, 300);
    assert_int_equal(got.err.code, ERR_TIMEDOUT);
    assert_true(clock_mono_ms() - start >= 290);
}

/* Takes a posted body in steps and says nothing before all of it is there. The end of it, more than
 * sockets hold, comes without pauses: the client does not see those. */
enum { LONG_BODY = 32 << 20, PACED = 20 << 20, STEP = 256 << 10, PAUSE_MS = 20 };

static void *take_slowly(void *arg)
{
    const int *listener = arg;
    static char bytes[STEP];
    const struct slice answer = SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    int fd = accept(*listener, NULL, NULL);
    for (size_t taken = 0; taken < LONG_BODY; taken += STEP) {
        if (taken < PACED) {
            usleep(PAUSE_MS * 1000);
        }
        if (recv(fd, bytes, STEP, MSG_WAITALL) <= 0) {
            break;
        }
    }
    (void)send(fd, answer.data, answer.len, MSG_NOSIGNAL);
    while (recv(fd, bytes, STEP, 0) > 0) { /* as many bytes as the head has */
    }
    close(fd);
    return NULL;
}

/* Whoever takes a body that takes long has no reason to say anything meanwhile. */
static void test_a_body_may_take_longer_than_silence_may(void **state)
{
    char keep_port[8];
    char keep_authority[32];
    pthread_t thread;
    struct http_call call = call_of("POST", "/take");
    (void)state;
    memcpy(keep_port, port, sizeof(port));
    memcpy(keep_authority, authority, sizeof(authority));
    int listener = open_listener();
    produced = 0;
    call.produce = produce;
    call.body_bytes = LONG_BODY;
    call.idle_ms = 400;
    call.write_ms = PATIENCE_MS;
    assert_int_equal(pthread_create(&thread, NULL, take_slowly, &listener), 0);
    int64_t start = clock_mono_ms();
    run(&call);
    http_client_cancel(client);
    event_base_loop(base, EVLOOP_NONBLOCK);
    pthread_join(thread, NULL);
    close(listener);
    memcpy(port, keep_port, sizeof(port));
    memcpy(authority, keep_authority, sizeof(authority));
    assert_string_equal(got.why, "");
    assert_int_equal(got.status, 200);
    assert_true(clock_mono_ms() - start > 3 * call.idle_ms);
}

/* All was taken, and then nothing comes. */
static void test_silence_behind_the_request_ends_a_call(void **state)
{
    (void)state;
    ask_liar_for("", true, (struct http_call){.idle_ms = 200, .timeout_ms = PATIENCE_MS});
    assert_int_equal(got.err.code, ERR_TIMEDOUT);
    assert_string_equal(got.why, "i/o timeout");
}

static SSL_CTX *served_with;

static SSL_CTX *server_tls(void *arg)
{
    (void)arg;
    SSL_CTX_up_ref(served_with);
    return served_with;
}

static SSL_CTX *client_tls(void *arg)
{
    (void)arg;
    return SSL_CTX_new(TLS_client_method());
}

static SSL_CTX *make_demanding_context(void)
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
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
    return context;
}

/* With TLS 1.3 the client is through its handshake by then: what the server has against it comes in
 * an alert behind that. */
static void test_why_a_server_refuses_is_told(void **state)
{
    struct http_call call = call_of("GET", "/x");
    (void)state;
    served_with = make_demanding_context();
    site.tls = server_tls;
    http_client_free(client);
    client = http_client_new(
        base, &(struct http_dialing){
                  .dial_ms = PATIENCE_MS, .tls = client_tls, .server_name = "localhost"});
    call.target.is_tls = true;
    run(&call);
    assert_int_equal(got.err.code, ERR_CLOSED);
    assert_string_equal(got.why, "tls: tlsv13 alert certificate required");
    site.tls = NULL;
    SSL_CTX_free(served_with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_calls_share_one_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stale_connection_is_replaced, setup_hasty, teardown),
        cmocka_unit_test_setup_teardown(test_a_stream_comes_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_big_body_is_produced, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_connections_come_from_the_address_that_was_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_body_of_unknown_length_is_produced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_big_an_answer_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_is_looked_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_listening_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_answers_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_heads_of_answers_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_answers_are_understood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silence_ends_a_call, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_body_may_take_longer_than_silence_may, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_silence_behind_the_request_ends_a_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_why_a_server_refuses_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
