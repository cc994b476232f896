/* SPDX-License-Identifier: Apache-2.0 */
#include "fiber.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
    STACK = 512 * 1024,
    PAGE = 4096,
    STEP_NS = 2000, /* a turn takes at most so long */
    STACKS_KEPT = 64,
};

struct callback {
    struct heap_node timer;
    void (*fn)(void *arg);
    void *arg;
};

static struct {
    struct world_options options;
    struct rand rand;
    struct context scheduler;
    struct heap timers;    /* fibers */
    struct heap callbacks; /* of world_at */
    struct fiber **ready;
    size_t ready_count;
    size_t ready_cap;
    struct fiber *running;
    void *stacks[STACKS_KEPT];
    size_t stacks_count;
    size_t alive;
    int64_t now_ns;
    uint64_t trace;
    uint64_t switches;
    uint64_t next_id;
    bool is_stopped;
} world;

void world_init(const struct world_options *options)
{
    memset(&world, 0, sizeof(world));
    world.options = *options;
    world.trace = 14695981039346656037ULL;
    world.now_ns = SECOND;
    rand_init(&world.rand, options->seed);
    heap_init(&world.timers);
    heap_init(&world.callbacks);
}

int64_t world_now(void)
{
    return world.now_ns;
}

uint64_t world_below(uint64_t below)
{
    return rand_below(&world.rand, below);
}

bool world_one_in(uint64_t n)
{
    return n && rand_below(&world.rand, n) == 0;
}

uint64_t world_trace(void)
{
    return world.trace;
}

void world_trace_add(uint64_t word)
{
    world.trace = (world.trace ^ word) * 1099511628211ULL;
}

uint64_t world_switches(void)
{
    return world.switches;
}

void world_stop(void)
{
    world.is_stopped = true;
}

static void *stack_new(void)
{
    if (world.stacks_count) {
        return world.stacks[--world.stacks_count];
    }
    char *all = mmap(NULL, STACK + PAGE, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(all != MAP_FAILED);
    check(mprotect(all, PAGE, PROT_NONE) == 0);
    return all + PAGE;
}

static void stack_free(void *stack)
{
    if (world.stacks_count < STACKS_KEPT) {
        world.stacks[world.stacks_count++] = stack;
    } else {
        munmap((char *)stack - PAGE, STACK + PAGE);
    }
}

static void ready_add(struct fiber *fiber)
{
    if (fiber->host->is_paused) {
        list_push(&fiber->host->held, &fiber->queue);
        return;
    }
    if (world.ready_count == world.ready_cap) {
        world.ready_cap = world.ready_cap ? world.ready_cap * 2 : 64;
        world.ready = mem_grow(world.ready, world.ready_cap * sizeof(struct fiber *));
    }
    world.ready[world.ready_count++] = fiber;
    fiber->ready_at = world.ready_count;
}

static void ready_remove(struct fiber *fiber)
{
    if (fiber->ready_at) {
        struct fiber *last = world.ready[--world.ready_count];
        world.ready[fiber->ready_at - 1] = last;
        last->ready_at = fiber->ready_at;
        fiber->ready_at = 0;
    }
}

static void wake(struct fiber *fiber, bool is_late)
{
    heap_remove(&world.timers, &fiber->timer);
    list_remove(&fiber->queue);
    fiber->is_late = is_late;
    fiber->waits_for = NULL;
    ready_add(fiber);
}

static void enter(void)
{
    context_entered();
    struct fiber *self = world.running;
    self->result = self->run(self->arg);
    self->is_over = true;
    fiber_wake_all(&self->joiners);
    context_switch(&self->context, &world.scheduler, true);
}

struct fiber *fiber_spawn(struct host *host, const char *name, void *(*run)(void *arg), void *arg)
{
    struct fiber *fiber = mem_new(sizeof(*fiber));
    *fiber = (struct fiber){.host = host, .run = run, .arg = arg, .id = ++world.next_id};
    snprintf(fiber->name, sizeof(fiber->name), "%s", name);
    list_init(&fiber->queue);
    list_init(&fiber->joiners);
    list_push(&host->fibers, &fiber->node);
    context_make(&fiber->context, stack_new(), STACK, enter);
    world.alive++;
    ready_add(fiber);
    return fiber;
}

struct fiber *fiber_self(void)
{
    return world.running;
}

/* Its stack can be used again; the fiber stays for who joins it. */
static void fiber_ended(struct fiber *fiber)
{
    stack_free(fiber->context.stack);
    fiber->context.stack = NULL;
    world.alive--;
    if (fiber->is_detached) {
        list_remove(&fiber->node);
        free(fiber);
    }
}

void *fiber_join(struct fiber *fiber)
{
    while (!fiber->is_over) {
        fiber_wait(&fiber->joiners, NEVER, "a thread's end");
    }
    void *result = fiber->result;
    list_remove(&fiber->node);
    free(fiber);
    return result;
}

void fiber_detach(struct fiber *fiber)
{
    check(!fiber->is_over);
    fiber->is_detached = true;
}

/* Back to the scheduler, until somebody makes it ready. */
static void leave(void)
{
    struct fiber *self = world.running;
    context_switch(&self->context, &world.scheduler, false);
}

void fiber_sleep(int64_t ns)
{
    struct list nobody;
    list_init(&nobody);
    fiber_wait(&nobody, world.now_ns + ns, "time");
}

void fiber_preempt(void)
{
    struct fiber *self = world.running;
    const struct world_options *options = &world.options;
    if (!self || !world_one_in(options->preempt_one_in)) {
        return;
    }
    if (world_one_in(options->stall_one_in)) {
        fiber_sleep((int64_t)world_below((uint64_t)options->stall_ns) + 1);
        return;
    }
    ready_add(self);
    leave();
}

bool fiber_wait(struct list *queue, int64_t deadline_ns, const char *what)
{
    struct fiber *self = world.running;
    check(self);
    self->waits_for = what;
    self->is_late = false;
    list_push(queue, &self->queue);
    if (deadline_ns != NEVER) {
        heap_set(&world.timers, &self->timer, deadline_ns);
    }
    leave();
    return !self->is_late;
}

void fiber_wake_one(struct list *queue)
{
    if (!list_is_empty(queue)) {
        wake(LIST_ITEM(queue->next, struct fiber, queue), false);
    }
}

void fiber_wake_all(struct list *queue)
{
    while (!list_is_empty(queue)) {
        fiber_wake_one(queue);
    }
}

void world_at(int64_t at_ns, void (*fn)(void *arg), void *arg)
{
    struct callback *callback = mem_new(sizeof(*callback));
    *callback = (struct callback){.fn = fn, .arg = arg};
    heap_set(&world.callbacks, &callback->timer, at_ns > world.now_ns ? at_ns : world.now_ns);
}

static void run_callbacks(void)
{
    struct heap_node *first;
    while ((first = heap_first(&world.callbacks)) && first->key <= world.now_ns) {
        struct callback *callback = CONTAINER_OF(first, struct callback, timer);
        heap_remove(&world.callbacks, first);
        world_trace_add((uint64_t)world.now_ns);
        callback->fn(callback->arg);
        free(callback);
    }
}

static void wake_late(void)
{
    struct heap_node *first;
    while ((first = heap_first(&world.timers)) && first->key <= world.now_ns) {
        wake(CONTAINER_OF(first, struct fiber, timer), true);
    }
}

/* The next moment at which something happens by itself. */
static int64_t next_ns(void)
{
    struct heap_node *timer = heap_first(&world.timers);
    struct heap_node *callback = heap_first(&world.callbacks);
    int64_t at = timer ? timer->key : NEVER;
    return callback && callback->key < at ? callback->key : at;
}

static void run_one(void)
{
    struct fiber *fiber = world.ready[world_below(world.ready_count)];
    ready_remove(fiber);
    world.now_ns += 1 + (int64_t)world_below(STEP_NS);
    world.switches++;
    world_trace_add(fiber->id);
    world_trace_add((uint64_t)world.now_ns);
    world.running = fiber;
    context_switch(&world.scheduler, &fiber->context, false);
    world.running = NULL;
    if (fiber->is_over) {
        fiber_ended(fiber);
    }
}

enum world_end world_run(int64_t until_ns)
{
    world.is_stopped = false;
    while (!world.is_stopped) {
        if (world.ready_count == 0) {
            int64_t next = next_ns();
            if (next == NEVER) {
                return world.alive ? WORLD_DEADLOCK : WORLD_EMPTY;
            }
            if (next > until_ns) {
                world.now_ns = until_ns;
            } else if (next > world.now_ns) {
                world.now_ns = next;
            }
        }
        if (world.now_ns >= until_ns) {
            return WORLD_TIME;
        }
        run_callbacks();
        wake_late();
        if (world.ready_count && !world.is_stopped) {
            run_one();
        }
    }
    return WORLD_STOPPED;
}

void world_fini(void)
{
    struct heap_node *first;
    while ((first = heap_first(&world.callbacks))) {
        heap_remove(&world.callbacks, first);
        free(CONTAINER_OF(first, struct callback, timer));
    }
    heap_fini(&world.callbacks);
    heap_fini(&world.timers);
    free(world.ready);
    for (size_t i = 0; i < world.stacks_count; i++) {
        munmap((char *)world.stacks[i] - PAGE, STACK + PAGE);
    }
    memset(&world, 0, sizeof(world));
}

void host_pause(struct host *host, bool is_paused)
{
    struct list *node;
    host->is_paused = is_paused;
    if (is_paused) {
        for (size_t i = world.ready_count; i > 0; i--) {
            struct fiber *fiber = world.ready[i - 1];
            if (fiber->host == host) {
                ready_remove(fiber);
                list_push(&host->held, &fiber->queue);
            }
        }
        return;
    }
    while ((node = list_pop(&host->held))) {
        ready_add(LIST_ITEM(node, struct fiber, queue));
    }
}

void host_kill(struct host *host)
{
    struct list *node;
    check(!world.running || world.running->host != host);
    while ((node = list_pop(&host->fibers))) {
        struct fiber *fiber = LIST_ITEM(node, struct fiber, node);
        ready_remove(fiber);
        heap_remove(&world.timers, &fiber->timer);
        list_remove(&fiber->queue);
        if (fiber->context.stack) {
            stack_free(fiber->context.stack);
            world.alive--;
        }
        free(fiber);
    }
    host->is_paused = false;
}

static void describe(const struct fiber *fiber)
{
    fprintf(stderr, "  %s/%s (%llu) waits for %s\n", fiber->host->name, fiber->name,
        (unsigned long long)fiber->id, fiber->waits_for ? fiber->waits_for : "its turn");
}

void host_describe(const struct host *host)
{
    LIST_EACH(node, (struct list *)(uintptr_t)&host->fibers)
    {
        const struct fiber *fiber = LIST_ITEM(node, struct fiber, node);
        if (!fiber->is_over) {
            describe(fiber);
        }
    }
}
