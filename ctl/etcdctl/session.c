/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include "renewal.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { RETRY_US = 100000, DEFAULT_TTL = 60, STAYS = -1 };

struct session {
    struct client *client;
    struct client *renewer; /* of the renewing thread only */
    struct printer printer;
    struct arena *arena;
    int64_t ttl;
    pthread_mutex_t lock; /* guards what is below */
    pthread_cond_t changed;
    int64_t lease;                 /* changed once, before the thread that renews it begins */
    struct client_stream *waiting; /* cancelled by a signal, and by the end of the lease */
    int code;                      /* of the process at a signal; STAYS: it ends a wait instead */
    bool is_acquiring;             /* if it waits for a key of its own, which that takes away */
    bool is_interrupted;
    bool is_expired;
};

/* Before there is a lease nothing is held, and nobody waits who could be told: the signal does what
 * it does where nobody blocks it. */
static void die_of(int which, const sigset_t *blocked)
{
    (void)signal(which, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, blocked, NULL);
    (void)raise(which);
}

/* The main thread is in a call that cannot be ended. */
static _Noreturn void quit(int code)
{
    if (code != CMD_EXIT_OK) {
        (void)cmd_fail(code, "context canceled");
    }
    _exit(code);
}

static void *watch_signals(void *arg)
{
    struct session *session = arg;
    sigset_t set;
    int which;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    (void)sigwait(&set, &which);
    pthread_mutex_lock(&session->lock);
    if (session->lease == 0) {
        die_of(which, &set);
    }
    if (session->code != STAYS) {
        quit(session->code);
    }
    session->is_interrupted = true;
    if (session->waiting) {
        client_stream_cancel(session->waiting);
    }
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

/* The lease's remaining time after a renewal; 0 when it is gone, -1 when there was no answer. */
static int64_t renew(struct renewal *renewal, client_deadline deadline)
{
    const Etcdserverpb__LeaseKeepAliveResponse *response;
    struct arena *arena = arena_new(0);
    struct why why;
    int64_t ttl = -1;

    if (!err_is(renewal_ask(renewal, deadline, arena, &response, &why))) {
        ttl = response->ttl;
    }
    arena_free(arena);
    return ttl;
}

static void *keep_alive(void *arg)
{
    struct session *session = arg;
    struct renewal renewal = {.client = session->renewer, .lease = session->lease};
    client_deadline deadline = renewal_deadline(session->ttl);

    while (clock_mono_ns() < deadline) {
        int64_t ttl = renew(&renewal, deadline);
        if (ttl == 0) {
            break;
        }
        if (ttl > 0) {
            deadline = renewal_deadline(ttl);
        }
        renewal_wait(ttl);
    }
    renewal_close(&renewal);
    pthread_mutex_lock(&session->lock);
    session->is_expired = true;
    if (session->waiting && session->is_acquiring) {
        client_stream_cancel(session->waiting);
    }
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

static struct session *session_new(const struct printer *printer, int64_t ttl)
{
    struct session *session = mem_new(sizeof(*session));

    session->arena = arena_new(0);
    session->printer = *printer;
    session->code = STAYS;
    session->ttl = ttl > 0 ? ttl : DEFAULT_TTL;
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->changed, NULL);
    return session;
}

static int grant(struct session *session)
{
    const Etcdserverpb__LeaseGrantResponse *response;

    REQUEST(LeaseGrantRequest, lease_grant_request, request);
    request.ttl = session->ttl;
    int code = ctl_call(session->client, &client_lease_grant, &request, 0, &response);
    if (code == CMD_EXIT_OK) {
        pthread_mutex_lock(&session->lock);
        session->lease = response->id;
        pthread_mutex_unlock(&session->lock);
    }
    return code;
}

/* As clientv3 logs it. A lease of no time would be one of the server's shortest, or refused. */
static void warn_of_ttl(const char *logger)
{
    char stamp[40];

    clock_format_log(clock_wall_ns(), stamp, sizeof(stamp));
    fprintf(stderr,
        "{\"level\":\"warn\",\"ts\":\"%s\",\"logger\":\"%s\",\"caller\":\"etcdctl/session.c:%d\","
        "\"msg\":\"WithTTL(): TTL should be > 0, preserving current TTL\","
        "\"current-session-ttl\":%d}\n",
        stamp, logger, __LINE__, DEFAULT_TTL);
}

int session_open(struct cmd_run *run, int64_t ttl, struct session **out_session)
{
    struct client_config config;
    struct printer printer;
    pthread_t thread;
    sigset_t set;

    int code = ctl_configure(run, &config, &printer); /* it may ask for a password */
    if (code != CMD_EXIT_OK) {
        return code;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    struct session *session = session_new(&printer, ttl);
    check(pthread_create(&thread, NULL, watch_signals, session) == 0);
    code = ctl_open(&config, &session->client);
    if (code == CMD_EXIT_OK) {
        code = ctl_open(&config, &session->renewer);
    }
    if (code == CMD_EXIT_OK && ttl <= 0) {
        warn_of_ttl(config.logger);
    }
    if (code == CMD_EXIT_OK) {
        code = grant(session);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    check(pthread_create(&thread, NULL, keep_alive, session) == 0);
    *out_session = session;
    return CMD_EXIT_OK;
}

int session_close(struct session *session, int code)
{
    (void)session;
    fflush(stdout);
    _exit(code);
}

struct client *session_client(struct session *session)
{
    return session->client;
}

const struct printer *session_printer(struct session *session)
{
    return &session->printer;
}

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

/* Asks for one key of the prefix: the oldest, or in descending order the youngest. */
static void set_first(struct session *session, const char *prefix,
    Etcdserverpb__RangeRequest__SortOrder order, Etcdserverpb__RangeRequest *range)
{
    range->key = ctl_bytes(prefix);
    range->range_end = pb_bytes(prefix_range_end(session->arena, slice_str(prefix)));
    range->sort_target = ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE;
    range->sort_order = order;
    range->limit = 1;
}

static struct err wait_for_delete(struct session *session, struct watch_spec *spec, struct why *why)
{
    for (;;) {
        const Etcdserverpb__WatchResponse *got;
        TRY(session_wait_events(session, spec, session->arena, &got, why));
        for (size_t i = 0; i < got->n_events; i++) {
            if (got->events[i]->type == MVCCPB__EVENT__EVENT_TYPE__DELETE) {
                return OK;
            }
            spec->revision = got->events[i]->kv->mod_revision + 1;
        }
    }
}

/* The youngest key of the prefix that is older than revision, waited for until it is gone; then the
 * next one. */
static struct err wait_for_older(
    struct session *session, const char *prefix, int64_t revision, struct why *why)
{
    for (;;) {
        const Etcdserverpb__RangeResponse *found;
        REQUEST(RangeRequest, range_request, last);
        set_first(session, prefix, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND, &last);
        last.max_create_revision = revision - 1;
        TRY(client_call(session->client, CLIENT_ASK(&client_range, &last, 0), &found, why));
        if (found->n_kvs == 0) {
            return OK;
        }
        struct slice key = arena_dup(session->arena, pb_slice(found->kvs[0]->key));
        struct watch_spec spec = {.key = key, .revision = found->header->revision};
        TRY(wait_for_delete(session, &spec, why));
    }
}

/* Creates the key, or finds it there. has_waited: somebody's is older. */
static struct err put_own_key(struct session *session, const char *prefix, const char *value,
    struct session_key *out_key, struct why *why)
{
    const Etcdserverpb__TxnResponse *response;

    REQUEST(TxnRequest, txn_request, txn);
    REQUEST(Compare, compare, compare);
    REQUEST(RequestOp, request_op, put_op);
    REQUEST(RequestOp, request_op, get_op);
    REQUEST(RequestOp, request_op, first_op);
    REQUEST(PutRequest, put_request, put);
    REQUEST(RangeRequest, range_request, get);
    REQUEST(RangeRequest, range_request, first);
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.key = put.key = get.key = ctl_bytes(out_key->name);
    put.value = ctl_bytes(value);
    put.lease = session->lease;
    put_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    put_op.request_put = &put;
    get_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    get_op.request_range = &get;
    set_first(session, prefix, ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND, &first);
    first_op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    first_op.request_range = &first;
    txn.compare = &(Etcdserverpb__Compare *){&compare};
    txn.success = (Etcdserverpb__RequestOp *[]){&put_op, &first_op};
    txn.failure = (Etcdserverpb__RequestOp *[]){&get_op, &first_op};
    txn.n_compare = 1;
    txn.n_success = txn.n_failure = 2;
    TRY(session_call(session, CLIENT_ASK(&client_txn, &txn, 0), CMD_EXIT_ERROR, &response, why));
    const Etcdserverpb__RangeResponse *oldest = response->responses[1]->response_range;
    out_key->revision = response->succeeded
                            ? response->header->revision
                            : response->responses[0]->response_range->kvs[0]->create_revision;
    out_key->has_waited = oldest->n_kvs > 0 && oldest->kvs[0]->create_revision != out_key->revision;
    return OK;
}

static void set_acquiring(struct session *session, bool is_acquiring)
{
    pthread_mutex_lock(&session->lock);
    session->is_acquiring = is_acquiring;
    pthread_mutex_unlock(&session->lock);
}

struct err session_acquire(struct session *session, const char *prefix, const char *value,
    struct session_key *out_key, struct why *why)
{
    const char *folder = arena_printf(session->arena, "%s/", prefix);
    struct session_key key = {
        .name = arena_printf(session->arena, "%s%" PRIx64, folder, (uint64_t)session->lease)};
    struct why ignored;

    TRY(put_own_key(session, folder, value, &key, why));
    if (key.has_waited) {
        set_acquiring(session, true);
        struct err err = wait_for_older(session, folder, key.revision, why);
        set_acquiring(session, false);
        if (err_is(err) && !IS(err, LEASE_NOT_FOUND)) {
            (void)err_is(session_release(session, &key, &ignored));
        }
        TRY(err);
    }
    *out_key = key;
    return OK;
}

struct err session_release(struct session *session, const struct session_key *key, struct why *why)
{
    const Etcdserverpb__TxnResponse *response;

    REQUEST(TxnRequest, txn_request, txn);
    REQUEST(Compare, compare, compare);
    REQUEST(RequestOp, request_op, op);
    REQUEST(DeleteRangeRequest, delete_range_request, del);
    compare.target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
    compare.target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
    compare.create_revision = key->revision;
    compare.key = del.key = ctl_bytes(key->name);
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = &del;
    txn.compare = &(Etcdserverpb__Compare *){&compare};
    txn.success = &(Etcdserverpb__RequestOp *){&op};
    txn.n_compare = txn.n_success = 1;
    struct err err = client_call(session->client, CLIENT_ASK(&client_txn, &txn, 0), &response, why);
    /* That a connection was lost since the last call shows only now; to ask twice does no harm. */
    if (IS(err, IO)) {
        err = client_call(session->client, CLIENT_ASK(&client_txn, &txn, 0), &response, why);
    }
    return err;
}
