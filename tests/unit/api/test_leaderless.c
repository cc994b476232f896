/* SPDX-License-Identifier: Apache-2.0
 * Streams of clients that want a leader, of every method, and of those that do not. */
#include "talk.h"

static const char no_leader[] = "etcdserver: no leader";

/* Each method that streams. */
static void each_stream(
    struct talk *talk, void (*look)(struct talk *talk, const char *path, bool needs_leader))
{
    size_t count;
    size_t streams = 0;
    const struct api_method *methods = api_methods(&count);
    for (size_t i = 0; i < count; i++) {
        if (methods[i].kind != API_UNARY) {
            look(talk, methods[i].path, true);
            look(talk, methods[i].path, false);
            streams++;
        }
    }
    assert_true(streams >= 6);
}

static void refuses(struct talk *talk, const char *path, bool needs_leader)
{
    struct talk_stream stream;
    alone_set_leader(talk->server, false);
    talk_open(talk, &stream, path, needs_leader);
    if (needs_leader) {
        talk_has_ended(&stream, GRPC_CODE_UNAVAILABLE, no_leader);
        api_stream_half_close(&stream.stream); /* too late, and no harm */
        talk_has_ended(&stream, GRPC_CODE_UNAVAILABLE, no_leader);
    } else {
        talk_is_quiet(&stream);
    }
    talk_close(&stream);
}

static void test_without_a_leader_who_wants_one_is_refused(void **state)
{
    each_stream(*state, refuses);
}

static void ends(struct talk *talk, const char *path, bool needs_leader)
{
    struct talk_stream stream;
    alone_set_leader(talk->server, true);
    talk_open(talk, &stream, path, needs_leader);
    alone_set_leader(talk->server, false); /* there may be another one soon */
    talk_is_quiet(&stream);
    alone_lose_leader(talk->server);
    if (needs_leader) {
        talk_has_ended(&stream, GRPC_CODE_UNAVAILABLE, no_leader);
    } else {
        talk_is_quiet(&stream);
    }
    talk_close(&stream);
}

static void test_a_leader_lost_for_long_ends_the_streams_that_want_one(void **state)
{
    each_stream(*state, ends);
}

static void test_a_stream_that_was_closed_is_not_told(void **state)
{
    struct talk *talk = *state;
    struct talk_stream streams[3];
    for (size_t i = 0; i < 3; i++) {
        talk_open(talk, &streams[i], "/etcdserverpb.Watch/Watch", true);
        streams[i].wakes = 0;
    }
    talk_close(&streams[1]);
    alone_lose_leader(talk->server);
    assert_int_equal(streams[1].wakes, 0);
    alone_set_leader(talk->server, true); /* back too late for them */
    talk_has_ended(&streams[0], GRPC_CODE_UNAVAILABLE, no_leader);
    talk_has_ended(&streams[2], GRPC_CODE_UNAVAILABLE, no_leader);
    talk_open(talk, &streams[1], "/etcdserverpb.Watch/Watch", true);
    alone_set_leader(talk->server, false);
    talk_is_quiet(&streams[1]);
    for (size_t i = 0; i < 3; i++) {
        talk_close(&streams[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_without_a_leader_who_wants_one_is_refused),
        TALK_TEST(test_a_leader_lost_for_long_ends_the_streams_that_want_one),
        TALK_TEST(test_a_stream_that_was_closed_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
