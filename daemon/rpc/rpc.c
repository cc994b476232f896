/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/rpc.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/answers.h"
#include "rpc/creds.h"
#include "rpc/internal.h"
#include "rpc/shim.h"

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    OVERHEAD_BYTES = 512 << 10,
    REQUEST_BYTES_DEFAULT = 3 << 19,
    HEADERS_BYTES_DEFAULT = 64 << 10,
    HANDSHAKE_DEFAULT_MS = 10000,
    KEEPALIVE_MIN_DEFAULT_MS = 5000,
    KEEPALIVE_INTERVAL_DEFAULT_MS = 2 * 60 * 60 * 1000,
    KEEPALIVE_TIMEOUT_DEFAULT_MS = 20000,
    LOG_EVERY_MS = 1000,
    LEAVE_LOOK_NS = 2000000,
    MEMORY_DEFAULT = 512 << 20,
    STREAM_WINDOW = 1 << 20, /* of a request, before it is asked for more */
    THREADS_A_LANE = 4,
    UNARY_WAITING = 16, /* calls of one method asked for ahead, a lane */
    LOOKS_SKIPPED = 16,
};

static void *slot_copy(void *slot)
{
    return slot;
}

static void slot_destroy(void *slot)
{
    (void)slot;
}

static int slot_compare(void *a, void *b)
{
    return (a > b) - (a < b);
}

static const grpc_arg_pointer_vtable slot_vtable = {slot_copy, slot_destroy, slot_compare};

static grpc_arg slot_arg(const char *key, void **slot)
{
    grpc_arg arg = {.type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)key};
    arg.value.pointer.p = slot;
    arg.value.pointer.vtable = &slot_vtable;
    return arg;
}

static grpc_arg int_arg(const char *key, int64_t value)
{
    grpc_arg arg = {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key};
    arg.value.integer = value > INT32_MAX ? INT32_MAX : (int)value;
    return arg;
}

static int64_t given(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static grpc_arg quota_arg(grpc_resource_quota *quota)
{
    grpc_arg arg = {.type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA};
    arg.value.pointer.p = quota;
    arg.value.pointer.vtable = grpc_resource_quota_arg_vtable();
    return arg;
}

static grpc_server *server_new(struct rpc *rpc, const struct rpc_options *options)
{
    grpc_resource_quota *quota = grpc_resource_quota_create("rpc");
    grpc_resource_quota_resize(
        quota, (size_t)given((int64_t)options->memory_bytes_max, MEMORY_DEFAULT));
    const grpc_arg args[] = {
        slot_arg("external:plain", &rpc->plain_handler),
        slot_arg("external:tls", &rpc->tls_handler),
        /* The size of a request is checked here, for grpc-go's text; core checks no earlier. */
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        int_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, INT32_MAX),
        int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, given(options->streams_max, INT32_MAX)),
        int_arg(
            GRPC_ARG_MAX_METADATA_SIZE, given(options->headers_bytes_max, HEADERS_BYTES_DEFAULT)),
        int_arg(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
            given(options->handshake_timeout_ms, HANDSHAKE_DEFAULT_MS)),
        /* Measuring what a connection holds costs a ping and new settings every few requests. */
        int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        int_arg(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, STREAM_WINDOW),
        int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
            given(options->keepalive_min_ms, KEEPALIVE_MIN_DEFAULT_MS)),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS,
            given(options->keepalive_interval_ms, KEEPALIVE_INTERVAL_DEFAULT_MS)),
        int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
            given(options->keepalive_timeout_ms, KEEPALIVE_TIMEOUT_DEFAULT_MS)),
        int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0),
        /* A small gzip message may unpack to gigabytes; message.c does it within bounds. */
        int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
        int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
        int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
        quota_arg(quota),
    };
    const grpc_channel_args all = {COUNT_OF(args), (grpc_arg *)(uintptr_t)args};
    grpc_server *server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

static void add_port(struct rpc *rpc, const char *address, grpc_server_credentials *creds)
{
    /* Returns no port for an external one, whether it went well or not: rpc_start looks at the
     * slot. */
    grpc_server_add_http2_port(rpc->server, address, creds);
    grpc_server_credentials_release(creds);
}

/* core's own errors, as lines of ours: failed handshakes mostly, hence etcd's words, and one a
 * second, for whoever fills the log fills the disk. */
static void on_core_log(gpr_log_func_args *args)
{
    static _Atomic int64_t logged_ms;
    int64_t last_ms = atomic_load(&logged_ms);
    int64_t now_ms = clock_mono_ms();
    bool is_due = last_ms == 0 || now_ms - last_ms >= LOG_EVERY_MS;
    if (args->severity != GPR_LOG_SEVERITY_ERROR || !is_due ||
        !atomic_compare_exchange_strong(&logged_ms, &last_ms, now_ms)) {
        return;
    }
    if (strstr(args->message, "andshake")) {
        LOG_WARN("rejected connection on client endpoint", LOG_ERR(args->message));
    } else {
        LOG_WARN("grpc", LOG_STR("file", args->file), LOG_ERR(args->message));
    }
}

static void on_shut(struct rpc_tag *tag, bool is_ok)
{
    struct rpc *rpc = CONTAINER_OF(tag, struct rpc, shutdown_tag);
    (void)is_ok;
    rpc_call_ended(rpc);
}

static void register_methods(struct rpc *rpc, bool is_extensive)
{
    size_t count;
    const struct api_method *methods = api_methods(&count);
    rpc->methods = mem_new((count + 1) * sizeof(*rpc->methods));
    for (size_t i = 0; i < count; i++) {
        if (!methods[i].ops) {
            continue;
        }
        struct rpc_method *method = &rpc->methods[rpc->methods_count++];
        method->method = &methods[i];
        rpc_counters_init(&method->counters, &methods[i], is_extensive);
        method->handle = grpc_server_register_method(rpc->server, methods[i].path, NULL,
            methods[i].kind == API_BIDI ? GRPC_SRM_PAYLOAD_NONE
                                        : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
            0);
        check(method->handle);
    }
}

static unsigned cores(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 2 ? (unsigned)count : 2; /* one that lists much must not hold up all streams */
}

struct err rpc_new(const struct rpc_options *options, struct rpc **out_rpc, struct why *why)
{
    struct rpc_creds *creds = NULL;
    rpc_shim_init();
    check(strncmp(grpc_version_string(), "29.", 3) == 0); /* shim.cc knows the layouts of 1.51 */
    gpr_set_log_function(on_core_log);
    grpc_init();
    if (options->tls) {
        struct err e = rpc_creds_new(options->tls, &creds, why);
        if (err_is(e)) {
            grpc_shutdown();
            return e;
        }
    }
    struct rpc *rpc = mem_new(sizeof(*rpc));
    rpc->api = options->api;
    rpc->name = mem_strdup(options->name ? options->name : "rpc");
    rpc->creds = creds;
    rpc->message_bytes_max =
        (size_t)given(options->request_bytes_max, REQUEST_BYTES_DEFAULT) + OVERHEAD_BYTES;
    rpc->threads_count = options->threads ? options->threads : cores();
    rpc->lanes_count = (rpc->threads_count + THREADS_A_LANE - 1) / THREADS_A_LANE;
    rpc->shutdown_tag.fn = on_shut;
    atomic_store(&rpc->calls, 1);
    list_init(&rpc->streams);
    pthread_rwlock_init(&rpc->adopt_lock, NULL);
    pthread_mutex_init(&rpc->streams_mutex, NULL);
    pthread_mutex_init(&rpc->idle_mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&rpc->idle_cond, &attr);
    pthread_condattr_destroy(&attr);
    rpc->server = server_new(rpc, options);
    rpc->lanes = mem_new(rpc->lanes_count * sizeof(*rpc->lanes));
    for (unsigned i = 0; i < rpc->lanes_count; i++) {
        rpc->lanes[i].rpc = rpc;
        /* Thread t is of lane t % lanes. */
        rpc_poll_init(&rpc->lanes[i].poll,
            (rpc->threads_count - i + rpc->lanes_count - 1) / rpc->lanes_count);
        rpc_unary_lane_init(&rpc->lanes[i]);
        rpc_streams_init(&rpc->lanes[i]);
        rpc->lanes[i].cq = grpc_completion_queue_create_for_next(NULL);
        grpc_server_register_completion_queue(rpc->server, rpc->lanes[i].cq, NULL);
    }
    register_methods(rpc, options->is_extensive);
    add_port(rpc, "external:plain", grpc_insecure_server_credentials_create());
    if (creds) {
        add_port(rpc, "external:tls", rpc_creds_core(creds));
    }
    *out_rpc = rpc;
    return OK;
}

/* Answers may wait for what is there already, not for what may come. Looking costs a turn of
 * core's poller; where one answer finds no other, it is not looked for again for a while. */
static bool may_wait(const struct rpc_answers *answers, unsigned *skips)
{
    if (answers->count == 0 || answers->count >= ANSWERS_MAX) {
        return false;
    }
    *skips -= *skips > 0;
    return *skips == 0;
}

static void *lane_main(void *arg)
{
    struct rpc_lane *lane = arg;
    struct rpc_answers *answers = rpc_unary_answers();
    unsigned skips = 0;
    for (;;) {
        if (!rpc_poll_stays(&lane->poll)) {
            rpc_unary_answer(lane, answers);
            if (!rpc_poll_wait(&lane->poll)) {
                return NULL;
            }
        }
        gpr_timespec until = answers->count ? gpr_inf_past(GPR_CLOCK_MONOTONIC)
                                            : gpr_inf_future(GPR_CLOCK_MONOTONIC);
        grpc_event event = grpc_completion_queue_next(lane->cq, until, NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            struct rpc_tag *tag = event.tag;
            tag->fn(tag, event.success != 0);
        } else if (answers->count == 1) {
            skips = LOOKS_SKIPPED;
        }
        if (event.type != GRPC_OP_COMPLETE || !may_wait(answers, &skips)) {
            rpc_unary_answer(lane, answers);
        }
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            rpc_poll_end(&lane->poll);
            return NULL;
        }
    }
}

static void ask(struct rpc_lane *lane)
{
    for (size_t i = 0; i < lane->rpc->methods_count; i++) {
        const struct rpc_method *method = &lane->rpc->methods[i];
        if (method->method->kind != API_UNARY) {
            rpc_stream_request(lane, method);
            continue;
        }
        for (int n = 0; n < UNARY_WAITING; n++) {
            rpc_unary_request(lane, method);
        }
    }
    rpc_unknown_request(lane);
}

void rpc_start(struct rpc *rpc)
{
    grpc_server_start(rpc->server);
    check(rpc->plain_handler && (rpc->tls_handler || !rpc->creds));
    rpc->threads = mem_new(rpc->threads_count * sizeof(*rpc->threads));
    for (unsigned i = 0; i < rpc->lanes_count; i++) {
        ask(&rpc->lanes[i]);
    }
    for (unsigned i = 0; i < rpc->threads_count; i++) {
        char name[16];
        struct rpc_lane *lane = &rpc->lanes[i % rpc->lanes_count];
        check(pthread_create(&rpc->threads[i], NULL, lane_main, lane) == 0);
        snprintf(name, sizeof(name), "%.8s/%u", rpc->name, i % 1000);
        pthread_setname_np(rpc->threads[i], name);
    }
    pthread_rwlock_wrlock(&rpc->adopt_lock);
    rpc->is_open = true;
    pthread_rwlock_unlock(&rpc->adopt_lock);
}

void rpc_adopt(struct rpc *rpc, int fd, bool is_tls)
{
    pthread_rwlock_rdlock(&rpc->adopt_lock);
    void *handler = is_tls ? rpc->tls_handler : rpc->plain_handler;
    if (rpc->is_open && handler) {
        if (is_tls) {
            rpc_creds_enter(rpc->creds);
        }
        rpc_shim_handle(handler, fd);
        if (is_tls) {
            rpc_creds_leave();
        }
    } else {
        close(fd);
    }
    pthread_rwlock_unlock(&rpc->adopt_lock);
}

void rpc_call_began(struct rpc *rpc)
{
    atomic_fetch_add_explicit(&rpc->calls, 1, memory_order_relaxed);
}

/* On any thread, one of core's too that nobody joins: rpc may be gone when the count has gone down,
 * and only who brings it to nil, for whom the stop waits, may look at it once more. */
void rpc_call_ended(struct rpc *rpc)
{
    if (atomic_fetch_sub(&rpc->calls, 1) == 1) {
        pthread_mutex_lock(&rpc->idle_mutex);
        rpc->is_idle = true;
        pthread_cond_broadcast(&rpc->idle_cond);
        pthread_mutex_unlock(&rpc->idle_mutex);
    }
}

size_t rpc_calls(const struct rpc *rpc)
{
    size_t calls = atomic_load(&rpc->calls);
    return calls ? calls - 1 : 0;
}

/* True when the server is shut and no call is left; false when until_ns came first (INT64_MAX:
 * never). */
static bool wait_idle(struct rpc *rpc, int64_t until_ns)
{
    int rc = 0;
    bool is_idle;
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    pthread_mutex_lock(&rpc->idle_mutex);
    while (!(is_idle = rpc->is_idle) && rc == 0) {
        rc = until_ns == INT64_MAX
                 ? pthread_cond_wait(&rpc->idle_cond, &rpc->idle_mutex)
                 : pthread_cond_timedwait(&rpc->idle_cond, &rpc->idle_mutex, &until);
    }
    pthread_mutex_unlock(&rpc->idle_mutex);
    return is_idle;
}

/* Core cancels every call that it hears of once it is shut, also one that a client sent before it
 * could know. So clients are told first, and as a rule they are gone before that. */
static void take_leave(struct rpc *rpc, int64_t leave_ms)
{
    int64_t until_ms = clock_mono_ms() + leave_ms;
    rpc_shim_goaway(rpc->server);
    rpc_streams_stop(rpc);
    while (rpc_shim_is_connected(rpc->server) && clock_mono_ms() < until_ms) {
        nanosleep(&(struct timespec){0, LEAVE_LOOK_NS}, NULL);
    }
}

static void shut(struct rpc *rpc, int64_t leave_ms)
{
    atomic_store(&rpc->is_stopping, true);
    take_leave(rpc, leave_ms);
    grpc_server_shutdown_and_notify(rpc->server, rpc->lanes[0].cq, &rpc->shutdown_tag);
    rpc_streams_stop(rpc);
}

void rpc_drain(struct rpc *rpc, int64_t drain_ms)
{
    pthread_rwlock_wrlock(&rpc->adopt_lock);
    bool was_open = rpc->is_open;
    rpc->is_open = false;
    pthread_rwlock_unlock(&rpc->adopt_lock);
    if (was_open) {
        shut(rpc, drain_ms / 2);
    }
    if (atomic_load(&rpc->is_stopping)) {
        (void)wait_idle(rpc, clock_mono_ns() + drain_ms * 1000000);
    }
}

void rpc_stop(struct rpc *rpc, int64_t drain_ms)
{
    rpc_drain(rpc, drain_ms);
    if (!atomic_load(&rpc->is_stopping) || rpc->threads_count == 0) {
        return; /* it was never started, or is stopped */
    }
    if (!wait_idle(rpc, 0)) {
        grpc_server_cancel_all_calls(rpc->server);
        wait_idle(rpc, INT64_MAX);
    }
    for (unsigned i = 0; i < rpc->lanes_count; i++) {
        grpc_completion_queue_shutdown(rpc->lanes[i].cq);
    }
    for (unsigned i = 0; i < rpc->threads_count; i++) {
        pthread_join(rpc->threads[i], NULL);
    }
    rpc->threads_count = 0;
}

/* A server that was never started still has to be shut before it is destroyed. */
static void shut_unstarted(struct rpc *rpc)
{
    grpc_completion_queue *cq = rpc->lanes[0].cq;
    grpc_server_shutdown_and_notify(rpc->server, cq, &rpc->shutdown_tag);
    grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    for (unsigned i = 0; i < rpc->lanes_count; i++) {
        grpc_completion_queue_shutdown(rpc->lanes[i].cq);
        while (
            grpc_completion_queue_next(rpc->lanes[i].cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL)
                .type != GRPC_QUEUE_SHUTDOWN) {
        }
    }
}

void rpc_free(struct rpc *rpc)
{
    if (!rpc) {
        return;
    }
    if (rpc->threads) {
        rpc_stop(rpc, 0);
    } else {
        shut_unstarted(rpc);
    }
    grpc_server_destroy(rpc->server);
    for (unsigned i = 0; i < rpc->lanes_count; i++) {
        grpc_completion_queue_destroy(rpc->lanes[i].cq);
        rpc_poll_fini(&rpc->lanes[i].poll);
    }
    rpc_creds_free(rpc->creds);
    pthread_rwlock_destroy(&rpc->adopt_lock);
    pthread_mutex_destroy(&rpc->streams_mutex);
    pthread_mutex_destroy(&rpc->idle_mutex);
    pthread_cond_destroy(&rpc->idle_cond);
    free(rpc->threads);
    free(rpc->methods);
    free(rpc->lanes);
    free(rpc->name);
    free(rpc);
    grpc_shutdown();
}
