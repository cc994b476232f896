/* SPDX-License-Identifier: Apache-2.0
 * A wall clock that is wrong by what the control file says, for everything that asks libc for the
 * time or waits until one. Monotonic clocks go on as they are, as when an operator sets a clock. */
#include "shim.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CALL __attribute__((visibility("default")))

enum { SECOND_NS = 1000000000, YEARS_S = 1000000000 };

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static long (*real_syscall)(long, ...);

static void *next(const char *name, const char *version)
{
    void *at = version ? dlvsym(RTLD_NEXT, name, version) : dlsym(RTLD_NEXT, name);
    if (!at) {
        abort();
    }
    return at;
}

__attribute__((constructor)) static void begin(void)
{
    *(void **)&real_clock_gettime = next("clock_gettime", NULL);
    *(void **)&real_timedwait = next("pthread_cond_timedwait", "GLIBC_2.3.2");
    *(void **)&real_syscall = next("syscall", NULL);
}

static struct timespec shifted(struct timespec time, int64_t by_ns)
{
    int64_t ns = time.tv_nsec + by_ns % SECOND_NS;
    time.tv_sec += by_ns / SECOND_NS + (ns < 0 ? -1 : ns / SECOND_NS);
    time.tv_nsec = ns < 0 ? ns + SECOND_NS : ns % SECOND_NS;
    return time;
}

/* A wait until then, by the clock as it really is. */
static struct timespec truly(struct timespec until)
{
    return shifted(until, -control_wall_ns());
}

CALL int clock_gettime(clockid_t clock, struct timespec *out)
{
    if (!real_clock_gettime) {
        begin();
    }
    int rc = real_clock_gettime(clock, out);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        *out = shifted(*out, control_wall_ns());
    }
    return rc;
}

CALL int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

CALL time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

/* The condition knows which clock it goes by; here the time tells: no machine is up for decades. */
CALL int pthread_cond_timedwait(
    pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex, const struct timespec *until)
{
    if (!real_timedwait) {
        begin();
    }
    struct timespec then = until->tv_sec > YEARS_S ? truly(*until) : *until;
    return real_timedwait(cond, mutex, &then);
}

/* How Abseil, below gRPC, waits. */
CALL long syscall(long number, ...)
{
    long args[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++) {
        args[i] = va_arg(list, long);
    }
    va_end(list);
    if (!real_syscall) {
        begin();
    }
    struct timespec then;
    if (number == SYS_futex && (args[1] & FUTEX_CLOCK_REALTIME) && args[3]) {
        then = truly(*(const struct timespec *)args[3]);
        args[3] = (long)&then;
    }
    return real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}
