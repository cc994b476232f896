/* SPDX-License-Identifier: Apache-2.0
 * A writer, the sync thread and streams that come and go; meant for the thread sanitizer too. */
#include "scene.h"

#include <pthread.h>

enum { REVS = 2000, STREAMS = 3 };

struct reader {
    struct scene *scene;
    revision start;
    bool is_ok;
};

static atomic_bool is_over;

static void *sync_on(void *arg)
{
    struct scene *scene = arg;
    while (!atomic_load(&is_over)) {
        watch_sync(scene->hub);
    }
    return NULL;
}

static void ignore(void *arg)
{
    (void)arg;
}

/* Two events a revision, every revision once and in order, to the last. */
static void *read_on(void *arg)
{
    struct reader *reader = arg;
    struct watch_item item;
    struct watch_stream *stream = watch_stream_new(reader->scene->hub, ignore, NULL);
    struct watch_spec spec = {.key = SLICE("k"), .end = SLICE("l"), .start = reader->start};
    size_t seen = 0;
    watch_create(stream, &spec);
    reader->is_ok = true;
    while (reader->is_ok && spec.start + (revision)(seen / 2) <= REVS + 1) {
        if (!watch_stream_next(stream, &item)) {
            continue;
        }
        for (size_t i = 0; i < item.events_count; i++, seen++) {
            reader->is_ok &= item.events[i]->change.main == spec.start + (revision)(seen / 2);
        }
        watch_item_fini(&item);
    }
    watch_stream_free(stream);
    return NULL;
}

static void test_catching_up_beside_a_writer(void **state)
{
    struct scene *scene = *state;
    static const char *const keys[] = {"k1", "k2"};
    struct reader readers[STREAMS];
    pthread_t threads[STREAMS + 1];
    atomic_store(&is_over, false);
    pthread_create(&threads[STREAMS], NULL, sync_on, scene);
    for (int rev = 0; rev < REVS; rev++) {
        scene_write(scene, keys, 2, "v");
        if (rev % (REVS / 4) == REVS / 4 - 1 && rev / (REVS / 4) < STREAMS) {
            int at = rev / (REVS / 4);
            readers[at] = (struct reader){scene, 2 + at * 10, false};
            pthread_create(&threads[at], NULL, read_on, &readers[at]);
        }
    }
    for (int i = 0; i < STREAMS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(readers[i].is_ok);
    }
    atomic_store(&is_over, true);
    pthread_join(threads[STREAMS], NULL);
}

int run_threads_tests(void)
{
    const struct CMUnitTest tests[] = {SCENE_TEST(test_catching_up_beside_a_writer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
