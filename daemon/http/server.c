/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread, and how others reach it: a task is queued and an eventfd wakes the loop. Behind the
 * thread's end one task still runs at a time: who brings one runs it and what comes meanwhile.
 */
#include "base/clock.h"
#include "http/conn.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { HEADER_BYTES_DEFAULT = (1 << 20) + 4096, DRAIN_STEP_US = 2000 };
#define GATHERED_BYTES_DEFAULT ((size_t)256 << 20)

static int64_t or_default(int64_t given, int64_t otherwise)
{
    return given ? given : otherwise;
}

static void set_defaults(struct http_options *options)
{
    options->handshake_ms = or_default(options->handshake_ms, 10000);
    options->header_ms = or_default(options->header_ms, 30000);
    options->idle_ms = or_default(options->idle_ms, 300000);
    options->body_ms = or_default(options->body_ms, 60000);
    options->write_ms = or_default(options->write_ms, 120000);
    options->connections_max = options->connections_max ? options->connections_max : 4096;
    options->handshakes_max = options->handshakes_max ? options->handshakes_max : 512;
    options->header_bytes_max =
        options->header_bytes_max ? options->header_bytes_max : HEADER_BYTES_DEFAULT;
    options->header_count_max = options->header_count_max ? options->header_count_max : 1000;
    options->gathered_bytes_max =
        options->gathered_bytes_max ? options->gathered_bytes_max : GATHERED_BYTES_DEFAULT;
}

static void run_tasks(struct http_server *server)
{
    struct list tasks;
    list_init(&tasks);
    mailbox_take(&server->tasks, &tasks, 0);
    for (struct list *node; (node = list_pop(&tasks));) {
        struct http_task *task = LIST_ITEM(node, struct http_task, node);
        task->run(task);
    }
}

/* By who set is_late_busy. Nobody waits for it: a late task may bring one to another server, whose
 * own may bring one here. */
static void run_late(struct http_server *server)
{
    struct list *node;
    pthread_mutex_lock(&server->late_mutex);
    while ((node = list_pop(&server->late))) {
        struct http_task *task = LIST_ITEM(node, struct http_task, node);
        pthread_mutex_unlock(&server->late_mutex);
        task->run(task);
        pthread_mutex_lock(&server->late_mutex);
    }
    server->is_late_busy = false;
    pthread_mutex_unlock(&server->late_mutex);
}

/* Whether the caller is to run what is late now, until none is left. node: one more, or NULL. */
static bool begin_late(struct http_server *server, struct list *node)
{
    pthread_mutex_lock(&server->late_mutex);
    bool is_begun = !server->is_late_busy;
    server->is_late_busy = true;
    if (node) {
        list_push(&server->late, node);
    }
    pthread_mutex_unlock(&server->late_mutex);
    return is_begun;
}

/* From here on tasks are late. */
static void end_tasks(struct http_server *server)
{
    while (!begin_late(server, NULL)) { /* who is at it leaves the server first */
        usleep(DRAIN_STEP_US);
    }
    mailbox_close(&server->tasks);
    run_tasks(server);
    event_base_loop(server->base, EVLOOP_NONBLOCK); /* libevent frees connections one turn later */
    run_late(server);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;
    uint64_t count;
    (void)what;
    if (read(fd, &count, sizeof(count)) < 0) {
        check(errno == EAGAIN || errno == EINTR);
    }
    /* Before the tasks are taken: who pushes after that wakes again. */
    atomic_exchange(&server->is_woken, false);
    run_tasks(server);
}

struct http_server *http_server_new(const struct http_options *options)
{
    struct http_server *server = mem_new(sizeof(*server));
    server->options = options ? *options : (struct http_options){0};
    set_defaults(&server->options);
    list_init(&server->conns);
    list_init(&server->fresh);
    list_init(&server->late);
    pthread_mutex_init(&server->late_mutex, NULL);
    mailbox_init(&server->tasks, SIZE_MAX);
    server->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    server->base = event_base_new();
    check(server->wake_fd >= 0 && server->base);
    server->wake = event_new(server->base, server->wake_fd, EV_READ | EV_PERSIST, on_wake, server);
    check(server->wake && event_add(server->wake, NULL) == 0);
    return server;
}

static _Thread_local const struct http_server *here;

bool server_is_here(const struct http_server *server)
{
    return here == server;
}

static void *run(void *arg)
{
    struct http_server *server = arg;
    here = server;
    const char *name = server->options.thread_name;
    prctl(PR_SET_NAME, name ? name : "http");
    event_base_loop(server->base, EVLOOP_NO_EXIT_ON_EMPTY);
    while (!list_is_empty(&server->conns)) {
        conn_close(LIST_ITEM(server->conns.next, struct conn, node));
    }
    end_tasks(server);
    return NULL;
}

struct err http_server_start(struct http_server *server, struct why *why)
{
    int failure = pthread_create(&server->thread, NULL, run, server);
    if (failure) {
        return why_set(why, ERR(INTERNAL), "start thread http: %s", strerror(failure));
    }
    server->is_started = true;
    return OK;
}

void http_run(struct http_server *server, struct http_task *task)
{
    if (!mailbox_push_always(&server->tasks, &task->node)) {
        if (begin_late(server, &task->node)) {
            run_late(server);
        }
        return;
    }
    if (atomic_exchange(&server->is_woken, true)) {
        return; /* somebody else's wake is on its way and will find this task too */
    }
    uint64_t one = 1;
    while (write(server->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

struct stop_task {
    struct http_task task;
    struct http_server *server;
    atomic_bool is_done;
};

static void drain(struct http_task *task)
{
    struct stop_task *stop = CONTAINER_OF(task, struct stop_task, task);
    stop->server->is_draining = true;
    LIST_EACH_SAFE(node, tmp, &stop->server->conns)
    {
        conn_drain(LIST_ITEM(node, struct conn, node));
    }
    atomic_store(&stop->is_done, true);
}

/* Requests that are no streams, their answers included until they are in the socket. */
static bool is_busy(const struct http_server *server)
{
    return atomic_load(&server->request_count) > atomic_load(&server->stream_count);
}

void http_server_drain(struct http_server *server, int64_t drain_ms)
{
    struct stop_task task = {.task = {.run = drain}, .server = server};
    int64_t deadline_ms = clock_mono_ms() + drain_ms;
    if (!server->is_started) {
        return;
    }
    http_run(server, &task.task);
    while (!atomic_load(&task.is_done) || (is_busy(server) && clock_mono_ms() < deadline_ms)) {
        usleep(DRAIN_STEP_US);
    }
}

static void stop(struct http_task *task)
{
    struct http_server *server = CONTAINER_OF(task, struct stop_task, task)->server;
    server->is_stopping = true;
    event_base_loopbreak(server->base);
}

void http_server_stop(struct http_server *server)
{
    struct stop_task task = {.task = {.run = stop}, .server = server};
    if (server->is_started) {
        http_run(server, &task.task);
        pthread_join(server->thread, NULL);
        server->is_started = false;
    }
}

void http_server_free(struct http_server *server)
{
    if (!server) {
        return;
    }
    http_server_stop(server);
    while (atomic_load(&server->vouch_count) > 0) {
        usleep(DRAIN_STEP_US);
    }
    end_tasks(server);
    mailbox_fini(&server->tasks);
    pthread_mutex_destroy(&server->late_mutex);
    event_free(server->wake);
    event_base_free(server->base);
    check(atomic_load(&server->request_count) == 0);
    close(server->wake_fd);
    free(server);
}

struct event_base *http_server_base(struct http_server *server)
{
    return server->base;
}

size_t http_connections(const struct http_server *server)
{
    return atomic_load(&server->conn_count);
}

struct adopt_task {
    struct http_task task;
    struct http_server *server;
    const struct http_site *site;
    int fd;
    char *peer;
};

static void adopt(struct http_task *task)
{
    struct adopt_task *adopted = CONTAINER_OF(task, struct adopt_task, task);
    if (mailbox_is_closed(&adopted->server->tasks)) {
        close(adopted->fd);
    } else {
        conn_open(adopted->server, adopted->site, adopted->fd, adopted->peer);
    }
    free(adopted->peer);
    free(adopted);
}

void http_adopt(struct http_server *server, const struct http_site *site, int fd, const char *peer)
{
    struct adopt_task *task = mem_new(sizeof(*task));
    *task = (struct adopt_task){{.run = adopt}, server, site, fd, mem_strdup(peer ? peer : "")};
    http_run(server, &task->task);
}
