/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the room share. Everything here is under hub->mutex.
 */
#ifndef WATCH_HUB_H
#define WATCH_HUB_H

#include "watch/index.h"
#include "watch/queue.h"
#include "watch/watch.h"

#include <pthread.h>

struct watch_hub {
    pthread_mutex_t mutex;
    struct mvcc *mvcc;
    struct watch_index index;
    struct list streams;
    struct list unsynced;
    struct list waking; /* streams to wake before the mutex is given back */
    revision rev;       /* the last notified */
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
    struct queued *progress; /* by the clock, that nobody has read */
    struct queued *tail;     /* its last queued events or progress, if more may join them */
};

/* Stands in by_id for a watcher that compaction ended: as with etcd its id stays taken, and a
 * cancel of it is answered, until the client cancels it. */
extern struct watcher watcher_compacted;

/* Wakes who got something to say, all at once, and gives the mutex back. */
void hub_unlock(struct watch_hub *hub);

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
