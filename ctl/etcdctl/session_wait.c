/* SPDX-License-Identifier: Apache-2.0
 *
 * What the main thread of a session waits for, and how a signal or the end of the lease ends that.
 */
#include "session_impl.h"

#include <unistd.h>

enum { RETRY_US = 100000 };

bool session_is_interrupted(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    bool is_interrupted = session->is_interrupted;
    pthread_mutex_unlock(&session->lock);
    return is_interrupted;
}

bool session_wait_end(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    while (!session->is_interrupted && !session->is_expired) {
        pthread_cond_wait(&session->changed, &session->lock);
    }
    bool is_interrupted = session->is_interrupted;
    pthread_mutex_unlock(&session->lock);
    return is_interrupted;
}

/* Whether the wait of this stream (NULL: the one that was) is over, whatever the server says. */
static struct err set_waiting(
    struct session *session, struct client_stream *stream, struct why *why)
{
    struct err err = OK;

    pthread_mutex_lock(&session->lock);
    session->waiting = stream;
    if (session->is_interrupted) {
        err = why_set(why, ERR(CANCELED), "context canceled");
    } else if (session->is_acquiring && session->is_expired) {
        err = why_set(why, ERR(LEASE_NOT_FOUND), "session expired");
    }
    pthread_mutex_unlock(&session->lock);
    return err;
}

/* What a signal does from now on. */
static struct err set_code(struct session *session, int code, struct why *why)
{
    struct err err = OK;

    pthread_mutex_lock(&session->lock);
    session->code = code;
    if (session->is_interrupted && code != STAYS) {
        err = why_set(why, ERR(CANCELED), "context canceled");
    }
    pthread_mutex_unlock(&session->lock);
    return err;
}

struct err session_call(struct session *session, const struct client_ask *ask, int code,
    void *out_response, struct why *why)
{
    struct why ignored;

    TRY(set_code(session, code, why));
    struct err err = client_call(session->client, ask, out_response, why);
    (void)err_is(set_code(session, STAYS, &ignored));
    return err;
}

/* Who only observes holds nothing; who acquires has a key to delete. */
static struct err open_watch(
    struct session *session, struct client_stream **out_stream, struct why *why)
{
    struct why ignored;

    TRY(set_code(session, session->is_acquiring ? STAYS : CMD_EXIT_OK, why));
    struct err err =
        client_stream_open(session->client, CLIENT_ASK(&client_watch, NULL, 0), out_stream, why);
    (void)err_is(set_code(session, STAYS, &ignored));
    return err;
}

static struct err send_watch(struct client_stream *stream, const struct watch_spec *spec,
    struct arena *arena, struct why *why)
{
    REQUEST(WatchRequest, watch_request, request);
    REQUEST(WatchCreateRequest, watch_create_request, create);
    create.key = pb_bytes(spec->key);
    if (spec->is_prefix) {
        create.range_end = pb_bytes(prefix_range_end(arena, spec->key));
    }
    create.start_revision = spec->revision;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    return client_stream_send(stream, &request, why);
}

static struct err receive_events(struct client_stream *stream, struct arena *arena,
    const Etcdserverpb__WatchResponse **out_response, struct why *why)
{
    for (;;) {
        const Etcdserverpb__WatchResponse *response;
        TRY(client_stream_recv(stream, arena, &response, why));
        if (!response || response->canceled) {
            return why_set(why, ERR(WATCH_CANCELED), "lost watcher waiting for delete");
        }
        if (response->n_events > 0) {
            *out_response = response;
            return OK;
        }
    }
}

struct err session_wait_events(struct session *session, const struct watch_spec *spec,
    struct arena *arena, const Etcdserverpb__WatchResponse **out_response, struct why *why)
{
    for (;;) {
        struct client_stream *stream = NULL;
        TRY(open_watch(session, &stream, why));
        struct err err = set_waiting(session, stream, why);
        if (!err_is(err)) {
            err = send_watch(stream, spec, arena, why);
        }
        if (!err_is(err)) {
            err = receive_events(stream, arena, out_response, why);
        }
        struct err over = set_waiting(session, NULL, why);
        bool may_retry = err_is(err) && !err_is(over) && client_stream_may_retry(stream);
        client_stream_close(stream);
        if (!may_retry) {
            return err_is(over) ? over : err;
        }
        usleep(RETRY_US);
    }
}
