/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

enum { HARM_S = 6, PATIENCE_S = 120, HOUR_S = 3600, KEEP_MS = 400, IDLE_S = 3 };

/* An own stream of numbers: what one field takes does not move the others. */
static uint64_t draw(uint64_t seed, uint64_t field, uint64_t below)
{
    struct rand rand;
    rand_init(&rand, seed * 1000003 + field);
    return rand_below(&rand, below);
}

static bool toss(uint64_t seed, uint64_t field, uint64_t percent)
{
    return draw(seed, field, 100) < percent;
}

static void draw_faults(struct plan *plan, uint64_t seed)
{
    plan->fault_every_ns = toss(seed, 20, 10) ? 0 : (int64_t)(300 * MS) << draw(seed, 21, 5);
    plan->harm_ns = HARM_S * SECOND;
    plan->patience_ns = PATIENCE_S * SECOND;
    plan->has_crashes = toss(seed, 22, 60);
    plan->has_power_cuts = toss(seed, 23, 50);
    plan->has_partitions = toss(seed, 24, 60);
    plan->has_pauses = toss(seed, 25, 50);
    plan->has_clock_jumps = toss(seed, 26, 40);
    plan->has_drift = toss(seed, 27, 40);
    plan->has_disk_faults = toss(seed, 28, 30);
    plan->has_slow_disks = toss(seed, 32, 40);
    plan->has_changes = toss(seed, 29, 40);
    plan->has_transfers = toss(seed, 30, 40);
    plan->has_users = toss(seed, 33, 45);
    plan->has_auth_switch = toss(seed, 34, 20);
    plan->has_install_crashes = (plan->has_crashes || plan->has_power_cuts) && toss(seed, 31, 50);
}

static void draw_network(struct plan *plan, uint64_t seed)
{
    static const unsigned one_in[] = {0, 0, 1000, 200, 50, 15};
    plan->latency_ns = (int64_t)(100 * US) << draw(seed, 40, 8);
    plan->reorder_one_in = one_in[draw(seed, 41, 6)];
    plan->duplicate_one_in = one_in[draw(seed, 42, 6)];
    plan->loss_one_in = one_in[draw(seed, 43, 6)];
}

void plan_draw(struct plan *plan, uint64_t seed, int members, int64_t load_s)
{
    static const int sizes[] = {1, 2, 3, 3, 3, 3, 3, 4, 5, 5, 5, 7};
    static const uint64_t message_bytes[] = {0, 300, 1 << 20, 1 << 20};
    *plan = (struct plan){.seed = seed,
        .members = members ? members : sizes[draw(seed, 1, 12)],
        .clients = 2 + (int)draw(seed, 2, 5),
        .watchers = 1 + (int)draw(seed, 3, 4),
        .keys = 4 + (int)draw(seed, 4, 12),
        .load_ns = (load_s ? load_s : 20 + (int64_t)draw(seed, 5, 40)) * SECOND,
        .think_ns = (int64_t)(5 * MS) << draw(seed, 6, 6),
        .keep_ns = KEEP_MS * MS,
        .idle_ns = IDLE_S * SECOND,
        .tick_ms = 50 << draw(seed, 7, 2),
        .snapshot_count = (uint64_t)20 << draw(seed, 8, 6),
        .catch_up_entries = (uint64_t)5 << draw(seed, 9, 5),
        .value_cache_bytes = toss(seed, 10, 50) ? 0 : 1 << 20,
        .segment_bytes = (uint64_t)16 * 1024 << draw(seed, 11, 4),
        .message_bytes = message_bytes[draw(seed, 14, 4)],
        .flush_one_in = 10u << draw(seed, 13, 8),
        .compaction_rows = (size_t)3 << draw(seed, 12, 6)};
    draw_faults(plan, seed);
    draw_network(plan, seed);
}

void plan_stretch(struct plan *plan, int64_t load_s)
{
    static const int64_t ticks_ms[] = {100, 200, 500, 1000};
    uint64_t seed = plan->seed;
    plan->load_ns = (load_s ? load_s : HOUR_S) * SECOND;
    plan->tick_ms = ticks_ms[draw(seed, 81, COUNT_OF(ticks_ms))];
    plan->think_ns = SECOND << draw(seed, 82, 3);
    plan->sync_tick_ms = SECOND / MS;
    plan->idle_ns = 20 * SECOND;
    plan->keep_ns = 5 * plan->tick_ms * MS;
    plan->latency_ns = (int64_t)(100 * US) << draw(seed, 83, 7);
    if (plan->fault_every_ns) {
        plan->fault_every_ns = (10 * SECOND) << draw(seed, 84, 4);
    }
    plan->harm_ns = 90 * SECOND;
    plan->patience_ns = 10 * PATIENCE_S * SECOND;
}

struct world_options plan_world(const struct plan *plan)
{
    static const unsigned preempt[] = {0, 200, 50, 10, 3};
    static const unsigned stall[] = {0, 2000, 300};
    uint64_t seed = plan->seed;
    return (struct world_options){.seed = seed,
        .preempt_one_in = preempt[draw(seed, 60, 5)],
        .stall_one_in = stall[draw(seed, 61, 3)],
        .stall_ns = (int64_t)MS << draw(seed, 62, 8)};
}
