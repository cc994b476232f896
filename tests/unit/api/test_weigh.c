/* SPDX-License-Identifier: Apache-2.0
 * Answers that are weighed: what they weigh, who has the bytes and for how long, who makes them. */
#include "talk.h"

#include "api/weigh.h"
#include "mvcc/history.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { KEYS = 40, WAIT_MS = 60000 };

static struct api *api_of(struct talk *talk)
{
    return talk->api;
}

static size_t held(struct talk *talk)
{
    struct gate *gate = &api_of(talk)->gate;
    pthread_mutex_lock(&gate->mutex);
    size_t bytes = gate->bytes;
    pthread_mutex_unlock(&gate->mutex);
    return bytes;
}

static void fill(struct talk *talk, int keys, const char *value)
{
    char key[16];
    for (int i = 0; i < keys; i++) {
        snprintf(key, sizeof(key), "k%05d", i);
        talk_put(talk, key, value);
    }
}

static Etcdserverpb__RangeRequest of_all(void)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = talk_text("k");
    request.range_end = talk_text("l");
    return request;
}

static Etcdserverpb__DeleteRangeRequest delete_all(void)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = talk_text("k");
    request.range_end = talk_text("l");
    request.prev_kv = true;
    return request;
}

static void test_what_is_weighed(void **state)
{
    struct talk *talk = *state;
    struct api *api = api_of(talk);
    fill(talk, KEYS, "v");
    size_t all = gate_guess(&api->gate, KEYS, false);
    Etcdserverpb__RangeRequest range = of_all();
    assert_int_equal(weigh_range(api, &range), all);
    range.keys_only = true;
    assert_int_equal(weigh_range(api, &range), gate_guess(&api->gate, KEYS, true));
    range.keys_only = false;
    range.limit = 7;
    assert_int_equal(weigh_range(api, &range), gate_guess(&api->gate, 7 + 1, false)); /* `more` */
    range.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND; /* all are read first */
    assert_int_equal(weigh_range(api, &range), all);
    range.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    range.min_mod_revision = 1; /* here too */
    assert_int_equal(weigh_range(api, &range), all);
    range.keys_only = true;
    assert_int_equal(weigh_range(api, &range), gate_guess(&api->gate, KEYS, true));
    range.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE; /* which are read */
    assert_int_equal(weigh_range(api, &range), all);
    range = of_all();
    range.count_only = true;
    assert_int_equal(weigh_range(api, &range), 0);
    range = of_all();
    range.range_end = talk_text("");
    assert_int_equal(weigh_range(api, &range), 0);
    Etcdserverpb__DeleteRangeRequest delete = delete_all();
    assert_int_equal(weigh_delete(api, &delete), all);
    delete.prev_kv = false;
    assert_int_equal(weigh_delete(api, &delete), 0);
}

static size_t walks;

struct err __real_log_read(
    struct mvcc *mvcc, struct log_span span, bool is_light, struct log_slice *out, struct why *why);
struct err __wrap_log_read(
    struct mvcc *mvcc, struct log_span span, bool is_light, struct log_slice *out, struct why *why);
struct err __wrap_log_read(
    struct mvcc *mvcc, struct log_span span, bool is_light, struct log_slice *out, struct why *why)
{
    walks++;
    return __real_log_read(mvcc, span, is_light, out, why);
}

/* What is deleted by now counts as well; the threads that ask do not walk along the history. */
static void test_a_range_of_the_past_weighs_what_was_there_then(void **state)
{
    enum { LONG = 5000 };
    struct talk *talk = *state;
    struct api *api = api_of(talk);
    talk_put(talk, "a", "v");
    talk_delete(talk, "a", "b");
    fill(talk, KEYS, "v");
    size_t all = gate_guess(&api->gate, KEYS, false);
    Etcdserverpb__RangeRequest range = of_all();
    range.revision = 1 + 2 + KEYS;
    talk_delete(talk, "k", "l");
    walks = 0;
    assert_int_equal(weigh_range(api, &range), all); /* a is longer dead than that */
    range.revision = 1 + 2 + KEYS / 2;
    assert_int_equal(weigh_range(api, &range), all + gate_guess(&api->gate, 1, false));
    range.revision = 0;
    assert_int_equal(weigh_range(api, &range), 0);
    for (int i = 0; i < LONG; i++) {
        talk_put(talk, "z", "v");
    }
    range.revision = 1 + 2 + KEYS;
    assert_true(weigh_range(api, &range) >= all);
    range.limit = 1;
    assert_int_equal(weigh_range(api, &range), gate_guess(&api->gate, 1 + 1, false));
    assert_int_equal(walks, 0);
}

static void test_a_transaction_weighs_its_heavier_branch_at_every_depth(void **state)
{
    struct talk *talk = *state;
    struct api *api = api_of(talk);
    fill(talk, KEYS, "v");
    size_t all = gate_guess(&api->gate, KEYS, false);
    Etcdserverpb__RangeRequest range = of_all();
    Etcdserverpb__DeleteRangeRequest delete = delete_all();
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp other = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp inner = ETCDSERVERPB__REQUEST_OP__INIT;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op.request_range = &range;
    other.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    other.request_delete_range = &delete;
    Etcdserverpb__RequestOp *three[] = {&op, &other, &op};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    txn.failure = three;
    txn.n_failure = 3;
    txn.success = three;
    txn.n_success = 1;
    assert_int_equal(weigh_txn(api, &txn), 3 * all);
    inner.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_TXN;
    inner.request_txn = &txn;
    Etcdserverpb__RequestOp *two[] = {&inner, &op};
    Etcdserverpb__TxnRequest outer = ETCDSERVERPB__TXN_REQUEST__INIT;
    outer.success = two;
    outer.n_success = 2;
    assert_int_equal(weigh_txn(api, &outer), 4 * all);
}

static void on_done(struct api_call *call)
{
    atomic_fetch_add((atomic_int *)call->edge, 1);
}

/* Asks, and looks at what is held until the answer is gone. */
static void is_held_until_sent(
    struct talk *talk, const char *path, const void *request, enum grpc_code code)
{
    atomic_int dones = 0;
    struct payload payload;
    struct api_status status;
    struct api_call call = {.method = api_method_find(slice_str(path)),
        .arena = arena_new(0),
        .deadline_ns = INT64_MAX,
        .done = on_done,
        .edge = &dones};
    call.request = pb_pack_arena(request, call.arena);
    api_call_start(talk->api, &call);
    if (!atomic_load(&dones)) {
        assert_true(held(talk) > 0); /* on its way through the log */
        alone_run(talk->server);
    }
    assert_int_equal(atomic_load(&dones), 1);
    assert_true(held(talk) > 0);
    api_call_finish(&call, &payload, &status);
    assert_int_equal(status.code, code);
    arena_free(call.arena);
    assert_int_equal(held(talk) > 0, code == GRPC_CODE_OK);
    struct payload_home home = payload_take_home(&payload);
    payload_fini(&payload);
    if (code == GRPC_CODE_OK) {
        home.empty(home.owner); /* something else is sent, which was made of it */
        assert_true(held(talk) > 0);
        home.release(home.owner);
    }
    assert_int_equal(held(talk), 0);
}

static void test_bytes_are_held_until_the_answer_is_sent(void **state)
{
    struct talk *talk = *state;
    fill(talk, KEYS, "v");
    Etcdserverpb__RangeRequest range = of_all();
    Etcdserverpb__DeleteRangeRequest delete = delete_all();
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *ops[] = {&op};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    txn.success = ops;
    txn.n_success = 1;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    op.request_range = &range;
    is_held_until_sent(talk, "/etcdserverpb.KV/Range", &range, GRPC_CODE_OK);
    is_held_until_sent(talk, "/etcdserverpb.KV/Txn", &txn, GRPC_CODE_OK);
    range.revision = 1000;
    is_held_until_sent(talk, "/etcdserverpb.KV/Range", &range, GRPC_CODE_OUT_OF_RANGE);
    is_held_until_sent(talk, "/etcdserverpb.KV/Txn", &txn, GRPC_CODE_OUT_OF_RANGE);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = &delete;
    is_held_until_sent(talk, "/etcdserverpb.KV/Txn", &txn, GRPC_CODE_OK);
    fill(talk, KEYS, "v");
    is_held_until_sent(talk, "/etcdserverpb.KV/DeleteRange", &delete, GRPC_CODE_OK);
}

static void test_a_large_answer_is_made_elsewhere(void **state)
{
    struct talk *talk = *state;
    static char value[1100];
    memset(value, 'v', sizeof(value) - 1);
    fill(talk, 1000, value);
    atomic_int dones = 0;
    struct payload payload;
    struct api_status status;
    Etcdserverpb__RangeRequest range = of_all();
    struct api_call call = {.method = api_method_find(SLICE("/etcdserverpb.KV/Range")),
        .arena = arena_new(0),
        .deadline_ns = INT64_MAX,
        .done = on_done,
        .edge = &dones};
    call.request = pb_pack_arena(&range, call.arena);
    api_call_start(talk->api, &call);
    for (int i = 0; i < WAIT_MS && !atomic_load(&dones); i++) {
        usleep(1000);
    }
    assert_int_equal(atomic_load(&dones), 1);
    assert_true(call.is_made);
    api_call_finish(&call, &payload, &status);
    assert_int_equal(status.code, GRPC_CODE_OK);
    assert_true(payload.bytes > 1000 * (sizeof(value) - 1));
    arena_free(call.arena);
    payload_fini(&payload);
    assert_int_equal(held(talk), 0);
}

/* A gate that is full, by somebody else. */
static void nobody(struct gate_pass *pass, struct err err)
{
    (void)pass;
    assert_false(err_is(err));
}

static void fill_gate(struct talk *talk, struct gate_pass *pass)
{
    *pass = (struct gate_pass){.bytes = 1000, .done = nobody};
    api_of(talk)->gate.bytes_max = 1000;
    gate_enter(&api_of(talk)->gate, pass);
}

static void test_chunks_of_a_stream_wait_at_the_gate(void **state)
{
    static const char path[] = "/etcdserverpb.KV/RangeStream";
    struct talk *talk = *state;
    struct talk_stream stream;
    struct gate_pass pass;
    size_t keys = 0;
    Etcdserverpb__RangeStreamResponse *response;
    Etcdserverpb__RangeRequest range = of_all();
    fill(talk, KEYS, "v");
    fill_gate(talk, &pass);
    talk_open(talk, &stream, path, false);
    talk_send(&stream, &range);
    talk_is_quiet(&stream);
    int wakes = stream.wakes;
    gate_leave(&api_of(talk)->gate, 1000);
    assert_true(stream.wakes > wakes);
    while ((response = talk_next(&stream))) {
        keys += response->range_response->n_kvs;
    }
    assert_int_equal(keys, KEYS);
    assert_int_equal(stream.last, API_NEXT_END);
    talk_close(&stream);
    assert_int_equal(held(talk), 0);
}

static void test_a_stream_may_go_while_its_chunk_waits(void **state)
{
    static const char path[] = "/etcdserverpb.KV/RangeStream";
    struct talk *talk = *state;
    struct talk_stream stream;
    struct gate_pass pass;
    Etcdserverpb__RangeRequest range = of_all();
    fill(talk, KEYS, "v");
    for (int is_let_in = 0; is_let_in < 2; is_let_in++) {
        fill_gate(talk, &pass);
        talk_open(talk, &stream, path, false);
        talk_send(&stream, &range);
        talk_is_quiet(&stream);
        if (is_let_in) { /* and nobody asked for it since */
            gate_leave(&api_of(talk)->gate, 1000);
            assert_true(held(talk) > 0);
            talk_close(&stream);
        } else {
            talk_close(&stream);
            gate_leave(&api_of(talk)->gate, 1000);
        }
        assert_int_equal(held(talk), 0);
    }
}

static void test_who_waits_too_long_is_told(void **state)
{
    static const char path[] = "/etcdserverpb.KV/RangeStream";
    struct talk *talk = *state;
    struct talk_stream stream;
    struct gate_pass pass;
    Etcdserverpb__RangeRequest range = of_all();
    fill(talk, KEYS, "v");
    fill_gate(talk, &pass);
    api_of(talk)->gate.wait_ms = 0;
    talk_fails(talk, "/etcdserverpb.KV/Range", &range, GRPC_CODE_RESOURCE_EXHAUSTED,
        "etcdserver: too many requests");
    talk_open(talk, &stream, path, false);
    talk_send(&stream, &range);
    talk_has_ended(&stream, GRPC_CODE_RESOURCE_EXHAUSTED, "etcdserver: too many requests");
    talk_close(&stream);
    gate_leave(&api_of(talk)->gate, 1000);
    assert_int_equal(held(talk), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_what_is_weighed),
        TALK_TEST(test_a_range_of_the_past_weighs_what_was_there_then),
        TALK_TEST(test_a_transaction_weighs_its_heavier_branch_at_every_depth),
        TALK_TEST(test_bytes_are_held_until_the_answer_is_sent),
        TALK_TEST(test_a_large_answer_is_made_elsewhere),
        TALK_TEST(test_chunks_of_a_stream_wait_at_the_gate),
        TALK_TEST(test_a_stream_may_go_while_its_chunk_waits),
        TALK_TEST(test_who_waits_too_long_is_told),
    };
    return cmocka_run_group_tests_name("api: weigh", tests, NULL, NULL);
}
