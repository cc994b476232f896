/* SPDX-License-Identifier: Apache-2.0
 * The Watch stream: what each request is answered, and how the stream ends. */
#include "talk.h"

#include "base/mem.h"

#include <stdio.h>

static const char path[] = "/etcdserverpb.Watch/Watch";

static void create(struct talk_stream *stream, Etcdserverpb__WatchCreateRequest *create)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = create;
    talk_send(stream, &request);
}

static Etcdserverpb__WatchCreateRequest of_range(const char *key, const char *end)
{
    Etcdserverpb__WatchCreateRequest request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    request.key = talk_text(key);
    request.range_end = talk_text(end);
    return request;
}

static void cancel(struct talk_stream *stream, int64_t id)
{
    Etcdserverpb__WatchCancelRequest cancel = ETCDSERVERPB__WATCH_CANCEL_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    cancel.watch_id = id;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST;
    request.cancel_request = &cancel;
    talk_send(stream, &request);
}

static void ask_progress(struct talk_stream *stream)
{
    Etcdserverpb__WatchProgressRequest progress = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    talk_send(stream, &request);
}

static void is_created(struct talk_stream *stream, int64_t id, int64_t rev)
{
    Etcdserverpb__WatchResponse *response = talk_next(stream);
    assert_non_null(response);
    talk_header(response->header, rev);
    assert_int_equal(response->watch_id, id);
    assert_true(response->created);
    assert_false(response->canceled);
    assert_int_equal(response->n_events, 0);
}

static void is_refused(struct talk_stream *stream, const char *text)
{
    Etcdserverpb__WatchResponse *response = talk_next(stream);
    assert_non_null(response);
    assert_int_equal(response->watch_id, -1);
    assert_true(response->created && response->canceled);
    assert_string_equal(response->cancel_reason, text);
}

/* "PUT a=1 PUT b=2 DELETE a", of one response. */
static const char *events(const Etcdserverpb__WatchResponse *response)
{
    static char text[8192];
    size_t len = 0;
    assert_non_null(response);
    text[0] = 0;
    for (size_t i = 0; i < response->n_events; i++) {
        const Mvccpb__Event *event = response->events[i];
        bool is_put = event->type == MVCCPB__EVENT__EVENT_TYPE__PUT;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %.*s%s%.*s", i ? " " : "",
            is_put ? "PUT" : "DELETE", (int)event->kv->key.len, (const char *)event->kv->key.data,
            is_put ? "=" : "", (int)event->kv->value.len,
            event->kv->value.len ? (const char *)event->kv->value.data : "");
        if (event->prev_kv) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "(%.*s)",
                (int)event->prev_kv->value.len, (const char *)event->prev_kv->value.data);
        }
    }
    return text;
}

static void test_watch_is_created_told_and_cancelled(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest of_a = of_range("a", "");
    talk_open(*state, &stream, path, false);
    create(&stream, &of_a);
    is_created(&stream, 0, 1);
    talk_is_quiet(&stream);
    stream.wakes = 0;
    talk_put(*state, "a", "1");
    talk_put(*state, "b", "1");
    assert_true(stream.wakes > 0);
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_string_equal(events(response), "PUT a=1");
    talk_header(response->header, 2);
    assert_int_equal(response->watch_id, 0);
    assert_int_equal(response->events[0]->kv->mod_revision, 2);
    assert_int_equal(response->events[0]->kv->version, 1);
    talk_is_quiet(&stream);
    cancel(&stream, 0);
    response = talk_next(&stream);
    assert_true(response->canceled && !response->created);
    assert_int_equal(response->watch_id, 0);
    assert_string_equal(response->cancel_reason, "");
    talk_put(*state, "a", "2");
    cancel(&stream, 0); /* there is none any more: no answer, as etcd */
    talk_is_quiet(&stream);
    talk_close(&stream);
}

static void test_ids_are_counted_or_chosen(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest chosen = of_range("a", "");
    Etcdserverpb__WatchCreateRequest counted = of_range("a", "");
    chosen.watch_id = 1;
    talk_open(*state, &stream, path, false);
    create(&stream, &counted);
    create(&stream, &chosen);
    create(&stream, &chosen);
    create(&stream, &counted);
    is_created(&stream, 0, 1);
    is_created(&stream, 1, 1);
    is_refused(&stream, "mvcc: duplicate watch ID provided on the WatchStream");
    is_created(&stream, 2, 1); /* past the chosen one */
    talk_close(&stream);
}

static void test_ranges_that_are_refused(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest upside_down = of_range("b", "a");
    Etcdserverpb__WatchCreateRequest negative = of_range("a", "");
    negative.start_revision = -1;
    talk_open(*state, &stream, path, false);
    create(&stream, &upside_down);
    is_refused(&stream, "mvcc: watcher range is empty");
    create(&stream, &negative);
    is_refused(&stream, "etcdserver: mvcc: required revision has been compacted");
    talk_close(&stream);
}

static void test_empty_key_is_the_smallest_key(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest all = of_range("", "");
    all.range_end = pb_bytes(slice_of("\0", 1));
    talk_open(*state, &stream, path, false);
    create(&stream, &all);
    is_created(&stream, 0, 1);
    talk_put(*state, "a", "1");
    assert_string_equal(events(talk_next(&stream)), "PUT a=1");
    talk_close(&stream);
}

static void test_filters(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest__FilterType filters[] = {
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT,
        ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE};
    talk_open(*state, &stream, path, false);
    for (size_t from = 0; from < 3; from++) { /* no puts; no deletes; neither */
        Etcdserverpb__WatchCreateRequest request = of_range("a", "");
        request.filters = from < 2 ? filters + from : filters;
        request.n_filters = from < 2 ? 1 : 2;
        create(&stream, &request);
        is_created(&stream, (int64_t)from, 1);
    }
    talk_put(*state, "a", "1");
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_int_equal(response->watch_id, 1);
    assert_string_equal(events(response), "PUT a=1");
    talk_is_quiet(&stream);
    talk_delete(*state, "a", "");
    response = talk_next(&stream);
    assert_int_equal(response->watch_id, 0);
    assert_string_equal(events(response), "DELETE a");
    assert_int_equal(response->events[0]->kv->mod_revision, 3);
    talk_is_quiet(&stream);
    talk_close(&stream);
}

static void test_prev_kv_only_for_who_asks(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest with = of_range("a", "");
    Etcdserverpb__WatchCreateRequest without = of_range("a", "");
    with.prev_kv = true;
    talk_open(*state, &stream, path, false);
    create(&stream, &with);
    create(&stream, &without);
    is_created(&stream, 0, 1);
    is_created(&stream, 1, 1);
    static const char *const seen[][2] = {
        {"PUT a=1", "PUT a=1"}, {"PUT a=2(1)", "PUT a=2"}, {"DELETE a(2)", "DELETE a"}};
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        if (i < 2) {
            talk_put(*state, "a", i ? "2" : "1");
        } else {
            talk_delete(*state, "a", "");
        }
        for (size_t seat = 0; seat < 2; seat++) {
            Etcdserverpb__WatchResponse *response = talk_next(&stream);
            assert_string_equal(events(response), seen[i][response->watch_id]);
        }
        talk_is_quiet(&stream);
    }
    talk_close(&stream);
}

/* The bytes of a fragment, as etcd has them: a request's and what goes around it. */
enum { PUTS_MAX = 5, FRAGMENT_MAX = TALK_REQUEST_BYTES_MAX + 512 * 1024 };

/* One transaction of so many puts. */
static void put_many(struct talk *talk, size_t count, size_t value_len)
{
    static char value[FRAGMENT_MAX];
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__RequestOp ops[PUTS_MAX];
    Etcdserverpb__RequestOp *list[PUTS_MAX];
    Etcdserverpb__PutRequest puts[PUTS_MAX];
    char keys[PUTS_MAX][2];
    memset(value, 'v', sizeof(value));
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%c", (char)('a' + i));
        etcdserverpb__put_request__init(&puts[i]);
        etcdserverpb__request_op__init(&ops[i]);
        puts[i].key = talk_text(keys[i]);
        puts[i].value = pb_bytes(slice_of(value, value_len));
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        ops[i].request_put = &puts[i];
        list[i] = &ops[i];
    }
    request.success = list;
    request.n_success = count;
    talk_ask(talk, "/etcdserverpb.KV/Txn", &request, NULL);
}

/* Each nearly half of what a fragment may hold. */
static void put_five(struct talk *talk)
{
    put_many(talk, 5, FRAGMENT_MAX / 2 - 200);
}

static void test_fragments(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest whole = of_range("a", "z");
    Etcdserverpb__WatchCreateRequest split = of_range("a", "z");
    split.fragment = true;
    talk_open(*state, &stream, path, false);
    create(&stream, &whole);
    create(&stream, &split);
    is_created(&stream, 0, 1);
    is_created(&stream, 1, 1);
    put_five(*state);
    size_t seen = 0;
    size_t messages = 0;
    Etcdserverpb__WatchResponse *response;
    while ((response = talk_next(&stream))) {
        talk_header(response->header, 2);
        if (response->watch_id == 0) {
            assert_false(response->fragment);
            assert_int_equal(response->n_events, 5);
            continue;
        }
        messages++;
        for (size_t i = 0; i < response->n_events; i++, seen++) {
            assert_int_equal(response->events[i]->kv->key.data[0], 'a' + seen);
        }
        assert_int_equal(response->fragment, seen < 5);
        assert_true(response->n_events <= 2);
    }
    assert_int_equal(stream.last, API_NEXT_LATER);
    assert_int_equal(seen, 5);
    assert_int_equal(messages, 3);
    talk_close(&stream);
}

/* Events that come to about what a message may hold: one that is marked as a fragment is followed
 * by another, whatever their sizes are, or the client would wait for ever. */
static void test_the_last_fragment_says_so(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest split = of_range("a", "z");
    split.fragment = true;
    talk_open(*state, &stream, path, false);
    create(&stream, &split);
    is_created(&stream, 0, 1);
    for (size_t len = FRAGMENT_MAX / 2 - 80; len < FRAGMENT_MAX / 2; len++) {
        bool is_last = false;
        size_t seen = 0;
        Etcdserverpb__WatchResponse *response;
        put_many(*state, 2, len);
        while ((response = talk_next(&stream))) {
            assert_false(is_last);
            is_last = !response->fragment;
            seen += response->n_events;
        }
        assert_int_equal(seen, 2);
        assert_true(is_last);
    }
    talk_close(&stream);
}

static void test_close_between_fragments(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest split = of_range("a", "z");
    split.fragment = true;
    talk_open(*state, &stream, path, false);
    create(&stream, &split);
    is_created(&stream, 0, 1);
    put_five(*state);
    put_five(*state);
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_true(response->fragment);
    talk_close(&stream); /* what is left is given back: the sanitizers would tell */
}

static void test_large_events_go_whole(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest request = of_range("a", "");
    char value[6000]; /* above what is copied into the message */
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    talk_open(*state, &stream, path, false);
    create(&stream, &request);
    is_created(&stream, 0, 1);
    talk_put(*state, "a", value);
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_int_equal(response->n_events, 1);
    assert_int_equal(response->events[0]->kv->value.len, sizeof(value) - 1);
    assert_memory_equal(response->events[0]->kv->value.data, value, sizeof(value) - 1);
    talk_close(&stream);
}

static void test_history_is_told_from_the_start_revision(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest past = of_range("a", "");
    Etcdserverpb__WatchCreateRequest future = of_range("a", "");
    talk_put(talk, "a", "1");
    talk_put(talk, "a", "2");
    talk_put(talk, "a", "3");
    past.start_revision = 3;
    future.start_revision = 6;
    talk_open(talk, &stream, path, false);
    create(&stream, &past);
    create(&stream, &future);
    is_created(&stream, 0, 4);
    is_created(&stream, 1, 4);
    ask_progress(&stream);
    talk_is_quiet(&stream); /* one of them is behind, the other waits: nothing can be promised */
    alone_sync(talk->server);
    assert_string_equal(events(talk_next(&stream)), "PUT a=2 PUT a=3");
    talk_put(talk, "a", "4");
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_int_equal(response->watch_id, 0);
    talk_is_quiet(&stream);
    talk_put(talk, "a", "5");
    assert_string_equal(events(talk_next(&stream)), "PUT a=5");
    assert_string_equal(events(talk_next(&stream)), "PUT a=5");
    talk_is_quiet(&stream);
    talk_close(&stream);
}

static void test_progress_on_request(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest request = of_range("a", "");
    talk_open(*state, &stream, path, false);
    ask_progress(&stream);
    talk_is_quiet(&stream); /* there is no watcher to speak for */
    create(&stream, &request);
    is_created(&stream, 0, 1);
    talk_put(*state, "elsewhere", "1");
    ask_progress(&stream);
    ask_progress(&stream); /* one answer is enough for who did not read yet */
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_int_equal(response->watch_id, -1);
    talk_header(response->header, 2);
    assert_int_equal(response->n_events, 0);
    assert_false(response->created || response->canceled);
    talk_is_quiet(&stream);
    talk_close(&stream);
}

static void test_progress_by_the_clock(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    struct watch_hub *hub = server_options_get(talk->server)->hub;
    Etcdserverpb__WatchCreateRequest request = of_range("a", "");
    request.progress_notify = true;
    talk_open(talk, &stream, path, false);
    create(&stream, &request);
    is_created(&stream, 0, 1);
    watch_tick(hub, 1); /* from now on */
    watch_tick(hub, ALONE_PROGRESS_MS);
    talk_is_quiet(&stream);
    watch_tick(hub, 2 * ALONE_PROGRESS_MS);
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_non_null(response);
    assert_int_equal(response->watch_id, 0); /* for the watcher that wants it */
    assert_int_equal(response->n_events, 0);
    talk_header(response->header, 1);
    talk_put(talk, "a", "1");
    assert_string_equal(events(talk_next(&stream)), "PUT a=1");
    watch_tick(hub, 4 * ALONE_PROGRESS_MS);
    talk_is_quiet(&stream); /* it had something to say */
    talk_close(&stream);
}

static void test_compacted_start_cancels(void **state)
{
    struct talk *talk = *state;
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest request = of_range("a", "");
    for (int i = 0; i < 5; i++) {
        talk_put(talk, "a", "v");
    }
    talk_compact(talk, 4);
    request.start_revision = 2;
    talk_open(talk, &stream, path, false);
    create(&stream, &request);
    is_created(&stream, 0, 6);
    alone_sync(talk->server);
    Etcdserverpb__WatchResponse *response = talk_next(&stream);
    assert_non_null(response);
    assert_true(response->canceled);
    assert_int_equal(response->compact_revision, 4);
    assert_int_equal(response->watch_id, 0);
    talk_put(talk, "a", "v");
    talk_is_quiet(&stream);
    talk_close(&stream);
}

/* A client that reads late misses nothing and gets nothing twice, and what it has not read is kept
 * for it in bounded room only. */
static void test_slow_reader(void **state)
{
    enum { PUTS = 50, VALUE = 1024 * 1024, ROOM = 32 };
    struct talk *talk = *state;
    struct watch_hub *hub = server_options_get(talk->server)->hub;
    struct talk_stream stream;
    struct watch_stats stats;
    Etcdserverpb__WatchCreateRequest request = of_range("a", "");
    int64_t seen = 1;
    char *value = mem_new(VALUE + 1);
    memset(value, 'v', VALUE);
    talk_open(talk, &stream, path, false);
    create(&stream, &request);
    is_created(&stream, 0, 1);
    for (int i = 0; i < PUTS; i++) {
        talk_put(talk, "a", value);
        watch_stats(hub, &stats);
        assert_true(stats.pending_events <= ROOM + 1);
    }
    assert_int_equal(stats.unsynced, 1);
    while (seen < PUTS + 1) {
        Etcdserverpb__WatchResponse *response = talk_next(&stream);
        for (size_t i = 0; response && i < response->n_events; i++) {
            assert_int_equal(response->events[i]->kv->mod_revision, ++seen);
        }
        if (!response) {
            watch_sync(hub);
        }
    }
    alone_sync(talk->server);
    talk_is_quiet(&stream);
    talk_close(&stream);
    free(value);
}

static void test_who_never_reads_is_cut_off(void **state)
{
    struct talk_stream stream;
    Etcdserverpb__WatchCreateRequest request = of_range("a", "");
    talk_open(*state, &stream, path, false);
    for (int i = 0; i < 100000; i++) {
        create(&stream, &request);
    }
    struct watch_stats stats;
    watch_stats(server_options_get(((struct talk *)*state)->server)->hub, &stats);
    assert_true(stats.watchers < 100000);
    talk_has_ended(&stream, GRPC_CODE_RESOURCE_EXHAUSTED, "the client does not read its responses");
    talk_close(&stream);
    watch_stats(server_options_get(((struct talk *)*state)->server)->hub, &stats);
    assert_int_equal(stats.watchers, 0);
}

static void test_malformed_ends_the_stream(void **state)
{
    struct talk_stream stream;
    talk_open(*state, &stream, path, false);
    api_stream_message(&stream.stream, SLICE("\x0a\x7f"));
    talk_has_ended(&stream, GRPC_CODE_INTERNAL,
        "grpc: failed to unmarshal the received message: unexpected EOF");
    talk_close(&stream);
}

static void test_empty_request_is_passed_over(void **state)
{
    struct talk_stream stream;
    talk_open(*state, &stream, path, false);
    api_stream_message(&stream.stream, SLICE(""));
    talk_is_quiet(&stream);
    api_stream_half_close(&stream.stream);
    talk_is_quiet(&stream); /* the client still wants its events */
    talk_close(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TALK_TEST(test_watch_is_created_told_and_cancelled),
        TALK_TEST(test_ids_are_counted_or_chosen),
        TALK_TEST(test_ranges_that_are_refused),
        TALK_TEST(test_empty_key_is_the_smallest_key),
        TALK_TEST(test_filters),
        TALK_TEST(test_prev_kv_only_for_who_asks),
        TALK_TEST(test_fragments),
        TALK_TEST(test_the_last_fragment_says_so),
        TALK_TEST(test_close_between_fragments),
        TALK_TEST(test_large_events_go_whole),
        TALK_TEST(test_history_is_told_from_the_start_revision),
        TALK_TEST(test_progress_on_request),
        TALK_TEST(test_progress_by_the_clock),
        TALK_TEST(test_compacted_start_cancels),
        TALK_TEST(test_slow_reader),
        TALK_TEST(test_who_never_reads_is_cut_off),
        TALK_TEST(test_malformed_ends_the_stream),
        TALK_TEST(test_empty_request_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
