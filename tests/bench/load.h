/* SPDX-License-Identifier: Apache-2.0
 *
 * A load of unary gRPC calls: CONNECTIONS × STREAMS runners. In a closed loop each ended call is
 * followed by the next; with a rate, calls begin at their time, and what waits for a free runner
 * waits on the clock of its latency.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/buf.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

struct load_options {
    const char *endpoints; /* host:port, more behind commas: connections go to them in turns */
    SSL_CTX *tls;          /* NULL: plain text */
    unsigned connections;
    unsigned streams;
    unsigned threads;
    double seconds;     /* 0: until calls_max */
    uint64_t calls_max; /* 0: until the time is over */
    double rate;        /* calls a second in all; 0: a closed loop */
    const char *method; /* "/etcdserverpb.KV/Put" */
    /* Fills out (empty) with the packed request of the n-th call, a runner's next; any thread. */
    void (*request)(void *arg, size_t runner, uint64_t n, struct buf *out);
    /* The packed response; NULL: responses are only counted. */
    void (*response)(void *arg, size_t runner, struct slice message);
    /* Every connection stands, the first call follows; may be NULL. */
    void (*begun)(void *arg);
    void *arg;
};

struct load_result {
    uint64_t calls;
    uint64_t errors; /* calls without an answer */
    uint64_t bytes;  /* of responses */
    double seconds;
    double p50_us;
    double p99_us;
    double max_us;
};

void load_run(const struct load_options *options, struct load_result *out);

/* Sorts the latencies. */
void load_percentiles(uint32_t *us, size_t count, struct load_result *out);

#endif
