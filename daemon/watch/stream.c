/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/hub.h"

#include "base/err.h"
#include "base/mutation.h"

struct watcher watcher_compacted;

struct watch_stream *watch_stream_new(struct watch_hub *hub, void (*wake)(void *arg), void *arg)
{
    struct watch_stream *stream = mem_new(sizeof(*stream));
    stream->hub = hub;
    stream->wake = wake;
    stream->arg = arg;
    stream->by_id = map_new();
    list_init(&stream->watchers);
    list_init(&stream->queue);
    list_init(&stream->in_waking);
    pthread_mutex_lock(&hub->mutex);
    list_push(&hub->streams, &stream->in_hub);
    hub->stats.streams++;
    hub_unlock(hub);
    return stream;
}

/* What is there for the client's own asking. */
static bool is_answer(const struct watch_item *item)
{
    bool is_asked = item->kind != WATCH_ITEM_PROGRESS || item->id == WATCH_ID_NONE;
    return item->kind != WATCH_ITEM_EVENTS && item->kind != WATCH_ITEM_COMPACTED && is_asked;
}

static void stream_unpend(struct watch_stream *stream, const struct queued *queued)
{
    stream->answers -= is_answer(&queued->item);
    stream->pending_events -= queued->item.events_count;
    stream->pending_bytes -= queued->bytes;
    stream->hub->stats.pending_events -= queued->item.events_count;
}

static void queued_free(struct queued *queued)
{
    watch_item_fini(&queued->item);
    free(queued);
}

void watcher_cut_tail(struct watcher *watcher)
{
    if (watcher->tail) {
        watcher->tail->watcher = NULL;
        watcher->tail = NULL;
    }
}

void watcher_free(struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    struct watch_hub *hub = stream->hub;
    if (!watcher->is_synced) {
        list_remove(&watcher->in_unsynced);
        hub->stats.unsynced--;
    }
    watcher_cut_tail(watcher);
    list_remove(&watcher->in_ring);
    watch_index_drop_empty(&hub->index, watcher->key, watcher->end);
    list_remove(&watcher->in_stream);
    map_del_u64(stream->by_id, (uint64_t)watcher->id);
    hub->stats.watchers--;
    free((void *)(uintptr_t)watcher->key.data);
    free((void *)(uintptr_t)watcher->end.data);
    free(watcher);
}

void watch_stream_free(struct watch_stream *stream)
{
    if (!stream) {
        return;
    }
    struct watch_hub *hub = stream->hub;
    pthread_mutex_lock(&hub->mutex);
    LIST_EACH_SAFE(node, tmp, &stream->watchers)
    {
        watcher_free(LIST_ITEM(node, struct watcher, in_stream));
    }
    LIST_EACH(node, &stream->queue)
    {
        stream_unpend(stream, LIST_ITEM(node, struct queued, node));
    }
    list_remove(&stream->in_hub);
    list_remove(&stream->in_waking);
    hub->stats.streams--;
    hub_unlock(hub);
    struct list *node;
    while ((node = list_pop(&stream->queue))) {
        queued_free(LIST_ITEM(node, struct queued, node));
    }
    map_free(stream->by_id);
    free(stream);
}

struct queued *stream_queue(
    struct watch_stream *stream, enum watch_item_kind kind, int64_t id, revision rev)
{
    struct queued *queued = mem_new(sizeof(*queued));
    queued->item = (struct watch_item){.kind = kind, .id = id, .rev = rev};
    list_push(&stream->queue, &queued->node);
    stream->answers += is_answer(&queued->item);
    stream->is_flooded |= stream->answers > WATCH_ANSWERS_MAX;
    if (!stream->is_awake) {
        stream->is_awake = true;
        list_push(&stream->hub->waking, &stream->in_waking);
    }
    return queued;
}

bool stream_has_room(const struct watch_stream *stream)
{
    return stream->pending_events < WATCH_PENDING_EVENTS_MAX &&
           stream->pending_bytes < WATCH_PENDING_BYTES_MAX;
}

static bool tail_fits(const struct queued *tail, bool is_same_rev)
{
    return is_same_rev ||
           (tail->item.events_count < WATCH_ITEM_EVENTS_MAX && tail->bytes < WATCH_ITEM_BYTES_MAX);
}

static struct queued *watcher_tail(struct watcher *watcher, revision rev)
{
    bool has_events = watcher->tail && watcher->tail->item.kind == WATCH_ITEM_EVENTS;
    struct queued *tail = has_events ? watcher->tail : NULL;
    bool is_same_rev = tail && tail->item.rev == rev;
    if (!is_same_rev && !stream_has_room(watcher->stream)) {
        return NULL; /* a revision that was begun is finished: it must not be torn */
    }
    if (tail && tail_fits(tail, is_same_rev)) {
        return tail;
    }
    watcher_cut_tail(watcher);
    tail = stream_queue(watcher->stream, WATCH_ITEM_EVENTS, watcher->id, rev);
    tail->watcher = watcher;
    tail->item.is_prev_wanted = watcher->is_prev_wanted;
    tail->item.is_fragmented = watcher->is_fragmented;
    watcher->tail = tail;
    return tail;
}

bool watcher_push(struct watcher *watcher, struct watch_event *event, revision rev)
{
    struct watch_stream *stream = watcher->stream;
    struct queued *tail = watcher_tail(watcher, rev);
    if (!tail) {
        return false;
    }
    if (tail->item.events_count == tail->cap) {
        tail->cap = tail->cap ? tail->cap * 2 : 1;
        tail->item.events = mem_grow(tail->item.events, tail->cap * sizeof(*tail->item.events));
    }
    atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    tail->item.events[tail->item.events_count++] = event;
    tail->item.rev = rev;
    size_t bytes = event->change.key->len + 64;
    bytes += event->change.value ? event->change.value->len : 0;
    bytes += event->change.prev_value ? event->change.prev_value->len : 0; /* wanted or not */
    tail->bytes += bytes;
    stream->pending_bytes += bytes;
    stream->pending_events++;
    stream->hub->stats.pending_events++;
    watcher->next = event->change.main; /* more of this revision may follow */
    watcher->is_quiet = false;
    return true;
}

/* An id that is free, as etcd chooses: counting up from 0. */
static int64_t choose_id(struct watch_stream *stream, int64_t wanted)
{
    if (wanted != 0) {
        return wanted;
    }
    while (map_get_u64(stream->by_id, (uint64_t)stream->next_id)) {
        stream->next_id++;
    }
    return stream->next_id++;
}

static const char *refusal(struct watch_stream *stream, const struct watch_spec *spec)
{
    bool is_open = spec->end.len == 1 && spec->end.data[0] == 0;
    if (spec->end.len && !is_open && slice_cmp(spec->key, spec->end) >= 0) {
        return "mvcc: watcher range is empty";
    }
    if (spec->id != 0 && map_get_u64(stream->by_id, (uint64_t)spec->id)) {
        return "mvcc: duplicate watch ID provided on the WatchStream";
    }
    return NULL;
}

static void watcher_new(struct watch_stream *stream, const struct watch_spec *spec, int64_t id)
{
    struct watch_hub *hub = stream->hub;
    struct watcher *watcher = mem_new(sizeof(*watcher));
    watcher->stream = stream;
    watcher->id = id;
    watcher->key = slice_of(mem_dup(spec->key.data, spec->key.len), spec->key.len);
    watcher->end = slice_of(mem_dup(spec->end.data, spec->end.len), spec->end.len);
    watcher->start = spec->start;
    watcher->filters = spec->filters;
    watcher->is_prev_wanted = spec->is_prev_wanted;
    watcher->is_progress_wanted = spec->is_progress_wanted;
    watcher->is_fragmented = spec->is_fragmented;
    watcher->is_quiet = true;
    list_init(&watcher->in_unsynced);
    list_push(watch_index_ring(&hub->index, watcher->key, watcher->end), &watcher->in_ring);
    list_push(&stream->watchers, &watcher->in_stream);
    map_put_u64(stream->by_id, (uint64_t)id, watcher);
    hub->stats.watchers++;
    watcher->is_synced = spec->start == 0 || spec->start > hub->rev;
    watcher->next = spec->start > hub->rev ? spec->start : hub->rev + 1;
    if (!watcher->is_synced) {
        watcher_set_unsynced(watcher, spec->start);
    }
}

void watch_create(struct watch_stream *stream, const struct watch_spec *spec)
{
    struct watch_hub *hub = stream->hub;
    pthread_mutex_lock(&hub->mutex);
    const char *text = refusal(stream, spec);
    if (text) {
        stream_queue(stream, WATCH_ITEM_REFUSED, WATCH_ID_NONE, hub->rev)->item.text = text;
    } else {
        int64_t id = choose_id(stream, spec->id);
        stream_queue(stream, WATCH_ITEM_CREATED, id, hub->rev);
        watcher_new(stream, spec, id);
    }
    hub_unlock(hub);
}

bool watch_stream_is_flooded(struct watch_stream *stream)
{
    pthread_mutex_lock(&stream->hub->mutex);
    bool is_flooded = stream->is_flooded;
    hub_unlock(stream->hub);
    return is_flooded;
}

void watch_refuse(struct watch_stream *stream, const char *text)
{
    pthread_mutex_lock(&stream->hub->mutex);
    stream_queue(stream, WATCH_ITEM_REFUSED, WATCH_ID_NONE, stream->hub->rev)->item.text = text;
    hub_unlock(stream->hub);
}

void watch_cancel(struct watch_stream *stream, int64_t id)
{
    pthread_mutex_lock(&stream->hub->mutex);
    struct watcher *watcher = map_get_u64(stream->by_id, (uint64_t)id);
    if (watcher == &watcher_compacted) {
        map_del_u64(stream->by_id, (uint64_t)id);
    } else if (watcher) {
        watcher_free(watcher);
    }
    if (watcher) {
        stream_queue(stream, WATCH_ITEM_CANCELED, id, stream->hub->rev);
    }
    hub_unlock(stream->hub);
}

/* A client that asks and does not read gets one answer, the newest. */
static void queue_progress_all(struct watch_stream *stream)
{
    struct queued *last =
        list_is_empty(&stream->queue) ? NULL : LIST_ITEM(stream->queue.prev, struct queued, node);
    if (last && last->item.kind == WATCH_ITEM_PROGRESS && last->item.id == WATCH_ID_NONE) {
        last->item.rev = stream->hub->rev;
    } else {
        stream_queue(stream, WATCH_ITEM_PROGRESS, WATCH_ID_NONE, stream->hub->rev);
    }
}

void watch_progress_all(struct watch_stream *stream)
{
    struct watch_hub *hub = stream->hub;
    bool is_synced = true;
    pthread_mutex_lock(&hub->mutex);
    LIST_EACH(node, &stream->watchers)
    {
        struct watcher *watcher = LIST_ITEM(node, struct watcher, in_stream);
        is_synced = is_synced && (watcher->is_synced || MUTATE(PROGRESS_AHEAD)) &&
                    hub->rev >= watcher->start;
    }
    if (is_synced && !list_is_empty(&stream->watchers)) {
        LIST_EACH(node, &stream->watchers)
        {
            watcher_cut_tail(LIST_ITEM(node, struct watcher, in_stream));
        }
        queue_progress_all(stream);
    }
    hub_unlock(hub);
}

/* Whoever it is of may have it again. */
static void forget_progress(struct watch_stream *stream, const struct queued *queued)
{
    struct watcher *watcher = queued->item.kind == WATCH_ITEM_PROGRESS
                                  ? map_get_u64(stream->by_id, (uint64_t)queued->item.id)
                                  : NULL;
    if (watcher && watcher->progress == queued) {
        watcher->progress = NULL;
    }
}

bool watch_stream_next(struct watch_stream *stream, struct watch_item *out)
{
    struct watch_hub *hub = stream->hub;
    pthread_mutex_lock(&hub->mutex);
    struct list *node = list_pop(&stream->queue);
    struct queued *queued = node ? LIST_ITEM(node, struct queued, node) : NULL;
    if (queued) {
        stream_unpend(stream, queued);
        forget_progress(stream, queued);
        if (queued->watcher) {
            watcher_cut_tail(queued->watcher);
        }
        queued->item.is_followed = !list_is_empty(&stream->queue);
    } else {
        stream->is_awake = false;
    }
    bool is_room_news = stream->is_starving &&
                        stream->pending_events < WATCH_PENDING_EVENTS_MAX / 2 &&
                        stream->pending_bytes < WATCH_PENDING_BYTES_MAX / 2;
    if (is_room_news) {
        stream->is_starving = false;
        if (hub->on_unsynced) {
            hub->on_unsynced(hub->on_unsynced_arg);
        }
    }
    hub_unlock(hub);
    if (!queued) {
        return false;
    }
    *out = queued->item;
    free(queued);
    return true;
}
