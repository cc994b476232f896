/* SPDX-License-Identifier: Apache-2.0
 * Streams with a token that another member gave out a moment ago. */
#include "talk.h"

#include "base/mem.h"

static const char watch_path[] = "/etcdserverpb.Watch/Watch";
static char token_to_come[] = "hzVZbwFjpsQzGMiP.18446744073709551615"; /* not applied yet */

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
    has_refusals(&stream, 2);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_what_is_sent_before_the_token_is_known_waits),
        TALK_TEST(test_what_is_sent_after_the_token_came_is_behind_what_waited),
        TALK_TEST(test_no_more_waits_than_fits),
        TALK_TEST(test_who_does_not_wait_for_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
