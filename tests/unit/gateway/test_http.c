/* SPDX-License-Identifier: Apache-2.0
 * Whole answers over a socket, Date cut out, compared with those recorded from the reference. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "fake_api.h"
#include "gateway/gateway.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define OK_HEAD                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nGrpc-Metadata-Content-Type: "            \
    "application/grpc\r\n"
#define STREAM_HEAD OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
#define TEXT_HEAD "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
#define NOT_FOUND                                                                                  \
    "HTTP/1.1 404 Not Found\r\n" TEXT_HEAD "Content-Length: 19\r\n\r\n404 page not found\n"
#define HEADER                                                                                     \
    "{\"cluster_id\":\"414561183332360902\", \"member_id\":\"15803163887843120258\", "             \
    "\"revision\":\"2\", "                                                                         \
    "\"raft_term\":\"2\"}"
#define HEADER_TIGHT                                                                               \
    "{\"cluster_id\":\"414561183332360902\",\"member_id\":\"15803163887843120258\",\"revision\":"  \
    "\"2\","                                                                                       \
    "\"raft_term\":\"2\"}"

static struct http_server *server;
static struct gateway *gateway;
static struct http_site *client_site;
static struct http_site *metrics_site;
static char answer[1 << 20];

static int setup(void **state)
{
    static const char *const cors[] = {"http://a.example:80", NULL};
    static const char *const hosts[] = {"127.0.0.1", "localhost", "::1", NULL};
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fake_reset();
    metric_reset();
    struct gateway_options options = {
        .cors = cors, .host_whitelist = hosts, .request_bytes_max = 1000};
    server = http_server_new(NULL);
    gateway = gateway_new(&options);
    client_site = gateway_site(gateway, GATEWAY_CLIENT);
    metrics_site = gateway_site(gateway, GATEWAY_METRICS_ONLY);
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

static int dial(const struct http_site *site)
{
    int fds[2];
    struct timeval timeout = {60, 0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    http_adopt(server, site, fds[1], "127.0.0.1:5");
    return fds[0];
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

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
    char *date = strstr(answer, "Date: ");
    if (date) {
        char *end = strstr(date, "\r\n") + 2;
        memmove(date, end, strlen(end) + 1);
    }
    return answer;
}

static const char *ask_at(const struct http_site *site, const char *method, const char *path,
    const char *headers, const char *body)
{
    int fd = dial(site);
    char length[64] = "";
    if (body) {
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    }
    char *text = mem_printf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:2379\r\n%s%s\r\n%s", method, path,
        headers, length, body ? body : "");
    say(fd, text);
    free(text);
    shutdown(fd, SHUT_WR);
    hear(fd, NULL);
    close(fd);
    return answer;
}

static const char *ask(const char *method, const char *path, const char *body)
{
    return ask_at(client_site, method, path, "", body);
}

static void assert_answer(const char *head, const char *body)
{
    char *want = mem_printf("%sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
    assert_string_equal(answer, want);
    free(want);
}

static void assert_refused(const char *status, const char *body)
{
    char *head = mem_printf("HTTP/1.1 %s\r\nContent-Type: application/json\r\n", status);
    assert_answer(head, body);
    free(head);
}

static void test_calls_answer_as_the_reference(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/v3/kv/range", "/v3beta/kv/range", "/v3alpha/kv/range", "/v3/kv/rang%65"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        ask("POST", paths[i], "{\"key\":\"Zm9v\"}");
        assert_answer(OK_HEAD,
            "{\"header\":" HEADER ", \"kvs\":[{\"key\":\"Zm9v\", \"create_revision\":\"2\", "
            "\"mod_revision\":\"2\", \"version\":\"1\", \"value\":\"YmFy\"}], \"count\":\"1\"}");
    }
    ask("POST", "/v3/kv/put", "{\"key\":\"Zm9v\",\"value\":\"YmFy\"}");
    assert_answer(OK_HEAD, "{\"header\":" HEADER "}");
    ask("POST", "/v3/kv/range",
        "{\"key\":\"Zm9v\",\"range_end\":\"AA==\",\"keys_only\":true} trailing");
    assert_answer(OK_HEAD,
        "{\"header\":" HEADER ", \"kvs\":[{\"key\":\"Zm9v\", \"create_revision\":\"2\", "
        "\"mod_revision\":\"2\", \"version\":\"1\"}, {\"key\":\"Zm9v\", \"create_revision\":\"2\", "
        "\"mod_revision\":\"2\", \"version\":\"1\"}], \"count\":\"2\"}");
    ask("POST", "/v3/maintenance/defragment", "{}");
    assert_answer(OK_HEAD, "{}");
}

/* An answer that nobody reads is weighed until it is sent, or the client has gone. */
static void test_an_answer_is_weighed_until_it_is_sent(void **state)
{
    (void)state;
    for (int is_read = 0; is_read < 2; is_read++) {
        fake_reset();
        fake.weighs = 4 << 20;
        int fd = dial(client_site);
        say(fd, "POST /v3/kv/range HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                "Content-Length: 14\r\n\r\n"
                "{\"key\":\"Zm9v\"}");
        assert_int_equal(recv(fd, answer, 1, MSG_PEEK), 1);
        assert_int_equal(atomic_load(&fake.emptied), 1);
        assert_int_equal(atomic_load(&fake.released), 0);
        while (is_read && recv(fd, answer, sizeof(answer), 0) > 0) {
        }
        close(fd);
        for (int i = 0; i < 60000 && atomic_load(&fake.released) == 0; i++) {
            usleep(1000);
        }
        assert_int_equal(atomic_load(&fake.released), 1);
    }
}

static void test_errors_answer_as_the_reference(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "{}", " ", NULL};
    for (size_t i = 0; i < COUNT_OF(empty); i++) {
        ask("POST", "/v3/kv/range", empty[i]);
        assert_refused(
            "400 Bad Request", "{\"code\":3, \"message\":\"etcdserver: key is not provided\"}");
    }
    ask("POST", "/v3/kv/range", "{\"key\":\"Zm9v\"");
    assert_refused("400 Bad Request", "{\"code\":3, \"message\":\"unexpected EOF\"}");
    ask("POST", "/v3/kv/range", "{\"key\":5}");
    assert_refused("400 Bad Request", "{\"code\":3, \"message\":\"proto:\xc2\xa0(line 1:8): "
                                      "invalid value for bytes field key: 5\"}");
    ask("POST", "/v3/nope", "{}");
    assert_refused("404 Not Found", "{\"code\":5, \"message\":\"Not Found\"}");
    ask("GET", "/v3/kv/range", NULL);
    assert_refused("501 Not Implemented", "{\"code\":12, \"message\":\"Method Not Allowed\"}");
    ask("GET", "/v3/watch", NULL);
    assert_refused("501 Not Implemented", "{\"code\":12, \"message\":\"Method Not Allowed\"}");
    ask_at(client_site, "POST", "/v3/kv/range",
        "Content-Type: application/x-www-form-urlencoded\r\nX-HTTP-Method-Override: GET\r\n",
        "{\"key\":\"Zm9v\"}");
    assert_refused("501 Not Implemented", "{\"code\":12, \"message\":\"Method Not Allowed\"}");
    ask_at(client_site, "POST", "/v3/kv/put", "Grpc-Timeout: 1234567890123H\r\n", "{}");
    assert_answer(OK_HEAD, "{\"header\":" HEADER "}");
    ask_at(client_site, "POST", "/v3/kv/range", "Grpc-Timeout: 1x\r\n", "{}");
    assert_refused("400 Bad Request", "{\"code\":3, \"message\":\"invalid grpc-timeout: 1x\"}");
}

static void test_codes_become_statuses(void **state)
{
    (void)state;
    static const char *const statuses[] = {NULL, "499 Client Closed Request",
        "500 Internal Server Error", "400 Bad Request", "504 Gateway Timeout", "404 Not Found",
        "409 Conflict", "403 Forbidden", "429 Too Many Requests", "400 Bad Request", "409 Conflict",
        "400 Bad Request", "501 Not Implemented", "500 Internal Server Error",
        "503 Service Unavailable", "500 Internal Server Error"};
    for (size_t i = 1; i < COUNT_OF(statuses); i++) {
        fake.code = (enum grpc_code)i;
        fake.text = "etcdserver: <text>";
        char *body = mem_printf("{\"code\":%zu, \"message\":\"etcdserver: <text>\"}", i);
        ask("POST", "/v3/kv/put", "{}");
        assert_refused(statuses[i], body);
        free(body);
    }
    fake.code = GRPC_CODE_UNAUTHENTICATED;
    fake.text = "etcdserver: invalid auth token";
    ask("POST", "/v3/kv/put", "{}");
    assert_answer("HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\n"
                  "Www-Authenticate: etcdserver: invalid auth token\r\n",
        "{\"code\":16, \"message\":\"etcdserver: invalid auth token\"}");
}

static void test_metadata_travels_in_headers(void **state)
{
    (void)state;
    static const char *const headers[] = {"Authorization: tok.1\r\n",
        "Grpc-Metadata-Token: tok.1\r\n", "Grpc-Metadata-Authorization: tok.1\r\n"};
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        fake_reset();
        ask_at(client_site, "POST", "/v3/kv/put", headers[i], "{}");
        assert_string_equal(fake.token, "tok.1");
        assert_false(fake.had_leader);
    }
    ask_at(client_site, "POST", "/v3/kv/put",
        "Token: no\r\nGrpc-Metadata-Hasleader: true\r\nGrpc-Timeout: 2S\r\n", "{}");
    assert_string_equal(fake.token, "");
    assert_true(fake.had_leader && !fake.was_internal);
    assert_true(fake.deadline_ns < INT64_MAX);
}

static void test_sizes_are_limited(void **state)
{
    (void)state;
    char value[2001];
    memset(value, 'A', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    char *body = mem_printf("{\"value\":\"%s\"}", value);
    ask("POST", "/v3/kv/put", body);
    assert_refused("429 Too Many Requests",
        "{\"code\":8, \"message\":\"grpc: received message larger than max (1503 vs. 1000)\"}");
    free(body);
    body = mem_printf("{\"value\":\"%s%s%s\"}", value, value, value);
    ask("POST", "/v3/kv/put", body);
    assert_non_null(strstr(answer, "HTTP/1.1 429 Too Many Requests\r\n"));
    free(body);
}

static void test_paths_are_cleaned_as_gos_mux_does(void **state)
{
    (void)state;
    ask("POST", "/v3", "{}");
    assert_string_equal(
        answer, "HTTP/1.1 301 Moved Permanently\r\nLocation: /v3/\r\nContent-Length: 0\r\n\r\n");
    ask("GET", "/v3", NULL);
    assert_answer("HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/html; "
                  "charset=utf-8\r\nLocation: /v3/\r\n",
        "<a href=\"/v3/\">Moved Permanently</a>.\n\n");
    ask("HEAD", "/v3", NULL);
    assert_string_equal(answer, "HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/html; "
                                "charset=utf-8\r\nLocation: /v3/\r\n\r\n");
    ask("GET", "//health?a=b&c", NULL);
    assert_answer("HTTP/1.1 301 Moved Permanently\r\nContent-Type: text/html; "
                  "charset=utf-8\r\nLocation: /health?a=b&c\r\n",
        "<a href=\"/health?a=b&amp;c\">Moved Permanently</a>.\n\n");
    ask("POST", "/v3/kv/./../kv/range", "{}");
    assert_non_null(strstr(answer, "Location: /v3/kv/range\r\n"));
    ask("GET", "/../../a%20b/", NULL);
    assert_non_null(strstr(answer, "Location: /a%20b/\r\n"));
    ask("POST", "/v3/kv/range/", "{}");
    assert_refused("404 Not Found", "{\"code\":5, \"message\":\"Not Found\"}");
}

static void test_other_paths_are_404(void **state)
{
    (void)state;
    static const char *const paths[] = {"/", "/nope", "/v3x", "/health/", "/livez/", "/readyz/x",
        "/livez/data_corruption", "/health/alarms", "/v2/keys", "/debug/pprof/"};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        assert_string_equal(ask("GET", paths[i], NULL), NOT_FOUND);
    }
    static const char *const elsewhere[] = {"/version", "/v3/kv/range", "/debug/vars", "/"};
    for (size_t i = 0; i < COUNT_OF(elsewhere); i++) {
        assert_string_equal(ask_at(metrics_site, "GET", elsewhere[i], "", NULL), NOT_FOUND);
    }
}

static void test_listeners_may_be_many(void **state)
{
    (void)state;
    struct http_site *site = NULL;
    for (int i = 0; i < 64; i++) {
        site = gateway_site(gateway, i % 2 ? GATEWAY_VERSION : GATEWAY_METRICS);
    }
    assert_non_null(strstr(ask_at(site, "GET", "/version", "", NULL), "200 OK"));
    assert_string_equal(ask_at(site, "GET", "/metrics", "", NULL), NOT_FOUND);
}

static void test_version(void **state)
{
    (void)state;
    ask("GET", "/version", NULL);
    assert_answer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        "{\"etcdserver\":\"3.6.99\",\"etcdcluster\":\"3.6.0\",\"storage\":\"3.6.0\"}");
    ask("POST", "/version", "");
    assert_answer(
        "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n" TEXT_HEAD, "Method Not Allowed\n");
}

static void test_health(void **state)
{
    (void)state;
    ask("GET", "/health", NULL);
    assert_string_equal(answer,
        "HTTP/1.1 200 OK\r\nContent-Length: 29\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        "{\"health\":\"true\",\"reason\":\"\"}");
    assert_true(fake.was_internal);
    ask("HEAD", "/health", NULL);
    assert_string_equal(answer,
        "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n" TEXT_HEAD "Content-Length: 19\r\n\r\n");
    fake.leader = 0;
    ask("GET", "/health", NULL);
    assert_answer("HTTP/1.1 503 Service Unavailable\r\n" TEXT_HEAD,
        "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n");
    assert_non_null(strstr(ask("GET", "/health?serializable=true", NULL), "200 OK"));
    fake.alarm = 1;
    ask("GET", "/health?exclude=CORRUPT", NULL);
    assert_answer("HTTP/1.1 503 Service Unavailable\r\n" TEXT_HEAD,
        "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n");
    fake.leader = 1;
    assert_non_null(strstr(ask("GET", "/health?exclude=&exclude=NOSPACE", NULL), "200 OK"));
    for (fake.alarm = 3; fake.alarm <= 4; fake.alarm++) { /* of a type without a name, of none */
        ask("GET", "/health", NULL);
        assert_answer("HTTP/1.1 503 Service Unavailable\r\n" TEXT_HEAD,
            "{\"health\":\"false\",\"reason\":\"ALARM UNKNOWN\"}\n");
        assert_non_null(strstr(ask("GET", "/readyz", NULL), "200 OK"));
    }
    fake.alarm = 4;
    assert_non_null(strstr(ask("GET", "/health?exclude=NONE", NULL), "200 OK"));
    fake.alarm = 3;
    assert_non_null(strstr(ask("GET", "/health?exclude=99", NULL), "200 OK"));
    fake.alarm = 0;
    fake.linear_code = GRPC_CODE_UNAVAILABLE;
    fake.linear_text = "etcdserver: request timed out";
    ask("GET", "/health", NULL);
    assert_answer("HTTP/1.1 503 Service Unavailable\r\n" TEXT_HEAD,
        "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: request timed out\"}\n");
}

static void test_livez_and_readyz(void **state)
{
    (void)state;
#define GOOD "HTTP/1.1 200 OK\r\n" TEXT_HEAD
#define BAD "HTTP/1.1 503 Service Unavailable\r\n" TEXT_HEAD
    ask("GET", "/livez", NULL);
    assert_answer(GOOD, "ok\n");
    ask_at(metrics_site, "GET", "/livez?verbose", "", NULL);
    assert_answer(GOOD, "[+]serializable_read ok\nok\n");
    ask("GET", "/livez?verbose&exclude=serializable_read&exclude=zz", NULL);
    assert_answer(GOOD, "ok\n");
    ask("GET", "/readyz?verbose=1&exclude=serializable_read", NULL);
    assert_answer(GOOD, "[+]data_corruption ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n");
    ask("GET", "/readyz/data_corruption?verbose", NULL);
    assert_answer(GOOD, "[+]data_corruption ok\nok\n");
    ask("POST", "/readyz", NULL);
    assert_answer(
        "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n" TEXT_HEAD, "Method Not Allowed\n");
    fake.alarm = 2;
    fake.is_learner = true;
    fake.linear_code = GRPC_CODE_FAILED_PRECONDITION;
    fake.linear_text = "etcdserver: rpc not supported for learner";
    ask("GET", "/readyz", NULL);
    assert_answer(BAD,
        "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n"
        "[-]linearizable_read failed: etcdserver: rpc not supported for learner\n"
        "[-]non_learner failed: not supported for learner\n\n");
    assert_non_null(strstr(ask("GET", "/livez", NULL), "200 OK"));
    ask("GET", "/readyz/non_learner", NULL);
    assert_answer(BAD, "[-]non_learner failed: not supported for learner\n\n");
    ask("GET", "/metrics", NULL);
    assert_non_null(
        strstr(answer, "etcd_server_healthcheck{name=\"non_learner\",type=\"readyz\"} 0\n"));
    assert_non_null(strstr(answer, "etcd_server_healthchecks_total{name=\"non_learner\",status="
                                   "\"error\",type=\"readyz\"} 2\n"));
}

void __real_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);

static atomic_int warnings;
static char warned[100];

void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields)
{
    if (strcmp(message, "some health checks cannot be excluded") == 0) {
        atomic_fetch_add(&warnings, 1);
        assert_string_equal(fields[0].name, "missing-health-checks");
        snprintf(warned, sizeof(warned), "%s", fields[0].text);
    }
    __real_log_write(level, file, line, message, fields);
}

static void test_unknown_checks_are_warned_of_in_one_line(void **state)
{
    struct buf path;
    (void)state;
    atomic_store(&warnings, 0);
    ask("GET", "/readyz?verbose&exclude=zz&exclude=a%22b&exclude=zz&exclude=non_learner", NULL);
    assert_int_equal(atomic_load(&warnings), 1);
    assert_string_equal(warned, "\"a\\\"b\",\"zz\"");
    assert_null(strstr(answer, "non_learner"));
    ask("GET", "/readyz?verbose&exclude=non_learner%00x&exclude=data_corruption", NULL);
    assert_int_equal(atomic_load(&warnings), 1);
    assert_non_null(strstr(answer, "[+]non_learner ok\n"));
    ask("GET", "/health?exclude=zz", NULL); /* its names are those of alarms */
    assert_int_equal(atomic_load(&warnings), 1);
    buf_init(&path, 1 << 20);
    buf_add_str(&path, "/readyz?exclude=0");
    for (int i = 1; i < 20000; i++) {
        buf_printf(&path, "&exclude=%d", i);
    }
    assert_non_null(strstr(ask("GET", buf_text(&path), NULL), "200 OK"));
    assert_int_equal(atomic_load(&warnings), 2);
    buf_fini(&path);
}

static void test_metrics_and_vars(void **state)
{
    (void)state;
    ask_at(metrics_site, "POST", "/metrics", "", "x");
    assert_non_null(strstr(
        answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8"));
    static const char *const names[] = {"\nprocess_cpu_seconds_total ",
        "\nprocess_resident_memory_bytes ", "\nprocess_virtual_memory_bytes ",
        "\nprocess_open_fds ", "\nprocess_max_fds ", "\nprocess_start_time_seconds ",
        "\nprocess_network_receive_bytes_total ",
        "\netcd_server_version{server_version=\"3.6.99\"} 1\n", "\netcd_server_health_success 0\n"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_non_null(strstr(answer, names[i]));
    }
    assert_true(strtod(strstr(answer, "\nprocess_resident_memory_bytes ") + 31, NULL) > 1e6);
    assert_true(strtod(strstr(answer, "\nprocess_open_fds ") + 18, NULL) >= 5);
    double age =
        (double)time(NULL) - strtod(strstr(answer, "\nprocess_start_time_seconds ") + 28, NULL);
    assert_true(age > -3 && age < 600);
    ask("GET", "/debug/vars", NULL);
    assert_non_null(strstr(answer, "Content-Type: application/json; charset=utf-8\r\n"));
    assert_non_null(strstr(answer, "{\n\"cmdline\": [\""));
    assert_non_null(strstr(answer, "}\n}\n"));
}

static void test_metrics_are_packed_when_asked(void **state)
{
    (void)state;
    static const struct {
        const char *asked;
        bool is_packed;
    } cases[] = {{"gzip", true}, {"br,  gzip ", true}, {"deflate, gzip;q=0.1", true},
        {"gzipped", false}, {"", false}, {",,", false}, {"x-gzip", false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *header = mem_printf("Accept-Encoding: %s\r\n", cases[i].asked);
        ask_at(metrics_site, "GET", "/metrics", header, NULL);
        free(header);
        bool is_packed = strstr(answer, "Content-Encoding: gzip\r\n") != NULL;
        bool is_plain = strstr(answer, "# TYPE process_open_fds gauge\n") != NULL;
        assert_int_equal(is_packed, cases[i].is_packed);
        assert_int_equal(is_plain, !cases[i].is_packed);
    }
}

static void test_unknown_hosts_are_refused(void **state)
{
    (void)state;
    int fd = dial(client_site);
    say(fd, "GET /version HTTP/1.1\r\nHost: evil.com:80\r\n\r\n");
    shutdown(fd, SHUT_WR);
    hear(fd, NULL);
    close(fd);
    assert_answer("HTTP/1.1 421 Misdirected Request\r\n" TEXT_HEAD,
        "\netcd received your request, but the Host header was unrecognized.\n"
        "\nTo fix this, choose one of the following options:\n"
        "- Enable TLS, then any HTTPS request will be allowed.\n"
        "- Add the hostname you want to use to the whitelist in settings.\n"
        "  - e.g. etcd --host-whitelist \"evil.com\"\n"
        "\nThis requirement has been added to help prevent \"DNS Rebinding\" attacks "
        "(CVE-2018-5702).\n\n");
    static const struct {
        const char *host;
        bool is_known;
    } hosts[] = {{"localhost", true}, {"localhost:9", true}, {"[::1]:9", true}, {"[::1]", false},
        {"::1", true}, {"", false}, {"localhost:9:9", false}, {"LOCALHOST", false}, {":9", false}};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        char *text = mem_printf("GET /version HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i].host);
        fd = dial(client_site);
        say(fd, text);
        shutdown(fd, SHUT_WR);
        assert_int_equal(strstr(hear(fd, NULL), " 200 OK") != NULL, hosts[i].is_known);
        close(fd);
        free(text);
    }
}

static void test_cors(void **state)
{
    (void)state;
#define CORS                                                                                       \
    "Access-Control-Allow-Headers: accept, content-type, authorization\r\n"                        \
    "Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, DELETE\r\n"                            \
    "Access-Control-Allow-Origin: http://a.example:80\r\n"
    ask_at(client_site, "GET", "/version", "Origin: http://a.example:80\r\n", NULL);
    assert_answer("HTTP/1.1 200 OK\r\n" CORS "Content-Type: application/json\r\n",
        "{\"etcdserver\":\"3.6.99\",\"etcdcluster\":\"3.6.0\",\"storage\":\"3.6.0\"}");
    ask_at(client_site, "OPTIONS", "/v3/kv/range", "Origin: http://a.example:80\r\n", NULL);
    assert_answer("HTTP/1.1 200 OK\r\n" CORS, "");
    ask_at(client_site, "OPTIONS", "/nope", "Origin: http://b\r\n", NULL);
    assert_answer("HTTP/1.1 200 OK\r\n", "");
}

#define KEPT_77 "{\"result\":{\"header\":" HEADER_TIGHT ",\"ID\":\"77\",\"TTL\":\"10\"}}\n"
#define CREATED                                                                                    \
    "{\"result\":{\"header\":" HEADER_TIGHT                                                        \
    ",\"created\":true,\"cancel_reason\":\"\\u003c\\u0026\\u003e\"}}\n"

static void test_stream_answers_each_request(void **state)
{
    (void)state;
    int fd = dial(client_site);
    say(fd,
        "POST /v3/lease/keepalive HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        "b\r\n{\"ID\":\"77\"}\r\n");
    assert_string_equal(hear(fd, "}}\n\r\n"), STREAM_HEAD "91\r\n" KEPT_77 "\r\n");
    say(fd, "5\r\n {\"ID\r\n"
            "12\r\n\":\"77\"}{\"ID\":\"77\"}\r\n");
    size_t len = strlen(hear(fd, "}}\n\r\n"));
    if (len < 200) {
        hear(fd, "}}\n\r\n");
    }
    say(fd, "0\r\n\r\n");
    assert_string_equal(hear(fd, "0\r\n\r\n"), "0\r\n\r\n");
    say(fd, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_non_null(strstr(hear(fd, "3.6.0\"}"), "200 OK"));
    close(fd);
    assert_int_equal(fake_open_streams(), 0);
}

static void test_stream_ends_quietly_as_the_reference(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{\"ID\":\"x\"}", "[", "nul"};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        int fd = dial(client_site);
        char *text = mem_printf(
            "POST /v3/lease/keepalive HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(bodies[i]), bodies[i]);
        say(fd, text);
        assert_string_equal(hear(fd, "0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        free(text);
        close(fd);
    }
}

static void test_stream_errors_are_lines(void **state)
{
    (void)state;
    fake.end_code = GRPC_CODE_UNAUTHENTICATED;
    fake.end_text = "etcdserver: invalid auth token";
    int fd = dial(client_site);
    say(fd,
        "POST /v3/maintenance/snapshot HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    assert_string_equal(hear(fd, "0\r\n\r\n"),
        "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nTransfer-Encoding: "
        "chunked\r\n\r\n"
        "41\r\n{\"error\":{\"code\":16,\"message\":\"etcdserver: invalid auth "
        "token\"}}\n\r\n0\r\n\r\n");
    close(fd);
    fake.end_code = GRPC_CODE_UNAVAILABLE;
    fake.end_text = "etcdserver: no leader";
    fd = dial(client_site);
    say(fd,
        "POST /v3/lease/keepalive HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        "b\r\n{\"ID\":\"77\"}\r\n");
    hear(fd, "}}\n\r\n");
    say(fd, "0\r\n\r\n");
    assert_string_equal(hear(fd, "0\r\n\r\n"),
        "38\r\n{\"error\":{\"code\":14,\"message\":\"etcdserver: no leader\"}}\n\r\n0\r\n\r\n");
    close(fd);
}

static void test_server_stream(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "{}", "{} x"};
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        int fd = dial(client_site);
        char *text = mem_printf("POST /v3/maintenance/snapshot HTTP/1.0\r\nHost: "
                                "localhost\r\nContent-Length: %zu\r\n\r\n%s",
            strlen(bodies[i]), bodies[i]);
        say(fd, text);
        free(text);
        size_t total = 0;
        ssize_t got;
        while ((got = recv(fd, answer, sizeof(answer), 0)) > 0) {
            total += (size_t)got;
        }
        assert_in_range(total, 128 * 43692, 128 * 43800); /* 128 chunks of 32 KiB in base 64 */
        close(fd);
    }
    ask("POST", "/v3/maintenance/snapshot", "{\"x\":}");
    assert_refused("400 Bad Request",
        "{\"code\":3, \"message\":\"invalid character '}' looking for beginning of value\"}");
    ask("POST", "/v3/maintenance/snapshot", "{");
    assert_refused("400 Bad Request", "{\"code\":3, \"message\":\"unexpected EOF\"}");
    ask("POST", "/v3/maintenance/snapshot", "[]");
    assert_non_null(strstr(answer, "400 Bad Request"));
    assert_int_equal(fake_open_streams(), 0);
}

static void test_watch_lives_until_the_client_leaves(void **state)
{
    (void)state;
    int fd = dial(client_site);
    say(fd, "POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
            "34\r\n\r\n{\"create_request\":{\"key\":\"Zm9v\"}}  ");
    hear(fd, "}}\n\r\n");
    assert_non_null(strstr(answer, CREATED));
    assert_int_equal(fake_open_streams(), 1);
    close(fd);
    for (int i = 0; i < 6000 && fake_open_streams(); i++) {
        usleep(10000);
    }
    assert_int_equal(fake_open_streams(), 0);
}

static int cancelled_calls(void)
{
    pthread_mutex_lock(&fake.mutex);
    int count = fake.cancelled_calls;
    pthread_mutex_unlock(&fake.mutex);
    return count;
}

static void test_a_call_hears_that_its_client_left(void **state)
{
    (void)state;
    int fd = dial(client_site);
    say(fd, "POST /v3/kv/txn HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    say(fd, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"); /* it waits its turn */
    close(fd);
    for (int i = 0; i < 6000 && !cancelled_calls(); i++) {
        usleep(10000);
    }
    assert_int_equal(cancelled_calls(), 1);
}

static void test_stop_closes_streams(void **state)
{
    (void)state;
    int fd = dial(client_site);
    say(fd, "POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
    hear(fd, "}}\n\r\n");
    http_server_stop(server);
    assert_int_equal(fake_open_streams(), 0);
    close(fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_calls_answer_as_the_reference),
        TEST(test_an_answer_is_weighed_until_it_is_sent),
        TEST(test_errors_answer_as_the_reference),
        TEST(test_codes_become_statuses),
        TEST(test_metadata_travels_in_headers),
        TEST(test_sizes_are_limited),
        TEST(test_paths_are_cleaned_as_gos_mux_does),
        TEST(test_other_paths_are_404),
        TEST(test_listeners_may_be_many),
        TEST(test_version),
        TEST(test_health),
        TEST(test_livez_and_readyz),
        TEST(test_unknown_checks_are_warned_of_in_one_line),
        TEST(test_metrics_and_vars),
        TEST(test_metrics_are_packed_when_asked),
        TEST(test_unknown_hosts_are_refused),
        TEST(test_cors),
        TEST(test_stream_answers_each_request),
        TEST(test_stream_ends_quietly_as_the_reference),
        TEST(test_stream_errors_are_lines),
        TEST(test_server_stream),
        TEST(test_watch_lives_until_the_client_leaves),
        TEST(test_a_call_hears_that_its_client_left),
        TEST(test_stop_closes_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
