/* SPDX-License-Identifier: Apache-2.0
 *
 * A machine as far as fibers care: it has a clock and chance of its own, can stand still and can
 * die.
 */
#ifndef SIM_HOST_H
#define SIM_HOST_H

#include "base/list.h"
#include "base/rand.h"

#include <stdint.h>

#define NEVER INT64_MAX
enum { US = 1000, MS = 1000 * 1000 };
#define SECOND ((int64_t)1000 * MS)

struct host {
    char name[16];
    int number;
    bool is_paused;
    struct list fibers;
    struct list held; /* would run, but the host is paused */
    struct rand rand; /* what its kernel gives */
    void *owner;
    /* monotonic = mono_ns + passed since at_ns, at its own rate; wall = monotonic + wall_ns */
    int64_t at_ns;
    int64_t mono_ns;
    int64_t wall_ns;
    int64_t rate_ppm;
};

/* The clock begins at what the host's own rand says. */
void host_init(struct host *host, const char *name, int number);
void host_set_rate(struct host *host, int64_t rate_ppm);
void host_pause(struct host *host, bool is_paused);
/* Its fibers are gone: they were interrupted and never run again. Not from one of them. */
void host_kill(struct host *host);
/* Says of each of its fibers what it waits for, on standard error. */
void host_describe(const struct host *host);
int64_t host_mono(const struct host *host);
/* When the host's clock will say that, at the earliest. */
int64_t host_when(const struct host *host, int64_t mono_ns);

#endif
