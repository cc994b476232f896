/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/pki.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "client.h"
#include "fake_api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RANGE "/etcdserverpb.KV/Range"
#define WATCH "/etcdserverpb.Watch/Watch"

/* Of ten milliseconds: a minute, much longer than anything here takes. */
enum { LOOKS = 6000 };

static struct pki pki;

struct world {
    struct api *api;
    struct rpc *rpc;
    struct listener listener;
    struct client client;
    size_t memory_bytes_max;
};

static void world_open(struct world *world, const struct tls_options *tls)
{
    struct why why = {0};
    world->api = fake_api_new();
    struct rpc_options options = {.api = world->api,
        .tls = tls,
        .request_bytes_max = 1 << 20,
        .memory_bytes_max = world->memory_bytes_max};
    if (err_is(rpc_new(&options, &world->rpc, &why))) {
        fail_msg("%s", why.text);
    }
    rpc_start(world->rpc);
    listener_start(&world->listener, world->rpc, tls != NULL);
    if (!tls) {
        client_open(&world->client, world->listener.port, NULL, NULL, NULL);
    }
}

static void world_close(struct world *world)
{
    if (world->client.channel) {
        client_close(&world->client);
    }
    listener_stop(&world->listener);
    rpc_stop(world->rpc, 1000);
    assert_int_equal(rpc_calls(world->rpc), 0);
    assert_int_equal(fake_api_streams(world->api), 0);
    rpc_free(world->rpc);
    fake_api_free(world->api);
}

static int setup(void **state)
{
    struct world *world = mem_new(sizeof(*world));
    world_open(world, NULL);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

/* A RangeRequest with that key. */
static struct slice request(const char *key)
{
    static _Thread_local uint8_t bytes[130];
    size_t len = strlen(key);
    bytes[0] = 0x0a;
    bytes[1] = (uint8_t)len;
    memcpy(bytes + 2, key, len);
    return slice_of(bytes, len + 2);
}

static void range(struct client *client, const char *key, struct reply *out_reply)
{
    client_call(client, RANGE, request(key), NULL, out_reply);
}

static void assert_contains(const struct reply *reply, const char *text)
{
    if (!memmem(reply->bytes, reply->len, text, strlen(text))) {
        fail_msg("no \"%s\" in \"%.*s\"", text, (int)reply->len, (char *)reply->bytes);
    }
}

static void test_unary_answers(void **state)
{
    struct world *world = *state;
    static const char *const keys[] = {"now", "later"};
    for (size_t i = 0; i < 40; i++) {
        struct reply reply;
        range(&world->client, keys[i % 2], &reply);
        assert_int_equal(reply.code, GRPC_STATUS_OK);
        assert_contains(&reply, keys[i % 2]);
        assert_contains(&reply, "fake");
        reply_fini(&reply);
    }
}

static void test_unary_answers_with_nothing(void **state)
{
    struct world *world = *state;
    struct reply reply;
    client_call(&world->client, "/etcdserverpb.KV/Put", SLICE("xx"), NULL, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
    assert_int_equal(reply.len, 0);
    reply_fini(&reply);
}

static void test_unary_carries_errors(void **state)
{
    struct world *world = *state;
    struct reply reply;
    range(&world->client, "fail", &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OUT_OF_RANGE);
    assert_string_equal(reply.text, "etcdserver: mvcc: required revision has been compacted");
    reply_fini(&reply);
}

static void test_unary_parts_are_sent_whole_and_released(void **state)
{
    struct world *world = *state;
    struct reply reply;
    size_t before = fake_api_part_releases();
    range(&world->client, "big", &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
    assert_int_equal(reply.len, (4 << 20) + 6);
    reply_fini(&reply);
    for (int i = 0; i < LOOKS && fake_api_part_releases() - before < 4; i++) {
        usleep(10000);
    }
    assert_int_equal(fake_api_part_releases() - before, 4);
}

static void test_caller_is_told(void **state)
{
    struct world *world = *state;
    struct reply reply;
    const char *const both[] = {"authorization", "Bearer 1", "token", "abc.1", "hasleader", "true",
        "client-api-version", "3.5.30", NULL};
    const char *const one[] = {"authorization", "def.2", NULL};
    const char *const gateways[] = {"grpcgateway-accept", "*/*", NULL};
    client_call(&world->client, RANGE, request("who"), both, &reply);
    assert_contains(&reply, "127.0.0.1:");
    assert_contains(&reply, "cn=- token=abc.1 version=3.5.30 leader=1 deadline=1");
    reply_fini(&reply);
    client_call(&world->client, RANGE, request("who"), one, &reply);
    assert_contains(&reply, "token=def.2 version=- leader=0");
    assert_null(memmem(reply.bytes, reply.len, " gateway", strlen(" gateway")));
    reply_fini(&reply);
    client_call(&world->client, RANGE, request("who"), gateways, &reply);
    assert_contains(&reply, " gateway");
    reply_fini(&reply);
}

/* The value of a line of the exposition. */
static double metric_value(const char *line)
{
    struct buf text;
    buf_init(&text, 16 << 20);
    metric_expose(&text);
    const char *at = strstr(buf_text(&text), line);
    assert_non_null(at);
    double value = strtod(at + strlen(line), NULL);
    buf_fini(&text);
    return value;
}

#define WATCH_LABELS                                                                               \
    "{grpc_method=\"Watch\",grpc_service=\"etcdserverpb.Watch\",grpc_type=\"bidi_stream\"} "
#define RANGE_LABELS "grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} "

static void test_calls_are_counted(void **state)
{
    struct world *world = *state;
    struct reply reply;
    struct client_stream stream;
    double fails = metric_value("grpc_server_handled_total{grpc_code=\"OutOfRange\"," RANGE_LABELS);
    double starts = metric_value("grpc_server_started_total{" RANGE_LABELS);
    double sends = metric_value("grpc_server_msg_sent_total" WATCH_LABELS);
    double bytes = metric_value("\netcd_network_client_grpc_received_bytes_total ");
    range(&world->client, "fail", &reply);
    reply_fini(&reply);
    range(&world->client, "now", &reply);
    reply_fini(&reply);
    client_stream_open(&stream, &world->client, WATCH);
    client_stream_send(&stream, SLICE("x"));
    assert_int_equal(client_stream_receive(&stream), 1);
    client_stream_half_close(&stream);
    client_stream_finish(&stream, &reply);
    assert_true(metric_value("grpc_server_handled_total{grpc_code=\"OutOfRange\"," RANGE_LABELS) ==
                fails + 1);
    assert_true(metric_value("grpc_server_started_total{" RANGE_LABELS) == starts + 2);
    assert_true(metric_value("grpc_server_msg_sent_total" WATCH_LABELS) == sends + 1);
    assert_true(
        metric_value("\netcd_network_client_grpc_received_bytes_total ") == bytes + 6 + 5 + 1);
}

static void test_unknown_is_unimplemented(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *method;
        const char *text;
    } cases[] = {
        {"/etcdserverpb.KV/Nope", "unknown method Nope for service etcdserverpb.KV"},
        {"/etcdserverpb.KV/Compact", "unknown method Compact for service etcdserverpb.KV"},
        {"/no.Such/Thing", "unknown service no.Such"},
        {"/etcdserverpb.K/Range", "unknown service etcdserverpb.K"},
        {"/nonsense", "malformed method name: \"/nonsense\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct reply reply;
        client_call(&world->client, cases[i].method, SLICE(""), NULL, &reply);
        assert_int_equal(reply.code, GRPC_STATUS_UNIMPLEMENTED);
        assert_string_equal(reply.text, cases[i].text);
        reply_fini(&reply);
    }
}

static void test_message_size_is_limited(void **state)
{
    struct world *world = *state;
    struct reply reply;
    size_t max = (1 << 20) + (512 << 10);
    uint8_t *bytes = mem_new(max + 1);
    client_call(&world->client, "/etcdserverpb.KV/Put", slice_of(bytes, max), NULL, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
    reply_fini(&reply);
    client_call(&world->client, "/etcdserverpb.KV/Put", slice_of(bytes, max + 1), NULL, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(reply.text, "grpc: received message larger than max (1572865 vs. 1572864)");
    reply_fini(&reply);
    free(bytes);
}

static void test_memory_for_messages_is_limited(void **state)
{
    struct world world = {0};
    struct reply reply;
    size_t size = 128 << 20;
    uint8_t *bytes = mem_new(size);
    (void)state;
    world.memory_bytes_max = 16 << 20;
    world_open(&world, NULL);
    client_call(&world.client, "/etcdserverpb.KV/Put", slice_of(bytes, size), NULL, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_null(strstr(reply.text, "larger than max")); /* it never was there as a whole */
    reply_fini(&reply);
    range(&world.client, "now", &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
    reply_fini(&reply);
    world_close(&world);
    free(bytes);
}

static void test_compressed_requests_are_unpacked_within_bounds(void **state)
{
    struct world *world = *state;
    struct client client;
    struct reply reply;
    size_t max = (1 << 20) + (512 << 10);
    uint8_t *bytes = mem_new(max + 1);
    client_open_gzip(&client, world->listener.port);
    /* a RangeRequest: key "now", then an unknown field of zeros that makes compressing worth it */
    memcpy(bytes, "\x0a\x03now\xfa\x3f\x80\x08", 9);
    client_call(&client, RANGE, slice_of(bytes, 9 + 1024), NULL, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
    assert_contains(&reply, "now");
    reply_fini(&reply);
    client_call(&client, "/etcdserverpb.KV/Put", slice_of(bytes, max), NULL, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
    reply_fini(&reply);
    client_call(&client, "/etcdserverpb.KV/Put", slice_of(bytes, max + 1), NULL, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(
        reply.text, "grpc: received message after decompression larger than max 1572864");
    reply_fini(&reply);
    client_close(&client);
    free(bytes);
}

static void test_stream_answers_in_order(void **state)
{
    struct world *world = *state;
    struct client_stream stream;
    struct reply reply;
    static const char zeros[64];
    client_stream_open(&stream, &world->client, WATCH);
    for (size_t i = 1; i < 50; i++) {
        assert_true(client_stream_send(&stream, slice_of(zeros, i)));
    }
    for (ssize_t i = 1; i < 50; i++) {
        assert_int_equal(client_stream_receive(&stream), i);
    }
    client_stream_half_close(&stream);
    assert_int_equal(client_stream_receive(&stream), -1);
    client_stream_finish(&stream, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
}

static void test_stream_ends_with_status(void **state)
{
    struct world *world = *state;
    struct client_stream stream;
    struct reply reply;
    client_stream_open(&stream, &world->client, WATCH);
    assert_true(client_stream_send(&stream, SLICE("end")));
    assert_int_equal(client_stream_receive(&stream), -1);
    client_stream_finish(&stream, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_CANCELLED);
    assert_string_equal(reply.text, "etcdserver: watch canceled");
}

static void test_stream_message_size_is_limited(void **state)
{
    struct world *world = *state;
    struct client_stream stream;
    struct reply reply;
    size_t size = (1 << 20) + (512 << 10) + 1;
    uint8_t *bytes = mem_new(size);
    client_stream_open(&stream, &world->client, WATCH);
    client_stream_send(&stream, slice_of(bytes, size));
    assert_int_equal(client_stream_receive(&stream), -1);
    client_stream_finish(&stream, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_RESOURCE_EXHAUSTED);
    free(bytes);
}

static void wait_streams(struct world *world, size_t count)
{
    for (int i = 0; i < LOOKS && fake_api_streams(world->api) != count; i++) {
        usleep(10000);
    }
    assert_int_equal(fake_api_streams(world->api), count);
}

static void test_stream_cancel_reaches_the_api(void **state)
{
    struct world *world = *state;
    struct client_stream stream;
    struct reply reply;
    client_stream_open(&stream, &world->client, WATCH);
    client_stream_send(&stream, SLICE("x"));
    assert_int_equal(client_stream_receive(&stream), 1);
    wait_streams(world, 1);
    client_stream_send(&stream, SLICE("more to send when it is gone"));
    client_stream_cancel(&stream);
    client_stream_finish(&stream, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_CANCELLED);
    wait_streams(world, 0);
}

static void test_stream_closes_with_its_connection(void **state)
{
    struct world *world = *state;
    struct client other;
    struct client_stream stream;
    struct reply reply;
    client_open(&other, world->listener.port, NULL, NULL, NULL);
    client_stream_open(&stream, &other, WATCH);
    client_stream_send(&stream, SLICE("x"));
    assert_int_equal(client_stream_receive(&stream), 1);
    wait_streams(world, 1);
    client_stream_cancel(&stream);
    client_stream_finish(&stream, &reply);
    client_close(&other);
    wait_streams(world, 0);
}

static void test_server_stream_sends_all(void **state)
{
    struct world *world = *state;
    struct client_stream stream;
    struct reply reply;
    ssize_t got = 0;
    size_t chunks = 0;
    client_stream_open(&stream, &world->client, "/etcdserverpb.Maintenance/Snapshot");
    client_stream_send(&stream, SLICE(""));
    client_stream_half_close(&stream);
    while ((got = client_stream_receive(&stream)) >= 0) {
        assert_int_equal(got, FAKE_CHUNK_BYTES);
        chunks++;
    }
    assert_int_equal(chunks, FAKE_CHUNKS);
    client_stream_finish(&stream, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
}

struct holder {
    struct client client;
    struct reply reply;
    pthread_t thread;
};

static void *call_hold(void *arg)
{
    struct holder *holder = arg;
    range(&holder->client, "hold", &holder->reply);
    return NULL;
}

static void hold_start(struct world *world, struct holder *holder)
{
    client_open(&holder->client, world->listener.port, NULL, NULL, NULL);
    assert_int_equal(pthread_create(&holder->thread, NULL, call_hold, holder), 0);
    for (int i = 0; i < LOOKS && fake_api_held(world->api) == 0; i++) {
        usleep(10000);
    }
    assert_int_equal(fake_api_held(world->api), 1);
}

static void test_unary_cancel_reaches_the_api(void **state)
{
    struct world *world = *state;
    struct client_stream call;
    struct reply reply;
    client_stream_open(&call, &world->client, "/etcdserverpb.KV/Range");
    client_stream_send(&call, SLICE("\x0a\x04hold"));
    client_stream_half_close(&call);
    for (int i = 0; i < LOOKS && fake_api_held(world->api) == 0; i++) {
        usleep(10000);
    }
    assert_int_equal(fake_api_held(world->api), 1);
    client_stream_cancel(&call);
    client_stream_finish(&call, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_CANCELLED);
    for (int i = 0; i < LOOKS && (fake_api_held(world->api) || rpc_calls(world->rpc)); i++) {
        usleep(10000);
    }
    assert_int_equal(fake_api_held(world->api), 0);
    assert_int_equal(rpc_calls(world->rpc), 0);
}

static void *release_later(void *arg)
{
    usleep(200 * 1000);
    fake_api_release(arg);
    return NULL;
}

static void *call_long(void *arg)
{
    struct world *world = arg;
    struct client client;
    struct reply reply;
    client_open(&client, world->listener.port, NULL, NULL, NULL);
    range(&client, "long", &reply);
    reply_fini(&reply);
    client_close(&client);
    return NULL;
}

static void test_a_long_answer_holds_up_no_other(void **state)
{
    struct world *world = *state;
    struct reply reply;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, call_long, world), 0);
    for (int i = 0; i < LOOKS && fake_api_finishing(world->api) == 0; i++) {
        usleep(10000);
    }
    assert_int_equal(fake_api_finishing(world->api), 1);
    range(&world->client, "later", &reply);
    fake_api_release(world->api);
    pthread_join(thread, NULL);
    assert_int_equal(reply.code, GRPC_STATUS_OK);
    reply_fini(&reply);
}

static void *call_sleepy(void *arg)
{
    struct world *world = arg;
    struct client client;
    struct reply reply;
    client_open(&client, world->listener.port, NULL, NULL, NULL);
    int64_t until_ms = clock_mono_ms() + 200000;
    for (int i = 1; fake_api_finishing_max(world->api) < 2 && clock_mono_ms() < until_ms; i++) {
        range(&client, "sleepy", &reply);
        reply_fini(&reply);
        if (i % 16 == 0) {
            fake_api_nap_longer(world->api, (unsigned)i / 16);
        }
    }
    client_close(&client);
    return NULL;
}

/* However slow all else is: the naps become longer until they are nearly all that the lane does. */
static void test_a_busy_lane_gets_a_second_thread(void **state)
{
    struct world *world = *state;
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_sleepy, world), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(fake_api_finishing_max(world->api) >= 2);
}

static void test_stop_lets_unary_calls_finish_and_ends_streams(void **state)
{
    struct world world = {0};
    struct holder holder;
    struct client_stream stream;
    struct reply reply;
    pthread_t releaser;
    (void)state;
    world_open(&world, NULL);
    client_stream_open(&stream, &world.client, WATCH);
    client_stream_send(&stream, SLICE("x"));
    assert_int_equal(client_stream_receive(&stream), 1);
    hold_start(&world, &holder);
    assert_int_equal(pthread_create(&releaser, NULL, release_later, world.api), 0);
    rpc_stop(world.rpc, 60000);
    assert_int_equal(rpc_calls(world.rpc), 0);
    pthread_join(releaser, NULL);
    pthread_join(holder.thread, NULL);
    assert_int_equal(holder.reply.code, GRPC_STATUS_OK);
    reply_fini(&holder.reply);
    assert_int_equal(client_stream_receive(&stream), -1);
    client_stream_finish(&stream, &reply);
    assert_int_equal(reply.code, GRPC_STATUS_UNAVAILABLE);
    assert_string_equal(reply.text, "etcdserver: server stopped");
    client_close(&holder.client);
    world_close(&world);
}

/* A call that takes longer than the drain is answered all the same, until the stop. */
static void test_drain_leaves_calls_that_take_longer(void **state)
{
    struct world world = {0};
    struct holder holder;
    (void)state;
    world_open(&world, NULL);
    hold_start(&world, &holder);
    rpc_drain(world.rpc, 20);
    assert_int_equal(rpc_calls(world.rpc), 1);
    fake_api_release(world.api);
    pthread_join(holder.thread, NULL);
    assert_int_equal(holder.reply.code, GRPC_STATUS_OK);
    reply_fini(&holder.reply);
    rpc_stop(world.rpc, 60000);
    assert_int_equal(rpc_calls(world.rpc), 0);
    client_close(&holder.client);
    world_close(&world);
}

struct released {
    struct api *api;
    struct holder *holder;
};

static void *release_when_answered(void *arg)
{
    struct released *released = arg;
    pthread_join(released->holder->thread, NULL);
    fake_api_release(released->api);
    return NULL;
}

static void test_stop_cancels_at_the_deadline(void **state)
{
    struct world world = {0};
    struct holder holder;
    pthread_t releaser;
    (void)state;
    world_open(&world, NULL);
    hold_start(&world, &holder);
    struct released released = {world.api, &holder};
    assert_int_equal(pthread_create(&releaser, NULL, release_when_answered, &released), 0);
    rpc_stop(world.rpc, 20);
    pthread_join(releaser, NULL);
    assert_int_not_equal(holder.reply.code, GRPC_STATUS_OK);
    reply_fini(&holder.reply);
    client_close(&holder.client);
    world_close(&world);
}

static void test_adopt_closes_when_it_cannot_serve(void **state)
{
    struct world *world = *state;
    struct rpc *idle = NULL;
    struct rpc_options options = {.api = world->api};
    assert_false(err_is(rpc_new(&options, &idle, NULL)));
    int fd = dup(0);
    rpc_adopt(idle, fd, false);
    assert_int_equal(close(fd), -1);
    fd = dup(0);
    rpc_adopt(world->rpc, fd, true);
    assert_int_equal(close(fd), -1);
    rpc_free(idle);
}

static char *read_text(const char *file)
{
    FILE *in = fopen(pki_path(&pki, file), "r");
    char *text = mem_new(16384);
    assert_non_null(in);
    assert_true(fread(text, 1, 16383, in) > 0);
    fclose(in);
    return text;
}

/* The reply to "who" over TLS with that client certificate (NULL: none). */
static void who(struct world *world, const char *cert, struct reply *out_reply)
{
    char file[64];
    char *ca = read_text("ca.crt");
    snprintf(file, sizeof(file), "%s.crt", cert ? cert : "client");
    char *crt = read_text(file);
    snprintf(file, sizeof(file), "%s.key", cert ? cert : "client");
    char *key = read_text(file);
    struct client client;
    client_open(&client, world->listener.port, ca, cert ? crt : NULL, cert ? key : NULL);
    range(&client, "who", out_reply);
    client_close(&client);
    free(ca);
    free(crt);
    free(key);
}

static struct tls_options server_options(void)
{
    return (struct tls_options){
        .cert_file = pki_path(&pki, "server.crt"), .key_file = pki_path(&pki, "server.key")};
}

static void assert_who(struct world *world, const char *cert, const char *answer)
{
    struct reply reply;
    who(world, cert, &reply);
    if (answer) {
        assert_int_equal(reply.code, GRPC_STATUS_OK);
        assert_contains(&reply, answer);
    } else {
        assert_int_equal(reply.code, GRPC_STATUS_UNAVAILABLE);
    }
    reply_fini(&reply);
}

static void test_tls_serves_without_client_certificates(void **state)
{
    struct world world = {0};
    struct tls_options tls = server_options();
    (void)state;
    world_open(&world, &tls);
    assert_who(&world, NULL, "cn=-");
    world_close(&world);
}

static void test_tls_requires_and_tells_the_certificate(void **state)
{
    struct world world = {0};
    struct tls_options tls = server_options();
    (void)state;
    tls.trusted_ca_file = pki_path(&pki, "ca.crt");
    tls.client_cert_auth = true;
    world_open(&world, &tls);
    assert_who(&world, "client", "cn=root");
    assert_who(&world, "two", "cn=guest "); /* the last, as in Go, and for the allow list */
    assert_who(&world, "nameless", "cn= ");
    assert_who(&world, NULL, NULL);
    assert_who(&world, "self", NULL);
    world_close(&world);
}

static void test_tls_keeps_allow_list_and_crl(void **state)
{
    struct world world = {0};
    struct tls_options tls = server_options();
    const char *const cns[] = {"root", NULL};
    (void)state;
    pki_make_crl(&pki, "crl", 99, 1);
    tls.trusted_ca_file = pki_path(&pki, "ca.crt");
    tls.allowed_cns = cns;
    tls.crl_file = pki_path(&pki, "crl");
    world_open(&world, &tls);
    assert_who(&world, "client", "cn=root");
    assert_who(&world, "server", NULL);
    pki_make_crl(&pki, "crl", 11, 1);
    assert_who(&world, "client", NULL);
    world_close(&world);
}

static int settled_version(struct world *world, int max_version)
{
    char target[64];
    int version = 0;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(ctx, max_version);
    SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\2h2", 3);
    BIO *bio = BIO_new_ssl_connect(ctx);
    snprintf(target, sizeof(target), "127.0.0.1:%u", world->listener.port);
    BIO_set_conn_hostname(bio, target);
    if (BIO_do_connect(bio) == 1) {
        SSL *ssl = NULL;
        BIO_get_ssl(bio, &ssl);
        version = SSL_version(ssl);
    }
    BIO_free_all(bio);
    SSL_CTX_free(ctx);
    return version;
}

static void test_tls_versions_hold(void **state)
{
    struct world world = {0};
    struct tls_options tls = server_options();
    (void)state;
    tls.max_version = TLS_VERSION_1_2;
    world_open(&world, &tls);
    assert_int_equal(settled_version(&world, 0), TLS1_2_VERSION);
    world_close(&world);
    memset(&world, 0, sizeof(world));
    tls.max_version = TLS_VERSION_DEFAULT;
    tls.min_version = TLS_VERSION_1_3;
    world_open(&world, &tls);
    assert_int_equal(settled_version(&world, 0), TLS1_3_VERSION);
    assert_int_equal(settled_version(&world, TLS1_2_VERSION), 0);
    world_close(&world);
}

static void test_tls_suites_of_13_leave_no_12(void **state)
{
    static const char *const suites[] = {"TLS_AES_256_GCM_SHA384", NULL};
    struct world world = {0};
    struct tls_options tls = server_options();
    (void)state;
    tls.cipher_suites = suites;
    world_open(&world, &tls);
    assert_int_equal(settled_version(&world, 0), TLS1_3_VERSION);
    assert_int_equal(settled_version(&world, TLS1_2_VERSION), 0);
    world_close(&world);
}

static atomic_int keys_refused;

void __real_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);

void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields)
{
    if (strcmp(message, "failed to reload TLS certificate; keeping the old one") == 0) {
        atomic_fetch_add(&keys_refused, 1);
    }
    __real_log_write(level, file, line, message, fields);
}

static atomic_bool has_no_memory;

int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);

int __wrap_memfd_create(const char *name, unsigned flags)
{
    errno = EMFILE;
    return atomic_load(&has_no_memory) ? -1 : __real_memfd_create(name, flags);
}

/* Handshakes go well until it was told of so often. */
static void expect_kept(struct world *world, int refused)
{
    for (int i = 0; i < LOOKS && atomic_load(&keys_refused) < refused; i++) {
        assert_who(world, NULL, "cn=-");
        usleep(10000);
    }
    assert_int_equal(atomic_load(&keys_refused), refused);
    assert_who(world, NULL, "cn=-");
}

static void test_tls_reloads_and_keeps_what_works(void **state)
{
    struct world world = {0};
    struct tls_options tls = {
        .cert_file = pki_path(&pki, "turn.crt"), .key_file = pki_path(&pki, "turn.key")};
    struct pki_spec spec = {.name = "turn", .cn = "turn", .serial = 30, .sans = "DNS:localhost"};
    (void)state;
    pki_make(&pki, &spec);
    world_open(&world, &tls);
    assert_who(&world, NULL, "cn=-");
    pki_write(&pki, "turn.key", "half written");
    expect_kept(&world, 1);
    spec.sans = "DNS:elsewhere";
    atomic_store(&has_no_memory, true); /* it is taken, and core cannot be given it */
    pki_make(&pki, &spec);
    expect_kept(&world, 2);
    atomic_store(&has_no_memory, false);
    bool is_refused = false;
    for (int i = 0; i < LOOKS / 10 && !is_refused; i++) {
        struct reply reply;
        usleep(100 * 1000);
        who(&world, NULL, &reply);
        is_refused = reply.code == GRPC_STATUS_UNAVAILABLE; /* the name no longer fits */
        reply_fini(&reply);
    }
    assert_true(is_refused);
    world_close(&world);
}

static void test_new_refuses_bad_files(void **state)
{
    struct rpc *rpc = NULL;
    struct why why = {0};
    struct tls_options tls = {
        .cert_file = pki_path(&pki, "server.crt"), .key_file = pki_path(&pki, "client.key")};
    (void)state;
    assert_int_equal(rpc_new(&(struct rpc_options){.tls = &tls}, &rpc, &why).code, ERR_BAD_TLS);
    assert_non_null(strstr(why.text, "client.key"));
    assert_null(rpc);
}

static int group_setup(void **state)
{
    (void)state;
    pki_init(&pki);
    pki_make(&pki,
        &(struct pki_spec){
            .name = "server", .cn = "etcd", .serial = 10, .sans = "DNS:localhost,IP:127.0.0.1"});
    pki_make(&pki, &(struct pki_spec){.name = "client", .cn = "root", .serial = 11});
    pki_make(&pki, &(struct pki_spec){.name = "two", .cn = "root", .cn_2 = "guest", .serial = 15});
    pki_make(&pki, &(struct pki_spec){.name = "nameless", .serial = 16});
    pki_make(
        &pki, &(struct pki_spec){.name = "self", .cn = "self", .serial = 14, .is_self_signed = 1});
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    pki_fini(&pki);
    metric_reset();
    return 0;
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_unary_answers),
        IN_WORLD(test_unary_answers_with_nothing),
        IN_WORLD(test_unary_carries_errors),
        IN_WORLD(test_unary_parts_are_sent_whole_and_released),
        IN_WORLD(test_caller_is_told),
        IN_WORLD(test_calls_are_counted),
        IN_WORLD(test_unknown_is_unimplemented),
        IN_WORLD(test_message_size_is_limited),
        IN_WORLD(test_compressed_requests_are_unpacked_within_bounds),
        IN_WORLD(test_stream_answers_in_order),
        IN_WORLD(test_stream_ends_with_status),
        IN_WORLD(test_stream_message_size_is_limited),
        IN_WORLD(test_stream_cancel_reaches_the_api),
        IN_WORLD(test_unary_cancel_reaches_the_api),
        IN_WORLD(test_a_long_answer_holds_up_no_other),
        IN_WORLD(test_a_busy_lane_gets_a_second_thread),
        IN_WORLD(test_stream_closes_with_its_connection),
        IN_WORLD(test_server_stream_sends_all),
        IN_WORLD(test_adopt_closes_when_it_cannot_serve),
        cmocka_unit_test(test_memory_for_messages_is_limited),
        cmocka_unit_test(test_stop_lets_unary_calls_finish_and_ends_streams),
        cmocka_unit_test(test_drain_leaves_calls_that_take_longer),
        cmocka_unit_test(test_stop_cancels_at_the_deadline),
        cmocka_unit_test(test_tls_serves_without_client_certificates),
        cmocka_unit_test(test_tls_requires_and_tells_the_certificate),
        cmocka_unit_test(test_tls_keeps_allow_list_and_crl),
        cmocka_unit_test(test_tls_versions_hold),
        cmocka_unit_test(test_tls_suites_of_13_leave_no_12),
        cmocka_unit_test(test_tls_reloads_and_keeps_what_works),
        cmocka_unit_test(test_new_refuses_bad_files),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
