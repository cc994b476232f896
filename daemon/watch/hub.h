/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room share. Everything here is under hub->mutex.
 */
#ifndef WATCH_HUB_H
#define WATCH_HUB_H

#include "watch/index.h"
#include "watch/watch.h"

#include <pthread.h>

enum {
    /* Past either, a watcher that is to get a new revision becomes unsynced. */
    WATCH_PENDING_EVENTS_MAX = 32 * 1024,
    WATCH_PENDING_BYTES_MAX = 32 * 1024 * 1024,
    WATCH_ITEM_EVENTS_MAX = 1024,
    WATCH_ITEM_BYTES_MAX = 1024 * 1024,
    WATCH_SYNC_CHANGES = 2000,
    WATCH_SYNC_BYTES = 8 * 1024 * 1024,
};

struct watch_hub {
    pthread_mutex_t mutex;
    struct mvcc *mvcc;
    struct watch_index index;
    struct list streams;
    struct list unsynced;
    revision rev; /* the last notified */
    int64_t progress_ms;
    struct rand rand;
    void (*on_unsynced)(void *arg);
    void *on_unsynced_arg;
    struct watch_stats stats;
    struct err failed; /* sync thread; not under the mutex */
    struct why failed_why;
};

/*  new --start in the past--> unsynced <--no room / read up to hub->rev--> synced
 *  Either state ends by cancel; unsynced also by compaction past `next`. */
struct watcher {
    struct list in_ring;
    struct list in_stream;
    struct list in_unsynced;
    struct watch_stream *stream;
    int64_t id;
    struct slice key; /* owned */
    struct slice end;
    revision start;
    revision next; /* the first revision it has not been given */
    unsigned filters;
    bool is_synced;
    bool is_picked; /* by the running watch_sync slice */
    bool is_quiet;  /* had no events since the last progress tick */
    bool is_prev_wanted;
    bool is_progress_wanted;
    bool is_fragmented;
    struct queued *tail; /* its last queued events, if more may join them */
};

/* Stands in by_id for a watcher that compaction ended: as with etcd its id stays taken, and a
 * cancel of it is answered, until the client cancels it. */
extern struct watcher watcher_compacted;

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
};

struct queued *stream_queue(
    struct watch_stream *stream, enum watch_item_kind kind, int64_t id, revision rev);
bool stream_has_room(const struct watch_stream *stream);
/* Adds the event to the watcher's tail or a new item. False: no room, nothing added. */
bool watcher_push(struct watcher *watcher, struct watch_event *event, revision rev);
/* No more events join what it has queued. */
void watcher_cut_tail(struct watcher *watcher);
void watcher_set_unsynced(struct watcher *watcher, revision next);
void watcher_set_synced(struct watcher *watcher);
/* Takes it out of everything and frees it; queued answers stay. */
void watcher_free(struct watcher *watcher);
bool watcher_wants(const struct watcher *watcher, const struct mvcc_change *change);

/* Gives one reference. */
struct watch_event *watch_event_new(const struct mvcc_change *change);
void watch_event_unref(struct watch_event *event);

#endif
