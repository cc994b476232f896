/* SPDX-License-Identifier: Apache-2.0 */
#include "api/state.h"

void api_stream_open(struct api *api, struct api_stream *stream)
{
    stream->api = api;
    stream->state = NULL;
    if (stream->method->ops) {
        stream->method->ops->open(api, stream);
    } else {
        stream->wake(stream);
    }
}

void api_stream_message(struct api_stream *stream, struct slice message)
{
    if (stream->method->ops) {
        stream->method->ops->message(stream, message);
    }
}

void api_stream_half_close(struct api_stream *stream)
{
    if (stream->method->ops) {
        stream->method->ops->half_close(stream);
    }
}

enum api_next api_stream_next(
    struct api_stream *stream, struct payload *out_payload, struct api_status *out_status)
{
    if (!stream->method->ops) {
        *out_status = (struct api_status){GRPC_CODE_UNIMPLEMENTED, "not served by this member yet"};
        return API_NEXT_END;
    }
    return stream->method->ops->next(stream, out_payload, out_status);
}

void api_stream_close(struct api_stream *stream)
{
    if (stream->method->ops) {
        stream->method->ops->close(stream);
    }
}
