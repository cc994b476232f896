/* SPDX-License-Identifier: Apache-2.0
 *
 * The control file (KETCD_FAULT_CONTROL), mapped and shared with whoever steers. Little-endian:
 *   header, 64 bytes:  u64 operations counted so far; i64 by how much the wall clock is wrong, in
 *     nanoseconds (time.c); the rest is zero
 *   8 rules, 128 bytes each:
 *     u32 mask of kinds   i32 errno (0: none)   u32 delay in microseconds   u32 flags
 *     u64 matching operations to let pass first   u64 how many then fail (0: all)
 *     u64 seen   u64 hit (both counted here)   char[80] pattern (fnmatch on the name below the
 *     prefix; empty: the rule is off)
 * KETCD_FAULT_TRACE: a file that gets a line an operation (reads apart): kind, name, errno.
 */
#include "shim.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { RULES = 8, FLAG_HALF = 1 };

struct rule {
    uint32_t mask;
    int32_t error;
    uint32_t delay_us;
    uint32_t flags;
    uint64_t pass;
    uint64_t fail;
    _Atomic uint64_t seen;
    _Atomic uint64_t hit;
    char pattern[80];
};

struct control {
    _Atomic uint64_t ops;
    _Atomic int64_t wall_ns;
    uint64_t unused[6];
    struct rule rules[RULES];
};

static struct control *control;
static int trace_fd = -1;

void control_open(void)
{
    const char *path = getenv("KETCD_FAULT_CONTROL");
    const char *trace = getenv("KETCD_FAULT_TRACE");
    int fd = path ? real.open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *at = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        control = at == MAP_FAILED ? NULL : at;
        real.close(fd);
    }
    if (trace) {
        trace_fd = real.open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

int64_t control_wall_ns(void)
{
    return control ? atomic_load_explicit(&control->wall_ns, memory_order_relaxed) : 0;
}

static void note(enum op op, const char *name, int error)
{
    char line[NAME_MAX_BYTES + 64];
    if (trace_fd >= 0 && op != OP_READ && op != OP_CLOSE) {
        int len = snprintf(line, sizeof(line), "%d %s %d\n", (int)op, name, error);
        ssize_t done = real.write(trace_fd, line, (size_t)len);
        (void)done;
    }
}

static void wait_us(uint32_t us)
{
    struct timespec time = {us / 1000000, (long)(us % 1000000) * 1000};
    nanosleep(&time, NULL);
}

/* Whether the rule strikes this operation. */
static bool strikes(struct rule *rule, enum op op, const char *name)
{
    if (!rule->pattern[0] || !(rule->mask & (uint32_t)op) || fnmatch(rule->pattern, name, 0) != 0) {
        return false;
    }
    uint64_t number = atomic_fetch_add(&rule->seen, 1);
    if (number < rule->pass || (rule->fail && number - rule->pass >= rule->fail)) {
        return false;
    }
    atomic_fetch_add(&rule->hit, 1);
    return true;
}

int control_ask(enum op op, const char *name, bool *out_half)
{
    int error = 0;
    *out_half = false;
    if (control) {
        atomic_fetch_add(&control->ops, 1);
        for (size_t i = 0; i < RULES; i++) {
            struct rule *rule = &control->rules[i];
            if (!strikes(rule, op, name)) {
                continue;
            }
            if (rule->delay_us) {
                wait_us(rule->delay_us);
            }
            error = rule->error ? rule->error : error;
            *out_half |= (rule->flags & FLAG_HALF) != 0;
        }
    }
    note(op, name, error);
    return error;
}
