/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread, one epoll. A connection is watched edge-triggered, because its bytes stay in the
 * socket while they are peeked at; all have the same time to speak, so they stand in a list by age.
 */
#include "front/front.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "front/listen.h"
#include "front/sniff.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SNIFF_DEFAULT_MS = 10000,
    HALF_OPEN_DEFAULT = 1024,
    ACCEPT_BATCH = 64,
    CLIENTS_LEAVE = 150, /* descriptors, for the disk, the peers and health checks; etcd's number */
    CLIENTS_SHARE = 8,   /* or one in so many */
    VITAL_LEAVE = 64,    /* for the disk: a merge opens some dozens of files */
    VITAL_SHARE = 16,    /* or one in so many */
    PAUSE_MS = 100,      /* without descriptors: nothing helps but waiting */
    EVENTS = 64,
    LOG_EVERY_MS = 1000,
};

/* What an epoll event points to. */
enum watch_kind { WATCH_WAKE, WATCH_LISTENER, WATCH_CONN };

struct watch {
    enum watch_kind kind;
};

struct listener {
    struct watch watch;
    enum front_serves serves;
    bool is_tls;
    void *tag;
    struct listen_result at;
};

struct conn {
    struct watch watch;
    struct list node; /* in front->conns, oldest first */
    const struct listener *listener;
    int fd;
    int64_t deadline_ms;
    char address[ADDRESS_TEXT_MAX];
};

struct front {
    struct front_options options;
    struct listener *listeners;
    size_t listeners_count;
    int epoll_fd;
    struct watch wake;
    int wake_fd;
    pthread_t thread;
    bool is_started;
    atomic_bool is_stopping;
    struct list conns;
    struct list dead; /* closed, but perhaps in the events at hand */
    atomic_size_t conns_count;
    int64_t paused_until_ms; /* 0: accepting */
    int64_t logged_ms;
};

static void conn_forget(struct front *front, struct conn *conn)
{
    list_remove(&conn->node);
    list_push(&front->dead, &conn->node);
    conn->fd = -1;
    atomic_fetch_sub(&front->conns_count, 1);
}

static void conn_drop(struct front *front, struct conn *conn)
{
    close(conn->fd);
    conn_forget(front, conn);
}

static void bury(struct front *front)
{
    struct list *node;
    while ((node = list_pop(&front->dead))) {
        free(LIST_ITEM(node, struct conn, node));
    }
}

static void conn_hand_over(struct front *front, struct conn *conn, bool is_grpc)
{
    const struct front_peer peer = {conn->address, conn->listener->is_tls, conn->listener->tag};
    int fd = conn->fd;
    front_adopt_fn *adopt = is_grpc ? front->options.adopt_grpc : front->options.adopt_http;
    epoll_ctl(front->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    conn_forget(front, conn);
    adopt(front->options.arg, fd, &peer);
}

/* At most one line a second: whoever fills the log fills the disk. */
static void log_rejected(struct front *front, const struct conn *conn, const char *reason)
{
    int64_t now_ms = clock_mono_ms();
    if (front->logged_ms && now_ms - front->logged_ms < LOG_EVERY_MS) {
        return;
    }
    front->logged_ms = now_ms;
    char message[64];
    snprintf(message, sizeof(message), "rejected connection on %s endpoint", front->options.name);
    LOG_WARN(message, LOG_STR("remote-addr", conn->address), LOG_STR("server-name", ""),
        LOG_ERR(reason));
}

static void conn_decide(struct front *front, struct conn *conn, enum sniff what)
{
    switch (what) {
    case SNIFF_MORE:
        break;
    case SNIFF_GRPC:
    case SNIFF_HTTP:
        if (conn->listener->serves == FRONT_BOTH) {
            conn_hand_over(front, conn, what == SNIFF_GRPC);
        } else {
            conn_hand_over(front, conn, conn->listener->serves == FRONT_GRPC);
        }
        break;
    case SNIFF_NOT_TLS:
        log_rejected(front, conn, "tls: first record does not look like a TLS handshake");
        conn_drop(front, conn);
        break;
    case SNIFF_BAD:
        log_rejected(front, conn, "first bytes are neither HTTP nor a TLS ClientHello");
        conn_drop(front, conn);
        break;
    }
}

static void conn_look(struct front *front, struct conn *conn, bool is_hung_up)
{
    uint8_t bytes[SNIFF_BYTES_MAX];
    ssize_t got;
    do {
        got = recv(conn->fd, bytes, sizeof(bytes), MSG_PEEK);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN && !is_hung_up) {
        return;
    }
    if (got <= 0) {
        conn_drop(front, conn);
        return;
    }
    struct slice seen = slice_of(bytes, (size_t)got);
    enum sniff what = conn->listener->is_tls ? sniff_tls(seen) : sniff_plain(seen);
    if (what == SNIFF_MORE && is_hung_up) {
        conn_drop(front, conn);
        return;
    }
    conn_decide(front, conn, what);
}

static void conn_add(struct front *front, const struct listener *listener, int fd,
    const struct sockaddr_storage *from)
{
    struct conn *conn = mem_new(sizeof(*conn));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = conn};
    conn->watch.kind = WATCH_CONN;
    conn->listener = listener;
    conn->fd = fd;
    conn->deadline_ms = clock_mono_ms() + front->options.sniff_ms;
    address_text(from, conn->address);
    list_push(&front->conns, &conn->node);
    if (atomic_fetch_add(&front->conns_count, 1) >= front->options.half_open_max) {
        struct conn *oldest = LIST_ITEM(front->conns.next, struct conn, node);
        log_rejected(front, oldest, "too many connections that say nothing");
        conn_drop(front, oldest);
    }
    if (listener->serves == FRONT_HTTP) {
        conn_hand_over(front, conn, false);
        return;
    }
    if (epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        conn_drop(front, conn);
    }
}

static void watch_listeners(struct front *front, uint32_t events)
{
    for (size_t i = 0; i < front->listeners_count; i++) {
        struct listener *listener = &front->listeners[i];
        struct epoll_event event = {.events = events, .data.ptr = listener};
        epoll_ctl(front->epoll_fd, EPOLL_CTL_MOD, listener->at.fd, &event);
    }
}

static void pause_accepting(struct front *front, const char *reason)
{
    int64_t now_ms = clock_mono_ms();
    if (!front->logged_ms || now_ms - front->logged_ms >= LOG_EVERY_MS) {
        front->logged_ms = now_ms;
        LOG_WARN("failed to accept a connection; retrying", LOG_STR("side", front->options.name),
            LOG_ERR(reason), LOG_MS("retry-in", PAUSE_MS));
    }
    front->paused_until_ms = now_ms + PAUSE_MS;
    watch_listeners(front, 0);
}

static void accept_some(struct front *front, const struct listener *listener)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage from = {0};
        socklen_t len = sizeof(from);
        int fd =
            accept4(listener->at.fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= front->options.fd_max) {
            close(fd);
            pause_accepting(front, "too many open connections");
            return;
        }
        if (fd >= 0) {
            conn_add(front, listener, fd, &from);
            continue;
        }
        if (errno == EAGAIN) {
            return;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(front, strerror(errno));
            return;
        }
    }
}

static int next_timeout_ms(const struct front *front)
{
    int64_t until_ms = INT64_MAX;
    if (!list_is_empty(&front->conns)) {
        until_ms = LIST_ITEM(front->conns.next, struct conn, node)->deadline_ms;
    }
    if (front->paused_until_ms && front->paused_until_ms < until_ms) {
        until_ms = front->paused_until_ms;
    }
    if (until_ms == INT64_MAX) {
        return -1;
    }
    int64_t left_ms = until_ms - clock_mono_ms();
    return left_ms > 0 ? (int)left_ms + 1 : 0;
}

static void run_timers(struct front *front)
{
    int64_t now_ms = clock_mono_ms();
    if (front->paused_until_ms && front->paused_until_ms <= now_ms) {
        front->paused_until_ms = 0;
        watch_listeners(front, EPOLLIN);
    }
    while (!list_is_empty(&front->conns)) {
        struct conn *oldest = LIST_ITEM(front->conns.next, struct conn, node);
        if (oldest->deadline_ms > now_ms) {
            break;
        }
        conn_drop(front, oldest);
    }
}

static void dispatch(struct front *front, const struct epoll_event *event)
{
    struct watch *watch = event->data.ptr;
    if (watch->kind == WATCH_LISTENER) {
        if (!front->paused_until_ms) {
            accept_some(front, CONTAINER_OF(watch, struct listener, watch));
        }
    } else if (watch->kind == WATCH_CONN) {
        struct conn *conn = CONTAINER_OF(watch, struct conn, watch);
        if (conn->fd >= 0) {
            conn_look(front, conn, event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
        }
    }
}

static void *front_main(void *arg)
{
    struct front *front = arg;
    struct epoll_event events[EVENTS];
    while (!atomic_load(&front->is_stopping)) {
        int count = epoll_wait(front->epoll_fd, events, EVENTS, next_timeout_ms(front));
        for (int i = 0; i < count; i++) {
            dispatch(front, &events[i]);
        }
        run_timers(front);
        bury(front);
    }
    return NULL;
}

/* Descriptors have one row of numbers: what the clients leave is what the others find. */
static int fd_limit(bool is_vital)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT32_MAX) {
        return INT32_MAX;
    }
    int all = (int)limit.rlim_cur;
    int least = is_vital ? VITAL_LEAVE : CLIENTS_LEAVE;
    int share = all / (is_vital ? VITAL_SHARE : CLIENTS_SHARE);
    int left = share > least ? share : least;
    return all - (left < all / 2 ? left : all / 2);
}

static void add_watch(struct front *front, int fd, void *ptr, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = ptr};
    check(epoll_ctl(front->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

struct err front_open(
    const struct front_options *options, struct front **out_front, struct why *why)
{
    struct front *front = mem_new(sizeof(*front));
    front->options = *options;
    front->options.sniff_ms = options->sniff_ms ? options->sniff_ms : SNIFF_DEFAULT_MS;
    front->options.half_open_max =
        options->half_open_max ? options->half_open_max : HALF_OPEN_DEFAULT;
    front->options.fd_max = options->fd_max ? options->fd_max : fd_limit(options->is_vital);
    front->options.name = options->name ? options->name : "client";
    list_init(&front->conns);
    list_init(&front->dead);
    front->listeners = mem_new((options->listeners_count + 1) * sizeof(*front->listeners));
    front->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    front->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    check(front->epoll_fd >= 0 && front->wake_fd >= 0);
    add_watch(front, front->wake_fd, &front->wake, EPOLLIN);
    for (size_t i = 0; i < options->listeners_count; i++) {
        const struct front_listener *asked = &options->listeners[i];
        struct listener *listener = &front->listeners[i];
        struct err e = listen_open(asked->url, options->reuse_port, &listener->at, why);
        if (err_is(e)) {
            front_close(front);
            return e;
        }
        front->listeners_count++;
        listener->watch.kind = WATCH_LISTENER;
        listener->serves = asked->serves;
        listener->is_tls = url_is_tls(asked->url);
        listener->tag = asked->tag;
    }
    *out_front = front;
    return OK;
}

void front_start(struct front *front)
{
    for (size_t i = 0; i < front->listeners_count; i++) {
        add_watch(front, front->listeners[i].at.fd, &front->listeners[i], EPOLLIN);
    }
    front->is_started = true;
    check(pthread_create(&front->thread, NULL, front_main, front) == 0);
    pthread_setname_np(front->thread, "front");
}

static void close_listener(struct listener *listener)
{
    if (listener->at.fd >= 0) {
        close(listener->at.fd);
        listener->at.fd = -1;
    }
    if (listener->at.unix_path) {
        unlink(listener->at.unix_path);
        free(listener->at.unix_path);
        listener->at.unix_path = NULL;
    }
}

void front_stop(struct front *front)
{
    if (front->is_started) {
        uint64_t one = 1;
        atomic_store(&front->is_stopping, true);
        check(write(front->wake_fd, &one, sizeof(one)) == sizeof(one));
        pthread_join(front->thread, NULL);
        front->is_started = false;
    }
    for (size_t i = 0; i < front->listeners_count; i++) {
        close_listener(&front->listeners[i]);
    }
    while (!list_is_empty(&front->conns)) {
        conn_drop(front, LIST_ITEM(front->conns.next, struct conn, node));
    }
    bury(front);
}

void front_close(struct front *front)
{
    if (!front) {
        return;
    }
    front_stop(front);
    for (size_t i = 0; i < front->listeners_count; i++) {
        free(front->listeners[i].at.address);
    }
    close(front->epoll_fd);
    close(front->wake_fd);
    free(front->listeners);
    free(front);
}

const char *front_address(const struct front *front, size_t i)
{
    return front->listeners[i].at.address;
}

size_t front_half_open(const struct front *front)
{
    return atomic_load(&front->conns_count);
}
