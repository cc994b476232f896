/* SPDX-License-Identifier: Apache-2.0
 *
 * LeaseKeepAlive: each request is answered in order; an unknown lease with a TTL of zero.
 */
#include "api/queue.h"

#include "base/clock.h"
#include "base/codec.h"

enum { ANSWERS_MAX = 4096 };

static void keep_open(struct api *api, struct api_stream *stream)
{
    (void)api;
    struct api_queue *queue = mem_new(sizeof(*queue));
    api_queue_init(queue, stream, ANSWERS_MAX);
    stream->state = queue;
}

/* The header is made before the renewal, so that its revision is not newer than a revoke that
 * follows. */
static void answer(struct api *api, struct api_queue *queue, int64_t id)
{
    struct lease_table *leases = server_options_get(api->server)->leases;
    int64_t ttl_s = 0;
    struct buf out;
    buf_init(&out, 256);
    api_add_header(api, &out, mvcc_revision(api->mvcc));
    struct err err = server_can_read_now(api->server)
                         ? lease_renew(leases, id, clock_mono_ms(), &ttl_s)
                         : ERR(NO_LEADER);
    if (err_is(err) && !IS(err, LEASE_NOT_FOUND)) {
        buf_fini(&out);
        api_queue_end(queue, api_status_of(err));
        return;
    }
    wire_add_varint_nz(&out, 2, (uint64_t)id);
    wire_add_varint_nz(&out, 3, (uint64_t)ttl_s);
    api_queue_push(queue, &out);
}

static void keep_message(struct api_stream *stream, struct slice message)
{
    Etcdserverpb__LeaseKeepAliveRequest *request;
    struct arena *arena = arena_new(0);
    if (err_is(pb_unpack_request(
            &etcdserverpb__lease_keep_alive_request__descriptor, arena, message, &request))) {
        api_queue_end(
            stream->state, (struct api_status){GRPC_CODE_INTERNAL,
                               "grpc: failed to unmarshal the received message: malformed"});
    } else {
        answer(stream->api, stream->state, request->id);
    }
    arena_free(arena);
}

static void keep_half_close(struct api_stream *stream)
{
    api_queue_end(stream->state, (struct api_status){GRPC_CODE_OK, ""});
}

static enum api_next keep_next(
    struct api_stream *stream, struct payload *out, struct api_status *out_status)
{
    return api_queue_next(stream->state, out, out_status);
}

static void keep_close(struct api_stream *stream)
{
    api_queue_fini(stream->state);
    free(stream->state);
}

const struct api_ops api_lease_keep_alive = {
    .open = keep_open,
    .message = keep_message,
    .half_close = keep_half_close,
    .next = keep_next,
    .close = keep_close,
};
