/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/poll.h"

#include "base/clock.h"

#include <time.h>

enum {
    EVENTS_A_LOOK = 64, /* between looks at the clock */
    WINDOW_NS = 20000000,
    BUSY_PERCENT = 90, /* from here on one more may ask */
    IDLE_PERCENT = 40, /* below, one less */
};

/* What a thread did since the window began. */
struct window {
    unsigned events;
    int64_t began_ns;
    int64_t began_cpu_ns;
    int64_t worked_ns;
};

static _Thread_local bool has_place;
static _Thread_local struct window window;

void rpc_poll_init(struct rpc_poll *poll, unsigned threads)
{
    *poll = (struct rpc_poll){.threads = threads, .places = 1};
    pthread_mutex_init(&poll->mutex, NULL);
    pthread_cond_init(&poll->cond, NULL);
}

void rpc_poll_fini(struct rpc_poll *poll)
{
    pthread_mutex_destroy(&poll->mutex);
    pthread_cond_destroy(&poll->cond);
}

/* What the calling thread has computed. */
static int64_t thread_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void window_begin(int64_t now_ns)
{
    window = (struct window){.began_ns = now_ns, .began_cpu_ns = thread_ns()};
}

/* Under the mutex. */
static void invite(struct rpc_poll *poll)
{
    if (poll->waiting && poll->taken < poll->places) {
        pthread_cond_signal(&poll->cond);
    }
}

static void give_up(struct rpc_poll *poll)
{
    has_place = false;
    poll->taken--;
    invite(poll);
}

/* Busy is who computes, or waits for the disk: either share counts. */
static void adjust(struct rpc_poll *poll, int64_t now_ns)
{
    int64_t cpu_ns = thread_ns() - window.began_cpu_ns;
    int64_t busy_ns = cpu_ns > window.worked_ns ? cpu_ns : window.worked_ns;
    int64_t percent = busy_ns * 100 / (now_ns - window.began_ns);
    pthread_mutex_lock(&poll->mutex);
    if (percent >= BUSY_PERCENT && poll->places < poll->threads) {
        poll->places++;
        invite(poll);
    } else if (percent < IDLE_PERCENT && poll->places > 1) {
        poll->places--;
    }
    if (poll->taken > poll->places) {
        give_up(poll);
    }
    pthread_mutex_unlock(&poll->mutex);
}

bool rpc_poll_stays(struct rpc_poll *poll)
{
    if (has_place && ++window.events >= EVENTS_A_LOOK) {
        int64_t now_ns = clock_mono_ns();
        window.events = 0;
        if (now_ns - window.began_ns >= WINDOW_NS) {
            adjust(poll, now_ns);
            window_begin(now_ns);
        }
    }
    return has_place;
}

bool rpc_poll_wait(struct rpc_poll *poll)
{
    pthread_mutex_lock(&poll->mutex);
    poll->waiting++;
    while (poll->taken >= poll->places && !poll->is_over) {
        pthread_cond_wait(&poll->cond, &poll->mutex);
    }
    poll->waiting--;
    has_place = !poll->is_over;
    poll->taken += has_place;
    pthread_mutex_unlock(&poll->mutex);
    window_begin(clock_mono_ns());
    return has_place;
}

void rpc_poll_leave(struct rpc_poll *poll)
{
    if (has_place) {
        pthread_mutex_lock(&poll->mutex);
        give_up(poll);
        pthread_mutex_unlock(&poll->mutex);
    }
}

void rpc_poll_end(struct rpc_poll *poll)
{
    rpc_poll_leave(poll);
    pthread_mutex_lock(&poll->mutex);
    poll->is_over = true;
    pthread_cond_broadcast(&poll->cond);
    pthread_mutex_unlock(&poll->mutex);
}

void rpc_poll_worked(int64_t ns)
{
    window.worked_ns += ns;
}
