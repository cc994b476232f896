/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts of random keys by many clients at once, each with a connection and a thread of its own, and
 * how long they took.
 */
#ifndef ETCDCTL_LOAD_H
#define ETCDCTL_LOAD_H

#include "etcdctl.h"

struct load_plan {
    size_t clients;
    int rate;           /* puts a second, all clients together; 0: as fast as they can */
    int64_t seconds;    /* 0: until count are done */
    size_t count;       /* 0: until the seconds are over */
    const char *prefix; /* of the keys */
    size_t key_bytes;   /* behind the prefix */
    size_t value_bytes;
    bool is_interruptible; /* SIGINT ends it early */
};

enum { LOAD_ERRORS_MAX = 16 };

struct load_error {
    char text[sizeof(((struct why *)0)->text)];
    size_t count;
};

struct load_result {
    size_t count; /* that succeeded */
    double seconds;
    double slowest_s;
    double stddev_s;
    struct load_error errors[LOAD_ERRORS_MAX]; /* further texts count with the last */
    size_t errors_count;
};

/* Shows how far it is where stderr is a terminal. Gives an exit code; 0: *out_result is set. */
int load_run(const struct client_config *config, const struct load_plan *plan,
    struct load_result *out_result);

#endif
