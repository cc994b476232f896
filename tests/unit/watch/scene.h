/* SPDX-License-Identifier: Apache-2.0
 * A store, its hub and one stream; what the stream says, as text. */
#ifndef TEST_WATCH_SCENE_H
#define TEST_WATCH_SCENE_H

#include "../mvcc/place.h"

#include "watch/watch.h"

struct scene {
    struct place place;
    struct watch_hub *hub;
    struct watch_stream *stream;
    atomic_int wakes;
    atomic_int unsynced_calls;
};

int scene_setup(void **state);
int scene_teardown(void **state);

/* One transaction of puts of "key" or deletes of "-key", told to the hub. */
revision scene_write(struct scene *scene, const char *const *keys, size_t count, const char *value);
revision scene_put(struct scene *scene, const char *key, const char *value);
revision scene_delete(struct scene *scene, const char *key, const char *end);
void scene_watch(struct scene *scene, const char *key, const char *end, revision start);
/* Until there is nothing to do at once. */
void scene_sync(struct scene *scene);
/* What the stream has to say: "created 0; events 0: +a=1@2 -b@3; progress -1@3; " and so on. */
const char *scene_said(struct scene *scene);

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int run_deliver_tests(void);
int run_sync_tests(void);

#endif
