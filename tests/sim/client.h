/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients: each asks for one thing after another, of one member until that one fails it; watchers
 * take up their watch again where it broke. All of it goes into the history of the run.
 */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "history/history.h"
#include "sim.h"

extern struct history *history;

/* Fibers that end when the load does; watchers when clients_end is called. */
void clients_start(void);
bool clients_are_done(void);
/* The last compaction that was answered; 0: none. */
int64_t clients_compacted(void);
/* Whether each watcher that is open has seen the revision. */
bool watchers_have_seen(int64_t rev);
void watchers_end(void);
bool watchers_are_done(void);

struct user;

/* Who asks: a number for the history, and somebody's name; user NULL: root. */
struct asking {
    int number;
    struct user *user;
};

/* Asks that member and records it. */
void client_ask(const struct asking *asking, struct machine *machine, struct history_op *op,
    struct arena *arena, struct history_call *out);

#endif
