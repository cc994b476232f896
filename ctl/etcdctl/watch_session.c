/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"
#include "watch_exec.h"

#include "base/list.h"

#include <pthread.h>
#include <unistd.h>

enum { RETRY_US = 100000 };

enum watch_state { WATCH_WAITING, WATCH_ASKED, WATCH_OPEN, WATCH_DONE };

struct watch {
    struct watch_spec spec;
    enum watch_state state;
    int64_t id;
    int64_t next_revision;
};

struct watch_session {
    struct client *client;
    struct printer printer;
    struct arena *arena;  /* the watches */
    pthread_mutex_t lock; /* guards what is below: an interactive reader adds watches */
    pthread_cond_t added;
    struct client_stream *stream; /* to send on; NULL while there is none */
    struct watch *
        *watches; /* in the order they were asked for, which is the order they are created in */
    size_t count;
    size_t most;
    size_t progress_wanted; /* asked for while there was no stream */
};

struct watch_session *watch_session_new(struct client *client, const struct printer *printer)
{
    struct watch_session *session = mem_new(sizeof(*session));

    session->client = client;
    session->printer = *printer;
    session->arena = arena_new(0);
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->added, NULL);
    return session;
}

void watch_session_free(struct watch_session *session)
{
    pthread_mutex_destroy(&session->lock);
    pthread_cond_destroy(&session->added);
    arena_free(session->arena);
    free(session->watches);
    free(session);
}

/* Sends a watch's create request. A failure shows in the next receive. */
static void ask(struct watch_session *session, struct watch *watch)
{
    struct slice key = watch->spec.key;
    struct slice end = watch->spec.has_range_end ? watch->spec.range_end : (struct slice){0};
    struct why why;

    REQUEST(WatchRequest, watch_request, request);
    REQUEST(WatchCreateRequest, watch_create_request, create);
    if (watch->spec.is_prefix) {
        end = key.len ? prefix_range_end(session->arena, key) : PREFIX_FROM_KEY;
        key = key.len ? key : PREFIX_FROM_KEY;
    }
    create.key = pb_bytes(key);
    create.range_end = pb_bytes(end);
    create.start_revision = watch->next_revision;
    create.prev_kv = watch->spec.has_prev_kv;
    create.progress_notify = watch->spec.wants_progress;
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    request.create_request = &create;
    watch->state = WATCH_ASKED;
    (void)err_is(client_stream_send(session->stream, &request, &why));
}

static void ask_progress(struct watch_session *session)
{
    struct why why;

    REQUEST(WatchRequest, watch_request, request);
    REQUEST(WatchProgressRequest, watch_progress_request, progress);
    request.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_PROGRESS_REQUEST;
    request.progress_request = &progress;
    (void)err_is(client_stream_send(session->stream, &request, &why));
}

void watch_add(struct watch_session *session, const struct watch_spec *spec)
{
    pthread_mutex_lock(&session->lock);
    struct watch *watch = arena_zalloc(session->arena, sizeof(*watch));
    *watch = (struct watch){.spec = *spec, .next_revision = spec->revision};
    watch->spec.key = arena_dup(session->arena, spec->key);
    watch->spec.range_end = arena_dup(session->arena, spec->range_end);
    if (session->count == session->most) {
        session->most = session->most ? session->most * 2 : 8;
        session->watches = mem_grow(session->watches, session->most * sizeof(*session->watches));
    }
    session->watches[session->count++] = watch;
    if (session->stream) {
        ask(session, watch);
    }
    pthread_cond_signal(&session->added);
    pthread_mutex_unlock(&session->lock);
}

void watch_progress(struct watch_session *session)
{
    pthread_mutex_lock(&session->lock);
    if (session->stream) {
        ask_progress(session);
    } else {
        session->progress_wanted++;
    }
    pthread_cond_signal(&session->added);
    pthread_mutex_unlock(&session->lock);
}

/* A new stream with all watches that are not done, from where they stand. */
static struct err open_stream(
    struct watch_session *session, struct client_stream **out_stream, struct why *why)
{
    struct client_stream *stream;

    TRY(client_stream_open(session->client, CLIENT_ASK_LEADER(&client_watch, 0), &stream, why));
    pthread_mutex_lock(&session->lock);
    session->stream = stream;
    for (size_t i = 0; i < session->count; i++) {
        if (session->watches[i]->state != WATCH_DONE) {
            ask(session, session->watches[i]);
        }
    }
    for (; session->progress_wanted > 0; session->progress_wanted--) {
        ask_progress(session);
    }
    pthread_mutex_unlock(&session->lock);
    *out_stream = stream;
    return OK;
}

static void close_stream(struct watch_session *session, struct client_stream *stream)
{
    pthread_mutex_lock(&session->lock);
    session->stream = NULL;
    pthread_mutex_unlock(&session->lock);
    client_stream_close(stream);
}

const char *watch_cancel_text(const Etcdserverpb__WatchResponse *response, struct arena *arena)
{
    if (response->compact_revision != 0) {
        return err_text(ERR(COMPACTED));
    }
    if (!*response->cancel_reason) {
        return err_text(ERR(FUTURE_REV));
    }
    if (response->created || strncmp(response->cancel_reason, "etcdserver: ", 12) == 0) {
        return response->cancel_reason;
    }
    return arena_printf(
        arena, "rpc error: code = FailedPrecondition desc = %s", response->cancel_reason);
}

static bool is_progress(const Etcdserverpb__WatchResponse *r)
{
    return r->n_events == 0 && !r->canceled && !r->created && r->compact_revision == 0 &&
           r->header && r->header->revision != 0;
}

static void print(
    struct watch_session *session, const Etcdserverpb__WatchResponse *r, struct arena *arena)
{
    struct printer printer = session->printer;

    printer.arena = arena;
    int code = print_watch(&printer, r);
    fflush(stdout);
    if (code != CMD_EXIT_OK) {
        _exit(code);
    }
}

static void say_canceled(struct watch *watch, const char *reason)
{
    fflush(stdout);
    fprintf(stderr, "watch was canceled (%s)\n", reason);
    watch->state = WATCH_DONE;
}

/* A watch that was refused, or whose stream is beyond repair. clientv3 hands on a message of its
 * own then, with nothing of the server's in it. */
static void end(
    struct watch_session *session, struct watch *watch, const char *reason, struct arena *arena)
{
    REQUEST(WatchResponse, watch_response, last);
    last.canceled = true;
    say_canceled(watch, reason);
    print(session, &last, arena);
}

/* Prints what one watch got and runs its command. False when the command failed. */
static bool deliver(struct watch_session *session, struct watch *watch,
    const Etcdserverpb__WatchResponse *r, struct arena *arena)
{
    if (r->canceled) {
        say_canceled(watch, watch_cancel_text(r, arena));
    }
    if (is_progress(r)) {
        printf("progress notify: %lld\n", (long long)r->header->revision);
    }
    print(session, r, arena);
    for (size_t i = 0; watch->spec.exec && watch->spec.exec[0] && i < r->n_events; i++) {
        if (!watch_exec(watch->spec.exec, r->header->revision, r->events[i])) {
            return false;
        }
    }
    if (r->n_events > 0) {
        watch->next_revision = r->events[r->n_events - 1]->kv->mod_revision + 1;
    } else if (r->header && r->header->revision >= watch->next_revision && !r->canceled) {
        watch->next_revision = r->header->revision + 1;
    }
    return true;
}

/* The answer to the oldest request that has none. A refusal comes in the same message. */
static void created(
    struct watch_session *session, const Etcdserverpb__WatchResponse *r, struct arena *arena)
{
    for (size_t i = 0; i < session->count; i++) {
        struct watch *watch = session->watches[i];
        if (watch->state == WATCH_ASKED) {
            watch->state = WATCH_OPEN;
            watch->id = r->watch_id;
            if (r->canceled) {
                end(session, watch, watch_cancel_text(r, arena), arena);
            } else if (watch->next_revision == 0 && r->header) {
                watch->next_revision = r->header->revision + 1;
            }
            return;
        }
    }
}

/* The next watch from *at on that it is for, NULL when there is none; id -1 is for all. */
static struct watch *next_for(
    struct watch_session *session, const Etcdserverpb__WatchResponse *r, size_t *at)
{
    struct watch *found = NULL;

    pthread_mutex_lock(&session->lock);
    for (; !found && *at < session->count; (*at)++) {
        struct watch *watch = session->watches[*at];
        bool is_for = watch->id == r->watch_id || r->watch_id == -1;
        found = watch->state == WATCH_OPEN && is_for ? watch : NULL;
    }
    pthread_mutex_unlock(&session->lock);
    return found;
}

/* Without the lock while a command runs: an open watch is this thread's alone, and others may be
 * added meanwhile. Their events wait. */
static bool dispatch(
    struct watch_session *session, const Etcdserverpb__WatchResponse *r, struct arena *arena)
{
    bool is_good = true;
    struct watch *watch;
    size_t at = 0;

    if (r->created) {
        pthread_mutex_lock(&session->lock);
        created(session, r, arena);
        pthread_mutex_unlock(&session->lock);
        return true;
    }
    while (is_good && (watch = next_for(session, r, &at))) {
        is_good = deliver(session, watch, r, arena);
    }
    return is_good;
}

/* The lock is held. */
static bool has_live(const struct watch_session *session)
{
    bool is_live = false;

    for (size_t i = 0; i < session->count; i++) {
        is_live = is_live || session->watches[i]->state != WATCH_DONE;
    }
    return is_live;
}

/* The stream is beyond repair: every watch hears why. */
static void end_all(struct watch_session *session, const struct why *why, struct arena *arena)
{
    pthread_mutex_lock(&session->lock);
    session->progress_wanted = 0;
    for (size_t i = 0; i < session->count; i++) {
        if (session->watches[i]->state != WATCH_DONE) {
            end(session, session->watches[i], why->text, arena);
        }
    }
    pthread_mutex_unlock(&session->lock);
}

/* Whether nobody listens any more. The stream is then shut to who adds a watch in the same moment:
 * that one waits for a new stream. */
static bool leave_if_idle(struct watch_session *session)
{
    pthread_mutex_lock(&session->lock);
    bool is_idle = !has_live(session);
    if (is_idle) {
        session->stream = NULL;
    }
    pthread_mutex_unlock(&session->lock);
    return is_idle;
}

/* Receives from one stream until nobody listens or it ends. True: it was lost. */
static bool receive(struct watch_session *session, struct client_stream *stream, int *out_code)
{
    for (bool is_going = true; is_going;) {
        const Etcdserverpb__WatchResponse *response = NULL;
        struct arena *arena = arena_new(0);
        struct why why = {"EOF"};
        struct err err = client_stream_recv(stream, arena, &response, &why);
        if (response && !dispatch(session, response, arena)) {
            *out_code = CMD_EXIT_ERROR;
            is_going = false;
        } else if (!response) {
            bool is_final = !client_stream_may_retry(stream) || IS(err, NO_LEADER);
            if (is_final) {
                end_all(session, &why, arena);
            }
            arena_free(arena);
            return !is_final;
        }
        arena_free(arena);
        is_going = is_going && !leave_if_idle(session);
    }
    return false;
}

/* Whether there is something to open a stream for; waits for it when told to. */
static bool has_work(struct watch_session *session, bool waits)
{
    pthread_mutex_lock(&session->lock);
    bool is_work = has_live(session) || session->progress_wanted > 0;
    while (waits && !is_work) {
        pthread_cond_wait(&session->added, &session->lock);
        is_work = has_live(session) || session->progress_wanted > 0;
    }
    pthread_mutex_unlock(&session->lock);
    return is_work;
}

int watch_session_run(struct watch_session *session, bool waits)
{
    int code = CMD_EXIT_OK;

    while (code == CMD_EXIT_OK && has_work(session, waits)) {
        struct client_stream *stream;
        struct why why;
        if (err_is(open_stream(session, &stream, &why))) {
            end_all(session, &why, session->arena);
            continue;
        }
        bool is_lost = receive(session, stream, &code);
        close_stream(session, stream);
        if (is_lost) {
            usleep(RETRY_US);
        }
    }
    return code;
}
