/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of answers under way. A call that reads many keys is let in by what it will take about,
 * before it is read; the first always, the others while the bound holds. Those that do not fit wait
 * in order; one that waited wait_ms, or finds GATE_WAITING_MAX before it, is told "too many
 * requests". So a few clients that do not read cost the bound and no more. Any thread.
 */
#ifndef API_GATE_H
#define API_GATE_H

#include "base/err.h"
#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>

enum { GATE_WAIT_MS = 10000, GATE_WAITING_MAX = 10000 };

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t cond; /* for the thread that looks at the time, once somebody waits */
    pthread_t clock;
    bool has_clock;
    bool is_closing;
    int64_t wait_ms;
    size_t bytes_max;
    size_t bytes; /* let in and not yet left */
    struct list waiting;
    size_t waiting_count;
    _Atomic uint64_t row_bytes; /* of a key with its value: what the last answers came to */
};

/* In who waits. */
struct gate_pass {
    struct list node;
    size_t bytes;
    int64_t since_ms;
    void (*done)(
        struct gate_pass *pass, struct err err); /* let in (OK), or refused; must only queue */
};

void gate_init(struct gate *gate, size_t bytes_max);
/* Nobody waits any more. */
void gate_fini(struct gate *gate);
/* pass->bytes and pass->done are filled; calls done, now or later. Errors (to done):
 * REQUEST_TOO_MANY_REQUESTS. */
void gate_enter(struct gate *gate, struct gate_pass *pass);
/* What was let in is no longer under way. */
void gate_leave(struct gate *gate, size_t bytes);
/* About what so many keys take; and what they turned out to take. */
size_t gate_guess(const struct gate *gate, uint64_t keys, bool is_keys_only);
void gate_learn(struct gate *gate, uint64_t keys, size_t bytes);

#endif
