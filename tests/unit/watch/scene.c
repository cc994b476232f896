/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include "base/mem.h"

static void wake(void *arg)
{
    atomic_fetch_add(&((struct scene *)arg)->wakes, 1);
}

static void unsynced(void *arg)
{
    atomic_fetch_add(&((struct scene *)arg)->unsynced_calls, 1);
}

int scene_setup(void **state)
{
    struct scene *scene = mem_new(sizeof(*scene));
    place_init(&scene->place, (struct mvcc_options){.value_cache_bytes = 1024 * 1024});
    scene->hub = watch_hub_new(scene->place.mvcc, 1000, 1);
    watch_on_unsynced(scene->hub, unsynced, scene);
    scene->stream = watch_stream_new(scene->hub, wake, scene);
    *state = scene;
    return 0;
}

int scene_teardown(void **state)
{
    struct scene *scene = *state;
    watch_stream_free(scene->stream);
    watch_hub_free(scene->hub);
    place_fini(&scene->place);
    free(scene);
    return 0;
}

revision scene_write(struct scene *scene, const char *const *keys, size_t count, const char *value)
{
    const struct mvcc_change *changes;
    size_t changes_count;
    struct mvcc_txn *txn = mvcc_txn_begin(scene->place.mvcc, scene->place.batch);
    for (size_t i = 0; i < count; i++) {
        if (keys[i][0] == '-') {
            mvcc_txn_delete_range(txn, slice_str(keys[i] + 1), (struct slice){0});
        } else {
            mvcc_txn_put(txn, slice_str(keys[i]), slice_str(value), 0);
        }
    }
    revision rev = mvcc_txn_end(txn, &changes, &changes_count);
    watch_notify(scene->hub, changes, changes_count, rev);
    place_write(&scene->place);
    return rev;
}

revision scene_put(struct scene *scene, const char *key, const char *value)
{
    return scene_write(scene, &key, 1, value);
}

revision scene_delete(struct scene *scene, const char *key, const char *end)
{
    const struct mvcc_change *changes;
    size_t count;
    struct mvcc_txn *txn = mvcc_txn_begin(scene->place.mvcc, scene->place.batch);
    mvcc_txn_delete_range(txn, slice_str(key), slice_str(end));
    revision rev = mvcc_txn_end(txn, &changes, &count);
    watch_notify(scene->hub, changes, count, rev);
    place_write(&scene->place);
    return rev;
}

void scene_watch(struct scene *scene, const char *key, const char *end, revision start)
{
    watch_create(scene->stream,
        &(struct watch_spec){.key = slice_str(key), .end = slice_str(end), .start = start});
}

void scene_sync(struct scene *scene)
{
    int turns = 0;
    while (watch_sync(scene->hub)) {
        assert_true(++turns < 10000);
    }
}

struct text {
    char bytes[8192];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text->len +=
        (size_t)vsnprintf(text->bytes + text->len, sizeof(text->bytes) - text->len, format, args);
    va_end(args);
    assert_true(text->len < sizeof(text->bytes));
}

static void add_event(struct text *text, const struct mvcc_change *change)
{
    struct slice value = blob_slice(change->value);
    add(text, " %c%.*s", change->kind == MVCC_PUT ? '+' : '-', (int)change->key->len,
        (const char *)change->key->data);
    if (change->kind == MVCC_PUT) {
        add(text, "=%.*s", (int)value.len, value.len ? (const char *)value.data : "");
    }
    add(text, "@%lld", (long long)change->main);
}

static void add_item(struct text *text, const struct watch_item *item)
{
    static const char *const names[] = {
        "created", "refused", "canceled", "compacted", "events", "progress"};
    add(text, "%s %lld", names[item->kind], (long long)item->id);
    if (item->kind == WATCH_ITEM_EVENTS) {
        add(text, ":");
    }
    for (size_t i = 0; i < item->events_count; i++) {
        add_event(text, &item->events[i]->change);
    }
    if (item->kind == WATCH_ITEM_PROGRESS) {
        add(text, "@%lld", (long long)item->rev);
    }
    if (item->kind == WATCH_ITEM_COMPACTED) {
        add(text, "@%lld", (long long)item->compact_rev);
    }
    if (item->text) {
        add(text, " (%s)", item->text);
    }
    add(text, "; ");
}

const char *scene_said(struct scene *scene)
{
    static struct text text;
    struct watch_item item;
    text.len = 0;
    text.bytes[0] = 0;
    while (watch_stream_next(scene->stream, &item)) {
        add_item(&text, &item);
        watch_item_fini(&item);
    }
    return text.bytes;
}
