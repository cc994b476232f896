/* SPDX-License-Identifier: Apache-2.0 */
#include "finish.h"

#include "changes.h"
#include "client.h"
#include "ledger.h"
#include "nemesis.h"
#include "net.h"
#include "service.h"
#include "users.h"

#include <rpc.pb-c.h>
#include <stdio.h>

enum { LOOK_MS = 100, REST_S = 10, LOOKS_A_SETTLING = 100 };

/* What a leader knows of the others. */
static void describe_peers(const struct raft *raft)
{
    struct raft_status status;
    raft_status_get(raft, &status);
    for (size_t i = 0; i < status.peers_count; i++) {
        const struct raft_peer_status *peer = &status.peers[i];
        fprintf(stderr,
            "  %llx: %s match %llu next %llu snapshot %llu in flight %zu%s%s, log from %llu\n",
            (unsigned long long)peer->id,
            peer->state == RAFT_PROBE       ? "probe"
            : peer->state == RAFT_REPLICATE ? "replicate"
                                            : "snapshot",
            (unsigned long long)peer->match, (unsigned long long)peer->next,
            (unsigned long long)peer->pending_snapshot, peer->inflight,
            peer->is_paused ? " paused" : "", peer->is_recent_active ? " active" : "",
            (unsigned long long)status.first_index);
    }
}

static void describe(void)
{
    for (int i = 0; i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        struct server_status status = {0};
        if (machine_is_serving(machine)) {
            server_status_get(machine->process->server, &status);
        }
        fprintf(stderr, "%s state %d %s id %llx term %llu leader %llx commit %llu applied %llu\n",
            machine->host.name, machine->state,
            machine_is_serving(machine) ? "serves" : "does not serve",
            (unsigned long long)machine->id, (unsigned long long)status.term,
            (unsigned long long)status.leader, (unsigned long long)status.commit_index,
            (unsigned long long)status.applied_index);
        if (machine_is_serving(machine)) {
            describe_peers(machine->process->storage.raft);
        }
        host_describe(&machine->host);
    }
}

static void wait_for(bool (*is_true)(void), const char *what)
{
    int64_t deadline_ns = world_now() + run.plan.patience_ns;
    while (!is_true()) {
        if (world_now() > deadline_ns) {
            describe();
            run_fail(
                "%lld s after the last fault %s", (long long)(run.plan.patience_ns / SECOND), what);
        }
        nemesis_heal();
        if (world_one_in(LOOKS_A_SETTLING)) {
            change_settle();
        }
        fiber_sleep(LOOK_MS * MS);
    }
}

static bool is_change_over(void)
{
    return !change_is_under_way();
}

static bool is_healed(void)
{
    return nemesis_is_healed();
}

/* All have applied the same, and it is everything. */
static bool is_level(void)
{
    uint64_t applied = 0;
    for (int i = 0; i < run.machines_count; i++) {
        struct server_status status;
        struct machine *machine = &run.machines[i];
        if (machine->state != MACHINE_UP) {
            continue;
        }
        if (!machine_is_serving(machine)) {
            return false;
        }
        server_status_get(machine->process->server, &status);
        if (!status.leader || status.applied_index < ledger_committed() ||
            (applied && status.applied_index != applied)) {
            return false;
        }
        applied = status.applied_index;
    }
    return applied != 0;
}

static bool is_learner(const struct machine *machine)
{
    return member_self_is_learner(machine->process->storage.members);
}

/* All have ended, so that nothing changes any more. */
static bool are_leases_over(void)
{
    for (int i = 0; i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        if (machine_is_serving(machine) && lease_count(machine->process->storage.leases)) {
            return false;
        }
    }
    return true;
}

static int64_t marked;

/* Through each member that takes writes, until it does. */
static void mark(struct machine *machine)
{
    struct arena *arena = arena_new(0);
    int64_t deadline_ns = world_now() + run.plan.patience_ns;
    struct history_call call = {0};
    for (int i = 0; machine->state == MACHINE_UP && machine_is_serving(machine) &&
                    !is_learner(machine) && call.outcome != HISTORY_OK;
         i++) {
        struct history_op op = {.kind = HISTORY_PUT,
            .key = SLICE("k1"),
            .value = slice_str(arena_printf(arena, "end-%d-%d", machine->number, i))};
        call.outcome = HISTORY_UNKNOWN;
        client_ask(&(struct asking){.number = 900}, machine, &op, arena, &call);
        if (call.outcome == HISTORY_OK) {
            marked = call.result.revision;
            break;
        }
        if (world_now() > deadline_ns) {
            describe();
            run_fail("%s takes no write %lld s after the last fault", machine->host.name,
                (long long)(run.plan.patience_ns / SECOND));
        }
        fiber_sleep(LOOK_MS * MS);
    }
    arena_free(arena);
}

static bool have_watchers_seen(void)
{
    return watchers_have_seen(marked);
}

static void dump(struct machine *machine)
{
    struct arena *arena = arena_new(0);
    struct history_call call = {0};
    struct history_op op = {.kind = HISTORY_DUMP,
        .key = slice_of("\0", 1),
        .end = slice_of("\0", 1),
        .is_serializable = true};
    client_ask(&(struct asking){.number = 901}, machine, &op, arena, &call);
    if (call.outcome != HISTORY_OK) {
        run_fail("%s does not say what it has", machine->host.name);
    }
    arena_free(arena);
}

static void hash(struct machine *machine)
{
    struct arena *arena = arena_new(0);
    struct answer answer;
    Etcdserverpb__HashKVRequest request = ETCDSERVERPB__HASH_KVREQUEST__INIT;
    service_call(
        machine, "/etcdserverpb.Maintenance/HashKV", &request, 20 * SECOND, arena, &answer);
    if (answer.kind == ANSWER_OK) {
        const Etcdserverpb__HashKVResponse *response = answer.message;
        history_add_hash(history, &(struct history_hash){.member = (uint64_t)machine->number,
                                      .revision = response->hash_revision,
                                      .compact = response->compact_revision,
                                      .hash = response->hash});
    }
    arena_free(arena);
}

static void check_history(void)
{
    struct buf report;
    buf_init(&report, SIZE_MAX);
    if (history_check(history, &report)) {
        fprintf(stderr, "%s\n", buf_text(&report));
        run_fail("the history is not etcd's");
    }
    buf_fini(&report);
}

void finish(void)
{
    wait_for(is_change_over, "a change of the members is still under way");
    if (run.plan.has_changes) {
        fiber_sleep(REST_S * SECOND);
        change_settle();
    }
    wait_for(is_healed, "not every member serves");
    wait_for(clients_are_done, "clients still wait");
    wait_for(users_are_done, "the administrator still waits");
    wait_for(are_leases_over, "leases have not ended");
    wait_for(is_level, "the members have not applied the same");
    for (int i = 0; i < run.machines_count; i++) {
        mark(&run.machines[i]);
    }
    wait_for(have_watchers_seen, "watchers have not seen all");
    watchers_end();
    wait_for(watchers_are_done, "watchers still wait");
    wait_for(is_level, "the members have not applied the same");
    for (int i = 0; i < run.machines_count; i++) {
        struct machine *machine = &run.machines[i];
        if (machine->state == MACHINE_UP && machine_is_serving(machine)) {
            dump(machine);
            hash(machine);
            ledger_state(machine, machine->process->storage.apply);
        }
    }
    check_history();
}
