/* SPDX-License-Identifier: Apache-2.0
 *
 * What boot does for a member, without edges: storage, server, services; on fibers of the machine.
 */
#include "sim.h"

#include "base/mem.h"
#include "boot/install.h"
#include "disk/faulty.h"
#include "ledger.h"
#include "net.h"
#include "service.h"
#include "tests/shared/memory_backend.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REQUEST_BYTES_MAX = 64 * 1024, READY_S = 60 };

/* What the linker leads here. */

__typeof__(disk_real) __wrap_disk_real;
struct disk *__wrap_disk_real(void)
{
    return &machine_here()->disk.base;
}

/* The folders are the simulated disk's: nobody else's, and with the right mode. */
int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
    (void)path;
    (void)mode;
    return 0;
}

int __wrap_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out)
{
    (void)path;
    *out = (struct stat){.st_mode = S_IFDIR | 0700};
    return 0;
}

/* Small segments, so that logs are cut and let go. */
__typeof__(wal_create) __real_wal_create;
__typeof__(wal_create) __wrap_wal_create;
struct err __wrap_wal_create(const struct wal_options *options, const struct wal_identity *identity,
    struct wal **out, struct why *why)
{
    struct wal_options small = *options;
    small.segment_bytes = run.plan.segment_bytes;
    return __real_wal_create(&small, identity, out, why);
}

__typeof__(wal_open) __real_wal_open;
__typeof__(wal_open) __wrap_wal_open;
struct err __wrap_wal_open(const struct wal_options *options, uint64_t index, uint64_t term,
    struct wal **out, struct wal_log *out_log, struct why *why)
{
    struct wal_options small = *options;
    struct machine *machine = machine_here();
    uint64_t syncs = machine->disk.log_syncs;
    small.segment_bytes = run.plan.segment_bytes;
    TRY(__real_wal_open(&small, index, term, out, out_log, why));
    ledger_opened(machine, index, out_log, machine->disk.log_syncs != syncs);
    return OK;
}

/* Small messages, so that what a member lacks comes in parts. */
__typeof__(raft_new) __real_raft_new;
__typeof__(raft_new) __wrap_raft_new;
struct err __wrap_raft_new(
    const struct raft_options *options, struct raft **out_raft, struct why *why)
{
    struct raft_options small = *options;
    small.message_bytes_max = run.plan.message_bytes;
    return __real_raft_new(&small, out_raft, why);
}

static void doom_now(void *arg);

/* Where rows go because others will come: some crash just then, with the rows gone for good. */
__typeof__(backend_clear) __real_backend_clear;
__typeof__(backend_clear) __wrap_backend_clear;
struct err __wrap_backend_clear(
    struct backend *backend, struct slice from, struct slice to, struct why *why)
{
    struct err err = __real_backend_clear(backend, from, to, why);
    struct machine *machine = machine_here();
    if (!err_is(err) && run.plan.has_install_crashes && !run.is_healing && world_one_in(6)) {
        err = backend_flush(backend, why);
        run.tally.crashes++;
        world_at(world_now(), doom_now, machine->process);
        fiber_sleep(NEVER / 4);
    }
    return err;
}

struct machine *machine_here(void)
{
    struct fiber *self = fiber_self();
    return self ? self->host->owner : NULL;
}

struct machine *machine_of_id(uint64_t id)
{
    for (int i = 0; i < run.machines_count; i++) {
        if (run.machines[i].id == id) {
            return &run.machines[i];
        }
    }
    return NULL;
}

bool machine_is_serving(const struct machine *machine)
{
    return machine->process && machine->process->is_serving;
}

struct machine *machine_any(void)
{
    struct machine *present[MACHINES_MAX];
    size_t count = 0;
    for (int i = 0; i < run.machines_count; i++) {
        if (run.machines[i].state != MACHINE_GONE) {
            present[count++] = &run.machines[i];
        }
    }
    check(count);
    return present[world_below(count)];
}

struct machine *machine_new(bool is_join)
{
    char name[16];
    check(run.machines_count < MACHINES_MAX);
    struct machine *machine = &run.machines[run.machines_count];
    *machine =
        (struct machine){.number = run.machines_count++, .state = MACHINE_DOWN, .is_join = is_join};
    snprintf(name, sizeof(name), "n%d", machine->number);
    snprintf(machine->path, sizeof(machine->path), "/%s", name);
    snprintf(
        machine->peer_url, sizeof(machine->peer_url), "http://10.0.0.%d:2380", machine->number + 1);
    machine->client_url = mem_printf("http://10.0.0.%d:2379", machine->number + 1);
    host_init(&machine->host, name, machine->number);
    machine->host.owner = machine;
    sim_disk_init(&machine->disk, world_below(UINT64_MAX));
    machine->disk.sync_ns = (int64_t)(100 * US) << world_below(6);
    machine->disk.stall_ns = world_one_in(4) ? 300 * MS : 0;
    if (run.plan.has_drift) {
        run.tally.drifts++;
        host_set_rate(&machine->host, (int64_t)world_below(20000) - 10000);
    }
    return machine;
}

/* Those that --initial-cluster names: the founders, or for who joins all that are members. */
static const struct process *somebody_serving(void)
{
    for (int i = 0; i < run.machines_count; i++) {
        if (machine_is_serving(&run.machines[i])) {
            return run.machines[i].process;
        }
    }
    return NULL;
}

/* What `member list` would tell the operator. */
static bool is_listed(const struct machine *machine)
{
    const struct process *process = somebody_serving();
    struct arena *arena = arena_new(0);
    struct member *members = NULL;
    size_t count = process ? member_list(process->storage.members, arena, &members) : 0;
    bool is_in = !process && machine->is_member;
    for (size_t i = 0; i < count; i++) {
        is_in = is_in || strcmp(members[i].peer_urls[0], machine->peer_url) == 0;
    }
    arena_free(arena);
    return is_in;
}

static void add_members(const struct machine *self, struct buf *out)
{
    bool is_first = true;
    buf_add_str(out, "--initial-cluster=");
    for (int i = 0; i < run.machines_count; i++) {
        const struct machine *machine = &run.machines[i];
        bool is_in = self->is_join ? machine == self || is_listed(machine) : i < run.plan.members;
        if (is_in) {
            buf_printf(out, "%s%s=%s", is_first ? "" : ",", machine->host.name, machine->peer_url);
            is_first = false;
        }
    }
}

static void load_config(struct machine *machine)
{
    char *environ_none[] = {NULL};
    struct config_notes notes = {0};
    struct why why = {""};
    struct buf members;
    buf_init(&members, 4096);
    add_members(machine, &members);
    char *argv[] = {mem_strdup("etcd"), mem_printf("--name=%s", machine->host.name),
        mem_printf("--data-dir=%s", machine->path),
        mem_printf("--initial-advertise-peer-urls=%s", machine->peer_url),
        mem_strdup(buf_text(&members)),
        mem_printf("--initial-cluster-state=%s", machine->is_join ? "existing" : "new"),
        mem_printf("--heartbeat-interval=%d", (int)run.plan.tick_ms),
        mem_printf("--election-timeout=%d", (int)run.plan.tick_ms * ELECTION_TICKS), NULL};
    struct config_source source = {8, argv, environ_none, "/nonexistent", 0};
    if (err_is(config_load(&source, &machine->config, &notes, &why))) {
        run_fail("config: %s", why.text);
    }
    machine->config.value_cache_bytes = run.plan.value_cache_bytes;
    config_notes_fini(&notes);
    buf_fini(&members);
    for (int i = 0; argv[i]; i++) {
        free(argv[i]);
    }
}

static void doom_now(void *arg)
{
    struct process *process = arg;
    struct machine *machine = process->machine;
    if (machine->process != process) {
        return;
    }
    machine_crash(machine, world_one_in(2));
}

/* The member said that it cannot go on: only a disk that was made to fail excuses it. */
static void on_fatal(void *arg, const char *what)
{
    struct process *process = arg;
    run_note("%s is fatal: %s", process->machine->host.name, what);
    if (!strstr(what, "made to fail")) {
        run_fail("%s cannot go on: %s", process->machine->host.name, what);
    }
    process->is_doomed = true;
    world_at(world_now() + (int64_t)world_below(2 * MS), doom_now, process);
}

static void on_removed(void *arg)
{
    struct process *process = arg;
    run_note("%s was removed", process->machine->host.name);
    process->is_doomed = true;
    process->machine->state = MACHINE_GONE;
    world_at(world_now() + (int64_t)world_below(200 * MS), doom_now, process);
}

static void start_server(struct process *process)
{
    struct storage *s = &process->storage;
    struct server_options options = {.disk = s->disk,
        .raft = s->raft,
        .wal = s->wal,
        .backend = s->backend,
        .mvcc = s->mvcc,
        .leases = s->leases,
        .members = s->members,
        .hub = s->hub,
        .apply = s->apply,
        .snapshot_v2 = storage_snapshot_v2,
        .keep_snapshot = storage_keep_snapshot,
        .install_snapshot = storage_install_snapshot,
        .snapshot_arg = s,
        .transport = net_transport(process),
        .founders = s->founding.members,
        .founders_count = s->founding.is_join ? s->founding.members_count : 0,
        .asking = net_asking(process),
        .snapshot_index = s->snapshot_index,
        .snapshot_count = run.plan.snapshot_count,
        .catch_up_entries = run.plan.catch_up_entries,
        .wals_max = 2,
        .tick_ms = run.plan.tick_ms,
        .election_ticks = ELECTION_TICKS,
        .max_request_bytes = REQUEST_BYTES_MAX,
        .name = process->machine->host.name,
        .client_urls = &process->machine->client_url,
        .client_urls_count = 1,
        .compaction_rows = run.plan.compaction_rows,
        .sync_tick_ms = run.plan.sync_tick_ms,
        .on_fatal = on_fatal,
        .on_fatal_arg = process,
        .on_removed = on_removed,
        .on_removed_arg = process};
    process->server = server_start(&options);
    s->server = process->server;
}

static void start_services(struct process *process)
{
    process->api = api_new_service(&(struct api_options){.server = process->server,
        .peers = net_peers(process),
        .strict_reconfig_check = true,
        .txn_ops_max = 128,
        .request_bytes_max = REQUEST_BYTES_MAX,
        .snapshot_open = storage_snapshot_open,
        .snapshot_arg = &process->storage,
        .bcrypt_cost = AUTH_COST_MIN,
        .is_cert_required = true});
    process->answers = (struct answers){&process->storage, process->server, process->api};
}

/* What kept it from starting is a finding, unless the disk or the network were made to. */
static void judge_start(struct machine *machine, struct err err, const struct why *why)
{
    bool is_lonely = machine->is_join && IS(err, BAD_CONFIG);
    run_note("%s did not start: %s: %s", machine->host.name, err_name(err), why->text);
    if (!strstr(why->text, "made to fail") && !is_lonely) {
        run_fail("%s did not start: %s: %s", machine->host.name, err_name(err), why->text);
    }
    if (is_lonely) {
        config_fini(&machine->config); /* asked anew, of those who are members then */
    }
    world_at(world_now(), doom_now, machine->process);
}

/* As boot waits, with fewer looks. */
static void wait_ready(struct process *process)
{
    int64_t deadline_ns = world_now() + READY_S * SECOND;
    while (!server_wait_ready(process->server, 0) && world_now() < deadline_ns) {
        fiber_sleep(1 + (int64_t)world_below(20 * MS));
    }
    if (world_now() >= deadline_ns) {
        run_note("%s is not ready in time, and serves", process->machine->host.name);
    }
}

static void *live(void *arg)
{
    struct process *process = arg;
    struct machine *machine = process->machine;
    struct why why = {""};
    struct err err = storage_open(&process->storage, &machine->config, &why);
    if (err_is(err)) {
        judge_start(machine, err, &why);
        fiber_sleep(NEVER / 4);
    }
    machine->id = member_self_id(process->storage.members);
    start_server(process);
    start_services(process);
    net_start(process);
    wait_ready(process);
    process->is_serving = true;
    return NULL;
}

void machine_start(struct machine *machine)
{
    check(machine->state == MACHINE_DOWN && !machine->process);
    if (!machine->config.arena) {
        load_config(machine);
    }
    struct process *process = mem_new(sizeof(*process));
    process->machine = machine;
    list_init(&process->inbox);
    list_init(&process->inbox_waiters);
    list_init(&process->calls);
    machine->process = process;
    machine->state = MACHINE_UP;
    machine->since_ns = world_now();
    machine->lives++;
    ledger_begin_life(machine->number);
    machine->disk.fail_in = 0;
    machine->disk.is_failing = machine->disk.is_lasting = false;
    run_note("%s starts, life %d", machine->host.name, machine->lives);
    fiber_detach(fiber_spawn(&machine->host, "main", live, process));
}

/* What follows when all of its threads are gone. */
static void forget(struct machine *machine, enum disk_crash how)
{
    struct process *process = machine->process;
    char store[64];
    machine->process = NULL;
    if (machine->state == MACHINE_UP) {
        machine->state = MACHINE_DOWN;
    }
    snprintf(store, sizeof(store), "%s/member/store", machine->path);
    disk_faulty_crash(machine->disk.inner, how);
    memory_backend_crash(store);
    service_lost(process);
}

void machine_crash(struct machine *machine, bool is_power_cut)
{
    enum disk_crash how = DISK_CRASH_KEEP;
    check(machine->process);
    host_kill(&machine->host);
    if (is_power_cut) {
        how = world_one_in(2) ? DISK_CRASH_LOSE : DISK_CRASH_TEAR;
        machine->host.mono_ns = SECOND;
        machine->host.at_ns = world_now();
    }
    run_note("%s %s", machine->host.name, is_power_cut ? "loses power" : "is killed");
    forget(machine, how);
}

static void *end(void *arg)
{
    struct process *process = arg;
    server_hand_over(process->server);
    api_stop(process->api);
    server_stop(process->server);
    process->is_deaf = true;
    while (process->calls_count || process->busy) {
        service_end_streams(process);
        fiber_sleep(MS);
    }
    api_free(process->api);
    server_free(process->server);
    storage_close(&process->storage, true);
    process->is_doomed = true;
    world_at(world_now(), doom_now, process);
    return NULL;
}

void machine_stop(struct machine *machine)
{
    struct process *process = machine->process;
    check(process && process->is_serving);
    process->is_serving = false;
    process->is_stopping = true;
    run_note("%s stops", machine->host.name);
    fiber_detach(fiber_spawn(&machine->host, "end", end, process));
}
