/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "base/mem.h"
#include "base/pb.h"
#include "service.h"
#include "words.h"

#include <rpc.pb-c.h>

enum { WATCHERS_MAX = 8, HANG_UP_ONE_IN = 150, SLOW_ONE_IN = 20, SLOW_MS = 400 };

struct watcher {
    int number;
    struct machine *machine;
    struct stream *stream;
    struct slice key;
    struct slice end;
    bool wants_prev;
    bool wants_progress;
    bool is_fragmented;
    int64_t next;   /* what to go on from */
    int64_t seen;   /* no older event will come */
    uint64_t watch; /* in the history; 0: not created yet */
    bool is_done;
};

static struct watcher watchers[WATCHERS_MAX];
static uint64_t next_watch = 1;
static bool is_ending;

static void send_create(struct watcher *watcher)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key = pb_bytes(watcher->key);
    create.range_end = pb_bytes(watcher->end);
    create.start_revision = watcher->next;
    create.prev_kv = watcher->wants_prev;
    create.progress_notify = watcher->wants_progress;
    create.fragment = watcher->is_fragmented;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    service_send(watcher->stream, &request);
}

static void send_progress_request(struct watcher *watcher)
{
    Etcdserverpb__WatchRequest request = ETCDSERVERPB__WATCH_REQUEST__INIT;
    Etcdserverpb__WatchProgressRequest progress = ETCDSERVERPB__WATCH_PROGRESS_REQUEST__INIT;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    service_send(watcher->stream, &request);
}

static void open_watch(struct watcher *watcher)
{
    watcher->machine = machine_any();
    watcher->watch = 0;
    if (!run.is_healing && clients_compacted() && world_one_in(4)) {
        watcher->next = clients_compacted(); /* the first that there is */
    }
    watcher->stream = service_open(watcher->machine, "/etcdserverpb.Watch/Watch");
    if (watcher->stream) {
        send_create(watcher);
        if (world_one_in(3)) {
            send_progress_request(watcher); /* while it catches up */
        }
    } else {
        fiber_sleep(50 * MS);
    }
}

static void hang_up(struct watcher *watcher)
{
    if (watcher->stream) {
        service_close(watcher->stream);
        watcher->stream = NULL;
    }
}

static void created(struct watcher *watcher, const Etcdserverpb__WatchResponse *response)
{
    watcher->watch = next_watch++;
    if (watcher->next == 0) {
        watcher->next = response->header->revision + 1;
    }
    history_add_watch(history, &(struct history_watch){.watch = watcher->watch,
                                   .client = 1000 + (uint64_t)watcher->number,
                                   .member = (uint64_t)watcher->machine->number,
                                   .created_ns = world_now(),
                                   .revision = response->header->revision,
                                   .key = watcher->key,
                                   .end = watcher->end,
                                   .start = watcher->next,
                                   .wants_prev = watcher->wants_prev,
                                   .is_fragmented = watcher->is_fragmented});
}

static void take_events(const Etcdserverpb__WatchResponse *response, struct history_event *events)
{
    for (size_t i = 0; i < response->n_events; i++) {
        const Mvccpb__Event *event = response->events[i];
        events[i] =
            (struct history_event){.is_delete = event->type == MVCCPB__EVENT__EVENT_TYPE__DELETE,
                .has_prev = event->prev_kv != NULL};
        words_kv(event->kv, &events[i].kv);
        if (event->prev_kv) {
            words_kv(event->prev_kv, &events[i].prev);
        }
    }
}

static void record(
    struct watcher *watcher, const Etcdserverpb__WatchResponse *response, struct arena *arena)
{
    struct history_event *events = arena_zalloc(arena, (response->n_events + 1) * sizeof(*events));
    take_events(response, events);
    run.tally.events += response->n_events;
    history_add_response(history, &(struct history_response){.watch = watcher->watch,
                                      .came_ns = world_now(),
                                      .revision = response->header->revision,
                                      .events = events,
                                      .events_count = response->n_events,
                                      .is_fragment = response->fragment,
                                      .is_canceled = response->canceled,
                                      .compact = response->compact_revision});
}

/* What came through up to where; a revision in parts is taken up again from its beginning. */
static void advance(struct watcher *watcher, const Etcdserverpb__WatchResponse *response)
{
    int64_t last = response->n_events ? response->events[response->n_events - 1]->kv->mod_revision
                                      : response->header->revision;
    if (response->fragment) {
        last--;
    }
    if (last >= watcher->next) {
        watcher->next = last + 1;
        watcher->seen = last;
    }
}

static void take(
    struct watcher *watcher, const Etcdserverpb__WatchResponse *response, struct arena *arena)
{
    if (response->created && response->canceled) {
        hang_up(watcher); /* refused: a learner, no leader */
        fiber_sleep(50 * MS);
        return;
    }
    if (response->created) {
        created(watcher, response);
        return;
    }
    if (!watcher->watch) {
        return;
    }
    record(watcher, response, arena);
    if (response->canceled) {
        if (response->compact_revision > watcher->next) {
            watcher->next = response->compact_revision;
        }
        hang_up(watcher);
        return;
    }
    advance(watcher, response);
}

static void turn(struct watcher *watcher)
{
    struct arena *arena = arena_new(0);
    bool is_over = false;
    Etcdserverpb__WatchResponse *response =
        service_next(watcher->stream, run.plan.idle_ns, arena, &is_over);
    if (response) {
        take(watcher, response, arena);
    } else if (is_over) {
        hang_up(watcher);
    } else {
        send_progress_request(watcher);
    }
    arena_free(arena);
    if (!run.is_healing && world_one_in(HANG_UP_ONE_IN)) {
        hang_up(watcher);
    } else if (!run.is_healing && world_one_in(SLOW_ONE_IN)) {
        fiber_sleep((int64_t)world_below(SLOW_MS * MS));
    }
}

static void *run_watcher(void *arg)
{
    struct watcher *watcher = arg;
    fiber_sleep((int64_t)world_below(3 * SECOND));
    while (!is_ending) {
        if (!watcher->stream) {
            open_watch(watcher);
        } else {
            turn(watcher);
        }
    }
    hang_up(watcher);
    watcher->is_done = true;
    return NULL;
}

void watchers_start(void);
void watchers_start(void)
{
    for (int i = 0; i < run.plan.watchers; i++) {
        struct watcher *watcher = &watchers[i];
        *watcher = (struct watcher){.number = i,
            .key = SLICE("k"),
            .end = SLICE("l"),
            .wants_prev = world_one_in(2),
            .wants_progress = world_one_in(2),
            .is_fragmented = world_one_in(3)};
        if (world_one_in(3)) {
            watcher->key = SLICE("k1");
            watcher->end = (struct slice){0};
        }
        fiber_detach(fiber_spawn(&run.outside, "watcher", run_watcher, watcher));
    }
}

bool watchers_have_seen(int64_t rev)
{
    for (int i = 0; i < run.plan.watchers; i++) {
        if (watchers[i].seen < rev) {
            return false;
        }
    }
    return true;
}

void watchers_end(void)
{
    is_ending = true;
}

bool watchers_are_done(void)
{
    for (int i = 0; i < run.plan.watchers; i++) {
        if (!watchers[i].is_done) {
            return false;
        }
    }
    return true;
}
