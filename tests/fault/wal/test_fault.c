/* SPDX-License-Identifier: Apache-2.0
 * One workload, stopped at its N-th disk operation, for all N: by an operation that fails once, by
 * a disk that is gone from then on, by a crash that loses or tears what was not synced. What was
 * acknowledged is there afterwards. */
#include "fixture.h"

enum { SEGMENT = 3000, STEPS = 40 };

struct acked {
    bool is_created;
    uint64_t index;    /* entries up to here */
    uint64_t snapshot; /* recorded up to here */
    uint64_t commit;
};

static struct err work_step(struct wal *wal, uint64_t i, struct acked *acked)
{
    size_t removed;
    if (i % 9 == 0) {
        struct wal_snapshot snapshot = {.index = acked->commit, .term = 1, .has_conf = true};
        TRY(wal_save_snapshot(wal, &snapshot, NULL));
        acked->snapshot = snapshot.index;
        wal_release_to(wal, acked->commit);
        TRY(wal_purge(wal, wal_held_from(wal), 2, &removed, NULL));
    }
    if (i % 4 == 0) {
        TRY(fill_spare(wal));
    }
    struct raft_entry entries[] = {
        entry_of(acked->index + 1, 1, 150), entry_of(acked->index + 2, 1, 150)};
    struct raft_hard_state hard = {1, 1, acked->index};
    struct wal_batch batch = {&hard, entries, 2, true};
    struct err e = wal_append(wal, &batch, NULL, NULL);
    blob_unref(entries[0].data);
    blob_unref(entries[1].data);
    TRY(e);
    acked->commit = acked->index;
    acked->index += 2;
    return OK;
}

/* Stops at the first error, as the member does. */
static struct acked work(struct disk *disk)
{
    struct acked acked = {0};
    struct wal_options options = options_of(disk, SEGMENT);
    struct wal_identity identity = {1, 2};
    struct wal *wal;
    if (err_is(wal_create(&options, &identity, &wal, NULL))) {
        return acked;
    }
    acked.is_created = true;
    for (uint64_t i = 1; i <= STEPS; i++) {
        if (err_is(work_step(wal, i, &acked))) {
            break;
        }
    }
    wal_close(wal);
    return acked;
}

static void verify(struct disk *disk, const struct acked *acked)
{
    struct wal_options options = options_of(disk, SEGMENT);
    struct wal_snapshots snapshots;
    struct wal_log log;
    struct wal *wal;
    struct why why = {""};
    expect_err(wal_snapshots_read(disk, DIR, &snapshots, &why), ERR_OK, why.text);
    const struct wal_snapshot *newest = &snapshots.items[snapshots.count - 1];
    assert_true(newest->index >= acked->snapshot);
    for (int round = 0; round < 2; round++) {
        struct err e = wal_open(&options, newest->index, newest->term, &wal, &log, &why);
        expect_err(e, ERR_OK, why.text);
        uint64_t last = newest->index + log.entries_count;
        assert_true(last >= acked->index);
        assert_true(log.hard.commit >= acked->commit);
        expect_entries(&log, newest->index + 1, log.entries_count, 150);
        wal_log_fini(&log);
        expect_err(append_one(wal, last + 1, 1, 150), ERR_OK, "");
        wal_close(wal);
    }
    wal_snapshots_fini(&snapshots);
}

static void run(uint64_t op, bool is_lasting, enum disk_crash how)
{
    struct disk *disk = disk_faulty_new(op * 3 + how);
    expect_err(disk_mkdir(disk, DIR, 0700, NULL), ERR_OK, "");
    expect_err(disk_sync_folder(disk, "/", NULL), ERR_OK, "");
    disk_faulty_fail(disk, op, op % 2 ? ERR(NO_DISK) : ERR(IO), is_lasting);
    struct acked acked = work(disk);
    disk_faulty_crash(disk, how);
    if (acked.is_created) {
        verify(disk, &acked);
    } else {
        acked = work(disk);
        assert_true(acked.is_created || wal_exists(disk, DIR));
    }
    disk_faulty_free(disk);
}

static uint64_t count_ops(void)
{
    struct disk *disk = disk_faulty_new(1);
    struct acked acked = work(disk);
    assert_int_equal(acked.index, STEPS * 2);
    uint64_t ops = disk_faulty_ops(disk);
    disk_faulty_free(disk);
    return ops;
}

static void test_acked_survives_any_failing_operation(void **state)
{
    (void)state;
    uint64_t ops = count_ops();
    assert_true(ops > 100);
    for (uint64_t op = 1; op <= ops; op++) {
        for (int how = DISK_CRASH_LOSE; how <= DISK_CRASH_KEEP; how++) {
            run(op, false, (enum disk_crash)how);
            run(op, true, (enum disk_crash)how);
        }
    }
}

/* A log of ten acknowledged entries and a torn eleventh. */
static struct disk *make_torn(uint64_t seed)
{
    static const uint8_t zeros[512];
    struct disk *disk = disk_faulty_new(seed);
    struct wal_log log;
    expect_err(disk_mkdir(disk, DIR, 0700, NULL), ERR_OK, "");
    expect_err(disk_sync_folder(disk, "/", NULL), ERR_OK, "");
    struct wal *wal = create(disk, 16384);
    for (uint64_t i = 1; i <= 10; i++) {
        expect_err(append_one(wal, i, 1, 150), ERR_OK, "");
    }
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    uint64_t tail = log.tail_offset;
    wal_log_fini(&log);
    expect_err(append_one(wal, 11, 1, 1500), ERR_OK, "");
    wal_close(wal);
    disk_faulty_poke(disk, FIRST, (tail + 1023) / 512 * 512, slice_of(zeros, sizeof(zeros)));
    return disk;
}

/* The repair itself may be stopped anywhere, and is done by the next start. */
static void test_stopped_repair_is_done_again(void **state)
{
    (void)state;
    bool was_stopped = true;
    for (uint64_t op = 1; was_stopped; op++) {
        for (int how = DISK_CRASH_LOSE; how <= DISK_CRASH_KEEP; how++) {
            struct disk *disk = make_torn(op * 3 + (uint64_t)how);
            struct wal_options options = options_of(disk, 16384);
            struct wal_log log;
            struct wal *wal;
            struct why why = {""};
            disk_faulty_fail(disk, op, ERR(IO), true);
            struct err e = wal_open(&options, 0, 0, &wal, &log, &why);
            was_stopped = err_is(e);
            if (!was_stopped) {
                assert_true(log.torn_bytes > 0);
                wal_log_fini(&log);
                wal_close(wal);
            }
            disk_faulty_crash(disk, (enum disk_crash)how);
            e = wal_open(&options, 0, 0, &wal, &log, &why);
            expect_err(e, ERR_OK, why.text);
            expect_entries(&log, 1, 10, 150);
            wal_log_fini(&log);
            wal_close(wal);
            disk_faulty_free(disk);
        }
        assert_true(op < 20);
    }
}

/* The harness can see a loss: without syncs there is one. */
static void test_without_sync_acked_is_lost(void **state)
{
    (void)state;
    struct disk *disk = disk_faulty_new(1);
    struct wal_options options = options_of(disk, 16384);
    struct wal_identity identity = {1, 2};
    struct wal *wal;
    options.is_unsafe_no_sync = true;
    expect_err(wal_create(&options, &identity, &wal, NULL), ERR_OK, "");
    expect_err(append_one(wal, 1, 1, 150), ERR_OK, "");
    wal_close(wal);
    disk_faulty_crash(disk, DISK_CRASH_LOSE);
    assert_false(wal_exists(disk, DIR));
    disk_faulty_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acked_survives_any_failing_operation),
        cmocka_unit_test(test_stopped_repair_is_done_again),
        cmocka_unit_test(test_without_sync_acked_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
