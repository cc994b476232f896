/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.health.v1.Health. The empty name speaks for the whole member, as in etcd.
 */
#include "api/methods.h"
#include "api/queue.h"

#include "base/codec.h"

static Grpc__Health__V1__HealthCheckResponse__ServingStatus serving(struct api *api)
{
    struct server_status status;
    server_status_get(api->server, &status);
    return status.leader ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                         : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static void check_start(struct api *api, struct call_state *state)
{
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)state->request;
    if (request->service[0]) {
        state->text = "unknown service";
        api_done(state, ERR(ABSENT));
        return;
    }
    Grpc__Health__V1__HealthCheckResponse *response =
        api_new(state->call->arena, &grpc__health__v1__health_check_response__descriptor);
    response->status = serving(api);
    state->response = &response->base;
    api_done(state, OK);
}

const struct api_ops api_health_check = {.start = check_start};

/* One answer, then silence: what would change it ends the member. */
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
    Grpc__Health__V1__HealthCheckResponse__ServingStatus status =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    if (!err_is(pb_unpack_request(
            &grpc__health__v1__health_check_request__descriptor, arena, message, &request)) &&
        request->service[0] == 0) {
        status = serving(stream->api);
    }
    buf_init(&out, 16);
    wire_add_varint_nz(&out, 1, (uint64_t)status);
    api_queue_push(stream->state, &out);
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
