/* SPDX-License-Identifier: Apache-2.0
 * Packed requests of any bytes to any method, unary and streams, of a member without threads:
 * every call is answered once, every answer can be unpacked, nothing is left behind.
 *
 * Input: messages, each a byte that picks the method, a byte of flags (1: the leader is wanted,
 * 2: the leader is lost or found, 4: what would wait does wait, 8: the stream's client half closes,
 * 16: its edge takes what is there, 32: its client goes away) and be16 length and that many
 * bytes. */
#include "base/mem.h"
#include "base/pb.h"
#include "tests/shared/alone.h"
#include "tests/shared/memory_backend.h"

#include "api/api.h"

#include <sched.h>
#include <stdatomic.h>

enum {
    MESSAGES_MAX = 32,
    STREAMS_MAX = 8,
    PATIENCE = 1000,
    NEEDS_LEADER = 1,
    TOGGLE_LEADER = 2,
    HOLD = 4,
    HALF_CLOSE = 8,
    TAKE = 16,
    LEAVE = 32,
    HEAD = 4,
};

struct message {
    const struct api_method *method;
    unsigned flags;
    struct slice bytes;
};

struct edge {
    struct api *api;
    struct server *server;
    struct api_stream streams[STREAMS_MAX]; /* one a method; method NULL: not open */
    bool has_leader;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct err no_snapshot(
    void *arg, const struct snapshot_order *order, struct snapshot_export **out, struct why *why)
{
    (void)arg;
    (void)order;
    (void)out;
    return why_set(why, ERR(IO), "there is none");
}

static void done(struct api_call *call)
{
    atomic_fetch_add((atomic_int *)call->edge, 1);
}

static void wake(struct api_stream *stream)
{
    *(int *)stream->edge += 1;
}

/* It is a message of that type. */
static void check_payload(const ProtobufCMessageDescriptor *type, struct payload *payload)
{
    struct arena *arena = arena_new(0);
    struct buf flat;
    void *message;
    buf_init(&flat, SIZE_MAX);
    for (size_t i = 0; i < payload->count; i++) {
        buf_add_slice(&flat, payload->parts[i].bytes);
    }
    check(flat.len == payload->bytes);
    check(!err_is(pb_unpack(type, arena, buf_slice(&flat), &message)));
    buf_fini(&flat);
    arena_free(arena);
    payload_fini(payload);
}

static void call(struct edge *edge, const struct message *message)
{
    atomic_int dones = 0;
    struct payload payload;
    struct api_status status;
    struct arena *arena = arena_new(16 << 20);
    struct api_call call = {.method = message->method,
        .arena = arena,
        .request = message->bytes,
        .caller.has_leader = message->flags & NEEDS_LEADER,
        .deadline_ns = INT64_MAX,
        .done = done,
        .edge = &dones};
    api_call_start(edge->api, &call);
    alone_run(edge->server);
    /* Passwords and large answers have threads of their own. Whose turn at a lock never comes gives
     * up. */
    for (int looks = 0; atomic_load(&dones) == 0; looks++) {
        sched_yield();
        alone_run(edge->server);
        if (looks == PATIENCE && api_call_is_patient(message->method)) {
            api_call_cancel(&call);
        }
    }
    check(atomic_load(&dones) == 1);
    api_call_finish(&call, &payload, &status);
    check((status.code == GRPC_CODE_OK) || (status.text[0] && payload.bytes == 0));
    if (status.code == GRPC_CODE_OK) {
        check_payload(message->method->response, &payload);
    }
    arena_free(arena);
}

static struct api_stream *stream_of(struct edge *edge, const struct message *message)
{
    struct api_stream *unused = NULL;
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (edge->streams[i].method == message->method) {
            return &edge->streams[i];
        }
        unused = edge->streams[i].method ? unused : &edge->streams[i];
    }
    check(unused);
    *unused = (struct api_stream){.method = message->method,
        .arena = arena_new(1 << 20),
        .caller.has_leader = message->flags & NEEDS_LEADER,
        .wake = wake,
        .edge = mem_new(sizeof(int))};
    api_stream_open(edge->api, unused);
    return unused;
}

static void leave(struct api_stream *stream)
{
    if (stream->method) {
        api_stream_close(stream);
        arena_free(stream->arena);
        free(stream->edge);
        stream->method = NULL;
    }
}

/* What there is to send; the stream is over with its end. */
static void take(struct api_stream *stream)
{
    struct payload payload;
    struct api_status status = {GRPC_CODE_OK, ""};
    enum api_next next;
    while ((next = api_stream_next(stream, &payload, &status)) == API_NEXT_MESSAGE) {
        check_payload(stream->method->response, &payload);
    }
    if (next == API_NEXT_END) {
        check(status.code == GRPC_CODE_OK || status.text[0]);
        leave(stream);
    }
}

static void talk(struct edge *edge, const struct message *message)
{
    struct api_stream *stream = stream_of(edge, message);
    api_stream_message(stream, message->bytes);
    if (message->flags & HALF_CLOSE) {
        api_stream_half_close(stream);
    }
    if (message->flags & TAKE) {
        alone_sync(edge->server);
        take(stream);
    }
    if (message->flags & LEAVE) {
        leave(stream);
    }
}

static bool next_message(struct slice *rest, struct message *out)
{
    size_t count;
    const struct api_method *methods = api_methods(&count);
    if (rest->len < HEAD) {
        return false;
    }
    size_t len = (size_t)rest->data[2] << 8 | rest->data[3];
    len = len < rest->len - HEAD ? len : rest->len - HEAD;
    *out = (struct message){
        &methods[rest->data[0] % count], rest->data[1], slice_of(rest->data + HEAD, len)};
    *rest = slice_of(rest->data + HEAD + len, rest->len - HEAD - len);
    return true;
}

static void play(struct edge *edge, struct slice rest)
{
    struct message message;
    for (int i = 0; i < MESSAGES_MAX && next_message(&rest, &message); i++) {
        if (message.flags & TOGGLE_LEADER) {
            edge->has_leader = !edge->has_leader;
            alone_set_leader(edge->server, edge->has_leader);
        }
        alone_hold(edge->server, message.flags & HOLD);
        if (message.method->kind == API_UNARY) {
            call(edge, &message);
        } else {
            talk(edge, &message);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct edge edge = {.server = alone_open("/m"), .has_leader = true};
    edge.api = api_new_service(&(struct api_options){.server = edge.server,
        .txn_ops_max = 128,
        .request_bytes_max = 2000,
        .snapshot_open = no_snapshot});
    play(&edge, slice_of(data, size));
    alone_sync(edge.server);
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (edge.streams[i].method && i % 2) {
            take(&edge.streams[i]);
        }
        leave(&edge.streams[i]);
    }
    alone_hold(edge.server, false); /* what a lock's walk asks for from here on is not held */
    alone_run(edge.server);
    api_free(edge.api);
    alone_close(edge.server);
    memory_backend_forget();
    return 0;
}
