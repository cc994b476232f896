/* SPDX-License-Identifier: Apache-2.0
 * Range answers what the reference answered; leases are kept alive for ever; a watch tells of its
 * creation, then waits; a snapshot is 4 MiB. */
#include "fake_api.h"

#include "base/clock.h"
#include "base/pb.h"

#include <rpc.pb-c.h>

struct fake fake = {.mutex = PTHREAD_MUTEX_INITIALIZER};

enum { SNAPSHOT_CHUNKS = 128, SNAPSHOT_CHUNK = 32 << 10 };

#define METHOD(service, name, kind, request, response)                                             \
    {                                                                                              \
        "/etcdserverpb." service "/" name, kind, &etcdserverpb__##request##_request__descriptor,   \
            &etcdserverpb__##response##_response__descriptor, NULL                                 \
    }

static const struct api_method methods[] = {
    METHOD("KV", "Range", API_UNARY, range, range),
    METHOD("KV", "Put", API_UNARY, put, put),
    METHOD("KV", "Txn", API_UNARY, txn, txn),
    METHOD("Maintenance", "Status", API_UNARY, status, status),
    METHOD("Maintenance", "Defragment", API_UNARY, defragment, defragment),
    METHOD("Maintenance", "Snapshot", API_SERVER_STREAM, snapshot, snapshot),
    METHOD("Lease", "LeaseKeepAlive", API_BIDI, lease_keep_alive, lease_keep_alive),
    METHOD("Watch", "Watch", API_BIDI, watch, watch),
};

void fake_reset(void)
{
    pthread_mutex_t mutex = fake.mutex;
    fake = (struct fake){.leader = 1, .mutex = mutex};
}

int fake_open_streams(void)
{
    pthread_mutex_lock(&fake.mutex);
    int count = fake.open_streams;
    pthread_mutex_unlock(&fake.mutex);
    return count;
}

const struct api_method *api_method_find(struct slice path)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (slice_eq(path, slice_str(methods[i].path))) {
            return &methods[i];
        }
    }
    return NULL;
}

void api_measure(struct api *api)
{
    (void)api;
}

const char *api_server_version(void)
{
    return "3.6.99";
}

const char *api_storage_version(struct api *api)
{
    (void)api;
    return "3.6.0";
}

const char *api_cluster_version(struct api *api)
{
    (void)api;
    return "3.6.0";
}

bool api_is_auth_enabled(struct api *api)
{
    (void)api;
    return atomic_load(&fake.is_auth_enabled);
}

static void copy_text(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

static void *call_done(void *arg)
{
    struct api_call *call = arg;
    call->done(call);
    return NULL;
}

/* Half of the calls are done on another thread. */
void api_call_start(struct api *api, struct api_call *call)
{
    static unsigned count;
    pthread_t thread;
    (void)api;
    pthread_mutex_lock(&fake.mutex);
    copy_text(fake.token, sizeof(fake.token), call->caller.token);
    copy_text(fake.client_version, sizeof(fake.client_version), call->caller.client_version);
    fake.had_leader = call->caller.has_leader;
    fake.was_internal = call->caller.is_internal;
    fake.deadline_ns = call->deadline_ns;
    pthread_mutex_unlock(&fake.mutex);
    if (api_call_is_patient(call->method)) {
        return;
    }
    if (count++ % 2) {
        call->done(call);
        return;
    }
    check(pthread_create(&thread, NULL, call_done, call) == 0);
    pthread_detach(thread);
}

/* A transaction waits until its client is gone. */
bool api_call_is_patient(const struct api_method *method)
{
    return method->request == &etcdserverpb__txn_request__descriptor;
}

void api_call_cancel(struct api_call *call)
{
    pthread_mutex_lock(&fake.mutex);
    fake.cancelled_calls++;
    pthread_mutex_unlock(&fake.mutex);
    call->done(call);
}

static void add_message(struct payload *payload, const void *message)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    pb_pack(message, &buf);
    payload_add_buf(payload, &buf);
}

static Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;

static void fill_header(void)
{
    header.cluster_id = 414561183332360902;
    header.member_id = UINT64_C(15803163887843120258);
    header.revision = 2;
    header.raft_term = 2;
}

static void count_release(void *owner)
{
    (void)owner;
    atomic_fetch_add(&fake.released, 1);
}

static void count_empty(void *owner)
{
    (void)owner;
    atomic_fetch_add(&fake.emptied, 1);
}

static void answer_range(struct api_call *call, struct payload *payload, struct api_status *status)
{
    Etcdserverpb__RangeRequest *request;
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs[] = {&kv, &kv};
    check(!err_is(pb_unpack(call->method->request, call->arena, call->request, &request)));
    if (request->key.len == 0) {
        *status =
            (struct api_status){GRPC_CODE_INVALID_ARGUMENT, "etcdserver: key is not provided"};
        return;
    }
    if (!request->serializable && fake.linear_code) {
        *status = (struct api_status){fake.linear_code, fake.linear_text};
        return;
    }
    kv.key = request->key;
    kv.create_revision = kv.mod_revision = 2;
    kv.version = 1;
    kv.value = request->keys_only ? (ProtobufCBinaryData){0} : pb_bytes(SLICE("bar"));
    if (fake.weighs) {
        kv.value = (ProtobufCBinaryData){fake.weighs, arena_zalloc(call->arena, fake.weighs)};
        payload_set_home(payload, (struct payload_home){count_release, count_empty, &fake});
    }
    response.header = &header;
    response.kvs = kvs;
    response.n_kvs = request->range_end.len ? 2 : 1;
    response.count = (int64_t)response.n_kvs;
    add_message(payload, &response);
}

static void answer_status(struct payload *payload)
{
    Etcdserverpb__StatusResponse response = ETCDSERVERPB__STATUS_RESPONSE__INIT;
    response.header = &header;
    response.leader = fake.leader;
    response.islearner = fake.is_learner;
    static const char *const alarms[] = {"", "memberID:1 alarm:NOSPACE ",
        "memberID:1 alarm:CORRUPT ", "memberID:1 alarm:99 ", "memberID:1 "};
    const char *errors[] = {"etcdserver: no leader", alarms[fake.alarm]};
    response.errors = (char **)(uintptr_t)errors;
    response.n_errors = fake.alarm ? 2 : 1;
    add_message(payload, &response);
}

void api_call_finish(
    struct api_call *call, struct payload *out_payload, struct api_status *out_status)
{
    Etcdserverpb__PutResponse put = ETCDSERVERPB__PUT_RESPONSE__INIT;
    fill_header();
    *out_status = (struct api_status){fake.code, fake.text};
    if (fake.code) {
        return;
    }
    if (call->method->response == &etcdserverpb__range_response__descriptor) {
        answer_range(call, out_payload, out_status);
    } else if (call->method->response == &etcdserverpb__status_response__descriptor) {
        answer_status(out_payload);
    } else if (call->method->response == &etcdserverpb__put_response__descriptor) {
        put.header = &header;
        add_message(out_payload, &put);
    }
}

struct fake_stream {
    uint64_t ids[64];
    size_t count;
    size_t next;
    bool is_closed;
};

void api_stream_open(struct api *api, struct api_stream *stream)
{
    (void)api;
    stream->state = arena_zalloc(stream->arena, sizeof(struct fake_stream));
    pthread_mutex_lock(&fake.mutex);
    fake.open_streams++;
    pthread_mutex_unlock(&fake.mutex);
}

void api_stream_message(struct api_stream *stream, struct slice message)
{
    struct fake_stream *state = stream->state;
    Etcdserverpb__LeaseKeepAliveRequest *keep_alive;
    uint64_t id = 0;
    if (stream->method->request == &etcdserverpb__lease_keep_alive_request__descriptor) {
        check(!err_is(pb_unpack(stream->method->request, stream->arena, message, &keep_alive)));
        id = (uint64_t)keep_alive->id;
    }
    check(state->count < COUNT_OF(state->ids));
    state->ids[state->count++] = id;
    if (stream->method->kind == API_SERVER_STREAM) {
        state->count = SNAPSHOT_CHUNKS;
    }
    stream->wake(stream);
}

void api_stream_half_close(struct api_stream *stream)
{
    ((struct fake_stream *)stream->state)->is_closed = true;
    stream->wake(stream);
}

static void next_message(struct api_stream *stream, uint64_t id, struct payload *out_payload)
{
    Etcdserverpb__LeaseKeepAliveResponse keep_alive = ETCDSERVERPB__LEASE_KEEP_ALIVE_RESPONSE__INIT;
    Etcdserverpb__WatchResponse watch = ETCDSERVERPB__WATCH_RESPONSE__INIT;
    Etcdserverpb__SnapshotResponse snapshot = ETCDSERVERPB__SNAPSHOT_RESPONSE__INIT;
    static uint8_t chunk[SNAPSHOT_CHUNK];
    fill_header();
    if (stream->method->response == &etcdserverpb__lease_keep_alive_response__descriptor) {
        keep_alive.header = &header;
        keep_alive.id = (int64_t)id;
        keep_alive.ttl = 10;
        add_message(out_payload, &keep_alive);
    } else if (stream->method->response == &etcdserverpb__snapshot_response__descriptor) {
        snapshot.blob = (ProtobufCBinaryData){sizeof(chunk), chunk};
        add_message(out_payload, &snapshot);
    } else {
        watch.header = &header;
        watch.created = true;
        watch.cancel_reason = (char *)(uintptr_t) "<&>";
        add_message(out_payload, &watch);
    }
}

enum api_next api_stream_next(
    struct api_stream *stream, struct payload *out_payload, struct api_status *out_status)
{
    struct fake_stream *state = stream->state;
    bool is_watch = stream->method->response == &etcdserverpb__watch_response__descriptor;
    bool is_snapshot = stream->method->kind == API_SERVER_STREAM;
    if (state->next < state->count && !(fake.end_code && is_snapshot)) {
        size_t at = state->next++;
        next_message(stream, is_snapshot ? 0 : state->ids[at], out_payload);
        return API_NEXT_MESSAGE;
    }
    if (state->is_closed && !is_watch) {
        *out_status = (struct api_status){fake.end_code, fake.end_text};
        return API_NEXT_END;
    }
    return API_NEXT_LATER;
}

void api_stream_close(struct api_stream *stream)
{
    (void)stream;
    pthread_mutex_lock(&fake.mutex);
    fake.open_streams--;
    pthread_mutex_unlock(&fake.mutex);
}
