/* SPDX-License-Identifier: Apache-2.0
 * A whole member on a disk in memory that fails at its N-th operation, once or for good, and then
 * loses, tears or keeps what was not synced, for N all over its life; its store forgets what was
 * not flushed. What was acknowledged is there when it is opened again.
 *
 * KETCD_CRASH=all: every N with each of the six, and with both errors, instead of RUNS samples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pb.h"
#include "boot/install.h"
#include "boot/storage.h"
#include "disk/faulty.h"
#include "tests/shared/locked_disk.h"
#include "tests/shared/memory_backend.h"

#include <stdio.h>
#include <unistd.h>

enum { PUT_FIELD = 4, PUTS = 30, RUNS = 108, READY_MS = 10000, SNAPSHOT_COUNT = 8 };

struct life {
    struct disk *disk;
    struct config config;
    struct storage storage;
    atomic_int fatals;
    int acked; /* puts */
};

struct waiting {
    struct server_proposal proposal;
    atomic_bool is_done;
};

static void on_fatal(void *arg, const char *what)
{
    (void)what;
    atomic_fetch_add(&((struct life *)arg)->fatals, 1);
}

static void start(struct life *life)
{
    struct storage *s = &life->storage;
    s->server = server_start(&(struct server_options){.disk = s->disk,
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
        .snapshot_arg = s,
        .snapshot_index = s->snapshot_index,
        .snapshot_count = SNAPSHOT_COUNT,
        .catch_up_entries = 2,
        .wals_max = 2,
        .tick_ms = 5,
        .election_ticks = 10,
        .max_request_bytes = 4096,
        .name = "m",
        .on_fatal = on_fatal,
        .on_fatal_arg = life});
}

/* False: the disk kept it from starting. */
static bool born(struct life *life, struct why *why)
{
    struct storage *s = &life->storage;
    *s = (struct storage){.config = &life->config, .disk = life->disk};
    s->member_dir = mem_strdup("/m");
    s->wal_dir = mem_strdup("/m/wal");
    s->snap_dir = mem_strdup("/m/snap");
    s->store_dir = mem_strdup("/m/store");
    if (err_is(disk_mkdir_all(s->disk, s->snap_dir, 0700, why)) || err_is(storage_log(s, why))) {
        return false;
    }
    start(life);
    for (int i = 0; i < READY_MS / 10 && !atomic_load(&life->fatals); i++) {
        if (server_wait_ready(s->server, 10)) {
            return true;
        }
    }
    return false;
}

static void dead(struct life *life)
{
    if (life->storage.server) {
        server_stop(life->storage.server);
        server_free(life->storage.server);
    }
    storage_close(&life->storage, false);
}

static void done(struct server_proposal *proposal)
{
    atomic_store(&CONTAINER_OF(proposal, struct waiting, proposal)->is_done, true);
}

static void key_of(int number, char out[16])
{
    snprintf(out, 16, "k%04d", number);
}

/* Whether it was acknowledged. A proposal that hangs when the disk fails is failed by the stop:
 * then *out_hanging is for the caller to free after it. */
static bool put(struct life *life, int number, struct waiting **out_hanging)
{
    char key[16];
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    struct waiting *waiting = mem_new(sizeof(*waiting));
    struct arena *arena = arena_new(0);
    key_of(number, key);
    request.key = pb_bytes(slice_str(key));
    request.value = pb_bytes(slice_str(key));
    waiting->proposal = (struct server_proposal){.field = PUT_FIELD,
        .request = pb_pack_arena(&request, arena),
        .result.arena = arena,
        .done = done};
    server_propose(life->storage.server, &waiting->proposal);
    while (!atomic_load(&waiting->is_done) && !atomic_load(&life->fatals)) {
        usleep(100);
    }
    if (!atomic_load(&waiting->is_done)) {
        *out_hanging = waiting;
        return false;
    }
    bool is_acked = !err_is(waiting->proposal.result.err);
    arena_free(arena);
    free(waiting);
    return is_acked;
}

/* Lives until the disk fails or all is put. */
static void live(struct life *life)
{
    struct why why = {""};
    struct waiting *hanging = NULL;
    if (born(life, &why)) {
        while (life->acked < PUTS && put(life, life->acked, &hanging)) {
            life->acked++;
        }
    }
    dead(life);
    if (hanging) {
        assert_true(atomic_load(&hanging->is_done));
        /* it may have been acknowledged at the last moment: then it counts */
        life->acked += !err_is(hanging->proposal.result.err);
        arena_free(hanging->proposal.result.arena);
        free(hanging);
    }
}

static void verify(struct life *life)
{
    struct why why = {""};
    struct waiting *hanging = NULL;
    atomic_store(&life->fatals, 0);
    if (!born(life, &why)) {
        fail_msg("does not open again: %s", why.text);
    }
    struct mvcc *mvcc = life->storage.mvcc;
    assert_true(mvcc_revision(mvcc) >= life->acked + 1);
    assert_true(mvcc_keys(mvcc) >= life->acked);
    for (int i = 0; i < life->acked; i++) {
        char key[16];
        struct arena *arena = arena_new(0);
        struct mvcc_range_result result = {0};
        key_of(i, key);
        struct mvcc_range_options options = {.key = slice_str(key)};
        assert_false(err_is(mvcc_range(mvcc, &options, arena, &result)));
        assert_int_equal(result.kvs_count, 1);
        assert_true(slice_eq(result.kvs[0].value, slice_str(key)));
        assert_int_equal(result.kvs[0].mod, i + 2); /* once, and in its place */
        arena_free(arena);
    }
    assert_true(put(life, PUTS + 1, &hanging)); /* and it goes on */
    dead(life);
}

static void life_init(struct life *life, uint64_t seed)
{
    struct config_notes notes = {0};
    struct why why = {""};
    char *environ_none[] = {NULL};
    char program[] = "etcd";
    char name[] = "--name=m";
    char folder[] = "--data-dir=/m";
    char *argv[] = {program, name, folder, NULL};
    struct config_source source = {3, argv, environ_none, "/nonexistent", 0};
    *life = (struct life){.disk = disk_faulty_new(seed)};
    locked_disk_wrap(life->disk);
    assert_false(err_is(config_load(&source, &life->config, &notes, &why)));
    config_notes_fini(&notes);
}

static void life_fini(struct life *life)
{
    config_fini(&life->config);
    disk_faulty_free(life->disk);
    memory_backend_forget();
}

static uint64_t count_ops(void)
{
    struct life life;
    life_init(&life, 1);
    live(&life);
    assert_int_equal(life.acked, PUTS);
    uint64_t ops = disk_faulty_ops(life.disk);
    verify(&life);
    life_fini(&life);
    return ops;
}

/* What may happen at an operation. */
enum { HOWS = 3, FAULTS = HOWS * 2 * 2 };

static int run(uint64_t op, uint64_t fault)
{
    static const struct {
        const char *name;
        enum disk_crash how;
    } hows[HOWS] = {
        {"loses", DISK_CRASH_LOSE}, {"tears", DISK_CRASH_TEAR}, {"keeps", DISK_CRASH_KEEP}};
    bool is_lasting = fault / HOWS % 2;
    struct err error = fault / HOWS / 2 % 2 ? ERR(NO_DISK) : ERR(IO);
    struct life life;
    life_init(&life, op * FAULTS + fault);
    disk_faulty_fail(life.disk, op, error, is_lasting);
    live(&life);
    int acked = life.acked;
    print_message("operation %llu fails with %s %s, the crash %s: %d acknowledged\n",
        (unsigned long long)op, err_name(error), is_lasting ? "for good" : "once",
        hows[fault % HOWS].name, acked);
    disk_faulty_crash(life.disk, hows[fault % HOWS].how);
    disk_faulty_fail(life.disk, 0, OK, false);
    verify(&life);
    life_fini(&life);
    return acked;
}

static void test_what_was_acknowledged_survives(void **state)
{
    (void)state;
    const char *asked = getenv("KETCD_CRASH");
    uint64_t ops = count_ops();
    uint64_t runs = asked && strcmp(asked, "all") == 0 ? ops * FAULTS : RUNS;
    uint64_t acked_some = 0;
    assert_true(ops > PUTS);
    for (uint64_t i = 0; i < runs; i++) {
        /* samples: whatever comes every so many operations meets each of them in turn */
        int acked = run(1 + i * ops / runs, (i + i / FAULTS) % FAULTS);
        acked_some += acked > 0 && acked < PUTS;
    }
    print_message("%llu runs over %llu operations, %llu stopped in the middle of the work\n",
        (unsigned long long)runs, (unsigned long long)ops, (unsigned long long)acked_some);
    assert_true(acked_some > runs / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_acknowledged_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
