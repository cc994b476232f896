/* SPDX-License-Identifier: Apache-2.0
 *
 *   sim [--seed N] [--count K] [--seconds S] [--members M] [--day] [--verbose] [--short] [--twice]
 *
 *       --day: an hour each, with little load and a fault every minute or so
 *       --mutate NAME: with that planted bug (base/mutation.h)
 *
 * Each seed is a run in a process of its own, so that what crashed members leave behind goes with
 * it, and a crash of the code is told with its seed. Exit code 0: nothing was found.
 */
#include "client.h"
#include "finish.h"
#include "ledger.h"
#include "nemesis.h"
#include "plan.h"
#include "primitives.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "tests/shared/memory_backend.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDING_S = 3600, CPU_S = 300, SPURIOUS_ONE_IN = 300, PROGRESS_EVERY = 10 };

struct asked {
    uint64_t seed;
    uint64_t count;
    int64_t seconds;
    int members;
    bool is_verbose;
    bool is_day;
    bool is_short; /* only what the whole came to */
    bool is_twice; /* each seed again: it has to be the same run */
};

/* Of all runs; in memory that the runs share with who counts. */
struct totals {
    uint64_t runs;
    uint64_t failed;
    uint64_t first_failed;
    int64_t simulated_ns;
    uint64_t switches;
    uint64_t trace; /* of the last run */
    struct tally tally;
};

struct run run;

/* SIGTERM: no further run is begun, and the figures are printed. */
static volatile sig_atomic_t is_over;

static void end_soon(int signal_number)
{
    (void)signal_number;
    is_over = 1;
}

static double seconds_now(void)
{
    return (double)(world_now() - SECOND) / 1e9;
}

void run_fail(const char *format, ...)
{
    va_list args;
    fprintf(stderr, "seed %llu at %.6f s: ", (unsigned long long)run.plan.seed, seconds_now());
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    fflush(stderr);
    _exit(1);
}

void run_note(const char *format, ...)
{
    va_list args;
    if (!run.is_verbose) {
        return;
    }
    fprintf(stderr, "%12.6f ", seconds_now());
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
}

static bool is_flush_due(void)
{
    return world_one_in(run.plan.flush_one_in);
}

static void found_cluster_of(int members)
{
    for (int i = 0; i < members; i++) {
        machine_new(false)->is_member = true;
    }
    for (int i = 0; i < members; i++) {
        machine_start(&run.machines[i]);
    }
}

static void *conduct(void *arg)
{
    (void)arg;
    found_cluster_of(run.plan.members);
    clients_start();
    fiber_sleep(3 * SECOND);
    nemesis_start();
    fiber_sleep(run.plan.load_ns);
    run_note("healing");
    run.is_healing = true;
    finish();
    world_stop();
    return NULL;
}

static void add_tally(struct totals *totals)
{
    uint64_t *to = (uint64_t *)(void *)&totals->tally;
    const uint64_t *from = (const uint64_t *)(const void *)&run.tally;
    for (size_t i = 0; i < sizeof(struct tally) / sizeof(uint64_t); i++) {
        to[i] += from[i];
    }
    totals->simulated_ns += world_now() - SECOND;
    totals->switches += world_switches();
    totals->trace = world_trace();
}

static void run_seed(const struct asked *asked, uint64_t seed, struct totals *totals)
{
    struct world_options options;
    setrlimit(RLIMIT_CPU, &(struct rlimit){CPU_S, CPU_S});
    log_level_set(asked->is_verbose ? LOG_LEVEL_WARN : LOG_LEVEL_FATAL);
    plan_draw(&run.plan, seed, asked->members, asked->seconds);
    if (asked->is_day) {
        plan_stretch(&run.plan, asked->seconds);
    }
    run.is_verbose = asked->is_verbose;
    options = plan_world(&run.plan);
    memory_backend_flush_when(is_flush_due);
    primitives_spurious(SPURIOUS_ONE_IN);
    world_init(&options);
    host_init(&run.outside, "outside", MACHINES_MAX);
    fiber_detach(fiber_spawn(&run.outside, "conductor", conduct, NULL));
    enum world_end end = world_run(run.plan.load_ns + ENDING_S * SECOND);
    if (end != WORLD_STOPPED) {
        host_describe(&run.outside);
        run_fail("the run did not come to its end (%d)", end);
    }
    add_tally(totals);
    if (!asked->is_short) {
        printf("seed %llu: %d members, %.1f s, %llu calls, %llu events, trace %016llx\n",
            (unsigned long long)seed, run.plan.members, seconds_now(),
            (unsigned long long)run.tally.calls, (unsigned long long)run.tally.events,
            (unsigned long long)world_trace());
        fflush(stdout);
    }
    _exit(0);
}

static bool run_apart(const struct asked *asked, uint64_t seed, struct totals *totals)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        run_seed(asked, seed, totals);
    }
    waitpid(pid, &status, 0);
    totals->runs++;
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "seed %llu: signal %d\n", (unsigned long long)seed, WTERMSIG(status));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_as_asked(const struct asked *asked, uint64_t seed, struct totals *totals)
{
    bool is_fine = run_apart(asked, seed, totals);
    uint64_t trace = totals->trace;
    if (is_fine && asked->is_twice) {
        is_fine = run_apart(asked, seed, totals) && totals->trace == trace;
        if (totals->trace != trace) {
            fprintf(stderr, "seed %llu: not the same run twice\n", (unsigned long long)seed);
        }
    }
    return is_fine;
}

static void print_totals(const struct totals *t)
{
    printf("%llu runs, %llu failed", (unsigned long long)t->runs, (unsigned long long)t->failed);
    if (t->failed) {
        printf(" (first: seed %llu)", (unsigned long long)t->first_failed);
    }
    printf("; %.2f simulated hours, %llu switches\n", (double)t->simulated_ns / 3600e9,
        (unsigned long long)t->switches);
    const struct {
        const char *name;
        uint64_t count;
    } lines[] = {{"calls", t->tally.calls}, {"answered", t->tally.calls_ok},
        {"without an answer", t->tally.calls_unknown}, {"watch events", t->tally.events},
        {"log entries", t->tally.entries}, {"elections", t->tally.elections},
        {"messages", t->tally.messages}, {"of them lost", t->tally.messages_lost},
        {"snapshots sent", t->tally.snapshots}, {"kills", t->tally.crashes},
        {"power cuts", t->tally.power_cuts}, {"clean stops", t->tally.stops},
        {"partitions", t->tally.partitions}, {"of them one-way", t->tally.one_way},
        {"slow links", t->tally.slow_links}, {"pauses", t->tally.pauses},
        {"wall clock jumps", t->tally.clock_jumps}, {"clocks that drift", t->tally.drifts},
        {"failing disks", t->tally.disk_faults}, {"slow disks", t->tally.slow_disks},
        {"membership changes", t->tally.changes}, {"leaders moved", t->tally.transfers},
        {"answers about users", t->tally.auth_changes}, {"calls denied", t->tally.denied}};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        printf("  %-20s %llu\n", lines[i].name, (unsigned long long)lines[i].count);
    }
}

static uint64_t number(const char *text)
{
    return text ? strtoull(text, NULL, 10) : 0;
}

static bool parse(int argc, char **argv, struct asked *out)
{
    for (int i = 1; i < argc; i++) {
        const char *value = argv[i + 1];
        bool takes = true;
        if (strcmp(argv[i], "--seed") == 0) {
            out->seed = number(value);
        } else if (strcmp(argv[i], "--count") == 0) {
            out->count = number(value);
        } else if (strcmp(argv[i], "--seconds") == 0) {
            out->seconds = (int64_t)number(value);
        } else if (strcmp(argv[i], "--members") == 0) {
            out->members = (int)number(value);
        } else if (strcmp(argv[i], "--verbose") == 0) {
            out->is_verbose = true;
            takes = false;
        } else if (strcmp(argv[i], "--day") == 0) {
            out->is_day = true;
            takes = false;
        } else if (strcmp(argv[i], "--short") == 0) {
            out->is_short = true;
            takes = false;
        } else if (strcmp(argv[i], "--mutate") == 0) {
            mutation_choose(value);
        } else if (strcmp(argv[i], "--twice") == 0) {
            out->is_twice = true;
            takes = false;
        } else {
            return false;
        }
        i += takes;
    }
    return out->members <= FIRST_MEMBERS_MAX;
}

int main(int argc, char **argv)
{
    struct asked asked = {.seed = 1, .count = 1};
    struct totals *totals =
        mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!parse(argc, argv, &asked)) {
        fprintf(stderr, "sim [--seed N] [--count K] [--seconds S] [--members 1-7] [--day] "
                        "[--verbose] [--short] [--twice]\n");
        return 2;
    }
    signal(SIGTERM, end_soon);
    for (uint64_t i = 0; i < asked.count && !is_over; i++) {
        if (asked.is_short && i % PROGRESS_EVERY == 0) {
            printf("%llu of %llu, %llu failed, %.2f simulated hours\n", (unsigned long long)i,
                (unsigned long long)asked.count, (unsigned long long)totals->failed,
                (double)totals->simulated_ns / 3600e9);
        }
        if (!run_as_asked(&asked, asked.seed + i, totals)) {
            totals->first_failed = totals->failed ? totals->first_failed : asked.seed + i;
            totals->failed++;
        }
    }
    if (asked.count > 1) {
        print_totals(totals);
    }
    return totals->failed ? 1 : 0;
}
