/* SPDX-License-Identifier: Apache-2.0
 * Watchers that stand in the past. */
#include "scene.h"

#include "base/mem.h"

static void test_sync_reads_history(void **state)
{
    struct scene *scene = *state;
    static const char *const both[] = {"a", "b"};
    scene_put(scene, "a", "1");
    scene_write(scene, both, 2, "2");
    scene_delete(scene, "a", "");
    scene_watch(scene, "a", "c", 3);
    scene_watch(scene, "b", "", 1);
    scene_sync(scene);
    scene_put(scene, "b", "3");
    assert_string_equal(scene_said(scene), "created 0; created 1; "
                                           "events 0: +a=2@3 +b=2@3 -a@4 +b=3@5; "
                                           "events 1: +b=2@3 +b=3@5; ");
    assert_int_equal(atomic_load(&scene->unsynced_calls), 2);
}

static void test_sync_gives_up_what_is_compacted(void **state)
{
    struct scene *scene = *state;
    struct watch_stats stats;
    scene_put(scene, "a", "1");
    scene_put(scene, "a", "2");
    scene_delete(scene, "a", "");
    scene_put(scene, "b", "3");
    place_compact(&scene->place, 4);
    scene_watch(scene, "a", "z", 3);
    scene_watch(scene, "a", "z", 4); /* the tombstone at the compacted revision is kept */
    scene_sync(scene);
    assert_string_equal(
        scene_said(scene), "created 0; created 1; compacted 0@4; events 1: -a@4 +b=3@5; ");
    watch_stats(scene->hub, &stats);
    assert_int_equal(stats.watchers, 1);
    assert_int_equal(stats.unsynced, 0);
}

static void test_a_compacted_watch_keeps_its_id_until_it_is_cancelled(void **state)
{
    struct scene *scene = *state;
    scene_put(scene, "a", "1");
    scene_put(scene, "a", "2");
    scene_put(scene, "a", "3");
    place_compact(&scene->place, 4);
    scene_watch(scene, "a", "", 2);
    scene_sync(scene);
    scene_watch(scene, "a", "", 0);
    watch_cancel(scene->stream, 0);
    watch_cancel(scene->stream, 0);
    assert_string_equal(scene_said(scene), "created 0; compacted 0@4; created 1; canceled 0; ");
}

static void test_no_previous_version_from_before_the_compacted_revision(void **state)
{
    struct scene *scene = *state;
    struct watch_item item;
    scene_put(scene, "a", "1");
    scene_delete(scene, "a", "");
    place_compact(&scene->place, 3);
    scene_put(scene, "b", "1");
    scene_put(scene, "b", "2");
    scene_watch(scene, "a", "z", 3);
    scene_sync(scene);
    assert_true(watch_stream_next(scene->stream, &item));
    assert_true(watch_stream_next(scene->stream, &item));
    assert_int_equal(item.events_count, 3);
    assert_int_equal(item.events[0]->change.prev_mod, 0);
    assert_int_equal(item.events[2]->change.prev_mod, 4);
    watch_item_fini(&item);
}

static void test_cancel_while_unsynced(void **state)
{
    struct scene *scene = *state;
    scene_put(scene, "a", "1");
    scene_watch(scene, "a", "", 1);
    watch_cancel(scene->stream, 0);
    scene_sync(scene);
    assert_string_equal(scene_said(scene), "created 0; canceled 0; ");
}

/* Takes everything; checks that revisions of key "k" come in order without a gap. */
static revision take_all(struct scene *scene, revision last)
{
    struct watch_item item;
    while (watch_stream_next(scene->stream, &item)) {
        for (size_t i = 0; i < item.events_count; i++) {
            assert_int_equal(item.events[i]->change.main, last + 1);
            last++;
        }
        watch_item_fini(&item);
    }
    return last;
}

static void test_overflow_loses_nothing_and_stays_bounded(void **state)
{
    struct scene *scene = *state;
    struct watch_stats stats;
    revision rev = 0;
    scene_watch(scene, "k", "", 0);
    for (int i = 0; i < 40000; i++) {
        rev = scene_put(scene, "k", "v");
    }
    watch_stats(scene->hub, &stats);
    assert_in_range(stats.pending_events, 32768, 32768 + 1);
    assert_int_equal(stats.unsynced, 1);
    scene_sync(scene);
    watch_stats(scene->hub, &stats);
    assert_in_range(stats.pending_events, 32768, 32768 + 1);
    int calls = atomic_load(&scene->unsynced_calls);
    revision last = take_all(scene, 1);
    assert_true(last < rev);
    assert_true(atomic_load(&scene->unsynced_calls) > calls); /* there is room: told */
    scene_sync(scene);
    assert_int_equal(take_all(scene, last), rev);
    rev = scene_put(scene, "k", "v");
    assert_int_equal(take_all(scene, rev - 1), rev);
    watch_stats(scene->hub, &stats);
    assert_int_equal(stats.unsynced, 0);
}

static void test_overflow_by_bytes_does_not_tear_a_revision(void **state)
{
    struct scene *scene = *state;
    static const char *const keys[] = {"k1", "k2", "k3"};
    char *value = mem_new(1024 * 1024 + 1);
    struct watch_item item;
    size_t events = 0;
    memset(value, 'v', 1024 * 1024);
    scene_watch(scene, "k", "l", 0);
    for (int i = 0; i < 20; i++) {
        scene_write(scene, keys, 3, value);
    }
    while (watch_stream_next(scene->stream, &item)) {
        for (size_t i = 0; i < item.events_count; i++) {
            assert_int_equal(item.events[i]->change.main, (revision)(2 + (events + i) / 3));
        }
        assert_int_equal(item.events_count % 3, 0);
        events += item.events_count;
        watch_item_fini(&item);
        if (events < 60) {
            watch_sync(scene->hub);
        }
    }
    assert_int_equal(events, 60);
    free(value);
}

/* One turn of many watchers far behind must not read all of history's bytes at once. */
static void test_sync_slice_is_bounded_by_bytes(void **state)
{
    struct scene *scene = *state;
    char *value = mem_new(1024 * 1024 + 1);
    struct watch_stats stats;
    memset(value, 'v', 1024 * 1024);
    for (int i = 0; i < 24; i++) {
        scene_put(scene, "k", value);
    }
    scene_watch(scene, "k", "", 1);
    assert_true(watch_sync(scene->hub)); /* more to do */
    watch_stats(scene->hub, &stats);
    assert_in_range(stats.pending_events, 1, 12);
    scene_sync(scene);
    assert_int_equal(take_all(scene, 1), 25);
    free(value);
}

/* Starved until its history was compacted away: it gets what was queued for it, without a gap, and
 * is then told that the rest is gone, not led past it. */
static void test_a_starved_watcher_is_told_of_the_compaction_it_missed(void **state)
{
    struct scene *scene = *state;
    struct watch_item item;
    revision last = 1;
    revision told = 0;
    scene_watch(scene, "k", "", 0);
    for (int i = 0; i < 33000; i++) {
        scene_put(scene, "k", "v");
    }
    revision newest = scene_put(scene, "k", "v");
    place_compact(&scene->place, newest);
    scene_sync(scene);
    while (watch_stream_next(scene->stream, &item)) {
        assert_int_equal(told, 0);
        for (size_t i = 0; i < item.events_count; i++) {
            assert_int_equal(item.events[i]->change.main, ++last);
        }
        told = item.kind == WATCH_ITEM_COMPACTED ? item.compact_rev : 0;
        watch_item_fini(&item);
        scene_sync(scene);
    }
    assert_true(last > 1 && last + 1 < newest);
    assert_int_equal(told, newest);
    scene_put(scene, "k", "v");
    assert_string_equal(scene_said(scene), "");
}

static void nobody_listens(void *arg)
{
    (void)arg;
}

/* A value that the store has lost: no busy loop, and the member hears why. */
static void test_sync_tells_of_a_damaged_store(void **state)
{
    struct scene *scene = *state;
    struct why why = {""};
    const char row[] = "d\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0";
    scene_put(scene, "k", "1");
    assert_false(err_is(watch_failure(scene->hub, &why)));
    watch_stream_free(scene->stream);
    watch_hub_free(scene->hub);
    assert_false(err_is(backend_flush(scene->place.backend, &why)));
    place_crash(&scene->place);
    backend_batch_delete(scene->place.batch, slice_of(row, 17));
    place_write(&scene->place);
    scene->hub = watch_hub_new(scene->place.mvcc, 1000, 1);
    scene->stream = watch_stream_new(scene->hub, nobody_listens, NULL);
    scene_watch(scene, "k", "", 1);
    assert_false(watch_sync(scene->hub));
    assert_true(IS(watch_failure(scene->hub, &why), BAD_FORMAT));
    assert_string_equal(why.text, "no value at revision 2");
}

int run_sync_tests(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_sync_reads_history),
        SCENE_TEST(test_sync_gives_up_what_is_compacted),
        SCENE_TEST(test_a_compacted_watch_keeps_its_id_until_it_is_cancelled),
        SCENE_TEST(test_no_previous_version_from_before_the_compacted_revision),
        SCENE_TEST(test_cancel_while_unsynced),
        SCENE_TEST(test_overflow_loses_nothing_and_stays_bounded),
        SCENE_TEST(test_overflow_by_bytes_does_not_tear_a_revision),
        SCENE_TEST(test_sync_slice_is_bounded_by_bytes),
        SCENE_TEST(test_a_starved_watcher_is_told_of_the_compaction_it_missed),
        SCENE_TEST(test_sync_tells_of_a_damaged_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
