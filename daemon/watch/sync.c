/* SPDX-License-Identifier: Apache-2.0
 *
 * Watchers that stand in the past are walked forward together: one slice of history is read for all
 * of them outside the mutex, then handed out under it. A watcher is synced again when it has been
 * given everything up to hub->rev, which cannot move while the mutex is held; so no revision is
 * skipped and none given twice.
 */
#include "watch/hub.h"

#include "base/err.h"
#include "base/mutation.h"

struct slice_read {
    struct mvcc_change *changes;
    size_t count;
    size_t cap;
    size_t bytes;
    revision covered; /* every change up to here has been read */
    revision compacted;
    bool needs_prev; /* by one of those that were picked */
};

static bool collect(void *arg, const struct mvcc_change *change)
{
    struct slice_read *read = arg;
    bool is_new_rev = read->count == 0 || read->changes[read->count - 1].main != change->main;
    bool is_full = read->count >= WATCH_SYNC_CHANGES || read->bytes >= WATCH_SYNC_BYTES;
    if (is_new_rev && is_full) {
        read->covered = change->main - 1;
        return false;
    }
    if (read->count == read->cap) {
        read->cap = read->cap ? read->cap * 2 : 64;
        read->changes = mem_grow(read->changes, read->cap * sizeof(*read->changes));
    }
    struct mvcc_change *copy = &read->changes[read->count++];
    mvcc_change_copy(copy, change);
    if (change->main <= read->compacted) {
        copy->prev_mod = 0; /* compacted, whether its row is still there or not */
    }
    read->bytes += change->key->len + blob_slice(change->value).len;
    read->bytes += blob_slice(change->prev_value).len;
    return true;
}

/* Marks those that can take more, and gives up those whose past is gone. Returns the lowest
 * revision wanted; 0: none. */
static revision pick(struct watch_hub *hub, bool *out_needs_prev)
{
    revision lowest = 0;
    revision compacted = mvcc_compact_revision(hub->mvcc);
    LIST_EACH_SAFE(node, tmp, &hub->unsynced)
    {
        struct watcher *watcher = LIST_ITEM(node, struct watcher, in_unsynced);
        watcher->is_picked = false;
        if (watcher->next < compacted) {
            struct queued *queued =
                stream_queue(watcher->stream, WATCH_ITEM_COMPACTED, watcher->id, 0);
            queued->item.compact_rev = compacted;
            struct map *by_id = watcher->stream->by_id;
            uint64_t id = (uint64_t)watcher->id;
            watcher_free(watcher);
            map_put_u64(by_id, id, &watcher_compacted);
        } else if (stream_has_room(watcher->stream)) {
            watcher->is_picked = true;
            *out_needs_prev |= watcher->is_prev_wanted;
            lowest = lowest == 0 || watcher->next < lowest ? watcher->next : lowest;
        } else {
            watcher->stream->is_starving = true;
        }
    }
    return lowest;
}

struct handing {
    const struct mvcc_change *change;
    struct watch_event *event;
};

static void hand_ring(void *arg, struct list *ring)
{
    struct handing *handing = arg;
    LIST_EACH(node, ring)
    {
        struct watcher *watcher = LIST_ITEM(node, struct watcher, in_ring);
        bool is_due = watcher->is_picked && !watcher->is_synced &&
                      watcher->next + MUTATE(EVENT_LOST) <= handing->change->main;
        if (!is_due || !watcher_wants(watcher, handing->change)) {
            continue;
        }
        if (!handing->event) {
            handing->event = watch_event_new(handing->change);
        }
        if (!watcher_push(watcher, handing->event, handing->change->main)) {
            watcher->next = handing->change->main;
            watcher->is_picked = false;
            watcher->stream->is_starving = true;
        }
    }
}

static void hand_out(struct watch_hub *hub, const struct slice_read *read)
{
    for (size_t i = 0; i < read->count; i++) {
        struct handing handing = {&read->changes[i], NULL};
        watch_index_visit(&hub->index, blob_slice(read->changes[i].key), hand_ring, &handing);
        if (handing.event) {
            watch_event_unref(handing.event);
        }
    }
}

/* Returns whether some are still behind and able to go on. */
static bool move_forward(struct watch_hub *hub, revision covered)
{
    bool is_more = false;
    LIST_EACH_SAFE(node, tmp, &hub->unsynced)
    {
        struct watcher *watcher = LIST_ITEM(node, struct watcher, in_unsynced);
        if (!watcher->is_picked) {
            continue;
        }
        watcher->is_picked = false;
        if (watcher->next <= covered) {
            watcher->next = covered + !MUTATE(EVENT_TWICE);
        }
        if (watcher->next > hub->rev) {
            watcher_set_synced(watcher);
        } else {
            is_more = true;
        }
    }
    return is_more;
}

static void read_free(struct slice_read *read)
{
    for (size_t i = 0; i < read->count; i++) {
        mvcc_change_fini(&read->changes[i]);
    }
    free(read->changes);
}

bool watch_sync(struct watch_hub *hub)
{
    struct slice_read read = {0};
    pthread_mutex_lock(&hub->mutex);
    revision from = pick(hub, &read.needs_prev);
    read.covered = hub->rev;
    read.compacted = mvcc_compact_revision(hub->mvcc);
    hub_unlock(hub);
    if (from == 0) {
        return false;
    }
    bool is_more = true;
    struct err err = OK;
    if (from <= read.covered) {
        err = mvcc_history(
            hub->mvcc, from, read.covered, read.needs_prev, collect, &read, &hub->failed_why);
    }
    if (!err_is(err)) {
        pthread_mutex_lock(&hub->mutex);
        hand_out(hub, &read);
        is_more = move_forward(hub, read.covered);
        hub_unlock(hub);
    }
    read_free(&read);
    if (err_is(err) && !IS(err, COMPACTED)) {
        hub->failed = err;
        return false;
    }
    return is_more; /* when compaction came between, the next slice sees it */
}

struct err watch_failure(const struct watch_hub *hub, struct why *why)
{
    return err_is(hub->failed) ? why_set(why, hub->failed, "%s", hub->failed_why.text) : OK;
}
