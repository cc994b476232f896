/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/mutation.h"

#include <stdio.h>
#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
    return read_ns(MUTATE(WALL_FOR_MONO) ? CLOCK_REALTIME : CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

int64_t clock_wall_ns(void)
{
    return read_ns(CLOCK_REALTIME);
}

void clock_format_log(int64_t wall_ns, char *out, size_t size)
{
    struct tm tm;
    char date[24];
    char zone[8];
    time_t seconds = (time_t)(wall_ns / 1000000000);
    localtime_r(&seconds, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    if (tm.tm_gmtoff == 0) {
        snprintf(zone, sizeof(zone), "Z");
    } else {
        strftime(zone, sizeof(zone), "%z", &tm);
    }
    snprintf(out, size, "%s.%06d%s", date, (int)(wall_ns % 1000000000 / 1000), zone);
}
