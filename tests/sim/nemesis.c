/* SPDX-License-Identifier: Apache-2.0 */
#include "nemesis.h"

#include "changes.h"
#include "net.h"
#include "service.h"

#include <rpc.pb-c.h>

enum { JUMP_S = 3600 };

static struct machine *some_up(void)
{
    for (int i = 0; i < 8; i++) {
        struct machine *machine = machine_any();
        if (machine->state == MACHINE_UP && machine->process && !machine->process->is_doomed &&
            !machine->process->is_stopping) {
            return machine;
        }
    }
    return NULL;
}

static int64_t some_time(void)
{
    return (int64_t)world_below((uint64_t)run.plan.harm_ns) >> world_below(5);
}

static void start_again(void *arg)
{
    struct machine *machine = arg;
    if (machine->state == MACHINE_DOWN && !machine->process) {
        machine_start(machine);
    }
}

static void crash(struct machine *machine, bool is_power_cut)
{
    if (is_power_cut) {
        run.tally.power_cuts++;
    } else {
        run.tally.crashes++;
    }
    machine_crash(machine, is_power_cut);
    if (machine->state == MACHINE_DOWN) {
        world_at(world_now() + some_time(), start_again, machine);
    }
}

static void crash_some(bool is_power_cut)
{
    bool is_all = world_one_in(8);
    for (int i = 0; i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        bool is_up = machine->state == MACHINE_UP && machine->process;
        if (is_up && (is_all || world_one_in((uint64_t)run.machines_count))) {
            crash(machine, is_power_cut);
        }
    }
}

/* Cuts. */

static void cut_between(uint64_t side, bool is_one_way, bool is_cut)
{
    for (int i = 0; i < run.machines_count; i++) {
        for (int j = 0; j < run.machines_count; j++) {
            bool crosses = (side >> i & 1) && !(side >> j & 1);
            if (crosses) {
                net_cut(i, j, is_cut);
            }
            if (crosses && !is_one_way) {
                net_cut(j, i, is_cut);
            }
        }
    }
}

static void heal_links(void *arg)
{
    (void)arg;
    net_heal();
}

static void partition(void)
{
    uint64_t side = world_below((uint64_t)1 << run.machines_count);
    if (world_one_in(2)) {
        side = (uint64_t)1 << world_below((uint64_t)run.machines_count);
    }
    run.tally.partitions++;
    run_note("the network is cut: %llx", (unsigned long long)side);
    bool is_one_way = world_one_in(3);
    run.tally.one_way += is_one_way;
    cut_between(side, is_one_way, true);
    if (world_one_in(3)) {
        run.tally.slow_links++;
        net_slow((int)world_below((uint64_t)run.machines_count),
            (int)world_below((uint64_t)run.machines_count), (int64_t)world_below(400 * MS));
    }
    world_at(world_now() + some_time(), heal_links, NULL);
}

/* Pauses, clocks, disks. */

static void resume(void *arg)
{
    struct machine *machine = arg;
    if (machine->host.is_paused) {
        run_note("%s goes on", machine->host.name);
        host_pause(&machine->host, false);
    }
}

static struct machine *leader_up(void)
{
    for (int i = 0; i < run.machines_count; i++) {
        struct server_status status;
        struct machine *machine = &run.machines[i];
        if (machine_is_serving(machine)) {
            server_status_get(machine->process->server, &status);
            if (status.leader == machine->id) {
                return machine;
            }
        }
    }
    return NULL;
}

/* A leader often, and longer than an election takes: it wakes in the belief that it leads. */
static void pause_some(struct machine *machine)
{
    int64_t elections_ns = 3 * ELECTION_TICKS * run.plan.tick_ms * MS;
    int64_t lasts_ns = some_time();
    struct machine *leader = world_one_in(2) ? leader_up() : NULL;
    if (leader) {
        machine = leader;
        lasts_ns = elections_ns + (int64_t)world_below((uint64_t)elections_ns);
    }
    run.tally.pauses++;
    run_note("%s stands still", machine->host.name);
    host_pause(&machine->host, true);
    world_at(world_now() + lasts_ns, resume, machine);
}

static void jump(struct machine *machine)
{
    int64_t by_ns = (int64_t)world_below(2 * JUMP_S * (uint64_t)SECOND) - JUMP_S * SECOND;
    run.tally.clock_jumps++;
    machine->host.wall_ns += by_ns;
}

static void spoil_disk(struct machine *machine)
{
    run.tally.disk_faults++;
    machine->disk.fail_in = 1 + world_below(60);
    machine->disk.is_lasting = world_one_in(2);
}

static void speed_up(void *arg)
{
    struct machine *machine = arg;
    if (machine->disk.slow_ns) {
        run_note("%s has a fast disk again", machine->host.name);
        machine->disk.slow_ns = 0;
    }
}

/* Each sync takes as long as heartbeats are apart, or longer than an election. */
static void slow_disk(struct machine *machine)
{
    run.tally.slow_disks++;
    machine->disk.slow_ns = (run.plan.tick_ms * (int64_t)MS) << world_below(5);
    run_note("%s has a slow disk", machine->host.name);
    world_at(world_now() + some_time(), speed_up, machine);
}

/* A member that is told to hand over, or to stop in good order. */

static void *move_leader(void *arg)
{
    struct arena *arena = arena_new(0);
    struct answer answer;
    struct machine *target = machine_any();
    Etcdserverpb__MoveLeaderRequest request = ETCDSERVERPB__MOVE_LEADER_REQUEST__INIT;
    (void)arg;
    request.targetid = target->id;
    for (int i = 0; i < run.machines_count; i++) {
        service_call(&run.machines[i], "/etcdserverpb.Maintenance/MoveLeader", &request, 5 * SECOND,
            arena, &answer);
        run.tally.transfers += answer.kind == ANSWER_OK;
    }
    arena_free(arena);
    return NULL;
}

static void stop(struct machine *machine)
{
    if (machine_is_serving(machine)) {
        run.tally.stops++;
        machine_stop(machine);
        world_at(world_now() + 10 * SECOND + some_time(), start_again, machine);
    }
}

enum harm {
    HARM_CRASH,
    HARM_POWER,
    HARM_CUT,
    HARM_PAUSE,
    HARM_JUMP,
    HARM_DISK,
    HARM_SLOW,
    HARM_MOVE,
    HARM_STOP,
    HARM_CHANGE,
    HARMS
};

static bool is_planned(enum harm harm)
{
    const struct plan *plan = &run.plan;
    const bool has[HARMS] = {[HARM_CRASH] = plan->has_crashes,
        [HARM_POWER] = plan->has_power_cuts,
        [HARM_CUT] = plan->has_partitions,
        [HARM_PAUSE] = plan->has_pauses,
        [HARM_JUMP] = plan->has_clock_jumps,
        [HARM_DISK] = plan->has_disk_faults,
        [HARM_SLOW] = plan->has_slow_disks,
        [HARM_MOVE] = plan->has_transfers,
        [HARM_STOP] = plan->has_crashes,
        [HARM_CHANGE] = plan->has_changes};
    return has[harm];
}

static void harm(enum harm what)
{
    struct machine *machine = some_up();
    if (!machine || !is_planned(what)) {
        return;
    }
    switch (what) {
    case HARM_CRASH:
    case HARM_POWER:
        crash_some(what == HARM_POWER);
        break;
    case HARM_CUT:
        partition();
        break;
    case HARM_PAUSE:
        pause_some(machine);
        break;
    case HARM_JUMP:
        jump(machine);
        break;
    case HARM_DISK:
        spoil_disk(machine);
        break;
    case HARM_SLOW:
        slow_disk(machine);
        break;
    case HARM_MOVE:
        fiber_detach(fiber_spawn(&run.outside, "move", move_leader, NULL));
        break;
    case HARM_STOP:
        stop(machine);
        break;
    case HARM_CHANGE:
        change_begin();
        break;
    case HARMS:
        break;
    }
}

/* Members that died by themselves come back too. */
static void revive(void)
{
    for (int i = 0; i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        if (machine->state == MACHINE_DOWN && !machine->process && world_one_in(4)) {
            machine_start(machine);
        }
    }
}

static void *do_harm(void *arg)
{
    (void)arg;
    while (!run.is_healing) {
        fiber_sleep((int64_t)world_below((uint64_t)run.plan.fault_every_ns * 2));
        if (!run.is_healing) {
            harm((enum harm)world_below(HARMS));
            revive();
        }
    }
    return NULL;
}

void nemesis_start(void)
{
    if (run.plan.fault_every_ns) {
        fiber_detach(fiber_spawn(&run.outside, "nemesis", do_harm, NULL));
    }
}

void nemesis_heal(void)
{
    net_heal();
    for (int i = 0; i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        machine->disk.stall_ns = 0;
        machine->disk.fail_in = 0;
        machine->disk.is_failing = machine->disk.is_lasting = false;
        speed_up(machine);
        resume(machine);
        start_again(machine);
    }
}

bool nemesis_is_healed(void)
{
    for (int i = 0; i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        if (machine->state != MACHINE_GONE && machine->state != MACHINE_UNUSED &&
            !machine_is_serving(machine)) {
            return false;
        }
    }
    return true;
}
