/* SPDX-License-Identifier: Apache-2.0
 *
 * Watch: requests to watchers, answers to WatchResponse{header=1, watch_id=2, created=3,
 * canceled=4, compact_revision=5, cancel_reason=6, fragment=7, events=11}.
 */
#include "api/identity.h"
#include "api/malformed.h"

#include "base/codec.h"

enum {
    /* Events up to this size are copied into the message; larger ones go by reference, which costs
     * less than a kibibyte copied for each of a hundred watchers. */
    COPY_MAX = 512,
    /* What a fragment holds besides its events, at most. */
    FRAGMENT_HEAD = 64,
    /* A fragment holds as much as the largest request and what etcd lets gRPC add to it. */
    AROUND_REQUESTS = 512 * 1024,
    MESSAGE_MAX = INT32_MAX,
};

static const char flooded[] = "the client does not read its responses";

struct watching {
    struct api_stream *stream;
    struct watch_stream *watches;
    /* An item whose fragments are still being sent. */
    struct watch_item item;
    size_t sent;
    bool has_item;
    bool is_followed;              /* the item, by another */
    _Atomic(const char *) failure; /* the stream ends with it */
    char *malformed;               /* it, where a message was; NULL: none was */
};

static void wake(void *arg)
{
    struct watching *watching = arg;
    watching->stream->wake(watching->stream);
}

static void watch_open(struct api *api, struct api_stream *stream)
{
    struct watching *watching = mem_new(sizeof(*watching));
    watching->stream = stream;
    watching->watches = watch_stream_new(server_options_get(api->server)->hub, wake, watching);
    stream->state = watching;
}

static unsigned filters_of(const Etcdserverpb__WatchCreateRequest *request)
{
    unsigned filters = 0;
    for (size_t i = 0; i < request->n_filters; i++) {
        if (request->filters[i] == ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NOPUT) {
            filters |= WATCH_FILTER_NO_PUT;
        } else if (request->filters[i] ==
                   ETCDSERVERPB__WATCH_CREATE_REQUEST__FILTER_TYPE__NODELETE) {
            filters |= WATCH_FILTER_NO_DELETE;
        }
    }
    return filters;
}

/* etcd tells a watcher of these four, and of all else as of a missing permission; it says them as
 * its gRPC library prints an error. */
static const char *refusal_text(struct err err)
{
    if (IS(err, INVALID_AUTH_TOKEN)) {
        return "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token";
    }
    if (IS(err, AUTH_OLD_REVISION)) {
        return "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old";
    }
    if (IS(err, USER_EMPTY)) {
        return "rpc error: code = InvalidArgument desc = etcdserver: user name is empty";
    }
    return "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
}

static struct err may_watch(struct watching *watching, const struct watch_spec *spec)
{
    struct api *api = watching->stream->api;
    struct apply_guard guard;
    if (!auth_is_enabled(api->auth)) {
        return OK;
    }
    struct arena *arena = arena_new(0);
    struct err err = api_guard(api, &watching->stream->caller, arena, &guard);
    if (!err_is(err)) {
        err = auth_may_read(api->auth, &guard.caller, spec->key, spec->end);
    }
    arena_free(arena);
    return err;
}

static void create(struct watching *watching, const Etcdserverpb__WatchCreateRequest *request)
{
    struct watch_spec spec = {
        .id = request->watch_id,
        .key = pb_slice(request->key),
        .end = pb_slice(request->range_end),
        .start = request->start_revision,
        .filters = filters_of(request),
        .is_prev_wanted = request->prev_kv,
        .is_progress_wanted = request->progress_notify,
        .is_fragmented = request->fragment,
    };
    if (spec.key.len == 0) {
        spec.key = slice_of("\0", 1); /* the smallest key */
    }
    if (spec.start < 0) {
        watch_refuse(watching->watches, err_text(ERR(COMPACTED)));
        return;
    }
    struct err err = may_watch(watching, &spec);
    if (err_is(err)) {
        watch_refuse(watching->watches, refusal_text(err));
        return;
    }
    watch_create(watching->watches, &spec);
}

static void refuse_message(struct watching *watching, struct slice message, struct arena *arena)
{
    if (!watching->malformed) {
        watching->malformed = mem_strdup(
            api_malformed_message(&etcdserverpb__watch_request__descriptor, message, arena));
        atomic_store(&watching->failure, watching->malformed);
    }
    watching->stream->wake(watching->stream);
}

static void watch_message(struct api_stream *stream, struct slice message)
{
    struct watching *watching = stream->state;
    if (watch_stream_is_flooded(watching->watches)) {
        atomic_store(&watching->failure, flooded);
        stream->wake(stream);
        return;
    }
    Etcdserverpb__WatchRequest *request;
    struct arena *arena = arena_new(0);
    if (err_is(pb_unpack_request(
            &etcdserverpb__watch_request__descriptor, arena, message, &request))) {
        refuse_message(watching, message, arena);
        arena_free(arena);
        return;
    }
    switch ((int)request->request_union_case) {
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST:
        create(watching, request->create_request);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CANCEL_REQUEST:
        watch_cancel(watching->watches, request->cancel_request->watch_id);
        break;
    case ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST:
        watch_progress_all(watching->watches);
        break;
    default:
        break; /* as etcd: an unknown request is passed over */
    }
    arena_free(arena);
}

/* etcd leaves the stream open: the client still wants the events. */
static void watch_half_close(struct api_stream *stream)
{
    (void)stream;
}

static struct err add_events(
    struct watching *watching, struct buf *out, struct payload *payload, size_t bytes_max)
{
    struct watch_item *item = &watching->item;
    struct mvcc *mvcc = watching->stream->api->mvcc;
    size_t bytes = FRAGMENT_HEAD;
    size_t first = watching->sent;
    for (; watching->sent < item->events_count; watching->sent++) {
        struct blob *event;
        TRY(watch_event_encoded(item->events[watching->sent], mvcc, item->is_prev_wanted, &event));
        if (item->is_fragmented && watching->sent > first && bytes + event->len >= bytes_max) {
            break;
        }
        bytes += event->len;
        if (event->len <= COPY_MAX) {
            buf_add_slice(out, blob_slice(event));
        } else {
            payload_add_buf(payload, out);
            payload_add_blob(payload, event);
        }
    }
    return OK;
}

static void add_head(struct watching *watching, struct buf *out)
{
    const struct watch_item *item = &watching->item;
    bool is_created = item->kind == WATCH_ITEM_CREATED || item->kind == WATCH_ITEM_REFUSED;
    bool is_canceled = item->kind == WATCH_ITEM_REFUSED || item->kind == WATCH_ITEM_CANCELED ||
                       item->kind == WATCH_ITEM_COMPACTED;
    api_add_header(watching->stream->api, out, item->rev);
    wire_add_varint_nz(out, 2, (uint64_t)item->id);
    wire_add_varint_nz(out, 3, is_created);
    wire_add_varint_nz(out, 4, is_canceled);
    wire_add_varint_nz(out, 5, (uint64_t)item->compact_rev);
    wire_add_bytes_nz(out, 6, slice_str(item->text));
}

/* fragment (7) stands before the events, but whether there is more is known only behind them: so it
 * is looked up first. */
static struct err needs_fragment(struct watching *watching, size_t bytes_max, bool *out)
{
    struct watch_item *item = &watching->item;
    struct mvcc *mvcc = watching->stream->api->mvcc;
    size_t bytes = FRAGMENT_HEAD;
    bool is_over = false;
    for (size_t i = watching->sent; item->is_fragmented && i < item->events_count; i++) {
        struct blob *event;
        TRY(watch_event_encoded(item->events[i], mvcc, item->is_prev_wanted, &event));
        bytes += event->len;
        is_over |= i > watching->sent && bytes >= bytes_max;
    }
    *out = is_over;
    return OK;
}

/* One message from the item at hand. */
static struct err encode_item(struct watching *watching, struct payload *out)
{
    size_t bytes_max = watching->stream->api->options.request_bytes_max + AROUND_REQUESTS;
    struct buf head;
    bool is_fragment = false;
    size_t first = watching->sent;
    TRY(needs_fragment(watching, bytes_max, &is_fragment));
    payload_init(out);
    buf_init(&head, MESSAGE_MAX);
    add_head(watching, &head);
    wire_add_varint_nz(&head, 7, is_fragment);
    struct err err = add_events(watching, &head, out, is_fragment ? bytes_max : SIZE_MAX);
    if (err_is(err)) {
        buf_fini(&head);
        payload_fini(out);
        return err;
    }
    metric_add(watching->stream->api->metrics.events, (double)(watching->sent - first));
    payload_add_buf(out, &head);
    return OK;
}

static enum grpc_code code_of(const char *failure)
{
    if (failure == err_text(ERR(TIMEOUT))) {
        return GRPC_CODE_UNAVAILABLE;
    }
    return failure == flooded ? GRPC_CODE_RESOURCE_EXHAUSTED : GRPC_CODE_INTERNAL;
}

static enum api_next watch_next(
    struct api_stream *stream, struct payload *out, struct api_status *out_status)
{
    struct watching *watching = stream->state;
    const char *failure = atomic_load(&watching->failure);
    if (failure) {
        *out_status = (struct api_status){code_of(failure), failure};
        return API_NEXT_END;
    }
    if (!watching->has_item) {
        if (!watch_stream_next(watching->watches, &watching->item)) {
            return API_NEXT_LATER;
        }
        watching->is_followed = watching->item.is_followed;
    }
    watching->has_item = true;
    struct err err = encode_item(watching, out);
    if (err_is(err)) { /* nothing of the message was sent: who watches again misses nothing */
        atomic_store(&watching->failure, err_text(err));
        return watch_next(stream, out, out_status);
    }
    if (watching->sent == watching->item.events_count) {
        watch_item_fini(&watching->item);
        watching->has_item = false;
        watching->sent = 0;
    }
    stream->has_more = watching->has_item || watching->is_followed;
    return API_NEXT_MESSAGE;
}

static void watch_close(struct api_stream *stream)
{
    struct watching *watching = stream->state;
    watch_stream_free(watching->watches);
    if (watching->has_item) {
        watch_item_fini(&watching->item);
    }
    free(watching->malformed);
    free(watching);
}

const struct api_ops api_watch_watch = {
    .open = watch_open,
    .message = watch_message,
    .half_close = watch_half_close,
    .next = watch_next,
    .close = watch_close,
};
