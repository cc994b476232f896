/* SPDX-License-Identifier: Apache-2.0 */
#include "api/held.h"

#include "api/identity.h"
#include "api/late.h"
#include "api/methods.h"

#include "base/buf.h"
#include "base/codec.h"
#include "base/mem.h"

enum { BYTES_MAX = 1024 * 1024, HEAD = 8 };

struct held {
    struct late late; /* its mutex guards the rest */
    struct server_read read;
    struct api *api;
    struct api_stream *stream;
    struct buf messages; /* each behind its length */
    size_t taken;        /* for them, of what all may take */
    bool is_half_closed;
    bool is_known;
    bool is_over;
};

bool held_take(struct api *api, size_t bytes)
{
    size_t before = atomic_fetch_add(&api->held_bytes, bytes);
    if (bytes > HELD_BYTES_MAX || before > HELD_BYTES_MAX - bytes) {
        atomic_fetch_sub(&api->held_bytes, bytes);
        return false;
    }
    return true;
}

void held_give(struct api *api, size_t bytes)
{
    atomic_fetch_sub(&api->held_bytes, bytes);
}

static void drop(struct held *held)
{
    buf_fini(&held->messages);
    held_give(held->api, held->taken);
    held->taken = 0;
}

/* It is closed and has dropped what waited. */
static void held_free(struct held *held)
{
    late_fini(&held->late);
    free(held);
}

static void deliver(void *arg)
{
    struct held *held = arg;
    held->is_known = true;
    held->stream->wake(held->stream);
}

/* Also when it was too long: then the token is nobody's. */
static void applied(struct server_read *read)
{
    struct held *held = CONTAINER_OF(read, struct held, read);
    if (!late_arrive(&held->late, deliver, held)) {
        held_free(held);
    }
}

struct held *held_new(struct api_stream *stream)
{
    uint64_t index;
    if (api_knows_token(stream->api, &stream->caller, &index)) {
        return NULL;
    }
    struct held *held = mem_new(sizeof(*held));
    late_init(&held->late);
    buf_init(&held->messages, BYTES_MAX);
    held->api = stream->api;
    held->stream = stream;
    held->read.done = applied;
    late_await(&held->late);
    server_wait_applied(stream->api->server, &held->read, index);
    return held;
}

/* With the mutex: what comes meanwhile comes after. */
static void hand_on(struct held *held)
{
    struct slice left = buf_slice(&held->messages);
    const struct api_ops *ops = held->stream->method->ops;
    held->is_over = true;
    while (left.len) {
        size_t len = (size_t)get_be64(left.data);
        ops->message(held->stream, slice_of(left.data + HEAD, len));
        left = slice_of(left.data + HEAD + len, left.len - HEAD - len);
    }
    if (held->is_half_closed) {
        ops->half_close(held->stream);
    }
    drop(held);
}

/* With the mutex. */
static enum held_state look(struct held *held)
{
    if (!held->is_over && held->messages.is_full) {
        return HELD_FULL;
    }
    if (!held->is_over && held->is_known) {
        hand_on(held);
    }
    return held->is_over ? HELD_OVER : HELD_WAITING;
}

enum held_state held_look(struct held *held)
{
    pthread_mutex_lock(&held->late.mutex);
    enum held_state state = look(held);
    pthread_mutex_unlock(&held->late.mutex);
    return state;
}

/* With the mutex. What does not fit fills it. */
static void keep(struct held *held, struct slice message)
{
    uint8_t head[HEAD];
    put_be64(head, message.len);
    if (!held->messages.is_full && held_take(held->api, HEAD + message.len)) {
        held->taken += HEAD + message.len;
        buf_add(&held->messages, head, HEAD);
        buf_add_slice(&held->messages, message);
    } else {
        held->messages.is_full = true;
    }
    if (held->messages.is_full) {
        held->stream->wake(held->stream);
    }
}

bool held_message(struct held *held, struct slice message)
{
    pthread_mutex_lock(&held->late.mutex);
    bool waits = look(held) != HELD_OVER;
    if (waits) {
        keep(held, message);
    }
    pthread_mutex_unlock(&held->late.mutex);
    return waits;
}

bool held_half_close(struct held *held)
{
    pthread_mutex_lock(&held->late.mutex);
    bool waits = look(held) != HELD_OVER;
    held->is_half_closed = waits;
    pthread_mutex_unlock(&held->late.mutex);
    return waits;
}

void held_close(struct held *held)
{
    if (!held) {
        return;
    }
    pthread_mutex_lock(&held->late.mutex);
    drop(held);
    pthread_mutex_unlock(&held->late.mutex);
    if (late_close(&held->late)) {
        held_free(held);
    }
}
