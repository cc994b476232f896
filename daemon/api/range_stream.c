/* SPDX-License-Identifier: Apache-2.0
 *
 * KV.RangeStream: the keys of a range in chunks at one revision; the last message has header, more
 * and count. Chunks begin at ten keys and grow or shrink towards the request limit in bytes. The
 * bytes of all chunks behind one another are the bytes of the one response that Range would have
 * given. Each chunk waits at the gate for what it will take, and has it until it is sent.
 */
#include "api/identity.h"
#include "api/late.h"
#include "api/malformed.h"
#include "api/weigh.h"

#include "base/codec.h"

enum { FIRST_LIMIT = 10 };

struct streaming {
    struct api_stream *stream;
    struct arena *arena; /* the request's */
    Etcdserverpb__RangeRequest *request;
    struct server_read read;
    struct late late; /* between an answer (the read's, the gate's) and close */
    struct gate *gate;
    struct gate_pass pass;
    struct err refusal; /* the gate's */
    _Atomic int phase;  /* enum phase */
    struct api_status status;
    struct slice next_key;
    int64_t left;  /* of the request's limit; 0: no limit */
    int64_t chunk; /* keys to ask for */
    int64_t sent;
    revision rev; /* pinned */
    revision header_rev;
};

/* WAITING for the read index, then a chunk after the other: STARTING -> WAITING for the gate ->
 * READING. */
enum phase { WAITING, STARTING, READING, ENDING, ENDED };

static void end(struct streaming *streaming, struct api_status status)
{
    streaming->status = status;
    atomic_store(&streaming->phase, ENDED);
    streaming->stream->wake(streaming->stream);
}

static void stream_open(struct api *api, struct api_stream *stream)
{
    struct streaming *streaming = mem_new(sizeof(*streaming));
    streaming->stream = stream;
    streaming->gate = &api->gate;
    streaming->arena = arena_new(0);
    late_init(&streaming->late);
    stream->state = streaming;
}

static bool is_sorted(const Etcdserverpb__RangeRequest *request)
{
    bool is_by_key = request->sort_target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY;
    bool is_down = request->sort_order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND;
    bool is_filtered = request->min_mod_revision || request->max_mod_revision ||
                       request->min_create_revision || request->max_create_revision;
    return !is_by_key || is_down || is_filtered;
}

static void streaming_free(struct streaming *streaming)
{
    late_fini(&streaming->late);
    arena_free(streaming->arena);
    free(streaming);
}

static void answered(void *arg)
{
    struct streaming *streaming = arg;
    if (err_is(streaming->read.err)) {
        end(streaming, api_status_of(streaming->read.err));
    } else {
        atomic_store(&streaming->phase, STARTING);
        streaming->stream->wake(streaming->stream);
    }
}

static void read_done(struct server_read *read)
{
    struct streaming *streaming = CONTAINER_OF(read, struct streaming, read);
    if (!late_arrive(&streaming->late, answered, streaming)) {
        streaming_free(streaming);
    }
}

static void stream_message(struct api_stream *stream, struct slice message)
{
    struct streaming *streaming = stream->state;
    if (streaming->request) {
        return;
    }
    if (err_is(pb_unpack_request(&etcdserverpb__range_request__descriptor, streaming->arena,
            message, &streaming->request))) {
        const char *text = api_malformed_message(
            &etcdserverpb__range_request__descriptor, message, streaming->arena);
        end(streaming, (struct api_status){GRPC_CODE_INTERNAL, text});
        return;
    }
    struct err err = apply_check_range(streaming->request);
    if (err_is(err)) {
        end(streaming, api_status_of(err));
        return;
    }
    if (is_sorted(streaming->request)) {
        end(streaming, (struct api_status){GRPC_CODE_UNIMPLEMENTED,
                           "etcdserver: sorted or filtered range stream is not supported"});
        return;
    }
    streaming->next_key = pb_slice(streaming->request->key);
    streaming->left = streaming->request->limit > 0 ? streaming->request->limit : 0;
    streaming->chunk = FIRST_LIMIT;
    if (streaming->request->serializable || server_can_read_now(stream->api->server)) {
        atomic_store(&streaming->phase, STARTING);
        stream->wake(stream);
        return;
    }
    streaming->read.done = read_done;
    late_await(&streaming->late);
    server_read_index(stream->api->server, &streaming->read);
}

static void told(void *arg)
{
    struct streaming *streaming = arg;
    if (err_is(streaming->refusal)) {
        end(streaming, api_status_of(streaming->refusal));
    } else {
        atomic_store(&streaming->phase, READING);
        streaming->stream->wake(streaming->stream);
    }
}

static void let_in(struct gate_pass *pass, struct err err)
{
    struct streaming *streaming = CONTAINER_OF(pass, struct streaming, pass);
    size_t bytes = pass->bytes;
    struct gate *gate = streaming->gate;
    streaming->refusal = err;
    if (!late_arrive(&streaming->late, told, streaming)) {
        streaming_free(streaming);
        if (!err_is(err)) {
            gate_leave(gate, bytes);
        }
    }
}

/* The gate may answer before it returns. */
static void ask_gate(struct streaming *streaming)
{
    int64_t keys =
        streaming->left && streaming->left < streaming->chunk ? streaming->left : streaming->chunk;
    streaming->pass.bytes =
        gate_guess(streaming->gate, (uint64_t)keys, streaming->request->keys_only);
    streaming->pass.done = let_in;
    atomic_store(&streaming->phase, WAITING);
    late_await(&streaming->late);
    gate_enter(streaming->gate, &streaming->pass);
}

static void stream_half_close(struct api_stream *stream)
{
    (void)stream;
}

static struct err read_chunk(
    struct streaming *streaming, struct arena *arena, Etcdserverpb__RangeResponse **out)
{
    Etcdserverpb__RangeRequest request = *streaming->request;
    request.key = pb_bytes(streaming->next_key);
    request.revision = streaming->rev ? streaming->rev : request.revision;
    request.limit =
        streaming->left && streaming->left < streaming->chunk ? streaming->left : streaming->chunk;
    struct apply_guard guard;
    TRY(api_guard(streaming->stream->api, &streaming->stream->caller, arena, &guard));
    TRY(apply_may_range(&guard, streaming->request));
    TRY(apply_range(streaming->stream->api->mvcc, &request, arena, out));
    TRY(api_still(streaming->stream->api, &guard));
    if (streaming->header_rev == 0) {
        streaming->header_rev = (*out)->header->revision;
        streaming->rev = request.revision > 0 ? request.revision : streaming->header_rev;
    }
    return OK;
}

static void adapt(struct streaming *streaming, size_t bytes)
{
    size_t target = streaming->stream->api->options.request_bytes_max;
    if (bytes < target / 2) {
        streaming->chunk *= 2;
    } else if (bytes > 2 * target && streaming->chunk > 1) {
        streaming->chunk /= 2;
    }
}

/* Whether the chunk is the last. The next one begins right behind its last key. */
static bool advance(struct streaming *streaming, const Etcdserverpb__RangeResponse *chunk)
{
    bool is_limited = streaming->left && chunk->n_kvs >= (size_t)streaming->left;
    streaming->sent += (int64_t)chunk->n_kvs;
    if (!chunk->more || is_limited || chunk->n_kvs == 0) {
        return true;
    }
    ProtobufCBinaryData last = chunk->kvs[chunk->n_kvs - 1]->key;
    uint8_t *next = arena_alloc(streaming->arena, last.len + 1);
    memcpy(next, last.data, last.len);
    next[last.len] = 0;
    streaming->next_key = slice_of(next, last.len + 1);
    streaming->left -= streaming->left ? (int64_t)chunk->n_kvs : 0;
    return false;
}

static void finish_chunk(
    struct streaming *streaming, Etcdserverpb__RangeResponse *chunk, struct arena *arena)
{
    int64_t before = streaming->sent;
    if (advance(streaming, chunk)) {
        chunk->header = api_new(arena, &etcdserverpb__response_header__descriptor);
        chunk->header->revision = streaming->header_rev;
        api_fill_header(streaming->stream->api, chunk->header);
        chunk->count += before; /* what was sent before, and all that is left from this chunk on */
        atomic_store(&streaming->phase, ENDING);
        return;
    }
    chunk->header = NULL;
    chunk->count = 0;
    chunk->more = false;
}

/* What the gate gave is the chunk's from here on. */
static struct err make_chunk(struct streaming *streaming, struct payload *out)
{
    Etcdserverpb__RangeStreamResponse message = ETCDSERVERPB__RANGE_STREAM_RESPONSE__INIT;
    struct weigh_home *home = weigh_home_at(streaming->gate, streaming->pass.bytes);
    struct arena *arena = arena_new(0);
    struct buf packed;
    struct err err = read_chunk(streaming, arena, &message.range_response);
    if (err_is(err)) {
        arena_free(arena);
        weigh_home_free(home);
        return err;
    }
    atomic_store(&streaming->phase, STARTING);
    finish_chunk(streaming, message.range_response, arena);
    buf_init(&packed, streaming->stream->api->response_bytes_max);
    pb_pack(&message, &packed);
    if (packed.is_full) { /* nothing of it is there, and the next one would begin behind it */
        buf_fini(&packed);
        arena_free(arena);
        weigh_home_free(home);
        return ERR(TOO_BIG);
    }
    adapt(streaming, packed.len);
    gate_learn(streaming->gate, message.range_response->n_kvs, packed.len);
    arena_free(arena);
    payload_init(out);
    weigh_home_pack(home, &packed, out);
    return OK;
}

static enum api_next stream_next(
    struct api_stream *stream, struct payload *out, struct api_status *out_status)
{
    struct streaming *streaming = stream->state;
    if (atomic_load(&streaming->phase) == STARTING) {
        ask_gate(streaming);
    }
    int phase = atomic_load(&streaming->phase);
    if (phase == WAITING) {
        return API_NEXT_LATER;
    }
    if (phase != READING) {
        *out_status = phase == ENDED ? streaming->status : (struct api_status){GRPC_CODE_OK, ""};
        return API_NEXT_END;
    }
    struct err err = make_chunk(streaming, out);
    if (err_is(err)) {
        atomic_store(&streaming->phase, ENDED);
        streaming->status = IS(err, TOO_BIG) ? weigh_too_large() : api_status_of(err);
        *out_status = streaming->status;
        return API_NEXT_END;
    }
    return API_NEXT_MESSAGE;
}

/* The gate may have let a chunk in that is not made any more. */
static void stream_close(struct api_stream *stream)
{
    struct streaming *streaming = stream->state;
    struct gate *gate = streaming->gate;
    if (late_close(&streaming->late)) {
        size_t bytes = atomic_load(&streaming->phase) == READING ? streaming->pass.bytes : 0;
        streaming_free(streaming);
        if (bytes) {
            gate_leave(gate, bytes);
        }
    }
}

const struct api_ops api_kv_range_stream = {
    .open = stream_open,
    .message = stream_message,
    .half_close = stream_half_close,
    .next = stream_next,
    .close = stream_close,
};
