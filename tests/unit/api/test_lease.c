/* SPDX-License-Identifier: Apache-2.0
 * LeaseKeepAlive, and what the other lease calls answer. */
#include "talk.h"

#include "base/clock.h"
#include "base/mem.h"

static const char path[] = "/etcdserverpb.Lease/LeaseKeepAlive";

static int64_t grant(struct talk *talk, int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    request.id = id;
    request.ttl = ttl;
    Etcdserverpb__LeaseGrantResponse *response =
        talk_ask(talk, "/etcdserverpb.Lease/LeaseGrant", &request, NULL);
    talk_header(response->header, 1);
    assert_string_equal(response->error, "");
    assert_int_equal(response->ttl, ttl);
    return response->id;
}

static void keep(struct talk_stream *stream, int64_t id)
{
    Etcdserverpb__LeaseKeepAliveRequest request = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    request.id = id;
    talk_send(stream, &request);
}

static void is_kept(struct talk_stream *stream, int64_t id, int64_t ttl)
{
    Etcdserverpb__LeaseKeepAliveResponse *response = talk_next(stream);
    assert_non_null(response);
    talk_header(response->header, 1);
    assert_int_equal(response->id, id);
    assert_int_equal(response->ttl, ttl);
}

static void test_answers_come_in_order(void **state)
{
    struct talk_stream stream;
    grant(*state, 7, 60);
    grant(*state, 8, 90);
    talk_open(*state, &stream, path, false);
    talk_is_quiet(&stream);
    keep(&stream, 8);
    keep(&stream, 99); /* there is none */
    keep(&stream, 7);
    assert_true(stream.wakes > 0);
    is_kept(&stream, 8, 90);
    is_kept(&stream, 99, 0);
    is_kept(&stream, 7, 60);
    talk_is_quiet(&stream);
    keep(&stream, 7);
    api_stream_half_close(&stream.stream);
    is_kept(&stream, 7, 60); /* what was asked before the end is answered */
    talk_has_ended(&stream, GRPC_CODE_OK, "");
    keep(&stream, 7);
    talk_has_ended(&stream, GRPC_CODE_OK, "");
    talk_close(&stream);
}

/* As the leader tells it, five minutes on. */
static void tell_remaining(struct talk *talk, int64_t id, int64_t remaining_s)
{
    const struct server_options *options = server_options_get(talk->server);
    struct backend_batch *batch = backend_batch_new();
    lease_checkpoint(options->leases, id, remaining_s, batch);
    assert_false(err_is(backend_write(options->backend, batch, NULL)));
    backend_batch_free(batch);
}

/* What the store says is what the next leader goes by. */
static int64_t next_leader_gives_s(struct talk *talk, int64_t id)
{
    struct lease_table *next = lease_table_new(1);
    struct lease_info info;
    assert_false(err_is(lease_load(next, server_options_get(talk->server)->backend, NULL)));
    lease_promote(next, 0, 0);
    assert_false(err_is(lease_look(next, id, 0, talk->arena, &info, NULL, NULL)));
    lease_table_free(next);
    return info.remaining_s;
}

static void test_a_checkpoint_is_taken_back_before_the_answer(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    grant(talk, 7, 60);
    tell_remaining(talk, 7, 20);
    assert_int_equal(next_leader_gives_s(talk, 7), 20);
    talk_open(talk, &stream, path, false);
    keep(&stream, 7);
    is_kept(&stream, 7, 60);
    assert_int_equal(next_leader_gives_s(talk, 7), 60);
    talk_close(&stream);
}

static void test_answers_come_in_order_behind_a_checkpoint(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    grant(talk, 7, 60);
    grant(talk, 8, 90);
    tell_remaining(talk, 7, 20);
    talk_open(talk, &stream, path, false);
    alone_hold(talk->server, true);
    keep(&stream, 8);
    keep(&stream, 7);
    keep(&stream, 8);
    alone_run(talk->server);
    is_kept(&stream, 8, 90);
    talk_is_quiet(&stream); /* proposed, and not applied */
    alone_run(talk->server);
    is_kept(&stream, 7, 60);
    is_kept(&stream, 8, 90);
    tell_remaining(talk, 7, 20);
    keep(&stream, 7);
    alone_run(talk->server);
    talk_is_quiet(&stream);
    alone_set_leader(talk->server, false);
    alone_run(talk->server);
    talk_has_ended(&stream, GRPC_CODE_UNAVAILABLE, "etcdserver: no leader");
    talk_close(&stream);
}

static struct {
    uintptr_t lowest;
    uintptr_t highest;
} stack;

struct err __real_lease_renew(
    struct lease_table *table, int64_t id, int64_t now_ms, int64_t *out_ttl_s);
struct err __wrap_lease_renew(
    struct lease_table *table, int64_t id, int64_t now_ms, int64_t *out_ttl_s);

struct err __wrap_lease_renew(
    struct lease_table *table, int64_t id, int64_t now_ms, int64_t *out_ttl_s)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    stack.lowest = here < stack.lowest ? here : stack.lowest;
    stack.highest = here > stack.highest ? here : stack.highest;
    return __real_lease_renew(table, id, now_ms, out_ttl_s);
}

/* What is answered at once is so however many of them wait behind a checkpoint: none stands on the
 * one before. */
static void test_many_that_waited_take_no_more_stack_than_one(void **state)
{
    enum { WAITING = 4000, STACK_MAX = 32 * 1024 };
    struct talk *talk = *state;
    struct talk_stream stream;
    grant(talk, 7, 60);
    grant(talk, 8, 90);
    tell_remaining(talk, 7, 20);
    talk_open(talk, &stream, path, false);
    alone_hold(talk->server, true);
    keep(&stream, 7);
    for (int i = 0; i < WAITING; i++) {
        keep(&stream, 8);
    }
    alone_run(talk->server);
    talk_is_quiet(&stream);
    alone_hold(talk->server, false);
    stack.lowest = UINTPTR_MAX;
    stack.highest = 0;
    alone_run(talk->server);
    assert_in_range(stack.highest - stack.lowest, 0, STACK_MAX);
    is_kept(&stream, 7, 60);
    for (int i = 0; i < WAITING; i++) {
        is_kept(&stream, 8, 90);
    }
    keep(&stream, 7);
    is_kept(&stream, 7, 60);
    talk_close(&stream);
}

/* Whoever goes away meanwhile is let go of by who answers. */
static void test_close_while_many_wait(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    grant(talk, 7, 60);
    tell_remaining(talk, 7, 20);
    talk_open(talk, &stream, path, false);
    alone_hold(talk->server, true);
    keep(&stream, 7);
    keep(&stream, 7);
    alone_run(talk->server);
    talk_close(&stream);
    alone_run(talk->server);
    assert_int_equal(next_leader_gives_s(talk, 7), 60);
}

static void test_keeping_alive_without_a_leader(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    grant(talk, 7, 60);
    talk_open(talk, &stream, path, false);
    keep(&stream, 7);
    alone_set_leader(talk->server, false);
    keep(&stream, 7);
    is_kept(&stream, 7, 60);
    talk_has_ended(&stream, GRPC_CODE_UNAVAILABLE, "etcdserver: no leader");
    talk_close(&stream);
}

static void test_malformed_keep_alive(void **state)
{
    struct talk_stream stream;
    talk_open(*state, &stream, path, false);
    api_stream_message(&stream.stream, SLICE("\x08"));
    talk_has_ended(&stream, GRPC_CODE_INTERNAL,
        "grpc: failed to unmarshal the received message: unexpected EOF");
    talk_close(&stream);
}

static void test_who_never_reads_is_cut_off(void **state)
{
    enum { ANSWERS_MAX = 4096 };
    struct talk_stream stream;
    int answers = 0;
    talk_open(*state, &stream, path, false);
    for (int i = 0; i < ANSWERS_MAX + 100; i++) {
        keep(&stream, 1);
    }
    while (talk_next(&stream)) {
        answers++;
    }
    assert_int_equal(answers, ANSWERS_MAX);
    talk_has_ended(&stream, GRPC_CODE_RESOURCE_EXHAUSTED, "the client does not read its responses");
    talk_close(&stream);
}

static void test_close_with_answers_waiting(void **state)
{
    struct talk_stream stream;
    talk_open(*state, &stream, path, false);
    keep(&stream, 1);
    talk_close(&stream);
}

static void test_ids_are_chosen(void **state)
{
    int64_t first = grant(*state, 0, 60);
    int64_t second = grant(*state, 0, 60);
    assert_true(first > 0 && second > 0 && first != second);
}

static void test_grants_that_are_refused(void **state)
{
    static const char grant_path[] = "/etcdserverpb.Lease/LeaseGrant";
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    grant(*state, 7, 60);
    request.id = 7;
    request.ttl = 60;
    talk_fails(*state, grant_path, &request, GRPC_CODE_FAILED_PRECONDITION,
        "etcdserver: lease already exists");
    request.id = 8;
    request.ttl = LEASE_TTL_MAX + 1;
    talk_fails(
        *state, grant_path, &request, GRPC_CODE_OUT_OF_RANGE, "etcdserver: too large lease TTL");
}

static void test_time_to_live(void **state)
{
    static const char ttl_path[] = "/etcdserverpb.Lease/LeaseTimeToLive";
    struct talk *talk = *state;
    Etcdserverpb__LeaseTimeToLiveRequest request = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    grant(talk, 7, 60);
    put.key = talk_text("b");
    put.lease = 7;
    talk_ask(talk, "/etcdserverpb.KV/Put", &put, NULL);
    put.key = talk_text("a");
    talk_ask(talk, "/etcdserverpb.KV/Put", &put, NULL);
    request.id = 7;
    Etcdserverpb__LeaseTimeToLiveResponse *response = talk_ask(talk, ttl_path, &request, NULL);
    talk_header(response->header, 3);
    assert_int_equal(response->id, 7);
    assert_in_range(response->ttl, 1, 60); /* whatever was late */
    assert_int_equal(response->grantedttl, 60);
    assert_int_equal(response->n_keys, 0);
    request.keys = true;
    response = talk_ask(talk, ttl_path, &request, NULL);
    assert_int_equal(response->n_keys, 2);
    assert_memory_equal(response->keys[0].data, "a", 1);
    assert_memory_equal(response->keys[1].data, "b", 1);
    request.id = 99;
    response = talk_ask(talk, ttl_path, &request, NULL);
    assert_int_equal(response->ttl, -1);
    assert_int_equal(response->grantedttl, 0);
}

static void done(struct api_call *call)
{
    ++*(int *)call->edge;
}

/* Access control with a user who may do nothing; gives a token of that user. */
static const char *guard(struct talk *talk)
{
    const struct apply_options *options =
        apply_options_get(server_options_get(talk->server)->apply);
    struct backend_batch *batch = backend_batch_new();
    struct slice password = SLICE("hash");
    const char *token = NULL;
    assert_false(err_is(auth_user_add(options->auth, "root", &password, false, batch)));
    assert_false(err_is(auth_role_add(options->auth, "root", batch)));
    assert_false(err_is(auth_user_grant_role(options->auth, "root", "root", batch)));
    assert_false(err_is(auth_user_add(options->auth, "u", &password, false, batch)));
    assert_false(err_is(auth_enable(options->auth, batch)));
    struct auth_grant grant = {.username = "u", .prefix = "p", .now_ms = clock_mono_ms()};
    assert_false(err_is(auth_token_assign(options->tokens, &grant, talk->arena, &token)));
    backend_batch_free(batch);
    return token;
}

/* The leader may be ahead: what it named counts, not only what is known here. */
static void test_keys_of_the_answer_have_to_be_readable(void **state)
{
    struct talk *talk = *state;
    Etcdserverpb__LeaseTimeToLiveRequest request = ETCDSERVERPB__LEASE_TIME_TO_LIVE_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct arena *arena = arena_new(0);
    struct payload payload = {0};
    struct api_status status;
    int dones = 0;
    grant(talk, 7, 60);
    put.key = talk_text("b");
    put.lease = 7;
    talk_ask(talk, "/etcdserverpb.KV/Put", &put, NULL);
    request.id = 7;
    request.keys = true;
    struct api_call call = {.method = api_method_find(SLICE("/etcdserverpb.Lease/LeaseTimeToLive")),
        .arena = arena,
        .request = pb_pack_arena(&request, arena),
        .deadline_ns = INT64_MAX,
        .done = done,
        .edge = &dones};
    api_call_start(talk->api, &call);
    assert_int_equal(dones, 1);
    talk_delete(talk, "b", "");
    call.caller.token = guard(talk);
    api_call_finish(&call, &payload, &status);
    assert_string_equal(status.text, "etcdserver: permission denied");
    payload_fini(&payload);
    arena_free(arena);
}

static void test_revoking_deletes_the_keys(void **state)
{
    static const char revoke_path[] = "/etcdserverpb.Lease/LeaseRevoke";
    struct talk *talk = *state;
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    Etcdserverpb__LeaseLeasesRequest list = ETCDSERVERPB__LEASE_LEASES_REQUEST__INIT;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    grant(talk, 7, 60);
    grant(talk, 9, 60);
    put.key = talk_text("a");
    put.lease = 7;
    talk_ask(talk, "/etcdserverpb.KV/Put", &put, NULL);
    request.id = 7;
    Etcdserverpb__LeaseRevokeResponse *response = talk_ask(talk, revoke_path, &request, NULL);
    talk_header(response->header, 3);
    assert_int_equal(mvcc_keys(server_options_get(talk->server)->mvcc), 0);
    talk_fails(
        talk, revoke_path, &request, GRPC_CODE_NOT_FOUND, "etcdserver: requested lease not found");
    Etcdserverpb__LeaseLeasesResponse *leases =
        talk_ask(talk, "/etcdserverpb.Lease/LeaseLeases", &list, NULL);
    talk_header(leases->header, 3);
    assert_int_equal(leases->n_leases, 1);
    assert_int_equal(leases->leases[0]->id, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_answers_come_in_order),
        TALK_TEST(test_a_checkpoint_is_taken_back_before_the_answer),
        TALK_TEST(test_answers_come_in_order_behind_a_checkpoint),
        TALK_TEST(test_many_that_waited_take_no_more_stack_than_one),
        TALK_TEST(test_close_while_many_wait),
        TALK_TEST(test_keeping_alive_without_a_leader),
        TALK_TEST(test_malformed_keep_alive),
        TALK_TEST(test_who_never_reads_is_cut_off),
        TALK_TEST(test_close_with_answers_waiting),
        TALK_TEST(test_ids_are_chosen),
        TALK_TEST(test_grants_that_are_refused),
        TALK_TEST(test_time_to_live),
        TALK_TEST(test_keys_of_the_answer_have_to_be_readable),
        TALK_TEST(test_revoking_deletes_the_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
