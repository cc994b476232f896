/* SPDX-License-Identifier: Apache-2.0
 *
 * A closed-loop gRPC load: CONNECTIONS × STREAMS calls are always under way; each ended call is
 * followed by the next.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct load_options {
    const char *endpoint; /* host:port */
    const char *ca;       /* NULL: plain text */
    const char *cert;
    const char *key;
    unsigned connections;
    unsigned streams;
    unsigned threads;
    double seconds;     /* 0: until calls_max */
    uint64_t calls_max; /* 0: until the time is over */
    const char *method; /* "/etcdserverpb.KV/Put" */
    /* Fills out (empty) with the packed request of the n-th call; any thread. */
    void (*request)(void *arg, uint64_t n, struct buf *out);
    void *arg;
};

struct load_result {
    uint64_t calls;
    uint64_t errors;
    uint64_t bytes; /* of responses */
    double seconds;
    double p50_us;
    double p99_us;
    char first_error[256];
};

void load_run(const struct load_options *options, struct load_result *out);

#endif
