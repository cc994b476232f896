/* SPDX-License-Identifier: Apache-2.0
 *
 * Many threads of many machines as fibers of one thread, in a time of their own: a seed decides who
 * runs next and where one is interrupted; when nobody can run, time jumps to the next deadline. The
 * same seed gives the same run. What the code under test calls of pthreads, the clock and the
 * kernel's random numbers leads here (primitives.c).
 */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include "base/heap.h"
#include "context.h"
#include "host.h"

struct fiber {
    struct list node;  /* of the host's fibers */
    struct list queue; /* of what it waits for, or of held */
    struct heap_node timer;
    size_t ready_at; /* place among the ready, from 1; 0: not there */
    struct context context;
    struct host *host;
    void *(*run)(void *arg);
    void *arg;
    void *result;
    const char *waits_for; /* static */
    struct list joiners;
    uint64_t id;
    char name[16];
    bool is_over;
    bool is_detached;
    bool is_late; /* the wait ended by its deadline */
};

struct world_options {
    uint64_t seed;
    unsigned preempt_one_in; /* chances to interrupt; 0: never */
    unsigned stall_one_in;   /* interruptions that last */
    int64_t stall_ns;        /* at most so long */
};

/* Why world_run came back. */
enum world_end {
    WORLD_TIME,     /* the time is over */
    WORLD_STOPPED,  /* world_stop */
    WORLD_DEADLOCK, /* fibers wait, and nothing will ever wake one */
    WORLD_EMPTY,    /* there are none */
};

void world_init(const struct world_options *options);
void world_fini(void);
/* Until that time, or the end. */
enum world_end world_run(int64_t until_ns);
void world_stop(void);
int64_t world_now(void);
/* For decisions of the simulator itself, from the seed. */
uint64_t world_below(uint64_t below);
bool world_one_in(uint64_t n);
/* What was run so far, by whom and when: equal for equal runs. */
uint64_t world_trace(void);
void world_trace_add(uint64_t word);
uint64_t world_switches(void);
/* Calls fn on the scheduler's own stack at that time: it must not wait. */
void world_at(int64_t at_ns, void (*fn)(void *arg), void *arg);
struct fiber *fiber_spawn(struct host *host, const char *name, void *(*run)(void *arg), void *arg);
/* NULL: the scheduler itself, or no world. */
struct fiber *fiber_self(void);
/* Gives the result; frees the fiber. */
void *fiber_join(struct fiber *fiber);
/* Nobody will join it. */
void fiber_detach(struct fiber *fiber);
/* A place where it may be interrupted. */
void fiber_preempt(void);
void fiber_sleep(int64_t ns);
/* Waits in the queue until it is woken (true) or until the deadline (false). */
bool fiber_wait(struct list *queue, int64_t deadline_ns, const char *what);
void fiber_wake_one(struct list *queue);
void fiber_wake_all(struct list *queue);

#endif
