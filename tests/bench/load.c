/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "h2.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    LATENCIES_MAX = 1 << 20,
    EVENTS_MAX = 256,
    SILENCE_MS = 60000, /* then the member is given up */
    MESSAGE_MAX = 1 << 30,
    GRPC_HEAD = 5,
    ENDPOINT_SIZE = 300,
};

struct runner {
    struct runner *next_idle;
    struct conn *conn;
    size_t number;
    uint32_t stream; /* 0: idle */
    int64_t began_ns;
    uint64_t got;
    struct buf message;
};

struct conn {
    struct worker *worker;
    struct h2 *h2;
    struct runner *runners;
    bool is_full; /* the socket takes nothing now */
};

/* One thread and the connections that fell to it. */
struct worker {
    const struct load_options *options;
    atomic_uint_fast64_t *next;
    int64_t until_ns;
    int64_t due_ns; /* with a rate: when the next call begins */
    int64_t step_ns;
    int epoll;
    struct conn *conns;
    size_t conns_count;
    struct runner *idle;
    size_t running;
    uint64_t calls;
    uint64_t errors;
    uint64_t bytes;
    uint32_t *latencies_us;
    struct buf request;
    pthread_t thread;
};

/* False when the load is over. */
static bool start(struct runner *runner, int64_t now_ns)
{
    struct worker *worker = runner->conn->worker;
    const struct load_options *options = worker->options;
    if (worker->until_ns && now_ns >= worker->until_ns) {
        return false;
    }
    uint64_t n = atomic_fetch_add(worker->next, 1);
    if (options->calls_max && n >= options->calls_max) {
        return false;
    }
    buf_reset(&worker->request);
    options->request(options->arg, runner->number, n, &worker->request);
    runner->began_ns = now_ns;
    runner->got = 0;
    runner->stream = h2_call(runner->conn->h2, buf_slice(&worker->request), true);
    worker->running++;
    return true;
}

static struct runner *runner_of(struct conn *conn, uint32_t stream)
{
    for (unsigned i = 0; i < conn->worker->options->streams; i++) {
        if (conn->runners[i].stream == stream) {
            return &conn->runners[i];
        }
    }
    return NULL;
}

static void on_data(void *arg, uint32_t stream, struct slice bytes)
{
    struct conn *conn = arg;
    struct runner *runner = runner_of(conn, stream);
    if (runner) {
        runner->got += bytes.len;
        if (conn->worker->options->response) {
            buf_add_slice(&runner->message, bytes);
        }
    }
}

static void set_idle(struct runner *runner)
{
    struct worker *worker = runner->conn->worker;
    runner->stream = 0;
    runner->next_idle = worker->idle;
    worker->idle = runner;
    worker->running--;
}

static void on_end(void *arg, uint32_t stream)
{
    struct conn *conn = arg;
    struct worker *worker = conn->worker;
    const struct load_options *options = worker->options;
    struct runner *runner = runner_of(conn, stream);
    if (!runner) {
        return;
    }
    int64_t now_ns = clock_mono_ns();
    worker->latencies_us[worker->calls++ % LATENCIES_MAX] =
        (uint32_t)((now_ns - runner->began_ns) / 1000);
    worker->bytes += runner->got;
    worker->errors += runner->got < GRPC_HEAD;
    if (options->response && runner->got >= GRPC_HEAD) {
        options->response(options->arg, runner->number,
            slice_of(runner->message.data + GRPC_HEAD, runner->message.len - GRPC_HEAD));
    }
    buf_reset(&runner->message);
    if (worker->step_ns) {
        set_idle(runner);
        return;
    }
    worker->running--;
    runner->stream = 0;
    start(runner, now_ns);
}

static void flush(struct conn *conn)
{
    bool is_full = !h2_flush(conn->h2);
    if (is_full != conn->is_full) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        event.events |= is_full ? EPOLLOUT : 0;
        epoll_ctl(conn->worker->epoll, EPOLL_CTL_MOD, h2_fd(conn->h2), &event);
        conn->is_full = is_full;
    }
}

/* With a rate: begins what is due. Returns how long to sleep at most. */
static int64_t start_due(struct worker *worker)
{
    int64_t now_ns = clock_mono_ns();
    while (worker->idle && worker->due_ns <= now_ns) {
        struct runner *runner = worker->idle;
        if (!start(runner, worker->due_ns)) {
            return worker->running ? SILENCE_MS * INT64_C(1000000) : 0;
        }
        worker->idle = runner->next_idle;
        worker->due_ns += worker->step_ns;
        flush(runner->conn);
    }
    return worker->idle ? worker->due_ns - now_ns : SILENCE_MS * INT64_C(1000000);
}

static bool is_over(const struct worker *worker)
{
    bool is_late = worker->until_ns && clock_mono_ns() >= worker->until_ns;
    bool is_done =
        worker->options->calls_max && atomic_load(worker->next) >= worker->options->calls_max;
    return worker->running == 0 && (!worker->step_ns || is_late || is_done);
}

static void turn(struct worker *worker, int64_t sleep_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec sleep = {sleep_ns / 1000000000, sleep_ns % 1000000000};
    int count = epoll_pwait2(worker->epoll, events, EVENTS_MAX, &sleep, NULL);
    if (count == 0 && sleep_ns >= SILENCE_MS * INT64_C(1000000)) {
        fprintf(stderr, "the member is silent\n");
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        struct conn *conn = events[i].data.ptr;
        if (!h2_read(conn->h2)) {
            fprintf(stderr, "the member closed a connection\n");
            exit(1);
        }
        flush(conn);
    }
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    size_t runners = worker->conns_count * worker->options->streams;
    worker->running = runners;
    for (size_t i = 0; i < runners; i++) {
        struct conn *conn = &worker->conns[i % worker->conns_count];
        set_idle(&conn->runners[i / worker->conns_count]);
    }
    while (!worker->step_ns && worker->idle) {
        struct runner *runner = worker->idle;
        worker->idle = runner->next_idle;
        start(runner, clock_mono_ns());
    }
    for (size_t i = 0; i < worker->conns_count; i++) {
        flush(&worker->conns[i]);
    }
    while (!is_over(worker)) {
        turn(worker, worker->step_ns ? start_due(worker) : SILENCE_MS * INT64_C(1000000));
    }
    return NULL;
}

/* The number-th of a list with commas, from its beginning again when it ends. */
static void pick_endpoint(const char *list, size_t number, char out[ENDPOINT_SIZE])
{
    const char *at = list;
    for (; number > 0; number--) {
        at = strchr(at, ',') ? strchr(at, ',') + 1 : list;
    }
    snprintf(out, ENDPOINT_SIZE, "%.*s", (int)strcspn(at, ","), at);
}

static void conn_open(struct worker *worker, size_t number)
{
    const struct load_options *options = worker->options;
    struct conn *conn = &worker->conns[worker->conns_count++];
    char endpoint[ENDPOINT_SIZE];
    pick_endpoint(options->endpoints, number, endpoint);
    struct h2_target target = {endpoint, options->tls, options->method};
    struct h2_handler handler = {on_data, on_end, conn};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    *conn = (struct conn){.worker = worker, .h2 = h2_open(&target, &handler)};
    conn->runners = mem_new(options->streams * sizeof(*conn->runners));
    for (unsigned i = 0; i < options->streams; i++) {
        conn->runners[i].conn = conn;
        conn->runners[i].number = number * options->streams + i;
        buf_init(&conn->runners[i].message, MESSAGE_MAX);
    }
    check(epoll_ctl(worker->epoll, EPOLL_CTL_ADD, h2_fd(conn->h2), &event) == 0);
    h2_flush(conn->h2);
}

static void prepare(struct worker *worker, unsigned number)
{
    const struct load_options *options = worker->options;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    check(worker->epoll >= 0);
    worker->latencies_us = mem_alloc(LATENCIES_MAX * sizeof(uint32_t));
    worker->conns = mem_new(options->connections * sizeof(*worker->conns));
    worker->step_ns = options->rate > 0 ? (int64_t)(1e9 * options->threads / options->rate) : 0;
    buf_init(&worker->request, MESSAGE_MAX);
    for (unsigned c = number; c < options->connections; c += options->threads) {
        conn_open(worker, c);
    }
}

/* What connections cost to make is not the calls'. */
static void await_ready(struct worker *worker)
{
    for (size_t i = 0; i < worker->conns_count; i++) {
        struct conn *conn = &worker->conns[i];
        struct pollfd fd = {.fd = h2_fd(conn->h2), .events = POLLIN};
        while (!h2_is_ready(conn->h2)) {
            if (poll(&fd, 1, SILENCE_MS) != 1 || !h2_read(conn->h2)) {
                fprintf(stderr, "the member does not answer a connection\n");
                exit(1);
            }
        }
        h2_flush(conn->h2);
    }
}

static int latency_cmp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void load_percentiles(uint32_t *us, size_t count, struct load_result *out)
{
    qsort(us, count, sizeof(*us), latency_cmp);
    out->p50_us = count ? us[count / 2] : 0;
    out->p99_us = count ? us[count * 99 / 100] : 0;
    out->max_us = count ? us[count - 1] : 0;
}

static void gather(struct worker *workers, unsigned count, struct load_result *out)
{
    size_t total = 0;
    uint32_t *all = mem_alloc((size_t)count * LATENCIES_MAX * sizeof(*all));
    for (unsigned i = 0; i < count; i++) {
        size_t kept = workers[i].calls < LATENCIES_MAX ? workers[i].calls : LATENCIES_MAX;
        memcpy(all + total, workers[i].latencies_us, kept * sizeof(*all));
        total += kept;
        out->calls += workers[i].calls;
        out->errors += workers[i].errors;
        out->bytes += workers[i].bytes;
    }
    load_percentiles(all, total, out);
    free(all);
}

static void finish(struct worker *worker)
{
    for (size_t i = 0; i < worker->conns_count; i++) {
        for (unsigned s = 0; s < worker->options->streams; s++) {
            buf_fini(&worker->conns[i].runners[s].message);
        }
        free(worker->conns[i].runners);
        h2_close(worker->conns[i].h2);
    }
    buf_fini(&worker->request);
    close(worker->epoll);
    free(worker->conns);
    free(worker->latencies_us);
}

void load_run(const struct load_options *options, struct load_result *out)
{
    atomic_uint_fast64_t next = 0;
    struct worker *workers = mem_new(options->threads * sizeof(*workers));
    *out = (struct load_result){0};
    for (unsigned i = 0; i < options->threads; i++) {
        workers[i].options = options;
        workers[i].next = &next;
        prepare(&workers[i], i);
    }
    for (unsigned i = 0; i < options->threads; i++) {
        await_ready(&workers[i]);
    }
    if (options->begun) {
        options->begun(options->arg);
    }
    int64_t began_ns = clock_mono_ns();
    for (unsigned i = 0; i < options->threads; i++) {
        workers[i].until_ns =
            options->seconds > 0 ? began_ns + (int64_t)(options->seconds * 1e9) : 0;
        workers[i].due_ns = began_ns;
        check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < options->threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    out->seconds = (double)(clock_mono_ns() - began_ns) / 1e9;
    gather(workers, options->threads, out);
    for (unsigned i = 0; i < options->threads; i++) {
        finish(&workers[i]);
    }
    free(workers);
}
