/* SPDX-License-Identifier: Apache-2.0
 * RangeStream: its chunks together are what Range answers; and how it ends when they cannot be. */
#include "talk.h"

#include "api/state.h"

#include "base/mem.h"

#include <stdio.h>

static const char path[] = "/etcdserverpb.KV/RangeStream";

enum { KEYS = 120 };

/* KEYS keys, every tenth written twice, values of 0 to 500 bytes. */
static void fill(struct talk *talk)
{
    char value[512];
    char key[16];
    memset(value, 'v', sizeof(value));
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%03d", i);
        value[i * 37 % 500] = 0;
        talk_put(talk, key, value);
        value[i * 37 % 500] = 'v';
    }
    for (int i = 0; i < KEYS; i += 10) {
        snprintf(key, sizeof(key), "k%03d", i);
        talk_put(talk, key, "again");
    }
}

static Etcdserverpb__RangeRequest of_all(void)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    request.key = talk_text("k");
    request.range_end = talk_text("l");
    return request;
}

/* What all chunks say, packed as one message. */
static struct slice merged(struct talk *talk, const Etcdserverpb__RangeRequest *request)
{
    struct talk_stream stream;
    struct buf all;
    Etcdserverpb__RangeStreamResponse *response;
    buf_init(&all, SIZE_MAX);
    talk_open(talk, &stream, path, false);
    talk_send(&stream, request);
    api_stream_half_close(&stream.stream);
    while ((response = talk_next(&stream))) {
        assert_non_null(response->range_response);
        pb_pack(response->range_response, &all);
    }
    assert_int_equal(stream.last, API_NEXT_END);
    assert_int_equal(stream.status.code, GRPC_CODE_OK);
    talk_close(&stream);
    Etcdserverpb__RangeResponse *whole;
    assert_false(err_is(pb_unpack(
        &etcdserverpb__range_response__descriptor, talk->arena, buf_slice(&all), &whole)));
    struct slice packed = pb_pack_arena(whole, talk->arena);
    buf_fini(&all);
    return packed;
}

static void is_as_range(struct talk *talk, const Etcdserverpb__RangeRequest *request)
{
    void *range = talk_ask(talk, "/etcdserverpb.KV/Range", request, NULL);
    struct slice expected = pb_pack_arena(range, talk->arena);
    struct slice got = merged(talk, request);
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(got.data, expected.data, got.len);
}

static void test_chunks_are_the_range(void **state)
{
    struct talk *talk = *state;
    static const int64_t limits[] = {0, 1, 9, 10, 11, 57, KEYS - 1, KEYS, KEYS + 1, -5};
    static const int64_t revisions[] = {0, KEYS / 2, KEYS + 1};
    fill(talk);
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        for (size_t j = 0; j < COUNT_OF(revisions); j++) {
            for (int only = 0; only < 3; only++) {
                Etcdserverpb__RangeRequest request = of_all();
                request.limit = limits[i];
                request.revision = revisions[j];
                request.keys_only = only == 1;
                request.count_only = only == 2;
                request.serializable = i % 2;
                is_as_range(talk, &request);
            }
        }
    }
}

static void test_one_key_and_none(void **state)
{
    Etcdserverpb__RangeRequest request = of_all();
    is_as_range(*state, &request);
    fill(*state);
    request.key = talk_text("k007");
    request.range_end = talk_text("");
    is_as_range(*state, &request);
    request.key = talk_text("elsewhere");
    is_as_range(*state, &request);
}

static void test_revision_is_pinned(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    Etcdserverpb__RangeRequest request = of_all();
    Etcdserverpb__RangeStreamResponse *response;
    size_t seen = 0;
    fill(talk);
    talk_open(talk, &stream, path, false);
    talk_send(&stream, &request);
    while ((response = talk_next(&stream))) {
        seen += response->range_response->n_kvs;
        talk_delete(talk, "k", "l"); /* what is left must not go missing */
        talk_put(talk, "k900", "new");
    }
    assert_int_equal(seen, KEYS);
    talk_close(&stream);
}

static void test_compaction_under_way_ends_it(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    Etcdserverpb__RangeRequest request = of_all();
    fill(talk);
    talk_open(talk, &stream, path, false);
    talk_send(&stream, &request);
    assert_non_null(talk_next(&stream));
    talk_compact(talk, talk_put(talk, "other", "1"));
    talk_has_ended(
        &stream, GRPC_CODE_OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted");
    talk_close(&stream);
}

static void ends(struct talk *talk, const Etcdserverpb__RangeRequest *request, enum grpc_code code,
    const char *text)
{
    struct talk_stream stream;
    talk_open(talk, &stream, path, false);
    talk_is_quiet(&stream);
    talk_send(&stream, request);
    talk_has_ended(&stream, code, text);
    talk_close(&stream);
}

static void test_refusals(void **state)
{
    static const char unsupported[] =
        "etcdserver: sorted or filtered range stream is not supported";
    Etcdserverpb__RangeRequest empty = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeRequest future = of_all();
    Etcdserverpb__RangeRequest down = of_all();
    Etcdserverpb__RangeRequest by_value = of_all();
    Etcdserverpb__RangeRequest filtered = of_all();
    future.revision = 99;
    down.sort_order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    by_value.sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE;
    filtered.min_create_revision = 1;
    ends(*state, &empty, GRPC_CODE_INVALID_ARGUMENT, "etcdserver: key is not provided");
    ends(*state, &future, GRPC_CODE_OUT_OF_RANGE,
        "etcdserver: mvcc: required revision is a future revision");
    ends(*state, &down, GRPC_CODE_UNIMPLEMENTED, unsupported);
    ends(*state, &by_value, GRPC_CODE_UNIMPLEMENTED, unsupported);
    ends(*state, &filtered, GRPC_CODE_UNIMPLEMENTED, unsupported);
}

static void test_malformed(void **state)
{
    struct talk_stream stream;
    talk_open(*state, &stream, path, false);
    api_stream_message(&stream.stream, SLICE("\x0a\x7f"));
    talk_has_ended(&stream, GRPC_CODE_INTERNAL,
        "grpc: failed to unmarshal the received message: unexpected EOF");
    talk_close(&stream);
}

static void test_waits_for_the_read_index(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    Etcdserverpb__RangeRequest request = of_all();
    talk_put(talk, "k", "1");
    alone_hold(talk->server, true);
    talk_open(talk, &stream, path, false);
    talk_send(&stream, &request);
    talk_send(&stream, &request); /* a second request is passed over */
    talk_is_quiet(&stream);
    alone_run(talk->server);
    assert_int_equal(stream.wakes, 1);
    assert_non_null(talk_next(&stream));
    talk_has_ended(&stream, GRPC_CODE_OK, "");
    talk_close(&stream);
}

/* No chunk is left out: those before it were sent, and none comes after it. */
static void test_a_chunk_too_large_to_send_ends_it(void **state)
{
    enum { FIRST = 10, SMALL = 2000 };
    struct talk *talk = *state;
    struct talk_stream stream;
    Etcdserverpb__RangeRequest request = of_all();
    char large[SMALL];
    memset(large, 'v', sizeof(large) - 1);
    large[sizeof(large) - 1] = 0;
    for (int i = 0; i < 3 * FIRST; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%03d", i);
        talk_put(talk, key, i == FIRST ? large : "v");
    }
    talk->api->response_bytes_max = SMALL;
    talk_open(talk, &stream, path, false);
    talk_send(&stream, &request);
    Etcdserverpb__RangeStreamResponse *response = talk_next(&stream);
    assert_non_null(response);
    assert_int_equal(response->range_response->n_kvs, FIRST);
    talk_has_ended(
        &stream, GRPC_CODE_RESOURCE_EXHAUSTED, "grpc: trying to send message larger than max");
    talk_has_ended(
        &stream, GRPC_CODE_RESOURCE_EXHAUSTED, "grpc: trying to send message larger than max");
    assert_int_equal(talk->api->gate.bytes, 0);
    talk_close(&stream);
}

static void test_no_leader(void **state)
{
    struct talk *talk = *state;
    Etcdserverpb__RangeRequest request = of_all();
    alone_set_leader(talk->server, false);
    ends(talk, &request, GRPC_CODE_UNAVAILABLE, "etcdserver: no leader");
    request.serializable = true;
    is_as_range(talk, &request);
}

/* Whoever comes last frees; the sanitizers would tell if nobody or both did. */
static void test_closed_before_the_answer(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    Etcdserverpb__RangeRequest request = of_all();
    alone_hold(talk->server, true);
    talk_open(talk, &stream, path, false);
    talk_send(&stream, &request);
    talk_close(&stream);
    alone_run(talk->server);
    assert_int_equal(stream.wakes, 0);
    talk_open(talk, &stream, path, false); /* and one that never asked */
    talk_close(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_chunks_are_the_range),
        TALK_TEST(test_one_key_and_none),
        TALK_TEST(test_revision_is_pinned),
        TALK_TEST(test_compaction_under_way_ends_it),
        TALK_TEST(test_refusals),
        TALK_TEST(test_malformed),
        TALK_TEST(test_waits_for_the_read_index),
        TALK_TEST(test_a_chunk_too_large_to_send_ends_it),
        TALK_TEST(test_no_leader),
        TALK_TEST(test_closed_before_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
