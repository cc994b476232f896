/* SPDX-License-Identifier: Apache-2.0 */
#include "renewal.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

enum { SECOND_NS = 1000000000, AGAIN_NS = SECOND_NS / 2 };

/* etcd's longest lease: more than a server can mean, less than a clock cannot take. */
static const int64_t ttl_max = 9000000000;

static int64_t in_ns(int64_t ttl)
{
    return (ttl < ttl_max ? ttl : ttl_max) * SECOND_NS;
}

int64_t renewal_deadline(int64_t ttl)
{
    return clock_mono_ns() + in_ns(ttl);
}

void renewal_wait(int64_t ttl)
{
    int64_t ns = ttl > 0 ? in_ns(ttl) / 3 : AGAIN_NS;
    struct timespec left = {.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};

    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}
