/* SPDX-License-Identifier: Apache-2.0
 *
 * Watchers. Changes come in from the apply thread in revision order; each watcher gets every change
 * of its range from its start revision on, once, in order, a revision at a time. A stream queues
 * what its watchers have to say, in bounded room: a watcher that finds no room becomes unsynced,
 * keeps only the revision it stands at, and reads history later.
 *
 * Threads: watch_notify on the apply thread; watch_sync on the sync thread; the stream calls on any
 * thread, but one at a time per stream for watch_stream_next. One mutex, never held across the
 * backend or encoding.
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include "mvcc/mvcc.h"

#include <stdatomic.h>

struct watch_hub;
struct watch_stream;

/* The id in answers that speak for the whole stream. */
enum { WATCH_ID_NONE = -1 };

enum watch_filter { WATCH_FILTER_NO_PUT = 1, WATCH_FILTER_NO_DELETE = 2 };

struct watch_spec {
    int64_t id; /* 0: choose one */
    struct slice key;
    struct slice end; /* as mvcc_range_options */
    revision start;   /* 0: from now on */
    unsigned filters;
    bool is_prev_wanted;
    bool is_progress_wanted;
    bool is_fragmented;
};

/* One change, shared by every watcher that wants it; its encoded forms are made by the first who
 * needs them. */
struct watch_event {
    atomic_uint refs;
    struct mvcc_change change;
    _Atomic(struct blob *) plain; /* field 11 of a WatchResponse: tag, length, Event */
    _Atomic(struct blob *) with_prev;
};

enum watch_item_kind {
    WATCH_ITEM_CREATED,
    WATCH_ITEM_REFUSED,   /* created and cancelled in one: text says why */
    WATCH_ITEM_CANCELED,  /* by request, or with text */
    WATCH_ITEM_COMPACTED, /* cancelled: its start was compacted away */
    WATCH_ITEM_EVENTS,
    WATCH_ITEM_PROGRESS,
};

/* One answer to send. */
struct watch_item {
    enum watch_item_kind kind;
    int64_t id;
    revision rev;         /* for the header */
    revision compact_rev; /* WATCH_ITEM_COMPACTED */
    const char *text;     /* static */
    bool is_prev_wanted;
    bool is_fragmented;
    bool is_followed;            /* another answer waits behind it */
    struct watch_event **events; /* the taker's: watch_item_fini */
    size_t events_count;
};

/* progress_ms: how often idle watchers that want it are told the revision (a tenth of jitter is
 * added per stream); 0: never. seed feeds the jitter. */
struct watch_hub *watch_hub_new(struct mvcc *mvcc, int64_t progress_ms, uint64_t seed);
/* All streams must be gone. */
void watch_hub_free(struct watch_hub *hub);

/* The store was reloaded (mvcc_reload): every watcher reads what it missed from history. Apply
 * thread, before anything is notified. */
void watch_reload(struct watch_hub *hub);

/* What one transaction changed; rev is the store's revision after it. Call for every transaction
 * that changed something, in order. */
void watch_notify(
    struct watch_hub *hub, const struct mvcc_change *changes, size_t count, revision rev);

/* Walks unsynced watchers forward by one bounded slice. Returns whether there is more to do at
 * once. watch_on_unsynced tells when it is wanted again. */
bool watch_sync(struct watch_hub *hub);
/* Why the history could not be read, if that happened: watchers would wait for ever, so the member
 * has to stop. Sync thread. Errors: IO, BAD_CRC, BAD_FORMAT. */
MUST struct err watch_failure(const struct watch_hub *hub, struct why *why);
/* Queues a progress notification for each synced watcher that wants them and had nothing to say
 * since the last time its stream was due. Sync thread, about once a second or as often as the
 * interval asks. */
void watch_tick(struct watch_hub *hub, int64_t now_ms);
/* Called, on any thread, when an unsynced watcher appears or gets room again. Set before the first
 * stream. */
void watch_on_unsynced(struct watch_hub *hub, void (*fn)(void *arg), void *arg);

/* wake(arg) is called when the stream has something to take; it must only queue. */
struct watch_stream *watch_stream_new(struct watch_hub *hub, void (*wake)(void *arg), void *arg);
/* Cancels all; wake is not called after this returns. */
void watch_stream_free(struct watch_stream *stream);

/* Queues CREATED (or REFUSED: duplicate id, empty range). */
void watch_create(struct watch_stream *stream, const struct watch_spec *spec);
/* Queues REFUSED for a watcher that was never made; text is static. */
void watch_refuse(struct watch_stream *stream, const char *text);
/* Queues CANCELED if there is such a watcher; otherwise nothing, as etcd. */
void watch_cancel(struct watch_stream *stream, int64_t id);
/* Queues PROGRESS with id -1 if every watcher of the stream is synced; otherwise nothing. */
void watch_progress_all(struct watch_stream *stream);
/* The next answer; false when there is none now. Neighbouring events of one watcher come together.
 */
bool watch_stream_next(struct watch_stream *stream, struct watch_item *out);
/* Whether more answers to requests wait than a client that reads would leave: the edge ends the
 * stream. Stays so. */
bool watch_stream_is_flooded(struct watch_stream *stream);
void watch_item_fini(struct watch_item *item);
/* The encoded event; lent by the event. Reads the previous value from the store when it must.
 * Errors: the store's, when that fails: an event is not sent without what was asked for. */
MUST struct err watch_event_encoded(
    struct watch_event *event, struct mvcc *mvcc, bool is_prev_wanted, struct blob **out);

struct watch_stats {
    size_t streams;
    size_t watchers;
    size_t unsynced;
    size_t pending_events;
};
void watch_stats(struct watch_hub *hub, struct watch_stats *out);

#endif
