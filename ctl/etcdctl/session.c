/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a session: its lease, the thread that renews it and the one that hears signals. */
#include "session_impl.h"

#include "renewal.h"

#include <signal.h>
#include <unistd.h>

enum { DEFAULT_TTL = 60 };

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
