/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "h2.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    GRPC_HEAD = 5,
    MESSAGE_MAX = 1 << 30,
    LATENCIES_MAX = 1 << 22,
    QUIET_MS = 5000,
    FIELD_CREATED = 3, /* WatchResponse */
    FIELD_EVENTS = 11,
    FIELD_KV = 2, /* Event */
    FIELD_VALUE = 5,
};

struct stream {
    uint32_t id;
    struct buf in;
};

struct watch_conn {
    struct watch_load *load;
    struct h2 *h2;
    struct stream *streams;
};

struct watch_load {
    struct watch_options options;
    int epoll;
    struct watch_conn *conns;
    atomic_uint_fast64_t created;
    atomic_uint_fast64_t events;
    atomic_uint_fast64_t bytes;
    atomic_uint_fast64_t ended;
    atomic_bool is_over;
    uint32_t *latencies_us;
    int64_t last_ns;
    pthread_t thread;
};

/* The bytes of the message's last field of that number; empty when there is none. */
static struct slice field_of(struct slice message, uint32_t number)
{
    struct wire wire;
    struct wire_field field;
    struct slice found = {0};
    wire_init(&wire, message);
    while (wire_more(&wire) && !err_is(wire_next(&wire, &field))) {
        if (field.number == number && field.type == WIRE_BYTES) {
            found = field.bytes;
        }
    }
    return found;
}

static void take_event(struct watch_load *load, struct slice event, int64_t now_ns)
{
    struct slice value = field_of(field_of(event, FIELD_KV), FIELD_VALUE);
    if (value.len >= 8) {
        uint64_t n = atomic_fetch_add(&load->events, 1);
        int64_t took_ns = now_ns - (int64_t)get_be64(value.data);
        load->latencies_us[n % LATENCIES_MAX] = (uint32_t)(took_ns / 1000);
        load->last_ns = now_ns;
    }
}

static void take_message(struct watch_load *load, struct slice message)
{
    struct wire wire;
    struct wire_field field;
    int64_t now_ns = clock_mono_ns();
    wire_init(&wire, message);
    while (wire_more(&wire) && !err_is(wire_next(&wire, &field))) {
        if (field.number == FIELD_CREATED && field.value) {
            atomic_fetch_add(&load->created, 1);
        } else if (field.number == FIELD_EVENTS) {
            take_event(load, field.bytes, now_ns);
        }
    }
}

static struct stream *stream_of(struct watch_conn *conn, uint32_t id)
{
    struct stream *stream = &conn->streams[id / 2];
    check(id / 2 < conn->load->options.streams && stream->id == id);
    return stream;
}

static void on_data(void *arg, uint32_t id, struct slice bytes)
{
    struct watch_conn *conn = arg;
    struct buf *in = &stream_of(conn, id)->in;
    size_t at = 0;
    buf_add_slice(in, bytes);
    atomic_fetch_add(&conn->load->bytes, bytes.len);
    while (in->len - at >= GRPC_HEAD) {
        const uint8_t *head = in->data + at;
        size_t len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (in->len - at < GRPC_HEAD + len) {
            break;
        }
        take_message(conn->load, slice_of(head + GRPC_HEAD, len));
        at += GRPC_HEAD + len;
    }
    buf_drop(in, at);
}

static void on_end(void *arg, uint32_t id)
{
    struct watch_conn *conn = arg;
    (void)id;
    atomic_fetch_add(&conn->load->ended, 1);
}

static void *work(void *arg)
{
    struct watch_load *load = arg;
    struct epoll_event events[64];
    while (!atomic_load(&load->is_over)) {
        int count = epoll_wait(load->epoll, events, COUNT_OF(events), 100);
        for (int i = 0; i < count; i++) {
            struct watch_conn *conn = events[i].data.ptr;
            if (!h2_read(conn->h2)) {
                fprintf(stderr, "the member closed a connection\n");
                exit(1);
            }
            h2_flush(conn->h2); /* acknowledgements and windows: a few bytes */
        }
    }
    return NULL;
}

static void conn_open(struct watch_load *load, unsigned number)
{
    const struct watch_options *o = &load->options;
    struct watch_conn *conn = &load->conns[number];
    struct h2_target target = {o->endpoint, o->tls, "/etcdserverpb.Watch/Watch"};
    struct h2_handler handler = {on_data, on_end, conn};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    struct buf request;
    buf_init(&request, MESSAGE_MAX);
    conn->load = load;
    conn->h2 = h2_open(&target, &handler);
    conn->streams = mem_new(o->streams * sizeof(*conn->streams));
    /* Watchers are dealt out to all streams in turn. */
    unsigned all = o->connections * o->streams;
    for (unsigned s = 0; s < o->streams; s++) {
        buf_init(&conn->streams[s].in, MESSAGE_MAX);
        for (unsigned w = number * o->streams + s; w < o->watchers; w += all) {
            buf_reset(&request);
            o->request(o->arg, w, &request);
            if (conn->streams[s].id) {
                h2_send(conn->h2, conn->streams[s].id, buf_slice(&request));
            } else {
                conn->streams[s].id = h2_call(conn->h2, buf_slice(&request), false);
            }
        }
    }
    buf_fini(&request);
    check(epoll_ctl(load->epoll, EPOLL_CTL_ADD, h2_fd(conn->h2), &event) == 0);
    h2_flush(conn->h2);
}

struct watch_load *watch_start(const struct watch_options *options)
{
    struct watch_load *load = mem_new(sizeof(*load));
    load->options = *options;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->conns = mem_new(options->connections * sizeof(*load->conns));
    load->latencies_us = mem_alloc(LATENCIES_MAX * sizeof(uint32_t));
    for (unsigned i = 0; i < options->connections; i++) {
        conn_open(load, i);
    }
    check(pthread_create(&load->thread, NULL, work, load) == 0);
    int64_t until_ns = clock_mono_ns() + INT64_C(60000000000);
    while (atomic_load(&load->created) < options->watchers) {
        if (clock_mono_ns() > until_ns) {
            fprintf(stderr, "only %llu watchers were created\n",
                (unsigned long long)atomic_load(&load->created));
            exit(1);
        }
        usleep(1000);
    }
    return load;
}

void watch_finish(struct watch_load *load, uint64_t expected, struct load_result *out)
{
    uint64_t seen = 0;
    int64_t quiet_ns = clock_mono_ns();
    while (atomic_load(&load->events) < expected &&
           clock_mono_ns() - quiet_ns < QUIET_MS * INT64_C(1000000)) {
        uint64_t now = atomic_load(&load->events);
        quiet_ns = now != seen ? clock_mono_ns() : quiet_ns;
        seen = now;
        usleep(1000);
    }
    atomic_store(&load->is_over, true);
    pthread_join(load->thread, NULL);
    *out = (struct load_result){.calls = load->events, .bytes = load->bytes};
    out->errors = expected - load->events + load->ended;
    load_percentiles(
        load->latencies_us, load->events < LATENCIES_MAX ? load->events : LATENCIES_MAX, out);
    for (unsigned i = 0; i < load->options.connections; i++) {
        for (unsigned s = 0; s < load->options.streams; s++) {
            buf_fini(&load->conns[i].streams[s].in);
        }
        free(load->conns[i].streams);
        h2_close(load->conns[i].h2);
    }
    close(load->epoll);
    free(load->conns);
    free(load->latencies_us);
    free(load);
}
