/* SPDX-License-Identifier: Apache-2.0
 * Calls that the back thread works for: how many may wait, and whose client is gone. */
#include "talk.h"

#include <stdatomic.h>

enum { JOBS_MAX = 16 };

struct ask {
    struct api_call call;
    atomic_bool is_done;
};

static void on_done(struct api_call *call)
{
    atomic_store(&CONTAINER_OF(call, struct ask, call)->is_done, true);
}

static void begin(struct talk *talk, struct ask *ask, const char *path)
{
    *ask = (struct ask){.call = {.method = api_method_find(slice_str(path)),
                            .arena = arena_new(0),
                            .deadline_ns = INT64_MAX,
                            .done = on_done}};
    assert_true(api_call_is_patient(ask->call.method)); /* or the edge would not say who is gone */
    api_call_start(talk->api, &ask->call);
}

static void ends(struct ask *ask, enum grpc_code code)
{
    struct payload payload;
    struct api_status status;
    assert_true(atomic_load(&ask->is_done));
    api_call_finish(&ask->call, &payload, &status);
    assert_int_equal(status.code, code);
    payload_fini(&payload);
    arena_free(ask->call.arena);
}

static void test_few_may_wait_for_the_back_thread(void **state)
{
    static const char *const paths[] = {"/etcdserverpb.Maintenance/HashKV",
        "/etcdserverpb.Maintenance/Hash", "/etcdserverpb.Maintenance/Defragment"};
    struct talk *talk = *state;
    struct ask asks[JOBS_MAX];
    struct ask more;
    alone_hold(talk->server, true);
    for (size_t i = 0; i < JOBS_MAX; i++) {
        begin(talk, &asks[i], paths[i % COUNT_OF(paths)]);
        assert_false(atomic_load(&asks[i].is_done));
    }
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        begin(talk, &more, paths[i]);
        ends(&more, GRPC_CODE_RESOURCE_EXHAUSTED);
    }
    alone_run(talk->server);
    for (size_t i = 0; i < JOBS_MAX; i++) {
        ends(&asks[i], GRPC_CODE_OK);
    }
    begin(talk, &more, paths[0]);
    alone_run(talk->server);
    ends(&more, GRPC_CODE_OK);
    alone_hold(talk->server, false);
}

static void test_nothing_is_done_for_who_is_gone(void **state)
{
    struct talk *talk = *state;
    struct ask gone;
    struct ask there;
    alone_hold(talk->server, true);
    begin(talk, &gone, "/etcdserverpb.Maintenance/HashKV");
    begin(talk, &there, "/etcdserverpb.Maintenance/HashKV");
    api_call_cancel(&gone.call);
    alone_run(talk->server);
    ends(&gone, GRPC_CODE_CANCELLED);
    ends(&there, GRPC_CODE_OK);
    alone_hold(talk->server, false);
}

static void test_a_stop_waits_for_no_hash(void **state)
{
    struct talk *talk = *state;
    struct ask late;
    alone_hold(talk->server, true);
    begin(talk, &late, "/etcdserverpb.Maintenance/HashKV");
    api_stop(talk->api);
    alone_run(talk->server);
    ends(&late, GRPC_CODE_UNAVAILABLE);
    alone_hold(talk->server, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_few_may_wait_for_the_back_thread),
        TALK_TEST(test_nothing_is_done_for_who_is_gone),
        TALK_TEST(test_a_stop_waits_for_no_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
