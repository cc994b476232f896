/* SPDX-License-Identifier: Apache-2.0
 * Watchers that are synced, and what a stream answers. */
#include "scene.h"

#include "base/buf.h"
#include "base/mem.h"

#include <rpc.pb-c.h>

static void test_deliver_in_order(void **state)
{
    struct scene *scene = *state;
    scene_watch(scene, "a", "c", 0);
    scene_watch(scene, "b", "", 0);
    scene_put(scene, "a", "1");
    scene_put(scene, "c", "1");
    scene_put(scene, "b", "2");
    scene_delete(scene, "a", "z");
    assert_string_equal(scene_said(scene), "created 0; created 1; "
                                           "events 0: +a=1@2 +b=2@4 -a@5 -b@5; "
                                           "events 1: +b=2@4 -b@5; ");
    assert_string_equal(scene_said(scene), "");
}

static void test_deliver_open_end(void **state)
{
    struct scene *scene = *state;
    watch_create(scene->stream, &(struct watch_spec){.key = SLICE("b"), .end = slice_of("", 1)});
    scene_put(scene, "a", "1");
    scene_put(scene, "b", "1");
    scene_put(scene, "zz", "1");
    assert_string_equal(scene_said(scene), "created 0; events 0: +b=1@3 +zz=1@4; ");
}

static void test_deliver_filters(void **state)
{
    struct scene *scene = *state;
    struct watch_spec spec = {.key = SLICE("a"), .filters = WATCH_FILTER_NO_PUT};
    watch_create(scene->stream, &spec);
    spec.filters = WATCH_FILTER_NO_DELETE;
    watch_create(scene->stream, &spec);
    spec.filters = WATCH_FILTER_NO_DELETE | WATCH_FILTER_NO_PUT;
    watch_create(scene->stream, &spec);
    scene_put(scene, "a", "1");
    scene_delete(scene, "a", "");
    assert_string_equal(
        scene_said(scene), "created 0; created 1; created 2; events 1: +a=1@2; events 0: -a@3; ");
}

static void test_deliver_from_the_future(void **state)
{
    struct scene *scene = *state;
    scene_watch(scene, "a", "", 4);
    watch_progress_all(scene->stream);
    scene_put(scene, "a", "1");
    scene_put(scene, "a", "2");
    scene_put(scene, "a", "3");
    watch_progress_all(scene->stream);
    assert_string_equal(scene_said(scene), "created 0; events 0: +a=3@4; progress -1@4; ");
}

static void test_create_refuses(void **state)
{
    struct scene *scene = *state;
    struct watch_spec spec = {.key = SLICE("a"), .id = 7};
    watch_create(scene->stream, &spec);
    watch_create(scene->stream, &spec);
    scene_watch(scene, "b", "a", 0);
    scene_watch(scene, "b", "b", 0);
    watch_refuse(scene->stream, "no");
    assert_string_equal(scene_said(scene),
        "created 7; "
        "refused -1 (mvcc: duplicate watch ID provided on the WatchStream); "
        "refused -1 (mvcc: watcher range is empty); "
        "refused -1 (mvcc: watcher range is empty); refused -1 (no); ");
}

static void test_create_chooses_ids_that_are_free(void **state)
{
    struct scene *scene = *state;
    watch_create(scene->stream, &(struct watch_spec){.key = SLICE("a"), .id = 1});
    scene_watch(scene, "a", "", 0);
    scene_watch(scene, "a", "", 0);
    watch_cancel(scene->stream, 2);
    watch_cancel(scene->stream, 99);
    scene_watch(scene, "a", "", 0);
    assert_string_equal(
        scene_said(scene), "created 1; created 0; created 2; canceled 2; created 3; ");
}

static void test_progress_stays_behind_events(void **state)
{
    struct scene *scene = *state;
    watch_progress_all(scene->stream); /* no watcher: nothing to speak of */
    scene_watch(scene, "a", "", 0);
    scene_put(scene, "a", "1");
    watch_progress_all(scene->stream);
    scene_put(scene, "a", "2");
    scene_put(scene, "b", "2");
    watch_progress_all(scene->stream);
    assert_string_equal(scene_said(scene),
        "created 0; events 0: +a=1@2; progress -1@2; events 0: +a=2@3; progress -1@4; ");
}

static void test_progress_waits_for_the_unsynced(void **state)
{
    struct scene *scene = *state;
    scene_put(scene, "a", "1");
    scene_watch(scene, "a", "", 0);
    scene_watch(scene, "a", "", 1);
    watch_progress_all(scene->stream);
    assert_string_equal(scene_said(scene), "created 0; created 1; ");
    scene_sync(scene);
    watch_progress_all(scene->stream);
    assert_string_equal(scene_said(scene), "events 1: +a=1@2; progress -1@2; ");
}

static void test_progress_that_nobody_reads_is_one_answer(void **state)
{
    struct scene *scene = *state;
    scene_watch(scene, "a", "", 0);
    for (int i = 0; i < 50; i++) {
        scene_put(scene, "b", "1");
        watch_progress_all(scene->stream);
    }
    assert_string_equal(scene_said(scene), "created 0; progress -1@51; ");
}

static void test_progress_by_time_is_for_the_quiet(void **state)
{
    struct scene *scene = *state;
    struct watch_spec spec = {.key = SLICE("a"), .is_progress_wanted = true};
    watch_create(scene->stream, &spec);
    spec.key = SLICE("b");
    watch_create(scene->stream, &spec);
    scene_watch(scene, "c", "", 0);
    watch_tick(scene->hub, 1);
    scene_put(scene, "a", "1");
    watch_tick(scene->hub, 5000);
    assert_string_equal(
        scene_said(scene), "created 0; created 1; created 2; events 0: +a=1@2; progress 1@2; ");
    watch_tick(scene->hub, 10000);
    assert_string_equal(scene_said(scene), "progress 0@2; progress 1@2; ");
}

/* Neither by the clock nor on request: it would say that all before is seen. Nor does a store that
 * was replaced meanwhile show it anything older. */
/* Of each watcher the newest, and never before what came earlier. */
static void test_progress_by_time_that_nobody_reads_is_one_a_watcher(void **state)
{
    struct scene *scene = *state;
    struct watch_spec spec = {.key = SLICE("a"), .is_progress_wanted = true};
    watch_create(scene->stream, &spec);
    watch_create(scene->stream, &spec);
    int64_t now_ms = 1;
    for (int i = 0; i < 50; i++, now_ms += 5000) {
        scene_put(scene, "b", "1");
        watch_tick(scene->hub, now_ms);
    }
    scene_put(scene, "a", "1");
    scene_put(scene, "b", "1");
    for (int i = 0; i < 50; i++, now_ms += 5000) {
        watch_tick(scene->hub, now_ms);
    }
    watch_progress_all(scene->stream);
    scene_put(scene, "b", "1");
    watch_tick(scene->hub, now_ms);
    assert_string_equal(scene_said(scene),
        "created 0; created 1; progress 0@51; progress 1@51; events 0: +a=1@52; events 1: +a=1@52; "
        "progress -1@53; ");
    watch_tick(scene->hub, now_ms + 10000);
    assert_string_equal(scene_said(scene), "progress 0@54; progress 1@54; ");
}

/* However often the client asks for another kind of it meanwhile. */
static void test_progress_by_time_is_one_whatever_is_asked_for(void **state)
{
    enum { TURNS = 100 };
    struct scene *scene = *state;
    struct watch_spec spec = {.key = SLICE("a"), .is_progress_wanted = true};
    struct watch_item item;
    size_t by_time = 0;
    size_t asked = 0;
    watch_create(scene->stream, &spec);
    watch_create(scene->stream, &spec);
    for (int i = 0; i < TURNS; i++) {
        watch_tick(scene->hub, 1 + (int64_t)i * 5000);
        watch_progress_all(scene->stream);
    }
    while (watch_stream_next(scene->stream, &item)) {
        by_time += item.kind == WATCH_ITEM_PROGRESS && item.id != WATCH_ID_NONE;
        asked += item.kind == WATCH_ITEM_PROGRESS && item.id == WATCH_ID_NONE;
    }
    assert_int_equal(by_time, 2);
    assert_in_range(asked, 1, TURNS);
    watch_tick(scene->hub, (int64_t)TURNS * 10000);
    assert_string_equal(scene_said(scene), "progress 0@1; progress 1@1; "); /* and then again */
}

static void test_no_progress_before_a_start_in_the_future(void **state)
{
    struct scene *scene = *state;
    struct watch_spec spec = {.key = SLICE("a"), .start = 5, .is_progress_wanted = true};
    scene_put(scene, "a", "1");
    watch_create(scene->stream, &spec);
    watch_tick(scene->hub, 1);
    watch_tick(scene->hub, 5000);
    watch_tick(scene->hub, 10000);
    watch_progress_all(scene->stream);
    watch_reload(scene->hub);
    scene_put(scene, "a", "2");
    scene_sync(scene);
    watch_progress_all(scene->stream);
    watch_tick(scene->hub, 15000);
    scene_put(scene, "a", "3");
    assert_string_equal(scene_said(scene), "created 0; ");
    scene_put(scene, "a", "4");
    scene_sync(scene);
    assert_string_equal(scene_said(scene), "events 0: +a=4@5; ");
    watch_tick(scene->hub, 20000);
    watch_tick(scene->hub, 25000);
    assert_string_equal(scene_said(scene), "progress 0@5; ");
}

static void check_encoded(
    struct scene *scene, struct watch_event *event, bool is_prev_wanted, const char *prev_value)
{
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue prev = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__Event message = MVCCPB__EVENT__INIT;
    const struct mvcc_change *c = &event->change;
    uint8_t expected[512];
    kv.key = (ProtobufCBinaryData){c->key->len, c->key->data};
    kv.value = (ProtobufCBinaryData){blob_slice(c->value).len, c->value ? c->value->data : NULL};
    kv.create_revision = c->create;
    kv.mod_revision = c->main;
    kv.version = c->version;
    kv.lease = c->lease;
    message.kv = &kv;
    message.type =
        c->kind == MVCC_PUT ? MVCCPB__EVENT__EVENT_TYPE__PUT : MVCCPB__EVENT__EVENT_TYPE__DELETE;
    if (prev_value) {
        prev.key = kv.key;
        prev.value = (ProtobufCBinaryData){strlen(prev_value), (uint8_t *)(uintptr_t)prev_value};
        prev.create_revision = c->prev_create;
        prev.mod_revision = c->prev_mod;
        prev.version = c->prev_version;
        message.prev_kv = &prev;
    }
    size_t len = mvccpb__event__pack(&message, expected);
    struct blob *blob = NULL;
    assert_false(err_is(watch_event_encoded(event, scene->place.mvcc, is_prev_wanted, &blob)));
    assert_int_equal(blob->data[0], 11 << 3 | 2);
    assert_true(blob->len > len && blob->len <= len + 3);
    assert_memory_equal(blob->data + blob->len - len, expected, len);
}

static void check_next(struct scene *scene, const char *const *prev, size_t count)
{
    struct watch_item item;
    size_t at = 0;
    while (watch_stream_next(scene->stream, &item)) {
        for (size_t i = 0; i < item.events_count; i++, at++) {
            assert_true(at < count);
            check_encoded(scene, item.events[i], false, NULL);
            check_encoded(scene, item.events[i], true, prev[at]);
        }
        watch_item_fini(&item);
    }
    assert_int_equal(at, count);
}

static void test_events_are_encoded_as_protobuf_c_packs_them(void **state)
{
    struct scene *scene = *state;
    static const char *const prev[] = {NULL, "one", "two", NULL, ""};
    struct watch_spec spec = {.key = SLICE("k"), .is_prev_wanted = true};
    watch_create(scene->stream, &spec);
    scene_put(scene, "k", "one");
    scene_put(scene, "k", "two");
    scene_delete(scene, "k", "");
    scene_put(scene, "k", "");
    scene_put(scene, "k", "x");
    check_next(scene, prev, 5);
    spec.start = 2; /* and from history */
    watch_create(scene->stream, &spec);
    scene_sync(scene);
    check_next(scene, prev, 5);
}

static void test_free_with_things_to_say(void **state)
{
    struct scene *scene = *state;
    struct watch_stats stats;
    scene_watch(scene, "a", "z", 0);
    scene_put(scene, "b", "1");
    assert_int_equal(atomic_load(&scene->wakes), 1); /* once until it is found empty */
    watch_stats(scene->hub, &stats);
    assert_int_equal(stats.pending_events, 1);
    scene_said(scene);
    scene_put(scene, "b", "2");
    assert_int_equal(atomic_load(&scene->wakes), 2);
}

static void test_an_answer_tells_whether_another_waits(void **state)
{
    struct scene *scene = *state;
    struct watch_item item;
    for (int i = 0; i < 3; i++) {
        scene_watch(scene, "a", "z", 0);
    }
    scene_said(scene);
    scene_put(scene, "b", "1");
    for (int left = 2; left >= 0; left--) {
        assert_true(watch_stream_next(scene->stream, &item));
        assert_int_equal(item.is_followed, left > 0);
        watch_item_fini(&item);
    }
    assert_false(watch_stream_next(scene->stream, &item));
}

/* A client that asks and never reads: its answers are counted, and the edge is told to end it. */
static void test_answers_nobody_reads_flood_the_stream(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < 16 * 1024; i++) {
        watch_refuse(scene->stream, "no");
    }
    assert_false(watch_stream_is_flooded(scene->stream));
    watch_refuse(scene->stream, "no");
    assert_true(watch_stream_is_flooded(scene->stream));
}

/* What comes of itself counts for nothing: a client with many watchers reads it all. */
static void test_progress_by_time_floods_no_stream(void **state)
{
    enum { WATCHERS = 17000 };
    struct scene *scene = *state;
    struct watch_spec spec = {.key = SLICE("a"), .is_progress_wanted = true};
    struct watch_item item;
    for (int i = 0; i < WATCHERS; i++) {
        watch_create(scene->stream, &spec);
        assert_true(watch_stream_next(scene->stream, &item));
    }
    watch_tick(scene->hub, 1);
    watch_tick(scene->hub, 5000);
    for (int i = 0; i < WATCHERS; i++) {
        assert_true(watch_stream_next(scene->stream, &item));
        assert_int_equal(item.kind, WATCH_ITEM_PROGRESS);
    }
    assert_false(watch_stream_next(scene->stream, &item));
    assert_false(watch_stream_is_flooded(scene->stream));
}

/* An event keeps the value that it replaced, whether the watcher wants it or not. */
static void test_previous_values_count_too(void **state)
{
    enum { VALUE = 1024 * 1024, TURNS = 64 };
    struct scene *scene = *state;
    struct watch_stats stats;
    char *value = mem_new(VALUE + 1);
    memset(value, 'v', VALUE);
    struct watch_spec spec = {.key = SLICE("k"), .filters = WATCH_FILTER_NO_PUT};
    watch_create(scene->stream, &spec);
    for (int i = 0; i < TURNS; i++) {
        scene_put(scene, "k", value);
        scene_delete(scene, "k", "");
    }
    free(value);
    watch_stats(scene->hub, &stats);
    assert_int_equal(stats.unsynced, 1);
    assert_in_range(stats.pending_events, 30, 33);
}

int run_deliver_tests(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_deliver_in_order),
        SCENE_TEST(test_deliver_open_end),
        SCENE_TEST(test_deliver_filters),
        SCENE_TEST(test_deliver_from_the_future),
        SCENE_TEST(test_create_refuses),
        SCENE_TEST(test_create_chooses_ids_that_are_free),
        SCENE_TEST(test_progress_stays_behind_events),
        SCENE_TEST(test_progress_waits_for_the_unsynced),
        SCENE_TEST(test_progress_that_nobody_reads_is_one_answer),
        SCENE_TEST(test_progress_by_time_is_for_the_quiet),
        SCENE_TEST(test_progress_by_time_that_nobody_reads_is_one_a_watcher),
        SCENE_TEST(test_progress_by_time_floods_no_stream),
        SCENE_TEST(test_progress_by_time_is_one_whatever_is_asked_for),
        SCENE_TEST(test_previous_values_count_too),
        SCENE_TEST(test_no_progress_before_a_start_in_the_future),
        SCENE_TEST(test_events_are_encoded_as_protobuf_c_packs_them),
        SCENE_TEST(test_answers_nobody_reads_flood_the_stream),
        SCENE_TEST(test_free_with_things_to_say),
        SCENE_TEST(test_an_answer_tells_whether_another_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
