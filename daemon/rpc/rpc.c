/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/rpc.h"

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/core.h"
#include "rpc/creds.h"
#include "rpc/lane.h"
#include "rpc/shim.h"

#include <stdio.h>
#include <unistd.h>

enum {
    OVERHEAD_BYTES = 512 << 10,
    REQUEST_BYTES_DEFAULT = 3 << 19,
    LEAVE_LOOK_NS = 2000000,
    THREADS_A_LANE = 4,
};

static void on_shut(struct rpc_tag *tag, bool is_ok)
{
    struct rpc *rpc = CONTAINER_OF(tag, struct rpc, shutdown_tag);
    (void)is_ok;
    rpc_call_ended(rpc);
}

static unsigned cores(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 2 ? (unsigned)count : 2; /* one that lists much must not hold up all streams */
}

struct err rpc_new(const struct rpc_options *options, struct rpc **out_rpc, struct why *why)
{
    struct rpc_creds *creds = NULL;
    rpc_core_init();
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
        options->request_bytes_max ? options->request_bytes_max : REQUEST_BYTES_DEFAULT;
    rpc->message_bytes_max += OVERHEAD_BYTES;
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
    rpc_core_new(rpc, options);
    rpc->lanes = mem_new(rpc->lanes_count * sizeof(*rpc->lanes));
    for (unsigned i = 0; i < rpc->lanes_count; i++) {
        rpc_lane_init(rpc, i);
    }
    rpc_core_register(rpc, options->is_extensive);
    *out_rpc = rpc;
    return OK;
}

void rpc_start(struct rpc *rpc)
{
    grpc_server_start(rpc->server);
    check(rpc->plain_handler && (rpc->tls_handler || !rpc->creds));
    rpc->threads = mem_new(rpc->threads_count * sizeof(*rpc->threads));
    for (unsigned i = 0; i < rpc->lanes_count; i++) {
        rpc_lane_ask(&rpc->lanes[i]);
    }
    for (unsigned i = 0; i < rpc->threads_count; i++) {
        char name[16];
        struct rpc_lane *lane = &rpc->lanes[i % rpc->lanes_count];
        check(pthread_create(&rpc->threads[i], NULL, rpc_lane_main, lane) == 0);
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
        rpc_lane_fini(&rpc->lanes[i]);
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
