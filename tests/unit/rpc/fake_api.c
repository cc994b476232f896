/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_api.h"

#include "base/mailbox.h"
#include "base/mem.h"
#include "base/pb.h"

#include <rpc.pb-c.h>
#include <stdatomic.h>
#include <unistd.h>

struct api_ops {
    int unused;
};

struct api {
    struct mailbox box; /* of struct job */
    pthread_t thread;
    pthread_mutex_t mutex;
    struct list held;
    size_t held_count;
    bool is_released;
    pthread_cond_t released;
    size_t finishing;
    size_t finishing_max;
    atomic_size_t streams;
    atomic_uint nap_doublings;
};

struct job {
    struct list node;
    struct api_call *call;      /* to be ended */
    struct fake_stream *stream; /* to be woken */
    size_t bytes;               /* with an answer of that many */
    bool is_end;
};

struct fake_stream {
    pthread_mutex_t mutex;
    struct api_stream *stream;
    struct list answers; /* of struct job */
    bool is_half_closed;
    bool is_closed;
    size_t chunks;
    atomic_uint refs; /* the edge's and one a job */
};

static atomic_size_t part_releases;
static const struct api_ops ops;

static const struct api_method table[] = {
    {"/etcdserverpb.KV/Range", API_UNARY, &etcdserverpb__range_request__descriptor,
        &etcdserverpb__range_response__descriptor, &ops},
    {"/etcdserverpb.KV/Put", API_UNARY, &etcdserverpb__put_request__descriptor,
        &etcdserverpb__put_response__descriptor, &ops},
    {"/etcdserverpb.KV/Compact", API_UNARY, &etcdserverpb__compaction_request__descriptor,
        &etcdserverpb__compaction_response__descriptor, NULL},
    {"/etcdserverpb.Watch/Watch", API_BIDI, &etcdserverpb__watch_request__descriptor,
        &etcdserverpb__watch_response__descriptor, &ops},
    {"/etcdserverpb.Maintenance/Snapshot", API_SERVER_STREAM,
        &etcdserverpb__snapshot_request__descriptor, &etcdserverpb__snapshot_response__descriptor,
        &ops},
};

const struct api_method *api_methods(size_t *out_count)
{
    *out_count = COUNT_OF(table);
    return table;
}

const struct api_method *api_method_find(struct slice path)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (slice_eq(path, slice_str(table[i].path))) {
            return &table[i];
        }
    }
    return NULL;
}

static void stream_unref(struct fake_stream *fake)
{
    if (atomic_fetch_sub(&fake->refs, 1) != 1) {
        return;
    }
    struct list *node;
    while ((node = list_pop(&fake->answers))) {
        free(LIST_ITEM(node, struct job, node));
    }
    pthread_mutex_destroy(&fake->mutex);
    free(fake);
}

static void run_job(struct job *job)
{
    struct fake_stream *fake = job->stream;
    if (job->call) {
        struct api_call *call = job->call;
        free(job);
        call->done(call);
        return;
    }
    pthread_mutex_lock(&fake->mutex);
    if (fake->is_closed) {
        free(job);
    } else {
        list_push(&fake->answers, &job->node);
        fake->stream->wake(fake->stream);
    }
    pthread_mutex_unlock(&fake->mutex);
    stream_unref(fake);
}

static void *worker(void *arg)
{
    struct api *api = arg;
    struct list jobs;
    list_init(&jobs);
    for (;;) {
        size_t count = mailbox_take(&api->box, &jobs, -1);
        struct list *node;
        if (count == 0 && mailbox_is_closed(&api->box)) {
            return NULL;
        }
        while ((node = list_pop(&jobs))) {
            run_job(LIST_ITEM(node, struct job, node));
        }
    }
}

struct api *fake_api_new(void)
{
    struct api *api = mem_new(sizeof(*api));
    mailbox_init(&api->box, SIZE_MAX);
    pthread_mutex_init(&api->mutex, NULL);
    pthread_cond_init(&api->released, NULL);
    list_init(&api->held);
    check(pthread_create(&api->thread, NULL, worker, api) == 0);
    return api;
}

void fake_api_free(struct api *api)
{
    mailbox_close(&api->box);
    pthread_join(api->thread, NULL);
    mailbox_fini(&api->box);
    pthread_cond_destroy(&api->released);
    pthread_mutex_destroy(&api->mutex);
    free(api);
}

void fake_api_release(struct api *api)
{
    struct list held;
    struct list *node;
    list_init(&held);
    pthread_mutex_lock(&api->mutex);
    api->is_released = true;
    api->held_count = 0;
    pthread_cond_broadcast(&api->released);
    list_splice(&held, &api->held);
    pthread_mutex_unlock(&api->mutex);
    while ((node = list_pop(&held))) {
        struct api_call *call = LIST_ITEM(node, struct api_call, node);
        call->done(call);
    }
}

size_t fake_api_held(struct api *api)
{
    pthread_mutex_lock(&api->mutex);
    size_t count = api->held_count;
    pthread_mutex_unlock(&api->mutex);
    return count;
}

size_t fake_api_finishing(struct api *api)
{
    pthread_mutex_lock(&api->mutex);
    size_t count = api->finishing;
    pthread_mutex_unlock(&api->mutex);
    return count;
}

size_t fake_api_finishing_max(struct api *api)
{
    pthread_mutex_lock(&api->mutex);
    size_t count = api->finishing_max;
    pthread_mutex_unlock(&api->mutex);
    return count;
}

void fake_api_nap_longer(struct api *api, unsigned doublings)
{
    atomic_store(&api->nap_doublings,
        doublings < FAKE_NAP_DOUBLINGS_MAX ? doublings : FAKE_NAP_DOUBLINGS_MAX);
}

size_t fake_api_streams(struct api *api)
{
    return atomic_load(&api->streams);
}

size_t fake_api_part_releases(void)
{
    return atomic_load(&part_releases);
}

static bool hold(struct api *api, struct api_call *call)
{
    pthread_mutex_lock(&api->mutex);
    bool is_held = !api->is_released;
    if (is_held) {
        list_push(&api->held, &call->node);
        api->held_count++;
    }
    pthread_mutex_unlock(&api->mutex);
    return is_held;
}

static struct slice key_of(struct api_call *call)
{
    Etcdserverpb__RangeRequest *request = NULL;
    if (call->method != &table[0] ||
        err_is(pb_unpack(call->method->request, call->arena, call->request, &request))) {
        return SLICE("now");
    }
    return pb_slice(request->key);
}

void api_call_start(struct api *api, struct api_call *call)
{
    call->api = api;
    struct slice key = key_of(call);
    call->state = arena_strdup(call->arena, "");
    call->is_quick = !slice_eq(key, SLICE("long"));
    if (slice_eq(key, SLICE("later"))) {
        struct job *job = mem_new(sizeof(*job));
        job->call = call;
        check(mailbox_push(&api->box, &job->node));
        return;
    }
    if (slice_eq(key, SLICE("hold")) && hold(api, call)) {
        return;
    }
    call->done(call);
}

bool api_call_is_patient(const struct api_method *method)
{
    return method == &table[0];
}

/* A held call ends. */
void api_call_cancel(struct api_call *call)
{
    struct api *api = call->api;
    bool is_held = false;
    pthread_mutex_lock(&api->mutex);
    LIST_EACH_SAFE(node, tmp, &api->held)
    {
        if (node == &call->node) {
            list_remove(node);
            api->held_count--;
            is_held = true;
        }
    }
    pthread_mutex_unlock(&api->mutex);
    if (is_held) {
        call->done(call);
    }
}

static const char *or_dash(const char *text)
{
    return text ? text : "-";
}

static void count_release(void *owner)
{
    atomic_fetch_add(&part_releases, 1);
    free(owner);
}

static void add_response(struct api_call *call, struct slice key, struct payload *payload)
{
    struct buf buf;
    const struct api_caller *who = &call->caller;
    const char *text = arena_printf(call->arena,
        "%s cn=%s token=%s version=%s leader=%d deadline=%d%s", or_dash(who->address),
        or_dash(who->cert_cn), or_dash(who->token), or_dash(who->client_version), who->has_leader,
        call->deadline_ns != INT64_MAX, who->is_gateway ? " gateway" : "");
    Etcdserverpb__ResponseHeader header = ETCDSERVERPB__RESPONSE_HEADER__INIT;
    Etcdserverpb__RangeResponse response = ETCDSERVERPB__RANGE_RESPONSE__INIT;
    Mvccpb__KeyValue kv = MVCCPB__KEY_VALUE__INIT;
    Mvccpb__KeyValue *kvs = &kv;
    header.revision = 7;
    kv.key = pb_bytes(key);
    kv.value = slice_eq(key, SLICE("who")) ? pb_bytes(slice_str(text)) : pb_bytes(SLICE("fake"));
    kv.create_revision = kv.mod_revision = 7;
    kv.version = 1;
    response.header = &header;
    response.kvs = &kvs;
    response.n_kvs = 1;
    response.count = 1;
    buf_init(&buf, 1 << 20);
    pb_pack(&response, &buf);
    payload_add_buf(payload, &buf);
}

/* Four parts of a mebibyte that add up to one unknown field of the response. */
static void add_big(struct payload *payload)
{
    static const uint8_t head[] = {0xfa, 0x3f, 0x80, 0x80, 0x80, 0x02};
    struct buf buf;
    buf_init(&buf, 64);
    buf_add(&buf, head, sizeof(head));
    payload_add_buf(payload, &buf);
    for (int i = 0; i < 4; i++) {
        uint8_t *bytes = mem_new(1 << 20);
        struct blob *blob = blob_new(slice_of(bytes, 1 << 20));
        free(bytes);
        payload_add_blob(payload, blob);
        blob_unref(blob);
        struct payload_part *part = &payload->parts[payload->count - 1];
        part->release(part->owner);
        part->owner = mem_new(1 << 20);
        part->bytes = slice_of(part->owner, 1 << 20);
        part->release = count_release;
    }
}

static void take_time(struct api *api, bool is_until_released)
{
    pthread_mutex_lock(&api->mutex);
    api->finishing++;
    if (api->finishing > api->finishing_max) {
        api->finishing_max = api->finishing;
    }
    while (is_until_released && !api->is_released) {
        pthread_cond_wait(&api->released, &api->mutex);
    }
    pthread_mutex_unlock(&api->mutex);
    if (!is_until_released) {
        usleep(FAKE_NAP_MS * 1000U << atomic_load(&api->nap_doublings));
    }
    pthread_mutex_lock(&api->mutex);
    api->finishing--;
    pthread_mutex_unlock(&api->mutex);
}

void api_call_finish(
    struct api_call *call, struct payload *out_payload, struct api_status *out_status)
{
    struct slice key = key_of(call);
    *out_status = (struct api_status){.code = GRPC_CODE_OK};
    if (call->method != &table[0]) {
        return;
    }
    if (slice_eq(key, SLICE("long")) || slice_eq(key, SLICE("sleepy"))) {
        take_time(call->api, slice_eq(key, SLICE("long")));
    }
    if (slice_eq(key, SLICE("fail"))) {
        *out_status = (struct api_status){err_grpc(ERR(COMPACTED)), err_text(ERR(COMPACTED))};
    } else if (slice_eq(key, SLICE("big"))) {
        add_big(out_payload);
    } else {
        add_response(call, key, out_payload);
    }
}

void api_stream_open(struct api *api, struct api_stream *stream)
{
    struct fake_stream *fake = mem_new(sizeof(*fake));
    pthread_mutex_init(&fake->mutex, NULL);
    list_init(&fake->answers);
    fake->stream = stream;
    atomic_store(&fake->refs, 1);
    stream->api = api;
    stream->state = fake;
    atomic_fetch_add(&api->streams, 1);
}

void api_stream_message(struct api_stream *stream, struct slice message)
{
    struct fake_stream *fake = stream->state;
    struct job *job = mem_new(sizeof(*job));
    job->stream = fake;
    job->bytes = message.len;
    job->is_end = slice_eq(message, SLICE("end"));
    atomic_fetch_add(&fake->refs, 1);
    check(mailbox_push(&stream->api->box, &job->node));
}

void api_stream_half_close(struct api_stream *stream)
{
    struct fake_stream *fake = stream->state;
    pthread_mutex_lock(&fake->mutex);
    fake->is_half_closed = true;
    pthread_mutex_unlock(&fake->mutex);
}

static void add_zeros(struct payload *payload, size_t size)
{
    struct buf buf;
    uint8_t *bytes = mem_new(size + 1);
    buf_init(&buf, size + 1);
    buf_add(&buf, bytes, size);
    free(bytes);
    payload_add_buf(payload, &buf);
}

static enum api_next next_locked(
    struct fake_stream *fake, struct payload *out_payload, struct api_status *out_status)
{
    if (fake->stream->method->kind == API_SERVER_STREAM) {
        if (fake->chunks == FAKE_CHUNKS) {
            *out_status = (struct api_status){.code = GRPC_CODE_OK};
            return API_NEXT_END;
        }
        fake->chunks++;
        fake->stream->has_more = true; /* a chunk, or the end */
        add_zeros(out_payload, FAKE_CHUNK_BYTES);
        return API_NEXT_MESSAGE;
    }
    struct list *node = list_pop(&fake->answers);
    if (!node) {
        *out_status = (struct api_status){.code = GRPC_CODE_OK};
        return fake->is_half_closed && atomic_load(&fake->refs) == 1 ? API_NEXT_END
                                                                     : API_NEXT_LATER;
    }
    struct job *job = LIST_ITEM(node, struct job, node);
    bool is_end = job->is_end;
    if (is_end) {
        *out_status = (struct api_status){GRPC_CODE_CANCELLED, "etcdserver: watch canceled"};
    } else {
        add_zeros(out_payload, job->bytes);
        fake->stream->has_more = !list_is_empty(&fake->answers);
    }
    free(job);
    return is_end ? API_NEXT_END : API_NEXT_MESSAGE;
}

enum api_next api_stream_next(
    struct api_stream *stream, struct payload *out_payload, struct api_status *out_status)
{
    struct fake_stream *fake = stream->state;
    pthread_mutex_lock(&fake->mutex);
    enum api_next next = next_locked(fake, out_payload, out_status);
    pthread_mutex_unlock(&fake->mutex);
    return next;
}

void api_stream_close(struct api_stream *stream)
{
    struct fake_stream *fake = stream->state;
    pthread_mutex_lock(&fake->mutex);
    fake->is_closed = true;
    pthread_mutex_unlock(&fake->mutex);
    atomic_fetch_sub(&stream->api->streams, 1);
    stream_unref(fake);
}

const char *api_server_version(void)
{
    return "3.6.0";
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
