/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include "base/mem.h"
#include "boot/install.h"
#include "ledger.h"
#include "peer/codec.h"

#include <stdio.h>

enum { PIECE = 64 * 1024, SNAPSHOT_MS = 30000, REPORT_ONE_IN = 2 };

enum parcel_kind { PARCEL_MESSAGE, PARCEL_UNREACHABLE, PARCEL_SNAPSHOT_REPORT };

/* What is on its way, or what a member has to hear of its own network. */
struct parcel {
    struct list node;
    enum parcel_kind kind;
    int from;
    int to;
    uint64_t peer;
    bool is_ok;
    struct buf bytes;
};

struct link {
    bool is_cut;
    int64_t since_ns;
    int64_t extra_ns;
    int64_t last_ns; /* the newest arrival: later ones come later, mostly */
};

static struct link links[MACHINES_MAX][MACHINES_MAX];

int64_t net_delay(void)
{
    return run.plan.latency_ns / 2 + (int64_t)world_below((uint64_t)run.plan.latency_ns + 1);
}

bool net_is_reachable(const struct machine *from, const struct machine *to)
{
    return to->process && !to->process->is_deaf && !links[from->number][to->number].is_cut;
}

static bool is_lost(const struct machine *from, const struct machine *to)
{
    bool is_unlucky = !run.is_healing && world_one_in(run.plan.loss_one_in);
    return is_unlucky || !net_is_reachable(from, to);
}

void net_cut(int from, int to, bool is_cut)
{
    links[from][to].is_cut = is_cut;
    links[from][to].since_ns = world_now();
}

void net_slow(int from, int to, int64_t extra_ns)
{
    links[from][to].extra_ns = extra_ns;
}

void net_heal(void)
{
    for (int i = 0; i < MACHINES_MAX; i++) {
        for (int j = 0; j < MACHINES_MAX; j++) {
            if (links[i][j].is_cut) {
                net_cut(i, j, false);
            }
            net_slow(i, j, 0);
        }
    }
}

/* Into the inbox of the member, for its peer fiber. */
static void hand_over(struct parcel *parcel, struct process *process)
{
    if (!process || process->is_deaf) {
        buf_fini(&parcel->bytes);
        free(parcel);
        return;
    }
    list_push(&process->inbox, &parcel->node);
    fiber_wake_one(&process->inbox_waiters);
}

static void report(struct process *process, uint64_t peer, enum parcel_kind kind, bool is_ok)
{
    struct parcel *parcel = mem_new(sizeof(*parcel));
    *parcel = (struct parcel){.kind = kind, .peer = peer, .is_ok = is_ok};
    hand_over(parcel, process);
}

static void arrive(void *arg)
{
    struct parcel *parcel = arg;
    struct machine *from = &run.machines[parcel->from];
    struct machine *to = &run.machines[parcel->to];
    if (net_is_reachable(from, to)) {
        hand_over(parcel, to->process);
        return;
    }
    run.tally.messages_lost++;
    if (from->process && world_one_in(REPORT_ONE_IN)) {
        report(from->process, to->id, PARCEL_UNREACHABLE, false);
    }
    buf_fini(&parcel->bytes);
    free(parcel);
}

static void post(struct machine *from, struct machine *to, const struct raft_message *message)
{
    struct link *link = &links[from->number][to->number];
    struct parcel *parcel = mem_new(sizeof(*parcel));
    int64_t due_ns = world_now() + net_delay() + link->extra_ns;
    *parcel = (struct parcel){.kind = PARCEL_MESSAGE, .from = from->number, .to = to->number};
    buf_init(&parcel->bytes, SIZE_MAX);
    codec_add_message(message, &parcel->bytes);
    if (due_ns <= link->last_ns && !world_one_in(run.plan.reorder_one_in)) {
        due_ns = link->last_ns + 1;
    }
    link->last_ns = due_ns > link->last_ns ? due_ns : link->last_ns;
    world_at(due_ns, arrive, parcel);
}

/* Snapshots. */

struct transfer {
    struct process *from;
    struct machine *to;
    struct process *taker;
    struct raft_message message; /* of who sends it */
    struct buf encoded;
    struct buf database;
    struct list waiters;
    bool is_over;
    bool is_ok;
};

static void taken(void *arg, struct err err)
{
    struct transfer *transfer = arg;
    transfer->is_ok = !err_is(err);
    transfer->is_over = true;
    fiber_wake_all(&transfer->waiters);
}

/* As peer keeps what it receives. */
static struct err keep(struct transfer *transfer, const char *path, struct why *why)
{
    struct disk *disk = transfer->taker->storage.disk;
    const char *dir = transfer->taker->storage.snap_dir;
    char *temp = mem_printf("%s/tmp%llu", dir, (unsigned long long)world_below(1000000));
    struct disk_file *file = NULL;
    struct slice all = buf_slice(&transfer->database);
    struct err err =
        disk_open(disk, temp, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, 0600, &file, why);
    for (size_t at = 0; !err_is(err) && at < all.len; at += PIECE) {
        size_t len = all.len - at < PIECE ? all.len - at : PIECE;
        err = disk_write(file, at, slice_of(all.data + at, len), why);
    }
    if (!err_is(err)) {
        err = disk_sync(file, why);
    }
    disk_close(file);
    if (!err_is(err)) {
        err = disk_rename(disk, temp, path, why);
    }
    if (!err_is(err)) {
        err = disk_sync_folder(disk, dir, why);
    }
    free(temp);
    return err;
}

static void *take_snapshot(void *arg)
{
    struct transfer *transfer = arg;
    struct process *taker = transfer->taker;
    struct raft_message message = {0};
    struct why why = {""};
    check(!err_is(codec_parse_message(buf_slice(&transfer->encoded), &message)));
    char *path = mem_printf("%s/%016llx.snap.db", taker->storage.snap_dir,
        (unsigned long long)message.snapshot->meta.index);
    taker->busy++;
    if (err_is(keep(transfer, path, &why))) {
        taken(transfer, ERR(IO));
        raft_message_fini(&message);
    } else {
        run.tally.snapshots++;
        server_receive_snapshot(taker->server, &message, taken, transfer);
    }
    taker->busy--;
    free(path);
    return NULL;
}

static bool read_export(struct transfer *transfer, struct snapshot_export *export)
{
    size_t got = 1;
    uint8_t *piece = mem_alloc(PIECE);
    struct err err = OK;
    while (got && !err_is(err)) {
        err = snapshot_export_read(export, piece, PIECE, &got, NULL);
        if (!err_is(err)) {
            buf_add(&transfer->database, piece, got);
        }
    }
    free(piece);
    return !err_is(err);
}

static bool make_database(struct transfer *transfer)
{
    struct snapshot_export *export = NULL;
    struct snapshot_order order = {.best = SNAPSHOT_DATABASE};
    struct why why = {""};
    struct err err = storage_snapshot_message(
        &transfer->from->storage, &transfer->message, &order, &export, &why);
    if (err_is(err)) {
        run_note("no snapshot could be made: %s", why.text);
        return false;
    }
    bool is_ok = read_export(transfer, export);
    snapshot_export_close(export);
    codec_add_message(&transfer->message, &transfer->encoded);
    return is_ok;
}

/* On the sender; what it got to know is told to its own server. */
static void *send_snapshot(void *arg)
{
    struct transfer *transfer = arg;
    struct process *from = transfer->from;
    from->busy++;
    bool is_ok = make_database(transfer);
    fiber_sleep(net_delay() * 4);
    if (is_ok && !is_lost(from->machine, transfer->to)) {
        transfer->taker = transfer->to->process;
        if (transfer->taker->server) {
            fiber_detach(fiber_spawn(&transfer->to->host, "snapshot", take_snapshot, transfer));
            int64_t deadline_ns = world_now() + SNAPSHOT_MS * (int64_t)MS;
            while (!transfer->is_over &&
                   fiber_wait(&transfer->waiters, deadline_ns, "a snapshot to be taken")) {
            }
        }
    }
    fiber_sleep(net_delay());
    is_ok = transfer->is_ok && net_is_reachable(transfer->to, from->machine);
    server_report_snapshot(from->server, transfer->message.to, is_ok);
    from->busy--;
    return NULL;
}

static void begin_snapshot(struct process *from, struct machine *to, struct raft_message *message)
{
    struct transfer *transfer = mem_new(sizeof(*transfer));
    *transfer = (struct transfer){.from = from, .to = to, .message = *message};
    *message = (struct raft_message){0};
    buf_init(&transfer->encoded, SIZE_MAX);
    buf_init(&transfer->database, SIZE_MAX);
    list_init(&transfer->waiters);
    fiber_detach(fiber_spawn(&from->machine->host, "snapshot", send_snapshot, transfer));
}

/* The transport. */

static void send_one(struct process *process, struct raft_message *message)
{
    struct machine *from = process->machine;
    struct machine *to = machine_of_id(message->to);
    run.tally.messages++;
    ledger_promise(from, message);
    if (message->type == RAFT_MSG_SNAP && to) {
        begin_snapshot(process, to, message);
        return;
    }
    if (!to || is_lost(from, to)) {
        run.tally.messages_lost++;
        if (message->type == RAFT_MSG_SNAP) {
            report(process, message->to, PARCEL_SNAPSHOT_REPORT, false);
        } else if (world_one_in(REPORT_ONE_IN)) {
            report(process, message->to, PARCEL_UNREACHABLE, false);
        }
    } else {
        post(from, to, message);
        /* Connections never double a proposal; etcd too would apply it twice. */
        if (message->type != RAFT_MSG_PROP && world_one_in(run.plan.duplicate_one_in)) {
            post(from, to, message);
        }
    }
    raft_message_fini(message);
    *message = (struct raft_message){0};
}

static void send(void *arg, struct raft_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        send_one(arg, &messages[i]);
    }
}

static void change(void *arg, uint64_t id, const char *const *peer_urls, size_t count)
{
    (void)arg;
    (void)id;
    check(count > 0 && peer_urls[0][0]);
}

static void drop(void *arg, uint64_t id)
{
    (void)arg;
    (void)id;
}

static int64_t active_since_ms(void *arg, uint64_t id)
{
    struct machine *here = ((struct process *)arg)->machine;
    struct machine *there = machine_of_id(id);
    if (!there || !net_is_reachable(here, there) || !net_is_reachable(there, here)) {
        return 0;
    }
    int64_t since_ns = there->since_ns > here->since_ns ? there->since_ns : here->since_ns;
    const struct link *ways[] = {
        &links[here->number][there->number], &links[there->number][here->number]};
    for (int i = 0; i < 2; i++) {
        since_ns = ways[i]->since_ns > since_ns ? ways[i]->since_ns : since_ns;
    }
    int64_t since_ms = (host_mono(&here->host) - (world_now() - since_ns)) / MS;
    return since_ms > 0 ? since_ms : 1;
}

struct server_transport net_transport(struct process *process)
{
    return (struct server_transport){send, change, change, drop, active_since_ms, NULL, process};
}

/* What comes in: one fiber of the member. */

static void take_message(struct process *process, struct parcel *parcel)
{
    struct machine *from = &run.machines[parcel->from];
    struct raft_message message = {0};
    check(!err_is(codec_parse_message(buf_slice(&parcel->bytes), &message)));
    if (!member_is_removed(process->storage.members, message.from)) {
        server_receive(process->server, &message);
        return;
    }
    raft_message_fini(&message);
    /* As a 410 tells it. */
    if (from->process && from->process->server && net_is_reachable(process->machine, from)) {
        const struct server_options *options = server_options_get(from->process->server);
        if (from->state != MACHINE_GONE) {
            options->on_removed(options->on_removed_arg);
        }
    }
}

static void take(struct process *process, struct parcel *parcel)
{
    switch (parcel->kind) {
    case PARCEL_MESSAGE:
        take_message(process, parcel);
        break;
    case PARCEL_UNREACHABLE:
        server_report_unreachable(process->server, parcel->peer);
        break;
    case PARCEL_SNAPSHOT_REPORT:
        server_report_snapshot(process->server, parcel->peer, parcel->is_ok);
        break;
    }
    buf_fini(&parcel->bytes);
    free(parcel);
}

static void *take_all(void *arg)
{
    struct process *process = arg;
    while (!process->is_deaf) {
        struct list *node = list_pop(&process->inbox);
        if (!node) {
            fiber_wait(&process->inbox_waiters, world_now() + SECOND, "messages");
            continue;
        }
        process->busy++;
        take(process, LIST_ITEM(node, struct parcel, node));
        process->busy--;
    }
    return NULL;
}

void net_start(struct process *process)
{
    fiber_detach(fiber_spawn(&process->machine->host, "peer", take_all, process));
}
