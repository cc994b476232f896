/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams, whichever the method: who is refused at the door, and who is told to go because no
 * leader is known any more. A client that wants a leader (kube-apiserver's watches do) turns to
 * another member then, instead of taking silence for news. Who brings a token that another member
 * gave out a moment ago waits for it.
 */
#include "api/held.h"
#include "api/methods.h"

static const struct api_ops *ops_of(const struct api_stream *stream)
{
    return err_is(stream->refusal) ? NULL : stream->method->ops;
}

/* A learner streams nothing but snapshots. */
static struct err admit(struct api *api, const struct api_stream *stream)
{
    struct server_status status;
    if (stream->method->ops != &api_maintenance_snapshot && !stream->caller.is_internal &&
        member_self_is_learner(server_options_get(api->server)->members)) {
        return ERR(NOT_SUPPORTED_FOR_LEARNER);
    }
    TRY(api_count_request(api, "stream", &stream->caller));
    if (!stream->caller.has_leader) {
        return OK;
    }
    server_status_get(api->server, &status);
    return status.leader ? OK : ERR(NO_LEADER);
}

static void list_led(struct api *api, struct api_stream *stream)
{
    pthread_mutex_lock(&api->led_mutex);
    list_push(&api->led, &stream->led);
    pthread_mutex_unlock(&api->led_mutex);
}

/* The mutex keeps them from being closed meanwhile. */
void api_leaderless(void *arg)
{
    struct api *api = arg;
    struct list *node;
    pthread_mutex_lock(&api->led_mutex);
    while ((node = list_pop(&api->led))) {
        struct api_stream *stream = LIST_ITEM(node, struct api_stream, led);
        atomic_store(&stream->is_leaderless, true);
        stream->wake(stream);
    }
    pthread_mutex_unlock(&api->led_mutex);
}

/* Listed before the leader is looked for: whoever finds one hears of its loss. */
void api_stream_open(struct api *api, struct api_stream *stream)
{
    stream->api = api;
    list_init(&stream->led);
    if (stream->caller.has_leader) {
        list_led(api, stream);
    }
    stream->refusal = admit(api, stream);
    if (ops_of(stream)) {
        ops_of(stream)->open(api, stream);
    } else {
        stream->wake(stream);
    }
}

void api_stream_message(struct api_stream *stream, struct slice message)
{
    if (!ops_of(stream)) {
        return;
    }
    if (!stream->has_message) {
        stream->has_message = true;
        atomic_store(&stream->held, held_new(stream));
    }
    struct held *held = atomic_load(&stream->held);
    if (!held || !held_message(held, message)) {
        ops_of(stream)->message(stream, message);
    }
}

void api_stream_half_close(struct api_stream *stream)
{
    struct held *held = atomic_load(&stream->held);
    if (ops_of(stream) && (!held || !held_half_close(held))) {
        ops_of(stream)->half_close(stream);
    }
}

enum api_next api_stream_next(
    struct api_stream *stream, struct payload *out_payload, struct api_status *out_status)
{
    bool is_leaderless = atomic_load_explicit(&stream->is_leaderless, memory_order_acquire);
    if (err_is(stream->refusal) || is_leaderless) {
        *out_status = api_status_of(err_is(stream->refusal) ? stream->refusal : ERR(NO_LEADER));
        return API_NEXT_END;
    }
    struct held *held = atomic_load(&stream->held);
    enum held_state state = held ? held_look(held) : HELD_OVER;
    if (state == HELD_FULL) {
        *out_status = api_status_of(ERR(REQUEST_TOO_MANY_REQUESTS));
        return API_NEXT_END;
    }
    return state == HELD_WAITING ? API_NEXT_LATER
                                 : ops_of(stream)->next(stream, out_payload, out_status);
}

void api_stream_close(struct api_stream *stream)
{
    if (stream->caller.has_leader) {
        pthread_mutex_lock(&stream->api->led_mutex);
        list_remove(&stream->led);
        pthread_mutex_unlock(&stream->api->led_mutex);
    }
    if (ops_of(stream)) {
        ops_of(stream)->close(stream);
    }
    held_close(atomic_load(&stream->held));
}
