/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "ctl/lib/ctl.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void test_endpoints_are_read_as_clientv3_does(void **state)
{
    static const struct {
        const char *endpoint;
        struct client_target target;
    } rows[] = {
        {"127.0.0.1:2379", {"127.0.0.1:2379", "127.0.0.1:2379", CLIENT_CREDS_OPTIONAL}},
        {"http://h:1/path", {"h:1", "h:1", CLIENT_CREDS_NEVER}},
        {"https://u:p@[::1]:2?q", {"[::1]:2", "[::1]:2", CLIENT_CREDS_REQUIRED}},
        {"unix:///run/e.sock", {"unix:/run/e.sock", "e.sock", CLIENT_CREDS_OPTIONAL}},
        {"unix:run/e.sock", {"unix:run/e.sock", "e.sock", CLIENT_CREDS_OPTIONAL}},
        {"unixs://localhost:7", {"unix:localhost:7", "localhost:7", CLIENT_CREDS_REQUIRED}},
        {"dns:///h:1", {"dns:///h:1", "", CLIENT_CREDS_OPTIONAL}},
    };
    struct arena *arena = arena_new(0);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct client_target target = client_target_of(arena, rows[i].endpoint);
        assert_string_equal(target.address, rows[i].target.address);
        assert_string_equal(target.server_name, rows[i].target.server_name);
        assert_int_equal(target.creds, rows[i].target.creds);
    }
    arena_free(arena);
}

static struct client_config config_of(const char *const *endpoints, size_t count)
{
    return (struct client_config){.endpoints = endpoints,
        .endpoints_count = count,
        .cert = "",
        .key = "",
        .cacert = "",
        .server_name = "",
        .user = "",
        .password = "",
        .token = "",
        .is_insecure = true,
        .dial_timeout_ns = 100000000,
        .logger = "test"};
}

static void assert_not_opened(
    const struct client_config *config, enum client_stage stage, const char *text)
{
    struct client *client = NULL;
    enum client_stage failed;
    struct why why;

    assert_true(err_is(client_open(config, &client, &failed, &why)));
    assert_int_equal(failed, stage);
    assert_string_equal(why.text, text);
    assert_null(client);
}

static void test_bad_configurations_are_refused(void **state)
{
    static const char *const endpoints[] = {"127.0.0.1:1"};
    struct client_config config = config_of(endpoints, 0);

    (void)state;
    assert_not_opened(&config, CLIENT_BAD_CONNECTION, "etcdclient: no available endpoints");
    config = config_of(endpoints, 1);
    config.cert = "/nonexistent/a.crt";
    assert_not_opened(&config, CLIENT_BAD_CONFIG,
        "KeyFile and CertFile must both be present[key: , cert: /nonexistent/a.crt]");
    config.key = "/nonexistent/a.key";
    assert_not_opened(
        &config, CLIENT_BAD_CONFIG, "open /nonexistent/a.crt: no such file or directory");
    config.cert = "/dev/null/a.crt";
    assert_not_opened(&config, CLIENT_BAD_CONFIG, "open /dev/null/a.crt: not a directory");
    config.cert = config.key = "/dev/null";
    assert_not_opened(
        &config, CLIENT_BAD_CONFIG, "tls: failed to find any PEM data in certificate input");
    config = config_of(endpoints, 1);
    config.cacert = "/nonexistent/ca.crt";
    assert_not_opened(
        &config, CLIENT_BAD_CONFIG, "open /nonexistent/ca.crt: no such file or directory");
    config = config_of(endpoints, 1);
    config.send_max = 10;
    config.recv_max = 5;
    assert_not_opened(&config, CLIENT_BAD_CONNECTION,
        "gRPC message recv limit (5 bytes) must be greater than send limit (10 bytes)");
    config = config_of(endpoints, 1);
    config.user = config.password = "x";
    assert_not_opened(&config, CLIENT_BAD_CONNECTION, "context deadline exceeded");
}

/* A port that nothing listens on: bound, so that nobody else takes it. */
static int take_port(char *out_endpoint, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(out_endpoint, size, "127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

static void test_call_to_nobody_ends_at_its_deadline(void **state)
{
    char first[32], second[32];
    int fds[] = {take_port(first, sizeof(first)), take_port(second, sizeof(second))};
    const char *endpoints[] = {first, second};

    (void)state;
    for (size_t count = 1; count <= 2; count++) {
        struct client_config config = config_of(endpoints, count);
        Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
        const Etcdserverpb__RangeResponse *response = NULL;
        struct client *client;
        enum client_stage stage;
        struct why why;
        int64_t start = clock_mono_ms();
        assert_false(err_is(client_open(&config, &client, &stage, &why)));
        assert_true(
            IS(client_call(client, CLIENT_ASK(&client_range, &request, clock_mono_ns() + 200000000),
                   &response, &why),
                DEADLINE_EXCEEDED));
        assert_string_equal(why.text, "context deadline exceeded");
        assert_null(response);
        assert_in_range(clock_mono_ms() - start, 190, 60000);
        client_close(client);
    }
    close(fds[0]);
    close(fds[1]);
}

static void test_request_beyond_the_limit_is_not_sent(void **state)
{
    static const char *const endpoints[] = {"127.0.0.1:1"};
    struct client_config config = config_of(endpoints, 1);
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    const Etcdserverpb__PutResponse *response = NULL;
    static uint8_t value[100];
    struct client *client;
    enum client_stage stage;
    struct why why;

    (void)state;
    config.send_max = 50;
    request.value = (ProtobufCBinaryData){sizeof(value), value};
    assert_false(err_is(client_open(&config, &client, &stage, &why)));
    assert_true(err_is(client_call(client, CLIENT_ASK(&client_put, &request, 0), &response, &why)));
    assert_string_equal(why.text, "rpc error: code = ResourceExhausted desc = trying to send "
                                  "message larger than max (102 vs. 50)");
    client_close(client);
}

/* A stream to a port that nobody listens on: as asked for, it ends. */
static void assert_stream_ends(const struct client_ask *ask, enum err_code code)
{
    char endpoint[32];
    int fd = take_port(endpoint, sizeof(endpoint));
    const char *endpoints[] = {endpoint};
    struct client_config config = config_of(endpoints, 1);
    struct client_stream *stream = NULL;
    const Etcdserverpb__LeaseKeepAliveResponse *response = NULL;
    struct arena *arena = arena_new(0);
    struct client *client;
    enum client_stage stage;
    struct why why;

    assert_false(err_is(client_open(&config, &client, &stage, &why)));
    assert_false(err_is(client_stream_open(client, ask, &stream, &why)));
    assert_int_equal(client_stream_recv(stream, arena, &response, &why).code, code);
    assert_false(client_stream_may_retry(stream));
    client_stream_close(stream);
    client_close(client);
    arena_free(arena);
    close(fd);
}

static void test_stream_to_nobody_ends_at_its_deadline(void **state)
{
    (void)state;
    assert_stream_ends(CLIENT_ASK_LEADER(&client_lease_keep_alive, clock_mono_ns() + 200000000),
        ERR_DEADLINE_EXCEEDED);
}

static void test_kept_stream_to_nobody_is_given_up(void **state)
{
    (void)state;
    struct client_ask ask = {.method = &client_lease_keep_alive,
        .deadline = clock_mono_ns() + 200000000,
        .is_kept = true};
    assert_stream_ends(&ask, ERR_IO); /* a call without a deadline, cancelled */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoints_are_read_as_clientv3_does),
        cmocka_unit_test(test_bad_configurations_are_refused),
        cmocka_unit_test(test_call_to_nobody_ends_at_its_deadline),
        cmocka_unit_test(test_request_beyond_the_limit_is_not_sent),
        cmocka_unit_test(test_stream_to_nobody_ends_at_its_deadline),
        cmocka_unit_test(test_kept_stream_to_nobody_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
