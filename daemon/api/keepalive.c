/* SPDX-License-Identifier: Apache-2.0
 *
 * LeaseKeepAlive: each request is answered in order; an unknown lease with a TTL of zero. A lone
 * leader answers at once; else one request is asked for at a time, as etcd does.
 */
#include "api/identity.h"
#include "api/malformed.h"
#include "api/queue.h"

#include "base/clock.h"
#include "base/codec.h"

enum { ANSWERS_MAX = 4096 };

struct waiting {
    struct list node;
    int64_t id;
};

struct keep {
    struct api_queue queue;
    struct api *api;
    pthread_mutex_t mutex; /* what follows */
    struct list waiting;
    size_t count;
    struct server_lease_ask ask;
    struct buf header;
    bool is_asking;
    bool is_calling; /* the ask was made, and neither returned nor answered yet */
    bool is_ending;  /* once all is answered */
    bool is_closed;
    char *malformed; /* what the stream ends with, where a message was; NULL: none was */
};

static void keep_open(struct api *api, struct api_stream *stream)
{
    struct keep *keep = mem_new(sizeof(*keep));
    keep->api = api;
    pthread_mutex_init(&keep->mutex, NULL);
    list_init(&keep->waiting);
    api_queue_init(&keep->queue, stream, ANSWERS_MAX);
    stream->state = keep;
}

static void keep_free(struct keep *keep)
{
    struct list *node;
    while ((node = list_pop(&keep->waiting))) {
        free(LIST_ITEM(node, struct waiting, node));
    }
    pthread_mutex_destroy(&keep->mutex);
    free(keep->malformed);
    free(keep);
}

/* The header is made before the renewal, so that its revision is not newer than a revoke that
 * follows. */
static void make_header(struct keep *keep, struct buf *out)
{
    buf_init(out, 256);
    api_add_header(keep->api, out, mvcc_revision(keep->api->mvcc));
}

/* Takes the header. */
static void answer(struct keep *keep, struct buf *header, int64_t id, int64_t ttl_s, struct err err)
{
    if (err_is(err) && !IS(err, LEASE_NOT_FOUND)) {
        buf_fini(header);
        api_queue_end(&keep->queue, api_status_of(err));
        return;
    }
    wire_add_varint_nz(header, 2, (uint64_t)id);
    wire_add_varint_nz(header, 3, (uint64_t)(err_is(err) ? 0 : ttl_s));
    api_queue_push(&keep->queue, header);
}

/* False: what the next leader would go by has to be mended first. */
static bool answer_now(struct keep *keep, int64_t id)
{
    struct lease_table *leases = server_options_get(keep->api->server)->leases;
    struct buf header;
    int64_t ttl_s = 0;
    make_header(keep, &header);
    struct err err = lease_renew(leases, id, clock_mono_ms(), &ttl_s);
    if (IS(err, AGAIN)) {
        buf_fini(&header);
        return false;
    }
    answer(keep, &header, id, ttl_s, err);
    return true;
}

static void asked(struct server_lease_ask *ask);

/* With the mutex; true: the ask is ready to go, without it. */
static bool take_next(struct keep *keep)
{
    struct list *node = keep->is_closed ? NULL : list_pop(&keep->waiting);
    keep->is_asking = keep->is_calling = node != NULL;
    if (!node) {
        return false;
    }
    struct waiting *waiting = LIST_ITEM(node, struct waiting, node);
    keep->count--;
    keep->ask = (struct server_lease_ask){.id = waiting->id, .done = asked};
    make_header(keep, &keep->header);
    free(waiting);
    return true;
}

/* True: the stream is gone, and nobody else knows of it. */
static bool ask_next(struct keep *keep, bool *out_has_next)
{
    pthread_mutex_lock(&keep->mutex);
    *out_has_next = take_next(keep);
    bool is_over = keep->is_closed;
    if (!*out_has_next && keep->is_ending && !is_over) {
        api_queue_end(&keep->queue, (struct api_status){GRPC_CODE_OK, ""});
    }
    pthread_mutex_unlock(&keep->mutex);
    return is_over;
}

/* With the mutex, by the call when it returns and by its answer, which may come within it, or by
 * another thread before or after: whoever is last goes on. */
static bool is_last(struct keep *keep)
{
    bool is_last = !keep->is_calling;
    keep->is_calling = false;
    return is_last;
}

/* What is answered within the call is gone on with behind it: thousands may wait. */
static void ask_all(struct keep *keep)
{
    bool has_next = true;
    while (has_next) {
        if (ask_next(keep, &has_next)) {
            keep_free(keep);
        } else if (has_next) {
            server_lease_ask(keep->api->server, &keep->ask);
            pthread_mutex_lock(&keep->mutex);
            has_next = is_last(keep);
            pthread_mutex_unlock(&keep->mutex);
        }
    }
}

static void asked(struct server_lease_ask *ask)
{
    struct keep *keep = CONTAINER_OF(ask, struct keep, ask);
    pthread_mutex_lock(&keep->mutex);
    if (keep->is_closed) {
        buf_fini(&keep->header);
    } else {
        answer(keep, &keep->header, ask->id, ask->lease.ttl_s, ask->err);
    }
    bool goes_on = is_last(keep);
    pthread_mutex_unlock(&keep->mutex);
    if (goes_on) {
        ask_all(keep);
    }
}

static void ask_later(struct keep *keep, int64_t id)
{
    bool is_first = false;
    pthread_mutex_lock(&keep->mutex);
    if (keep->count == ANSWERS_MAX) {
        api_queue_end(&keep->queue, api_status_of(ERR(REQUEST_TOO_MANY_REQUESTS)));
    } else {
        struct waiting *waiting = mem_new(sizeof(*waiting));
        waiting->id = id;
        list_push(&keep->waiting, &waiting->node);
        keep->count++;
        is_first = !keep->is_asking;
        keep->is_asking = true;
    }
    pthread_mutex_unlock(&keep->mutex);
    if (is_first) {
        ask_all(keep);
    }
}

static bool is_idle(struct keep *keep)
{
    pthread_mutex_lock(&keep->mutex);
    bool is_idle = !keep->is_asking;
    pthread_mutex_unlock(&keep->mutex);
    return is_idle;
}

static struct err may_renew(struct api_stream *stream, int64_t id)
{
    struct apply_guard guard;
    if (!auth_is_enabled(stream->api->auth)) {
        return OK;
    }
    struct arena *arena = arena_new(0);
    struct err err = api_guard(stream->api, &stream->caller, arena, &guard);
    if (!err_is(err) && !guard.caller.username) {
        err = ERR(USER_EMPTY);
    }
    if (!err_is(err)) {
        err = apply_may_write_lease(&guard, id);
    }
    if (!err_is(err)) {
        err = api_still(stream->api, &guard);
    }
    arena_free(arena);
    return err;
}

/* Permissions are asked here also when the leader is another member: it trusts its peers. */
static void renew(struct api_stream *stream, int64_t id)
{
    struct keep *keep = stream->state;
    struct err err = may_renew(stream, id);
    if (err_is(err)) {
        api_queue_end(&keep->queue, api_status_of(err));
    } else if (!server_can_read_now(keep->api->server) || !is_idle(keep) || !answer_now(keep, id)) {
        ask_later(keep, id);
    }
}

static void refuse_message(struct keep *keep, struct slice message, struct arena *arena)
{
    if (!keep->malformed) {
        keep->malformed = mem_strdup(api_malformed_message(
            &etcdserverpb__lease_keep_alive_request__descriptor, message, arena));
        api_queue_end(&keep->queue, (struct api_status){GRPC_CODE_INTERNAL, keep->malformed});
    }
}

static void keep_message(struct api_stream *stream, struct slice message)
{
    Etcdserverpb__LeaseKeepAliveRequest *request;
    struct keep *keep = stream->state;
    struct arena *arena = arena_new(0);
    if (err_is(pb_unpack_request(
            &etcdserverpb__lease_keep_alive_request__descriptor, arena, message, &request))) {
        refuse_message(keep, message, arena);
    } else {
        renew(stream, request->id);
    }
    arena_free(arena);
}

static void keep_half_close(struct api_stream *stream)
{
    struct keep *keep = stream->state;
    pthread_mutex_lock(&keep->mutex);
    keep->is_ending = true;
    bool is_over = !keep->is_asking;
    pthread_mutex_unlock(&keep->mutex);
    if (is_over) {
        api_queue_end(&keep->queue, (struct api_status){GRPC_CODE_OK, ""});
    }
}

static enum api_next keep_next(
    struct api_stream *stream, struct payload *out, struct api_status *out_status)
{
    return api_queue_next(&((struct keep *)stream->state)->queue, out, out_status);
}

static void keep_close(struct api_stream *stream)
{
    struct keep *keep = stream->state;
    pthread_mutex_lock(&keep->mutex);
    keep->is_closed = true;
    bool is_asking = keep->is_asking;
    api_queue_fini(&keep->queue);
    pthread_mutex_unlock(&keep->mutex);
    if (!is_asking) {
        keep_free(keep);
    }
}

const struct api_ops api_lease_keep_alive = {
    .open = keep_open,
    .message = keep_message,
    .half_close = keep_half_close,
    .next = keep_next,
    .close = keep_close,
};
