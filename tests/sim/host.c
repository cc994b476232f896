/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include "fiber.h"

#include <stdio.h>

enum { WALL_START_S = 1700000000, PPM = 1000000 };

void host_init(struct host *host, const char *name, int number)
{
    *host = (struct host){.number = number};
    snprintf(host->name, sizeof(host->name), "%s", name);
    list_init(&host->fibers);
    list_init(&host->held);
    rand_init(&host->rand, world_below(UINT64_MAX));
    host->at_ns = world_now();
    host->mono_ns = SECOND + (int64_t)rand_below(&host->rand, 1000000) * MS;
    host->wall_ns = WALL_START_S * SECOND - host->mono_ns;
}

void host_set_rate(struct host *host, int64_t rate_ppm)
{
    host->mono_ns = host_mono(host);
    host->at_ns = world_now();
    host->rate_ppm = rate_ppm;
}

int64_t host_mono(const struct host *host)
{
    int64_t passed = world_now() - host->at_ns;
    int64_t drift = passed / PPM * host->rate_ppm + passed % PPM * host->rate_ppm / PPM;
    return host->mono_ns + passed + drift;
}

int64_t host_when(const struct host *host, int64_t mono_ns)
{
    int64_t left = mono_ns - host_mono(host);
    int64_t scale = PPM + host->rate_ppm;
    if (left <= 0) {
        return world_now();
    }
    if (left > NEVER / 4) {
        return NEVER;
    }
    return world_now() + left / scale * PPM + (left % scale * PPM + scale - 1) / scale + 1;
}
