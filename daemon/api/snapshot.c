/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance.Snapshot: a bbolt file of everything, in chunks of 32 KiB, each with the bytes that
 * remain after it; then the SHA-256 of what was sent. The file is made on the back thread,
 * unlinked, and read as the client takes it.
 */
#include "api/queue.h"

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
    struct api_stream *stream; /* gone once is_closed */
    pthread_mutex_t mutex;     /* between the back thread and close */
    _Atomic int phase;
    bool is_closed; /* under mutex: the job frees what is left */
    bool is_asked;
    bool is_counted; /* among files */
    bool is_making;  /* under mutex */
    struct snap_export *export;
    uint64_t bytes;
    uint64_t at;
    struct err err;
};

static atomic_int files;

static void sending_free(struct sending *sending)
{
    snap_export_close(sending->export);
    if (sending->is_counted) {
        atomic_fetch_sub(&files, 1);
    }
    pthread_mutex_destroy(&sending->mutex);
    free(sending);
}

static void snapshot_open(struct api *api, struct api_stream *stream)
{
    struct sending *sending = mem_new(sizeof(*sending));
    sending->api = api;
    sending->stream = stream;
    pthread_mutex_init(&sending->mutex, NULL);
    stream->state = sending;
}

static bool is_wanted(struct sending *sending)
{
    pthread_mutex_lock(&sending->mutex);
    bool is_closed = sending->is_closed;
    pthread_mutex_unlock(&sending->mutex);
    return !is_closed;
}

/* The job may have waited longer than its client: then no file is made. */
static void make(struct server_job *job)
{
    struct sending *sending = CONTAINER_OF(job, struct sending, job);
    const struct api_options *options = &sending->api->options;
    struct why why = {""};
    struct snap_export *export = NULL;
    struct err err = ERR(STOPPED);
    if (is_wanted(sending)) {
        err = options->snapshot_open(options->snapshot_arg, &export, &why);
        if (err_is(err)) {
            LOG_WARN("failed to make a snapshot", LOG_ERR(why.text));
        }
    }
    pthread_mutex_lock(&sending->mutex);
    bool is_closed = sending->is_closed;
    sending->is_making = false;
    sending->export = export;
    sending->bytes = export ? snap_export_bytes(export) : 0;
    sending->err = err;
    if (!is_closed) {
        atomic_store(&sending->phase, err_is(err) ? FAILED : SENDING);
        sending->stream->wake(sending->stream);
    }
    pthread_mutex_unlock(&sending->mutex);
    if (is_closed) {
        sending_free(sending);
    }
}

static void fail(struct sending *sending, struct err err)
{
    sending->err = err;
    atomic_store(&sending->phase, FAILED);
    sending->stream->wake(sending->stream);
}

static void snapshot_message(struct api_stream *stream, struct slice message)
{
    struct sending *sending = stream->state;
    (void)message; /* the request has no fields */
    if (sending->is_asked) {
        return;
    }
    sending->is_asked = true;
    sending->is_counted = true;
    if (atomic_fetch_add(&files, 1) >= FILES_MAX) {
        fail(sending, ERR(REQUEST_TOO_MANY_REQUESTS));
        return;
    }
    sending->is_making = true;
    sending->job.run = make;
    if (!server_run(stream->api->server, &sending->job)) {
        sending->is_making = false;
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
    buf_init(&message, CHUNK + 256);
    api_add_header(sending->stream->api, &message, mvcc_revision(sending->stream->api->mvcc));
    wire_add_varint_nz(&message, 2, sending->bytes - sending->at);
    wire_add_bytes_nz(&message, 3, blob);
    wire_add_bytes_nz(&message, 4, slice_str(KETCD_CLUSTER_VERSION));
    payload_init(out);
    payload_add_buf(out, &message);
}

static enum api_next send_chunk(
    struct sending *sending, struct payload *out, struct api_status *out_status)
{
    uint8_t chunk[CHUNK];
    uint8_t hash[SNAP_SHA_BYTES];
    size_t got = 0;
    if (sending->at == sending->bytes) {
        snap_export_sha256(sending->export, hash);
        atomic_store(&sending->phase, HASHED);
        add_message(sending, slice_of(hash, sizeof(hash)), out);
        return API_NEXT_MESSAGE;
    }
    struct err err = snap_export_read(sending->export, chunk, sizeof(chunk), &got, NULL);
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
        *out_status = api_status_of(sending->err);
        return API_NEXT_END;
    }
}

static void snapshot_close(struct api_stream *stream)
{
    struct sending *sending = stream->state;
    pthread_mutex_lock(&sending->mutex);
    bool is_making = sending->is_making;
    sending->is_closed = true;
    pthread_mutex_unlock(&sending->mutex);
    if (!is_making) {
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
