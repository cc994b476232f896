/* SPDX-License-Identifier: Apache-2.0
 *
 * The linker leads what the code under test calls of pthreads, the clocks and the kernel's random
 * numbers here (-Wl,--wrap, see CMakeLists.txt). A fiber may be interrupted before it takes a lock
 * and after it gives one back. The objects of pthreads lend their memory; all zeros is what their
 * static initialisers leave.
 */
#include "primitives.h"

#include "fiber.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

struct mutex {
    struct fiber *owner;
    struct list waiters;
};

struct cond {
    struct list waiters;
    clockid_t clock;
};

struct rwlock {
    struct list waiters;
    struct fiber *writer;
    unsigned readers;
    unsigned writers_waiting;
};

_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "room");
_Static_assert(sizeof(struct cond) <= sizeof(pthread_cond_t), "room");
_Static_assert(sizeof(struct rwlock) <= sizeof(pthread_rwlock_t), "room");
_Static_assert(sizeof(clockid_t) <= sizeof(pthread_condattr_t), "room");

/* Outside of any fiber, where nobody contends. */
static struct fiber nobody;
static unsigned spurious_one_in;

void primitives_spurious(unsigned one_in)
{
    spurious_one_in = one_in;
}

static struct fiber *self(void)
{
    struct fiber *fiber = fiber_self();
    return fiber ? fiber : &nobody;
}

static struct list *queue(struct list *list)
{
    if (!list->next) {
        list_init(list);
    }
    return list;
}

#define WRAP(result, name, ...)                                                                    \
    result __wrap_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__)

/* Threads. */

WRAP(int, pthread_create, pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *arg),
    void *arg)
{
    (void)attr;
    struct fiber *fiber = fiber_spawn(self()->host, "", run, arg);
    *out = (pthread_t)fiber;
    fiber_preempt();
    return 0;
}

WRAP(int, pthread_join, pthread_t thread, void **out)
{
    void *result = fiber_join((struct fiber *)thread);
    if (out) {
        *out = result;
    }
    return 0;
}

WRAP(int, pthread_setname_np, pthread_t thread, const char *name)
{
    struct fiber *fiber = (struct fiber *)thread;
    snprintf(fiber->name, sizeof(fiber->name), "%s", name);
    return 0;
}

WRAP(int, pthread_once, pthread_once_t *once, void (*run)(void))
{
    if (!*once) {
        *once = 1;
        run();
    }
    return 0;
}

/* Mutexes. */

static void lock(struct mutex *mutex)
{
    check(mutex->owner != self());
    while (mutex->owner) {
        fiber_wait(queue(&mutex->waiters), NEVER, "a mutex");
    }
    mutex->owner = self();
}

static void unlock(struct mutex *mutex)
{
    check(mutex->owner == self());
    mutex->owner = NULL;
    fiber_wake_one(queue(&mutex->waiters));
}

WRAP(int, pthread_mutex_init, pthread_mutex_t *at, const pthread_mutexattr_t *attr)
{
    (void)attr;
    memset(at, 0, sizeof(*at));
    return 0;
}

WRAP(int, pthread_mutex_destroy, pthread_mutex_t *at)
{
    struct mutex *mutex = (void *)at;
    check(!mutex->owner && list_is_empty(queue(&mutex->waiters)));
    return 0;
}

WRAP(int, pthread_mutex_lock, pthread_mutex_t *at)
{
    fiber_preempt();
    lock((void *)at);
    return 0;
}

WRAP(int, pthread_mutex_trylock, pthread_mutex_t *at)
{
    struct mutex *mutex = (void *)at;
    fiber_preempt();
    if (mutex->owner) {
        return EBUSY;
    }
    lock(mutex);
    return 0;
}

WRAP(int, pthread_mutex_unlock, pthread_mutex_t *at)
{
    unlock((void *)at);
    fiber_preempt();
    return 0;
}

/* Conditions. */

WRAP(int, pthread_condattr_init, pthread_condattr_t *attr)
{
    *(clockid_t *)(void *)attr = CLOCK_REALTIME;
    return 0;
}

WRAP(int, pthread_condattr_setclock, pthread_condattr_t *attr, clockid_t clock)
{
    *(clockid_t *)(void *)attr = clock;
    return 0;
}

WRAP(int, pthread_condattr_destroy, pthread_condattr_t *attr)
{
    (void)attr;
    return 0;
}

WRAP(int, pthread_cond_init, pthread_cond_t *at, const pthread_condattr_t *attr)
{
    struct cond *cond = (void *)at;
    memset(at, 0, sizeof(*at));
    cond->clock = attr ? *(const clockid_t *)(const void *)attr : CLOCK_REALTIME;
    return 0;
}

WRAP(int, pthread_cond_destroy, pthread_cond_t *at)
{
    check(list_is_empty(queue(&((struct cond *)(void *)at)->waiters)));
    return 0;
}

static bool cond_wait(struct cond *cond, struct mutex *mutex, int64_t deadline_ns)
{
    bool is_woken = true;
    unlock(mutex);
    if (world_one_in(spurious_one_in)) {
        fiber_sleep(US);
    } else {
        is_woken = fiber_wait(queue(&cond->waiters), deadline_ns, "a condition");
    }
    lock(mutex);
    return is_woken;
}

WRAP(int, pthread_cond_wait, pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    cond_wait((void *)cond, (void *)mutex, NEVER);
    return 0;
}

WRAP(int, pthread_cond_timedwait, pthread_cond_t *at, pthread_mutex_t *mutex,
    const struct timespec *until)
{
    struct cond *cond = (void *)at;
    const struct host *host = self()->host;
    int64_t ns = (int64_t)until->tv_sec * SECOND + until->tv_nsec;
    int64_t mono_ns = cond->clock == CLOCK_MONOTONIC ? ns : ns - host->wall_ns;
    return cond_wait(cond, (void *)mutex, host_when(host, mono_ns)) ? 0 : ETIMEDOUT;
}

WRAP(int, pthread_cond_signal, pthread_cond_t *cond)
{
    fiber_wake_one(queue(&((struct cond *)(void *)cond)->waiters));
    fiber_preempt();
    return 0;
}

WRAP(int, pthread_cond_broadcast, pthread_cond_t *cond)
{
    fiber_wake_all(queue(&((struct cond *)(void *)cond)->waiters));
    fiber_preempt();
    return 0;
}

/* Read-write locks; writers go first. */

WRAP(int, pthread_rwlockattr_init, pthread_rwlockattr_t *attr)
{
    (void)attr;
    return 0;
}

WRAP(int, pthread_rwlockattr_setkind_np, pthread_rwlockattr_t *attr, int kind)
{
    (void)attr;
    (void)kind;
    return 0;
}

WRAP(int, pthread_rwlockattr_destroy, pthread_rwlockattr_t *attr)
{
    (void)attr;
    return 0;
}

WRAP(int, pthread_rwlock_init, pthread_rwlock_t *at, const pthread_rwlockattr_t *attr)
{
    (void)attr;
    memset(at, 0, sizeof(*at));
    return 0;
}

WRAP(int, pthread_rwlock_destroy, pthread_rwlock_t *at)
{
    struct rwlock *rwlock = (void *)at;
    check(!rwlock->writer && !rwlock->readers && list_is_empty(queue(&rwlock->waiters)));
    return 0;
}

WRAP(int, pthread_rwlock_rdlock, pthread_rwlock_t *at)
{
    struct rwlock *rwlock = (void *)at;
    fiber_preempt();
    while (rwlock->writer || rwlock->writers_waiting) {
        fiber_wait(queue(&rwlock->waiters), NEVER, "a read lock");
    }
    rwlock->readers++;
    return 0;
}

WRAP(int, pthread_rwlock_wrlock, pthread_rwlock_t *at)
{
    struct rwlock *rwlock = (void *)at;
    fiber_preempt();
    rwlock->writers_waiting++;
    while (rwlock->writer || rwlock->readers) {
        fiber_wait(queue(&rwlock->waiters), NEVER, "a write lock");
    }
    rwlock->writers_waiting--;
    rwlock->writer = self();
    return 0;
}

WRAP(int, pthread_rwlock_unlock, pthread_rwlock_t *at)
{
    struct rwlock *rwlock = (void *)at;
    if (rwlock->writer) {
        check(rwlock->writer == self());
        rwlock->writer = NULL;
    } else {
        check(rwlock->readers > 0);
        rwlock->readers--;
    }
    fiber_wake_all(queue(&rwlock->waiters));
    fiber_preempt();
    return 0;
}

/* Time and chance. Outside of any fiber it is the world's own time. */

WRAP(int, clock_gettime, clockid_t clock, struct timespec *out)
{
    const struct host *host = self()->host;
    int64_t ns = host ? host_mono(host) : world_now();
    if (host && clock == CLOCK_REALTIME) {
        ns += host->wall_ns;
    }
    *out = (struct timespec){ns / SECOND, ns % SECOND};
    return 0;
}

WRAP(time_t, time, time_t *out)
{
    struct timespec now;
    __wrap_clock_gettime(CLOCK_REALTIME, &now);
    if (out) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

WRAP(int, nanosleep, const struct timespec *time, struct timespec *left)
{
    (void)left;
    fiber_sleep((int64_t)time->tv_sec * SECOND + time->tv_nsec);
    return 0;
}

WRAP(ssize_t, getrandom, void *out, size_t size, unsigned flags)
{
    struct host *host = self()->host;
    uint8_t *at = out;
    (void)flags;
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)(host ? rand_u64(&host->rand) : world_below(256));
    }
    return (ssize_t)size;
}
