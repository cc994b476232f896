/* SPDX-License-Identifier: Apache-2.0
 *
 * Watchers that count what reaches them and how old it is: values begin with the time at which they
 * were sent (8 bytes, big-endian, monotonic nanoseconds). A thread of its own.
 */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include "load.h"

struct watch_options {
    const char *endpoint;
    SSL_CTX *tls;
    unsigned connections;
    unsigned streams;  /* a connection */
    unsigned watchers; /* in all */
    /* Fills out with the packed WatchRequest of the n-th watcher. */
    void (*request)(void *arg, uint64_t n, struct buf *out);
    void *arg;
};

struct watch_load;

/* Returns when all watchers are created. */
struct watch_load *watch_start(const struct watch_options *options);
/* Waits until so many events came or nothing comes for five seconds; calls counts events. */
void watch_finish(struct watch_load *load, uint64_t expected, struct load_result *out);

#endif
