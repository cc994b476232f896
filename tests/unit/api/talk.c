/* SPDX-License-Identifier: Apache-2.0 */
#include "talk.h"

#include "base/mem.h"
#include "tests/shared/memory_backend.h"

int talk_setup(void **state)
{
    struct talk *talk = mem_new(sizeof(*talk));
    talk->server = alone_open("/m");
    talk->arena = arena_new(0);
    talk->api = api_new_service(&(struct api_options){
        .server = talk->server, .txn_ops_max = 128, .request_bytes_max = TALK_REQUEST_BYTES_MAX});
    *state = talk;
    return 0;
}

int talk_teardown(void **state)
{
    struct talk *talk = *state;
    api_free(talk->api);
    alone_close(talk->server);
    arena_free(talk->arena);
    memory_backend_forget();
    free(talk);
    return 0;
}

/* The payload's bytes, in the arena; the payload is gone. */
static struct slice flat(struct talk *talk, struct payload *payload)
{
    uint8_t *bytes = arena_alloc(talk->arena, payload->bytes + 1);
    size_t len = 0;
    for (size_t i = 0; i < payload->count; i++) {
        if (payload->parts[i].bytes.len > 0) {
            memcpy(bytes + len, payload->parts[i].bytes.data, payload->parts[i].bytes.len);
        }
        len += payload->parts[i].bytes.len;
    }
    assert_int_equal(len, payload->bytes);
    payload_fini(payload);
    return slice_of(bytes, len);
}

static void *unpacked(
    struct talk *talk, const ProtobufCMessageDescriptor *type, struct payload *payload)
{
    void *message;
    assert_false(err_is(pb_unpack(type, talk->arena, flat(talk, payload), &message)));
    return message;
}

static void done(struct api_call *call)
{
    *(int *)call->edge += 1;
}

void *talk_ask(
    struct talk *talk, const char *path, const void *request, struct api_status *out_status)
{
    int dones = 0;
    struct payload payload;
    struct api_status status;
    struct arena *arena = arena_new(0);
    void *response = NULL;
    struct api_call call = {.method = api_method_find(slice_str(path)),
        .arena = arena,
        .deadline_ns = INT64_MAX,
        .done = done,
        .edge = &dones};
    assert_non_null(call.method);
    call.request = pb_pack_arena(request, arena);
    api_call_start(talk->api, &call);
    if (!dones) {
        alone_run(talk->server);
    }
    assert_int_equal(dones, 1);
    api_call_finish(&call, &payload, &status);
    if (status.code == GRPC_CODE_OK) {
        response = unpacked(talk, call.method->response, &payload);
    }
    arena_free(arena);
    if (out_status) {
        *out_status = status;
    } else if (status.code != GRPC_CODE_OK) {
        fail_msg("%s: %s", path, status.text);
    }
    return response;
}

void talk_fails(
    struct talk *talk, const char *path, const void *request, enum grpc_code code, const char *text)
{
    struct api_status status;
    assert_null(talk_ask(talk, path, request, &status));
    assert_string_equal(status.text, text);
    assert_int_equal(status.code, code);
}

ProtobufCBinaryData talk_text(const char *text)
{
    return pb_bytes(slice_str(text));
}

int64_t talk_put(struct talk *talk, const char *key, const char *value)
{
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    request.key = talk_text(key);
    request.value = talk_text(value);
    Etcdserverpb__PutResponse *response = talk_ask(talk, "/etcdserverpb.KV/Put", &request, NULL);
    return response->header->revision;
}

void talk_delete(struct talk *talk, const char *key, const char *end)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    request.key = talk_text(key);
    request.range_end = talk_text(end);
    talk_ask(talk, "/etcdserverpb.KV/DeleteRange", &request, NULL);
}

void talk_compact(struct talk *talk, int64_t rev)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    request.revision = rev;
    request.physical = true;
    talk_ask(talk, "/etcdserverpb.KV/Compact", &request, NULL);
}

static void wake(struct api_stream *stream)
{
    CONTAINER_OF(stream, struct talk_stream, stream)->wakes++;
}

void talk_open(struct talk *talk, struct talk_stream *stream, const char *path, bool needs_leader)
{
    *stream = (struct talk_stream){.talk = talk,
        .stream = {.method = api_method_find(slice_str(path)),
            .arena = arena_new(0),
            .caller.has_leader = needs_leader,
            .wake = wake}};
    assert_non_null(stream->stream.method);
    api_stream_open(talk->api, &stream->stream);
}

void talk_send(struct talk_stream *stream, const void *message)
{
    struct buf packed;
    buf_init(&packed, SIZE_MAX);
    pb_pack(message, &packed);
    api_stream_message(&stream->stream, buf_slice(&packed));
    buf_fini(&packed); /* the bytes were lent for the call only */
}

void *talk_next(struct talk_stream *stream)
{
    struct payload payload;
    stream->last = api_stream_next(&stream->stream, &payload, &stream->status);
    return stream->last == API_NEXT_MESSAGE
               ? unpacked(stream->talk, stream->stream.method->response, &payload)
               : NULL;
}

void talk_is_quiet(struct talk_stream *stream)
{
    assert_null(talk_next(stream));
    assert_int_equal(stream->last, API_NEXT_LATER);
}

void talk_has_ended(struct talk_stream *stream, enum grpc_code code, const char *text)
{
    assert_true(stream->wakes > 0); /* or the edge would not ask */
    assert_null(talk_next(stream));
    assert_int_equal(stream->last, API_NEXT_END);
    assert_string_equal(stream->status.text, text);
    assert_int_equal(stream->status.code, code);
}

void talk_close(struct talk_stream *stream)
{
    api_stream_close(&stream->stream);
    arena_free(stream->stream.arena);
}

void talk_header(const Etcdserverpb__ResponseHeader *header, int64_t rev)
{
    assert_non_null(header);
    assert_int_equal(header->cluster_id, STORE_CLUSTER_ID);
    assert_int_equal(header->member_id, STORE_MEMBER_ID);
    assert_int_equal(header->raft_term, ALONE_TERM);
    assert_int_equal(header->revision, rev);
}
