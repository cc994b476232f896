/* SPDX-License-Identifier: Apache-2.0 */
#include "api/desk.h"

#include "base/clock.h"
#include "base/mailbox.h"

#include <pthread.h>

struct desk {
    struct mailbox box;
    pthread_mutex_t mutex;
    pthread_t thread;
    bool is_started;          /* under mutex */
    atomic_bool is_stopping;  /* set under mutex */
    atomic_size_t walks_left; /* started and not ended */
    atomic_bool has_cancelled;
    /* the thread's */
    struct list walks;
    int64_t deadline_ns; /* not later than the next walk's */
};

enum { ITEMS_MAX = 1024 };

struct desk *desk_new(void)
{
    struct desk *desk = mem_new(sizeof(*desk));
    mailbox_init(&desk->box, ITEMS_MAX);
    pthread_mutex_init(&desk->mutex, NULL);
    list_init(&desk->walks);
    desk->deadline_ns = INT64_MAX;
    return desk;
}

static void cancel(struct walk *walk, struct err err, const char *text)
{
    walk->is_cancelled = true;
    walk->cancelled = err;
    walk->cancelled_text = text;
    if (walk->watch) {
        walk_unwatch(walk);
        walk->give_up(walk);
    }
}

static int64_t deadline_of(const struct walk *walk)
{
    return walk->state ? walk->state->call->deadline_ns : INT64_MAX;
}

/* Cancels it if its client is gone, or its time is over. */
static void look_at(struct desk *desk, struct walk *walk)
{
    if (walk->is_cancelled) {
        return;
    }
    if (atomic_load(&desk->is_stopping)) {
        cancel(walk, ERR(STOPPED), err_text(ERR(STOPPED)));
    } else if (walk->state && atomic_load(&walk->state->call->is_cancelled)) {
        cancel(walk, ERR(CANCELED), "context canceled");
    } else if (deadline_of(walk) <= clock_mono_ns()) {
        cancel(walk, ERR(DEADLINE_EXCEEDED), "context deadline exceeded");
    } else if (deadline_of(walk) < desk->deadline_ns) {
        desk->deadline_ns = deadline_of(walk);
    }
}

static void look_at_all(struct desk *desk)
{
    desk->deadline_ns = INT64_MAX;
    LIST_EACH_SAFE(node, tmp, &desk->walks)
    {
        look_at(desk, LIST_ITEM(node, struct walk, node));
    }
}

static int64_t wait_ms(const struct desk *desk)
{
    int64_t left_ns = desk->deadline_ns - clock_mono_ns();
    if (desk->deadline_ns == INT64_MAX) {
        return -1;
    }
    return left_ns > 0 ? left_ns / 1000000 + 1 : 0;
}

static void *work(void *arg)
{
    struct desk *desk = arg;
    struct list items;
    struct list *node;
    list_init(&items);
    while (!atomic_load(&desk->is_stopping) || atomic_load(&desk->walks_left) > 0) {
        mailbox_take(&desk->box, &items, wait_ms(desk));
        while ((node = list_pop(&items))) {
            struct desk_item *item = LIST_ITEM(node, struct desk_item, node);
            item->run(item);
        }
        if (atomic_exchange(&desk->has_cancelled, false) || wait_ms(desk) == 0) {
            look_at_all(desk);
        }
    }
    return NULL;
}

void desk_end(struct desk *desk)
{
    pthread_mutex_lock(&desk->mutex);
    atomic_store(&desk->is_stopping, true);
    pthread_mutex_unlock(&desk->mutex);
    desk_look(desk);
}

void desk_stop(struct desk *desk)
{
    struct list items;
    struct list *node;
    list_init(&items);
    desk_end(desk);
    if (desk->is_started) {
        pthread_join(desk->thread, NULL);
        desk->is_started = false;
    }
    mailbox_close(&desk->box);
    mailbox_take(&desk->box, &items, 0); /* of watches that were closed with news */
    while ((node = list_pop(&items))) {
        struct desk_item *item = LIST_ITEM(node, struct desk_item, node);
        item->run(item);
    }
}

void desk_free(struct desk *desk)
{
    if (!desk) {
        return;
    }
    desk_stop(desk);
    mailbox_fini(&desk->box);
    pthread_mutex_destroy(&desk->mutex);
    free(desk);
}

void desk_look(struct desk *desk)
{
    atomic_store(&desk->has_cancelled, true);
    mailbox_wake(&desk->box);
}

bool desk_push(struct desk *desk, struct desk_item *item)
{
    return mailbox_push_always(&desk->box, &item->node); /* each belongs to a call or a stream */
}

/* Pushes a walk's first item, so that the thread does not end before it. */
static bool start(struct desk *desk, struct desk_item *item)
{
    pthread_mutex_lock(&desk->mutex);
    bool is_good = !atomic_load(&desk->is_stopping);
    if (is_good && !desk->is_started) {
        is_good = pthread_create(&desk->thread, NULL, work, desk) == 0;
        desk->is_started = is_good;
        if (is_good) {
            pthread_setname_np(desk->thread, "locks");
        }
    }
    if (is_good) {
        atomic_fetch_add(&desk->walks_left, 1);
        check(desk_push(desk, item));
    }
    pthread_mutex_unlock(&desk->mutex);
    return is_good;
}

void walk_init(struct walk *walk, struct api *api, struct arena *arena)
{
    walk->api = api;
    walk->arena = arena;
    list_init(&walk->node);
}

static void begin(struct desk_item *item)
{
    struct walk *walk = CONTAINER_OF(item, struct walk, begin);
    struct desk *desk = walk->api->desk;
    list_push(&desk->walks, &walk->node);
    look_at(desk, walk); /* it may have come to that while it waited here */
    walk->first(walk);
}

bool walk_start(struct walk *walk, void (*first)(struct walk *walk))
{
    walk->first = first;
    walk->begin.run = begin;
    return start(walk->api->desk, &walk->begin);
}

void walk_end(struct walk *walk, struct err err, const char *text)
{
    struct desk *desk = walk->api->desk;
    struct call_state *state = walk->state;
    walk_unwatch(walk);
    list_remove(&walk->node);
    if (state && err_is(err)) {
        state->text = arena_strdup(state->call->arena, text);
    }
    if (state) {
        api_done(state, err);
    }
    arena_free(walk->arena);
    atomic_fetch_sub(&desk->walks_left, 1);
}

static struct slice flat(struct payload *payload, struct arena *arena)
{
    uint8_t *bytes = arena_alloc(arena, payload->bytes + 1);
    size_t len = 0;
    for (size_t i = 0; i < payload->count; i++) {
        struct slice part = payload->parts[i].bytes;
        if (part.len) {
            memcpy(bytes + len, part.data, part.len);
        }
        len += part.len;
    }
    payload_fini(payload);
    return slice_of(bytes, len);
}

/* Inner calls. */

struct walk_call {
    struct api_call api;
    struct desk_item ended;
    struct walk *walk;
    walk_fn *then;
};

static void call_ended(struct desk_item *item)
{
    struct walk_call *call = CONTAINER_OF(item, struct walk_call, ended);
    struct arena *arena = call->api.arena;
    struct walk_answer answer = {NULL, NULL};
    struct payload payload;
    struct api_status status;
    void *message;
    api_call_finish(&call->api, &payload, &status);
    if (status.code != GRPC_CODE_OK) {
        answer.text = status.text;
    } else if (err_is(
                   pb_unpack(call->api.method->response, arena, flat(&payload, arena), &message))) {
        answer.text = err_text(ERR(INTERNAL));
    } else {
        answer.message = message;
    }
    call->then(call->walk, &answer); /* the walk may be gone */
    arena_free(arena);
}

static void call_done(struct api_call *api)
{
    struct walk_call *call = CONTAINER_OF(api, struct walk_call, api);
    check(desk_push(call->walk->api->desk, &call->ended));
}

void walk_call(struct walk *walk, const char *path, const void *request, walk_fn *then)
{
    struct arena *arena = arena_new(0);
    struct walk_call *call = arena_zalloc(arena, sizeof(*call));
    call->walk = walk;
    call->then = then;
    call->ended.run = call_ended;
    call->api.method = api_method_find(slice_str(path));
    call->api.arena = arena;
    call->api.request = pb_pack_arena(request, arena);
    call->api.caller = walk->caller;
    call->api.deadline_ns = INT64_MAX;
    call->api.done = call_done;
    api_call_start(walk->api, &call->api);
}

/* Watches: freed when closed, not queued and not at work. */

struct walk_watch {
    struct api_stream api;
    struct desk_item woken;
    atomic_bool is_queued;
    bool is_closed;
    bool is_at_work;
    struct walk *walk;
    walk_watch_fn *then;
};

static void watch_free(struct walk_watch *watch)
{
    if (watch->is_closed && !watch->is_at_work && !atomic_load(&watch->is_queued)) {
        arena_free(watch->api.arena);
    }
}

/* One message, or the end. False: nothing more now. */
static bool watch_step(struct walk_watch *watch)
{
    struct payload payload;
    struct api_status status;
    void *message = NULL;
    enum api_next next = api_stream_next(&watch->api, &payload, &status);
    if (next == API_NEXT_LATER) {
        return false;
    }
    struct arena *arena = arena_new(0);
    if (next == API_NEXT_MESSAGE &&
        err_is(pb_unpack(watch->api.method->response, arena, flat(&payload, arena), &message))) {
        message = NULL;
    }
    watch->then(watch->walk, message);
    arena_free(arena);
    return message != NULL;
}

static void watch_work(struct desk_item *item)
{
    struct walk_watch *watch = CONTAINER_OF(item, struct walk_watch, woken);
    atomic_store(&watch->is_queued, false);
    watch->is_at_work = true;
    while (!watch->is_closed && !watch->walk->is_held && watch_step(watch)) {
    }
    watch->is_at_work = false;
    watch_free(watch);
}

static void watch_wake(struct api_stream *api)
{
    struct walk_watch *watch = CONTAINER_OF(api, struct walk_watch, api);
    if (!atomic_exchange(&watch->is_queued, true)) {
        check(desk_push(watch->walk->api->desk, &watch->woken));
    }
}

void walk_watch_more(struct walk *walk)
{
    if (walk->watch) {
        watch_wake(&walk->watch->api);
    }
}

void walk_watch(
    struct walk *walk, const Etcdserverpb__WatchCreateRequest *create, walk_watch_fn *then)
{
    static const char path[] = "/etcdserverpb.Watch/Watch";
    struct arena *arena = arena_new(0);
    struct walk_watch *watch = arena_zalloc(arena, sizeof(*watch));
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = (Etcdserverpb__WatchCreateRequest *)(uintptr_t)create;
    watch->walk = walk;
    watch->then = then;
    watch->woken.run = watch_work;
    watch->api.method = api_method_find(slice_str(path));
    watch->api.arena = arena;
    watch->api.caller = walk->caller;
    watch->api.wake = watch_wake;
    check(!walk->watch);
    walk->watch = watch;
    api_stream_open(walk->api, &watch->api);
    api_stream_message(&watch->api, pb_pack_arena(&request, arena));
}

void walk_unwatch(struct walk *walk)
{
    struct walk_watch *watch = walk->watch;
    if (!watch) {
        return;
    }
    walk->watch = NULL;
    api_stream_close(&watch->api);
    watch->is_closed = true;
    watch_free(watch);
}
