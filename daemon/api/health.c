/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.health.v1.Health. The empty name speaks for the whole member: it serves, for else nobody
 * would be let in. As in etcd it says so without a leader too: /readyz is who asks for that.
 */
#include "api/methods.h"
#include "api/queue.h"

#include "base/codec.h"

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static void check_start(struct api *api, struct call_state *state)
{
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)state->request;
    (void)api;
    if (request->service[0]) {
        state->text = "unknown service";
        api_done(state, ERR(ABSENT));
        return;
    }
    Grpc__Health__V1__HealthCheckResponse *response =
        api_new(state->call->arena, &grpc__health__v1__health_check_response__descriptor);
    response->status = STATUS(SERVING);
    state->response = &response->base;
    api_done(state, OK);
}

const struct api_ops api_health_check = {.start = check_start};

/* One answer, then silence: nothing changes it. */
static void watch_open(struct api *api, struct api_stream *stream)
{
    (void)api;
    struct api_queue *queue = mem_new(sizeof(*queue));
    api_queue_init(queue, stream, 16);
    stream->state = queue;
}

static void watch_message(struct api_stream *stream, struct slice message)
{
    Grpc__Health__V1__HealthCheckRequest *request;
    struct arena *arena = arena_new(0);
    struct buf out;
    if (err_is(pb_unpack_request(
            &grpc__health__v1__health_check_request__descriptor, arena, message, &request))) {
        api_queue_end(stream->state, (struct api_status){GRPC_CODE_INTERNAL,
                                         "grpc: error unmarshalling request: malformed"});
    } else {
        buf_init(&out, 16);
        wire_add_varint_nz(
            &out, 1, request->service[0] ? STATUS(SERVICE_UNKNOWN) : STATUS(SERVING));
        api_queue_push(stream->state, &out);
    }
    arena_free(arena);
}

static void watch_half_close(struct api_stream *stream)
{
    (void)stream;
}

static enum api_next watch_next(
    struct api_stream *stream, struct payload *out, struct api_status *out_status)
{
    return api_queue_next(stream->state, out, out_status);
}

static void watch_close(struct api_stream *stream)
{
    api_queue_fini(stream->state);
    free(stream->state);
}

const struct api_ops api_health_watch = {
    .open = watch_open,
    .message = watch_message,
    .half_close = watch_half_close,
    .next = watch_next,
    .close = watch_close,
};
