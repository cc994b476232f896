/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream and what it has yet to send. Everything here is under hub->mutex.
 */
#ifndef WATCH_QUEUE_H
#define WATCH_QUEUE_H

#include "base/list.h"
#include "base/map.h"
#include "watch/watch.h"

struct watcher;

enum {
    /* Past either, a watcher that is to get a new revision becomes unsynced. */
    WATCH_PENDING_EVENTS_MAX = 32 * 1024,
    WATCH_PENDING_BYTES_MAX = 32 * 1024 * 1024,
    WATCH_ANSWERS_MAX = 16 * 1024,
    WATCH_ITEM_EVENTS_MAX = 1024,
    WATCH_ITEM_BYTES_MAX = 1024 * 1024,
    WATCH_SYNC_CHANGES = 2000,
    WATCH_SYNC_BYTES = 8 * 1024 * 1024,
};

/* An answer in a stream's queue. */
struct queued {
    struct list node;
    struct watcher *watcher; /* NULL unless watcher->tail may point here */
    struct watch_item item;
    size_t cap;
    size_t bytes;
};

struct watch_stream {
    struct list in_hub;
    struct list in_waking;
    struct watch_hub *hub;
    void (*wake)(void *arg);
    void *arg;
    struct map *by_id;
    struct list watchers;
    struct list queue;
    int64_t next_id;
    int64_t progress_at_ms; /* 0: not yet set */
    size_t pending_events;
    size_t pending_bytes;
    bool is_awake;    /* wake was called and the queue not yet found empty */
    bool is_starving; /* a watcher waits for room */
    bool is_flooded;  /* too many answers wait: the client sends and does not read */
    size_t answers;   /* queued items that the client asked for */
};

struct queued *stream_queue(
    struct watch_stream *stream, enum watch_item_kind kind, int64_t id, revision rev);
bool stream_has_room(const struct watch_stream *stream);

#endif
