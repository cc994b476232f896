/* SPDX-License-Identifier: Apache-2.0
 * grpc.health.v1.Health, as probes of containers call it. */
#include "talk.h"

#include <health.pb-c.h>

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static const char check_path[] = "/grpc.health.v1.Health/Check";
static const char watch_path[] = "/grpc.health.v1.Health/Watch";

static Grpc__Health__V1__HealthCheckRequest about(char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = service;
    return request;
}

static void serves(struct talk *talk)
{
    char all[] = "";
    Grpc__Health__V1__HealthCheckRequest request = about(all);
    Grpc__Health__V1__HealthCheckResponse *response = talk_ask(talk, check_path, &request, NULL);
    assert_int_equal(response->status, STATUS(SERVING));
}

static void test_the_member_serves_with_and_without_a_leader(void **state)
{
    struct talk *talk = *state;
    serves(talk);
    alone_set_leader(talk->server, false);
    serves(talk);
    alone_set_leader(talk->server, true);
}

static void test_other_names_are_unknown(void **state)
{
    char name[] = "etcdserverpb.KV";
    Grpc__Health__V1__HealthCheckRequest request = about(name);
    talk_fails(*state, check_path, &request, GRPC_CODE_NOT_FOUND, "unknown service");
}

static void says(
    struct talk *talk, char *service, Grpc__Health__V1__HealthCheckResponse__ServingStatus status)
{
    struct talk_stream stream;
    Grpc__Health__V1__HealthCheckRequest request = about(service);
    talk_open(talk, &stream, watch_path, false);
    talk_is_quiet(&stream);
    talk_send(&stream, &request);
    Grpc__Health__V1__HealthCheckResponse *response = talk_next(&stream);
    assert_non_null(response);
    assert_int_equal(response->status, status);
    talk_is_quiet(&stream);
    talk_close(&stream);
}

static void test_a_watch_says_it_once(void **state)
{
    char all[] = "";
    char name[] = "etcdserverpb.KV";
    says(*state, all, STATUS(SERVING));
    says(*state, name, STATUS(SERVICE_UNKNOWN));
}

static void test_malformed_ends_a_watch(void **state)
{
    struct talk_stream stream;
    talk_open(*state, &stream, watch_path, false);
    api_stream_message(&stream.stream, SLICE("\x0a\x05x"));
    talk_has_ended(&stream, GRPC_CODE_INTERNAL, "grpc: error unmarshalling request: malformed");
    talk_close(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_the_member_serves_with_and_without_a_leader),
        TALK_TEST(test_other_names_are_unknown),
        TALK_TEST(test_a_watch_says_it_once),
        TALK_TEST(test_malformed_ends_a_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
