/* SPDX-License-Identifier: Apache-2.0
 *
 * Observe: what the leader proclaims, then what the next one does. Not every value in between, but
 * always the latest. A walk that ends when its stream is closed; what it has to say waits in the
 * queue, and while that is long the watch is not read.
 */
#include "api/malformed.h"
#include "api/methods.h"
#include "api/queue.h"
#include "api/turn.h"

#include <v3electionpb.pb-c.h>

enum { ANSWERS_HIGH = 16, ANSWERS_MAX = 1 << 20 };

struct observe {
    struct walk walk; /* first */
    struct slice prefix;
    struct desk_item closed;
    struct desk_item more;
    atomic_bool is_full;
    atomic_bool is_more_queued;
    bool is_started; /* the edge's: it has a walk */
    bool is_asking;  /* the desk's: an inner call is under way */
    bool is_gone;    /* the desk's: the stream was closed */
    pthread_mutex_t mutex;
    bool is_closed; /* under mutex; then queue is no more */
    struct api_queue queue;
};

static void observe_free(struct observe *observe)
{
    pthread_mutex_destroy(&observe->mutex);
    if (observe->is_started) {
        walk_end(&observe->walk, OK, NULL);
    } else {
        arena_free(observe->walk.arena);
    }
}

static void end(struct observe *observe, struct api_status status)
{
    pthread_mutex_lock(&observe->mutex);
    if (!observe->is_closed) {
        api_queue_end(&observe->queue, status);
    }
    pthread_mutex_unlock(&observe->mutex);
}

/* As the reference: whatever it was, the stream ends well and is asked for again. */
static void end_well(struct observe *observe)
{
    walk_unwatch(&observe->walk);
    end(observe, (struct api_status){GRPC_CODE_OK, ""});
}

/* All may have been read before it was said that the queue is full: then nobody asks for more. */
static void go_on_if_all_is_read(struct observe *observe)
{
    if (observe->walk.is_held && api_queue_count(&observe->queue) == 0 &&
        atomic_exchange(&observe->is_full, false)) {
        observe->walk.is_held = false;
    }
}

static void say(
    struct observe *observe, const Etcdserverpb__ResponseHeader *header, Mvccpb__KeyValue *kv)
{
    V3electionpb__LeaderResponse response = V3ELECTIONPB__LEADER_RESPONSE__INIT;
    struct buf packed;
    response.header = (Etcdserverpb__ResponseHeader *)(uintptr_t)header;
    response.kv = kv;
    buf_init(&packed, SIZE_MAX);
    pb_pack(&response, &packed);
    pthread_mutex_lock(&observe->mutex);
    if (observe->is_closed) {
        buf_fini(&packed);
    } else {
        api_queue_push(&observe->queue, &packed);
        observe->walk.is_held = api_queue_count(&observe->queue) >= ANSWERS_HIGH;
        atomic_store(&observe->is_full, observe->walk.is_held);
        go_on_if_all_is_read(observe);
    }
    pthread_mutex_unlock(&observe->mutex);
}

static void ask(struct observe *observe);

static void leader_changed(struct walk *walk, const Etcdserverpb__WatchResponse *message)
{
    struct observe *observe = (struct observe *)walk;
    if (!message || message->canceled) {
        end_well(observe);
        return;
    }
    for (size_t i = 0; i < message->n_events; i++) {
        if (message->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
            walk_unwatch(walk);
            ask(observe);
            return;
        }
        say(observe, message->header, message->events[i]->kv);
    }
}

static void stopped(struct walk *walk)
{
    end((struct observe *)walk, api_status_of(walk->cancelled));
}

static void watch(
    struct observe *observe, const Etcdserverpb__WatchCreateRequest *create, walk_watch_fn *then)
{
    observe->walk.give_up = stopped;
    walk_watch(&observe->walk, create, then);
}

static void follow(
    struct observe *observe, const Etcdserverpb__ResponseHeader *header, Mvccpb__KeyValue *kv)
{
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    create.key = kv->key;
    create.start_revision = header->revision + 1;
    say(observe, header, kv);
    watch(observe, &create, leader_changed);
}

static void first_came(struct walk *walk, const Etcdserverpb__WatchResponse *message)
{
    struct observe *observe = (struct observe *)walk;
    if (!message || message->canceled) {
        end_well(observe);
        return;
    }
    for (size_t i = 0; i < message->n_events; i++) {
        const Mvccpb__Event *event = message->events[i];
        if (event->type == MVCCPB__EVENT__EVENT_TYPE__PUT) {
            Etcdserverpb__ResponseHeader header = *message->header;
            header.revision = event->kv->mod_revision; /* there may be later ones in the message */
            walk_unwatch(walk);
            follow(observe, &header, event->kv);
            return;
        }
    }
}

static void await_first(struct observe *observe, revision rev)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__WatchCreateRequest create = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
    Etcdserverpb__RangeRequest range = turn_range_of(observe->prefix, true, arena);
    create.key = range.key;
    create.range_end = range.range_end;
    create.start_revision = rev;
    watch(observe, &create, first_came);
    arena_free(arena);
}

static void found(struct walk *walk, const struct walk_answer *answer)
{
    struct observe *observe = (struct observe *)walk;
    const Etcdserverpb__RangeResponse *range = answer->message;
    observe->is_asking = false;
    if (observe->is_gone) {
        observe_free(observe);
    } else if (walk->is_cancelled) {
        stopped(walk);
    } else if (!range) {
        end_well(observe);
    } else if (range->n_kvs == 0) {
        await_first(observe, range->header->revision);
    } else {
        follow(observe, range->header, range->kvs[0]);
    }
}

static void ask(struct observe *observe)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__RangeRequest range = turn_range_of(observe->prefix, true, arena);
    observe->is_asking = true;
    walk_call(&observe->walk, "/etcdserverpb.KV/Range", &range, found);
    arena_free(arena);
}

static void first(struct walk *walk)
{
    ask((struct observe *)walk);
}

static void run_closed(struct desk_item *item)
{
    struct observe *observe = CONTAINER_OF(item, struct observe, closed);
    observe->is_gone = true;
    if (!observe->is_asking) {
        observe_free(observe);
    }
}

static void run_more(struct desk_item *item)
{
    struct observe *observe = CONTAINER_OF(item, struct observe, more);
    atomic_store(&observe->is_more_queued, false);
    observe->walk.is_held = false;
    walk_watch_more(&observe->walk);
}

/* The stream. */

static void observe_open(struct api *api, struct api_stream *stream)
{
    struct arena *arena = arena_new(0);
    struct observe *observe = arena_zalloc(arena, sizeof(*observe));
    walk_init(&observe->walk, api, arena);
    pthread_mutex_init(&observe->mutex, NULL);
    api_queue_init(&observe->queue, stream, ANSWERS_MAX);
    observe->closed.run = run_closed;
    observe->more.run = run_more;
    stream->state = observe;
}

static void copy_caller(struct observe *observe, const struct api_caller *caller)
{
    struct arena *arena = observe->walk.arena;
    observe->walk.caller = (struct api_caller){
        .address = caller->address ? arena_strdup(arena, caller->address) : NULL,
        .cert_cn = caller->cert_cn ? arena_strdup(arena, caller->cert_cn) : NULL,
        .is_gateway = caller->is_gateway,
        .token = caller->token ? arena_strdup(arena, caller->token) : NULL,
        .is_counted = true,
    };
}

static void observe_message(struct api_stream *stream, struct slice message)
{
    struct observe *observe = stream->state;
    struct arena *arena = observe->walk.arena;
    V3electionpb__LeaderRequest *request;
    if (observe->is_started) {
        return;
    }
    if (err_is(pb_unpack_request(
            &v3electionpb__leader_request__descriptor, arena, message, &request))) {
        const char *text =
            api_malformed_message(&v3electionpb__leader_request__descriptor, message, arena);
        end(observe, (struct api_status){GRPC_CODE_INTERNAL, text});
        return;
    }
    observe->prefix = turn_prefix_of(pb_slice(request->name), arena);
    copy_caller(observe, &stream->caller);
    observe->is_started = walk_start(&observe->walk, first);
    if (!observe->is_started) {
        end(observe, api_status_of(ERR(STOPPED)));
    }
}

static void observe_half_close(struct api_stream *stream)
{
    (void)stream;
}

static enum api_next observe_next(
    struct api_stream *stream, struct payload *out, struct api_status *out_status)
{
    struct observe *observe = stream->state;
    enum api_next next = api_queue_next(&observe->queue, out, out_status);
    if (next == API_NEXT_MESSAGE && atomic_exchange(&observe->is_full, false) &&
        !atomic_exchange(&observe->is_more_queued, true)) {
        check(desk_push(observe->walk.api->desk, &observe->more));
    }
    return next;
}

static void observe_close(struct api_stream *stream)
{
    struct observe *observe = stream->state;
    pthread_mutex_lock(&observe->mutex);
    observe->is_closed = true;
    api_queue_fini(&observe->queue);
    pthread_mutex_unlock(&observe->mutex);
    if (observe->is_started) {
        check(desk_push(observe->walk.api->desk, &observe->closed));
    } else {
        observe_free(observe);
    }
}

const struct api_ops api_election_observe = {
    .open = observe_open,
    .message = observe_message,
    .half_close = observe_half_close,
    .next = observe_next,
    .close = observe_close,
};
