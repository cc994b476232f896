/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance.Snapshot: a bbolt file of everything, in chunks of 32 KiB, each with the bytes that
 * remain after it; then the SHA-256 of what was sent. The file is made on the back thread,
 * unlinked, and read as the client takes it.
 */
#include "api/identity.h"
#include "api/late.h"
#include "api/malformed.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/version.h"

enum {
    CHUNK = 32 * 1024,
    FILES_MAX = 4, /* each is a whole copy on the disk for as long as its client takes */
};

enum phase { MAKING, SENDING, HASHED, FAILED };

struct sending {
    struct server_job job;
    struct api *api;
    struct api_stream *stream; /* gone once closed */
    struct late late;          /* between the back thread and close */
    _Atomic int phase;
    bool is_asked;
    bool is_counted; /* among files */
    struct snapshot_export *export;
    uint64_t bytes;
    uint64_t at;
    struct err err;
    char *malformed; /* the request's fault; NULL: none */
    int64_t began_ns;
};

static atomic_int files;

static void sending_free(struct sending *sending)
{
    snapshot_export_close(sending->export);
    if (sending->is_counted) {
        atomic_fetch_sub(&files, 1);
    }
    late_fini(&sending->late);
    free(sending->malformed);
    free(sending);
}

static void snapshot_open(struct api *api, struct api_stream *stream)
{
    struct sending *sending = mem_new(sizeof(*sending));
    sending->api = api;
    sending->began_ns = clock_mono_ns();
    sending->stream = stream;
    late_init(&sending->late);
    stream->state = sending;
}

static void made(void *arg)
{
    struct sending *sending = arg;
    atomic_store(&sending->phase, err_is(sending->err) ? FAILED : SENDING);
    sending->stream->wake(sending->stream);
}

static bool is_over(void *arg)
{
    struct sending *sending = arg;
    return late_is_closed(&sending->late) || server_is_installing(sending->api->server);
}

/* The job may have waited longer than its client, or take longer, or the store is to be replaced
 * and the whole member waits for it: then no file is made. */
static void make(struct server_job *job)
{
    struct sending *sending = CONTAINER_OF(job, struct sending, job);
    const struct api_options *options = &sending->api->options;
    struct snapshot_order order = {SNAPSHOT_DATABASE, is_over, sending};
    struct why why = {""};
    sending->err = ERR(STOPPED);
    if (!is_over(sending)) {
        sending->err =
            options->snapshot_open(options->snapshot_arg, &order, &sending->export, &why);
        if (err_is(sending->err)) {
            LOG_WARN("failed to make a snapshot", LOG_ERR(why.text));
        }
    }
    if (err_is(sending->err) && server_is_installing(sending->api->server)) {
        sending->err = ERR(TIMEOUT);
    }
    sending->bytes = sending->export ? snapshot_export_bytes(sending->export) : 0;
    if (!late_arrive(&sending->late, made, sending)) {
        sending_free(sending);
    }
}

static void fail(struct sending *sending, struct err err)
{
    sending->err = err;
    atomic_store(&sending->phase, FAILED);
    sending->stream->wake(sending->stream);
}

static struct err admit(struct api_stream *stream)
{
    struct arena *arena = arena_new(0);
    struct err err = api_admit(stream->api, &stream->caller, arena, API_RIGHT_ADMIN);
    arena_free(arena);
    return err;
}

/* The request has no fields; what is not even a message is refused all the same. */
static bool is_malformed(struct sending *sending, struct slice message)
{
    Etcdserverpb__SnapshotRequest *request;
    struct arena *arena = arena_new(0);
    bool is_bad = err_is(
        pb_unpack_request(&etcdserverpb__snapshot_request__descriptor, arena, message, &request));
    if (is_bad) {
        sending->malformed = mem_strdup(
            api_malformed_message(&etcdserverpb__snapshot_request__descriptor, message, arena));
    }
    arena_free(arena);
    return is_bad;
}

static void snapshot_message(struct api_stream *stream, struct slice message)
{
    struct sending *sending = stream->state;
    if (sending->is_asked) {
        return;
    }
    sending->is_asked = true;
    if (is_malformed(sending, message)) {
        fail(sending, ERR(INTERNAL));
        return;
    }
    struct err err = admit(stream);
    if (err_is(err)) {
        fail(sending, err);
        return;
    }
    sending->is_counted = true;
    if (atomic_fetch_add(&files, 1) >= FILES_MAX) {
        fail(sending, ERR(REQUEST_TOO_MANY_REQUESTS));
        return;
    }
    late_await(&sending->late);
    sending->job.run = make;
    if (!server_run(stream->api->server, &sending->job)) {
        late_give_up(&sending->late);
        fail(sending, ERR(STOPPED));
    }
}

static void snapshot_half_close(struct api_stream *stream)
{
    (void)stream;
}

/* SnapshotResponse{header=1, remaining_bytes=2, blob=3, version=4}; etcd's remaining counts the
 * hash as not there. */
static void add_message(struct sending *sending, struct slice blob, struct payload *out)
{
    struct buf message;
    const struct server_options *options = server_options_get(sending->stream->api->server);
    const char *version = member_storage_row(options->members);
    buf_init(&message, CHUNK + 256);
    api_add_header(sending->stream->api, &message, mvcc_revision(sending->stream->api->mvcc));
    wire_add_varint_nz(&message, 2, sending->bytes - sending->at);
    wire_add_bytes_nz(&message, 3, blob);
    wire_add_bytes_nz(&message, 4, slice_str(version ? version : ""));
    payload_init(out);
    payload_add_buf(out, &message);
}

static enum api_next send_chunk(
    struct sending *sending, struct payload *out, struct api_status *out_status)
{
    uint8_t chunk[CHUNK];
    uint8_t hash[SNAPSHOT_SHA_BYTES];
    size_t got = 0;
    if (sending->at == sending->bytes) {
        snapshot_export_sha256(sending->export, hash);
        atomic_store(&sending->phase, HASHED);
        api_observe_since(sending->api->metrics.snapshot_seconds, sending->began_ns);
        add_message(sending, slice_of(hash, sizeof(hash)), out);
        return API_NEXT_MESSAGE;
    }
    struct err err = snapshot_export_read(sending->export, chunk, sizeof(chunk), &got, NULL);
    if (err_is(err) || got == 0) {
        *out_status = api_status_of(ERR(IO));
        return API_NEXT_END;
    }
    sending->at += got;
    add_message(sending, slice_of(chunk, got), out);
    return API_NEXT_MESSAGE;
}

static enum api_next snapshot_next(
    struct api_stream *stream, struct payload *out, struct api_status *out_status)
{
    struct sending *sending = stream->state;
    switch (atomic_load(&sending->phase)) {
    case MAKING:
        return API_NEXT_LATER;
    case SENDING:
        return send_chunk(sending, out, out_status);
    case HASHED:
        *out_status = (struct api_status){GRPC_CODE_OK, ""};
        return API_NEXT_END;
    default:
        *out_status = sending->malformed
                          ? (struct api_status){GRPC_CODE_INTERNAL, sending->malformed}
                          : api_status_of(sending->err);
        return API_NEXT_END;
    }
}

static void snapshot_close(struct api_stream *stream)
{
    struct sending *sending = stream->state;
    if (late_close(&sending->late)) {
        sending_free(sending);
    }
}

const struct api_ops api_maintenance_snapshot = {
    .open = snapshot_open,
    .message = snapshot_message,
    .half_close = snapshot_half_close,
    .next = snapshot_next,
    .close = snapshot_close,
};
