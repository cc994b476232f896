/* SPDX-License-Identifier: Apache-2.0 */
#include "api/methods.h"

/* A learner streams nothing but snapshots. */
static const struct api_ops refused;

static const struct api_ops *ops_of(const struct api_stream *stream)
{
    return stream->state == &refused ? NULL : stream->method->ops;
}

static bool is_refused(struct api *api, const struct api_stream *stream)
{
    return stream->method->ops && stream->method->ops != &api_maintenance_snapshot &&
           !stream->caller.is_internal &&
           member_self_is_learner(server_options_get(api->server)->members);
}

void api_stream_open(struct api *api, struct api_stream *stream)
{
    stream->api = api;
    api_count_request(api, "stream", &stream->caller);
    stream->state = is_refused(api, stream) ? (void *)(uintptr_t)&refused : NULL;
    if (ops_of(stream)) {
        ops_of(stream)->open(api, stream);
    } else {
        stream->wake(stream);
    }
}

void api_stream_message(struct api_stream *stream, struct slice message)
{
    if (ops_of(stream)) {
        ops_of(stream)->message(stream, message);
    }
}

void api_stream_half_close(struct api_stream *stream)
{
    if (ops_of(stream)) {
        ops_of(stream)->half_close(stream);
    }
}

enum api_next api_stream_next(
    struct api_stream *stream, struct payload *out_payload, struct api_status *out_status)
{
    if (stream->state == &refused) {
        *out_status = api_status_of(ERR(NOT_SUPPORTED_FOR_LEARNER));
        return API_NEXT_END;
    }
    if (!ops_of(stream)) {
        *out_status = (struct api_status){GRPC_CODE_UNIMPLEMENTED, "not served by this member yet"};
        return API_NEXT_END;
    }
    return ops_of(stream)->next(stream, out_payload, out_status);
}

void api_stream_close(struct api_stream *stream)
{
    if (ops_of(stream)) {
        ops_of(stream)->close(stream);
    }
}
