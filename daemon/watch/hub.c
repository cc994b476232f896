/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/hub.h"

#include "base/err.h"

struct watch_hub *watch_hub_new(struct mvcc *mvcc, int64_t progress_ms, uint64_t seed)
{
    struct watch_hub *hub = mem_new(sizeof(*hub));
    pthread_mutex_init(&hub->mutex, NULL);
    hub->mvcc = mvcc;
    hub->rev = mvcc_revision(mvcc);
    hub->progress_ms = progress_ms;
    rand_init(&hub->rand, seed);
    watch_index_init(&hub->index);
    list_init(&hub->streams);
    list_init(&hub->unsynced);
    list_init(&hub->waking);
    return hub;
}

void watch_hub_free(struct watch_hub *hub)
{
    if (!hub) {
        return;
    }
    check(list_is_empty(&hub->streams));
    watch_index_fini(&hub->index);
    pthread_mutex_destroy(&hub->mutex);
    free(hub);
}

void hub_unlock(struct watch_hub *hub)
{
    struct list *node;
    while ((node = list_pop(&hub->waking))) {
        struct watch_stream *stream = LIST_ITEM(node, struct watch_stream, in_waking);
        stream->wake(stream->arg);
    }
    pthread_mutex_unlock(&hub->mutex);
}

void watch_on_unsynced(struct watch_hub *hub, void (*fn)(void *arg), void *arg)
{
    hub->on_unsynced = fn;
    hub->on_unsynced_arg = arg;
}

bool watcher_wants(const struct watcher *watcher, const struct mvcc_change *change)
{
    unsigned filter = change->kind == MVCC_PUT ? WATCH_FILTER_NO_PUT : WATCH_FILTER_NO_DELETE;
    return !(watcher->filters & filter);
}

void watcher_set_unsynced(struct watcher *watcher, revision next)
{
    struct watch_hub *hub = watcher->stream->hub;
    watcher->next = next;
    watcher->is_synced = false;
    list_push(&hub->unsynced, &watcher->in_unsynced);
    hub->stats.unsynced++;
    if (hub->on_unsynced) {
        hub->on_unsynced(hub->on_unsynced_arg);
    }
}

void watcher_set_synced(struct watcher *watcher)
{
    watcher->is_synced = true;
    list_remove(&watcher->in_unsynced);
    watcher->stream->hub->stats.unsynced--;
}

struct notice {
    const struct mvcc_change *change;
    struct watch_event *event; /* made for the first watcher that wants it */
    revision rev;
};

static void notify_watcher(struct notice *notice, struct watcher *watcher)
{
    const struct mvcc_change *change = notice->change;
    if (!watcher->is_synced || watcher->next > change->main || !watcher_wants(watcher, change)) {
        return;
    }
    if (!notice->event) {
        notice->event = watch_event_new(change);
    }
    if (!watcher_push(watcher, notice->event, notice->rev)) {
        watcher->stream->is_starving = true;
        watcher_set_unsynced(watcher, change->main);
    }
}

static void notify_ring(void *arg, struct list *ring)
{
    LIST_EACH_SAFE(node, tmp, ring)
    {
        notify_watcher(arg, LIST_ITEM(node, struct watcher, in_ring));
    }
}

void watch_notify(
    struct watch_hub *hub, const struct mvcc_change *changes, size_t count, revision rev)
{
    pthread_mutex_lock(&hub->mutex);
    if (hub->stats.watchers) {
        for (size_t i = 0; i < count; i++) {
            struct notice notice = {&changes[i], NULL, rev};
            watch_index_visit(&hub->index, blob_slice(changes[i].key), notify_ring, &notice);
            if (notice.event) {
                watch_event_unref(notice.event);
            }
        }
    }
    hub->rev = rev;
    hub_unlock(hub);
}

static void fall_behind(struct watch_stream *stream, revision seen)
{
    LIST_EACH(node, &stream->watchers)
    {
        struct watcher *watcher = LIST_ITEM(node, struct watcher, in_stream);
        if (watcher->is_synced) {
            watcher_cut_tail(watcher);
            watcher_set_unsynced(watcher, watcher->next > seen ? watcher->next : seen + 1);
        }
    }
}

void watch_reload(struct watch_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
    LIST_EACH(node, &hub->streams)
    {
        fall_behind(LIST_ITEM(node, struct watch_stream, in_hub), hub->rev);
    }
    hub->rev = mvcc_revision(hub->mvcc);
    pthread_mutex_unlock(&hub->mutex);
}

/* A stream that is not read has one a watcher. */
static void queue_progress(struct watcher *watcher)
{
    struct watch_stream *stream = watcher->stream;
    if (watcher->progress && watcher->progress != watcher->tail) {
        return; /* it is behind others by now, and stays what it is */
    }
    if (!watcher->progress) {
        watcher_cut_tail(watcher);
        watcher->tail = stream_queue(stream, WATCH_ITEM_PROGRESS, watcher->id, stream->hub->rev);
        watcher->tail->watcher = watcher;
        watcher->progress = watcher->tail;
    }
    watcher->progress->item.rev = stream->hub->rev;
}

static void tick_stream(struct watch_stream *stream)
{
    LIST_EACH(node, &stream->watchers)
    {
        struct watcher *watcher = LIST_ITEM(node, struct watcher, in_stream);
        bool is_due = watcher->is_progress_wanted && watcher->is_quiet && watcher->is_synced;
        watcher->is_quiet = true;
        if (is_due && stream->hub->rev >= watcher->start) {
            queue_progress(watcher);
        }
    }
}

void watch_tick(struct watch_hub *hub, int64_t now_ms)
{
    if (hub->progress_ms <= 0) {
        return;
    }
    pthread_mutex_lock(&hub->mutex);
    LIST_EACH(node, &hub->streams)
    {
        struct watch_stream *stream = LIST_ITEM(node, struct watch_stream, in_hub);
        uint64_t jitter = rand_below(&hub->rand, (uint64_t)hub->progress_ms / 10 + 1);
        if (stream->progress_at_ms == 0) {
            stream->progress_at_ms = now_ms + hub->progress_ms + (int64_t)jitter;
        } else if (now_ms >= stream->progress_at_ms) {
            stream->progress_at_ms = now_ms + hub->progress_ms + (int64_t)jitter;
            tick_stream(stream);
        }
    }
    hub_unlock(hub);
}

void watch_stats(struct watch_hub *hub, struct watch_stats *out)
{
    pthread_mutex_lock(&hub->mutex);
    *out = hub->stats;
    hub_unlock(hub);
}
