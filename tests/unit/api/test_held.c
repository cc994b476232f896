/* SPDX-License-Identifier: Apache-2.0
 * Streams with a token that another member gave out a moment ago. */
#include "talk.h"

#include "api/held.h"
#include "base/mem.h"

static const char watch_path[] = "/etcdserverpb.Watch/Watch";
static char token_to_come[] = "hzVZbwFjpsQzGMiP.18446744073709551615"; /* not applied yet */

static size_t all_held(struct talk *talk)
{
    return atomic_load(&talk->api->held_bytes);
}

static void add_root(struct talk *talk)
{
    Etcdserverpb__AuthUserAddRequest user = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    Etcdserverpb__AuthRoleAddRequest role = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    Etcdserverpb__AuthUserGrantRoleRequest grant = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    Etcdserverpb__AuthEnableRequest enable = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    char name[] = "root";
    options.no_password = true;
    user.name = role.name = grant.user = grant.role = name;
    user.options = &options;
    talk_ask(talk, "/etcdserverpb.Auth/UserAdd", &user, NULL);
    talk_ask(talk, "/etcdserverpb.Auth/RoleAdd", &role, NULL);
    talk_ask(talk, "/etcdserverpb.Auth/UserGrantRole", &grant, NULL);
    talk_ask(talk, "/etcdserverpb.Auth/AuthEnable", &enable, NULL);
}

/* Nothing is applied from here on. */
static void open_watch(struct talk *talk, struct talk_stream *stream)
{
    add_root(talk);
    alone_hold(talk->server, true);
    talk_open(talk, stream, watch_path, false);
    stream->stream.caller.token = token_to_come;
}

static void send_create(struct talk_stream *stream)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    create.key = talk_text("a");
    talk_send(stream, &request);
}

/* Each is answered: that the token is nobody's is known only once the entry is applied. */
static void has_refusals(struct talk_stream *stream, int count)
{
    for (int i = 0; i < count; i++) {
        const Etcdserverpb__WatchResponse *response = talk_next(stream);
        assert_non_null(response);
        assert_true(response->created && response->canceled);
        assert_non_null(strstr(response->cancel_reason, "etcdserver: invalid auth token"));
    }
}

static void test_what_is_sent_before_the_token_is_known_waits(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    open_watch(talk, &stream);
    send_create(&stream);
    send_create(&stream);
    talk_is_quiet(&stream);
    stream.wakes = 0;
    alone_run(talk->server);
    assert_true(stream.wakes > 0); /* or the edge would not ask */
    assert_true(all_held(talk) > 0);
    has_refusals(&stream, 2);
    assert_int_equal(all_held(talk), 0);
    send_create(&stream); /* waits no more */
    has_refusals(&stream, 1);
    alone_hold(talk->server, false);
    talk_close(&stream);
}

/* The edge has not looked yet. */
static void test_what_is_sent_after_the_token_came_is_behind_what_waited(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    open_watch(talk, &stream);
    send_create(&stream);
    alone_run(talk->server);
    alone_hold(talk->server, false);
    send_create(&stream);
    api_stream_half_close(&stream.stream);
    has_refusals(&stream, 2);
    talk_close(&stream);
}

static void test_no_more_waits_than_fits(void **state)
{
    enum { MANY = 200 * 1024 };
    struct talk *talk = *state;
    struct talk_stream stream;
    open_watch(talk, &stream);
    for (int i = 0; i < MANY && stream.wakes == 0; i++) {
        send_create(&stream);
    }
    talk_has_ended(&stream, GRPC_CODE_RESOURCE_EXHAUSTED, "etcdserver: too many requests");
    talk_close(&stream);
    alone_run(talk->server);
    alone_hold(talk->server, false);
}

static void test_who_does_not_wait_for_it_is_forgotten(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    open_watch(talk, &stream);
    send_create(&stream);
    api_stream_half_close(&stream.stream);
    stream.wakes = 0;
    talk_close(&stream);
    alone_run(talk->server);
    assert_int_equal(stream.wakes, 0);
    alone_hold(talk->server, false);
}

/* Who closes has nothing that waits, even while its token does. */
static void test_no_more_waits_of_all_streams_than_fits(void **state)
{
    enum { STREAMS = 100, PIECE = 64 * 1024 - 100, PIECES = 15 };
    static char key[PIECE];
    struct talk *talk = *state;
    struct talk_stream *streams = mem_new(STREAMS * sizeof(*streams));
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    int refused = 0;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    create.key = (ProtobufCBinaryData){sizeof(key), (uint8_t *)key};
    open_watch(talk, &streams[0]);
    for (int i = 0; i < STREAMS; i++) {
        if (i > 0) {
            talk_open(talk, &streams[i], watch_path, false);
            streams[i].stream.caller.token = token_to_come;
        }
        streams[i].wakes = 0;
        for (int piece = 0; piece < PIECES && streams[i].wakes == 0; piece++) {
            talk_send(&streams[i], &request);
        }
        assert_true(all_held(talk) <= HELD_BYTES_MAX);
        if (streams[i].wakes) {
            talk_has_ended(
                &streams[i], GRPC_CODE_RESOURCE_EXHAUSTED, "etcdserver: too many requests");
            refused++;
        }
    }
    assert_true(refused > STREAMS / 2 && refused < STREAMS);
    for (int i = 0; i < STREAMS; i++) {
        talk_close(&streams[i]);
    }
    assert_int_equal(all_held(talk), 0);
    free(streams);
    alone_run(talk->server);
    alone_hold(talk->server, false);
}

struct waiting_call {
    struct api_call call;
    bool is_done;
};

static void call_done(struct api_call *call)
{
    CONTAINER_OF(call, struct waiting_call, call)->is_done = true;
}

static void begin_put(struct talk *talk, struct waiting_call *call, ProtobufCBinaryData value)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = talk_text("a");
    put.value = value;
    *call = (struct waiting_call){.call = {
                                      .method = api_method_find(SLICE("/etcdserverpb.KV/Put")),
                                      .arena = arena_new(0),
                                      .deadline_ns = INT64_MAX,
                                      .done = call_done,
                                  }};
    call->call.caller.token = token_to_come;
    call->call.request = pb_pack_arena(&put, call->call.arena);
    api_call_start(talk->api, &call->call);
}

static void is_nobodys(struct waiting_call *call)
{
    struct payload payload;
    struct api_status status;
    assert_true(call->is_done);
    api_call_finish(&call->call, &payload, &status);
    assert_int_equal(status.code, GRPC_CODE_UNAUTHENTICATED);
    arena_free(call->call.arena);
}

static void test_no_more_waits_of_all_calls_than_fits(void **state)
{
    enum { CALLS = 20, VALUE = 1024 * 1024, WAIT = 15 };
    static uint8_t value[VALUE];
    struct talk *talk = *state;
    struct waiting_call calls[CALLS];
    add_root(talk);
    alone_hold(talk->server, true);
    for (int i = 0; i < CALLS; i++) {
        begin_put(talk, &calls[i], (ProtobufCBinaryData){sizeof(value), value});
        assert_int_equal(calls[i].is_done, i >= WAIT);
    }
    alone_run(talk->server);
    alone_hold(talk->server, false);
    for (int i = 0; i < CALLS; i++) {
        is_nobodys(&calls[i]);
    }
    assert_int_equal(all_held(talk), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_what_is_sent_before_the_token_is_known_waits),
        TALK_TEST(test_what_is_sent_after_the_token_came_is_behind_what_waited),
        TALK_TEST(test_no_more_waits_than_fits),
        TALK_TEST(test_no_more_waits_of_all_streams_than_fits),
        TALK_TEST(test_no_more_waits_of_all_calls_than_fits),
        TALK_TEST(test_who_does_not_wait_for_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
