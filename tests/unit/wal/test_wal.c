/* SPDX-License-Identifier: Apache-2.0
 * What was written is read back; the bytes are etcd's; segments are cut, released and purged. */
#include "fixture.h"

static int setup(void **state)
{
    *state = disk_faulty_new(1);
    return 0;
}

static int teardown(void **state)
{
    disk_faulty_free(*state);
    return 0;
}

static struct wal *reopen(
    struct disk *disk, uint64_t segment_bytes, uint64_t index, uint64_t term, struct wal_log *out)
{
    struct wal_options options = options_of(disk, segment_bytes);
    struct wal *wal = NULL;
    struct why why = {""};
    expect_err(wal_open(&options, index, term, &wal, out, &why), ERR_OK, why.text);
    return wal;
}

/* The head of a segment that etcd 3.5 wrote for these ids, its bootstrap entry left out. */
static void test_create_writes_etcds_bytes(void **state)
{
    static const uint8_t want[] = {0x04, 0, 0, 0, 0, 0, 0, 0x84, 0x08, 0x04, 0x10, 0x00, 0, 0, 0,
        0,                                                                            //
        0x1f, 0, 0, 0, 0, 0, 0, 0x81, 0x08, 0x01, 0x10, 0x8e, 0x83, 0xa6, 0xad, 0x0b, //
        0x1a, 0x15, 0x08, 0xc0, 0xf2, 0xba, 0xa7, 0x9c, 0x9c, 0xf6, 0xac, 0xa7, 0x01, 0x10, 0xc4,
        0xea,                                                                               //
        0xbf, 0xfb, 0xfc, 0x80, 0xd8, 0xd5, 0x65, 0x00, 0x0e, 0, 0, 0, 0, 0, 0, 0x82,       //
        0x08, 0x05, 0x10, 0xd7, 0xc1, 0xee, 0x91, 0x04, 0x1a, 0x04, 0x08, 0, 0x10, 0, 0, 0, //
        0, 0, 0, 0, 0, 0, 0, 0};
    struct disk *disk = *state;
    uint8_t *data;
    size_t len;
    struct wal_options options = {.disk = disk, .dir = DIR};
    struct wal_identity identity = {0xa759d8e1c4eeb940, 0x65ab6007cf6ff544};
    struct wal *wal;
    expect_err(wal_create(&options, &identity, &wal, NULL), ERR_OK, "");
    wal_close(wal);
    expect_err(disk_read_file(disk, FIRST, SIZE_MAX, &data, &len, NULL), ERR_OK, "");
    assert_int_equal(len, 64000000);
    assert_memory_equal(data, want, sizeof(want));
    free(data);
    expect_err(wal_create(&options, &identity, &wal, NULL), ERR_EXISTS, "");
}

static void test_append_is_read_back(void **state)
{
    struct disk *disk = *state;
    struct wal_log log;
    struct wal *wal = create(disk, 65536);
    for (uint64_t i = 1; i <= 20; i++) {
        expect_err(append_one(wal, i, 1, 100), ERR_OK, "");
    }
    wal_close(wal);
    wal = reopen(disk, 65536, 0, 0, &log);
    assert_int_equal(log.identity.node_id, 0xa759d8e1c4eeb940);
    assert_int_equal(log.identity.cluster_id, 0x65ab6007cf6ff544);
    assert_int_equal(log.hard.commit, 19);
    assert_int_equal(log.hard.vote, 1);
    assert_int_equal(log.torn_bytes, 0);
    expect_entries(&log, 1, 20, 100);
    wal_log_fini(&log);
    expect_err(append_one(wal, 21, 1, 100), ERR_OK, "");
    wal_close(wal);
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    expect_entries(&log, 1, 21, 100);
    wal_log_fini(&log);
}

static void test_append_tells_empty_from_absent_data(void **state)
{
    struct disk *disk = *state;
    struct wal_log log;
    struct wal *wal = create(disk, 65536);
    struct raft_entry entries[] = {entry_of(1, 1, 0),
        {.term = 1, .index = 2, .type = RAFT_ENTRY_CONF_CHANGE, .data = blob_new(SLICE(""))}};
    struct wal_batch batch = {NULL, entries, 2, true};
    struct wal_cost cost;
    expect_err(wal_append(wal, &batch, &cost, NULL), ERR_OK, "");
    assert_true(cost.bytes > 0 && cost.bytes % 8 == 0);
    wal_close(wal);
    blob_unref(entries[1].data);
    wal = reopen(disk, 65536, 0, 0, &log);
    assert_int_equal(log.entries_count, 2);
    assert_null(log.entries[0].data);
    assert_non_null(log.entries[1].data);
    assert_int_equal(log.entries[1].type, RAFT_ENTRY_CONF_CHANGE);
    wal_log_fini(&log);
    wal_close(wal);
}

static void test_later_entries_replace_earlier(void **state)
{
    struct disk *disk = *state;
    struct wal_log log;
    struct wal *wal = create(disk, 65536);
    for (uint64_t i = 1; i <= 5; i++) {
        struct raft_entry entry = entry_of(i, 1, 8);
        struct wal_batch batch = {NULL, &entry, 1, true};
        expect_err(wal_append(wal, &batch, NULL, NULL), ERR_OK, "");
        blob_unref(entry.data);
    }
    struct raft_entry entry = entry_of(3, 2, 9);
    struct wal_batch batch = {NULL, &entry, 1, true};
    expect_err(wal_append(wal, &batch, NULL, NULL), ERR_OK, "");
    blob_unref(entry.data);
    wal_close(wal);
    wal = reopen(disk, 65536, 0, 0, &log);
    assert_int_equal(log.entries_count, 3);
    assert_int_equal(log.entries[2].term, 2);
    wal_log_fini(&log);
    wal_close(wal);
}

static void save_snapshot(struct wal *wal, uint64_t index)
{
    struct wal_snapshot snapshot = {.index = index, .term = 1, .has_conf = true};
    snapshot.conf.voters = (struct raft_ids){{3, 7}, 2};
    snapshot.conf.learners = (struct raft_ids){{9}, 1};
    expect_err(wal_save_snapshot(wal, &snapshot, NULL), ERR_OK, "");
}

static void test_segments_are_cut_and_start_at_a_snapshot(void **state)
{
    struct disk *disk = *state;
    struct wal_log log;
    struct wal_snapshots snapshots;
    struct disk_names names;
    size_t removed;
    struct wal *wal = create(disk, 4096);
    for (uint64_t i = 1; i <= 60; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
        if (i == 30 || i == 50) {
            save_snapshot(wal, i);
        }
        if (i % 7 == 0) {
            expect_err(fill_spare(wal), ERR_OK, "");
        }
    }
    expect_err(wal_snapshots_read(disk, DIR, &snapshots, NULL), ERR_OK, "");
    assert_int_equal(snapshots.count, 3);
    assert_int_equal(snapshots.items[2].index, 50);
    assert_int_equal(snapshots.items[2].conf.voters.ids[1], 7);
    assert_int_equal(snapshots.items[2].conf.learners.ids[0], 9);
    wal_snapshots_fini(&snapshots);
    expect_err(disk_list(disk, DIR, &names, NULL), ERR_OK, "");
    size_t files = names.count;
    assert_in_range(files, 5, 7);
    disk_names_fini(&names);
    wal_release_to(wal, 50);
    expect_err(wal_purge(wal, wal_held_from(wal), 2, &removed, NULL), ERR_OK, "");
    assert_true(removed >= 2);
    assert_false(disk_exists(disk, FIRST));
    wal_close(wal);
    expect_err(disk_list(disk, DIR, &names, NULL), ERR_OK, "");
    for (size_t i = 0; i < names.count; i++) {
        assert_null(strstr(names.names[i], ".tmp"));
    }
    disk_names_fini(&names);
    wal = reopen(disk, 4096, 50, 1, &log);
    expect_entries(&log, 51, 10, 300);
    assert_int_equal(log.hard.commit, 59);
    wal_log_fini(&log);
    expect_err(append_one(wal, 61, 1, 300), ERR_OK, "");
    wal_close(wal);
}

/* It was received, and the hard state that makes it count was lost. */
static void test_a_snapshot_that_entries_overtake_does_not_count(void **state)
{
    struct disk *disk = *state;
    struct wal_snapshots snapshots;
    struct wal *wal = create(disk, 65536);
    for (uint64_t i = 1; i <= 5; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
    }
    save_snapshot(wal, 10);
    for (uint64_t i = 6; i <= 12; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
    }
    save_snapshot(wal, 12);
    expect_err(append_one(wal, 13, 1, 300), ERR_OK, "");
    expect_err(wal_snapshots_read(disk, DIR, &snapshots, NULL), ERR_OK, "");
    assert_int_equal(snapshots.count, 2);
    assert_int_equal(snapshots.items[1].index, 12);
    wal_snapshots_fini(&snapshots);
    wal_close(wal);
}

static void test_release_waits_for_the_commit_of_the_snapshot(void **state)
{
    struct disk *disk = *state;
    struct wal_log log;
    size_t removed = 0;
    struct wal *wal = create(disk, 4096);
    for (uint64_t i = 1; i <= 60; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
        if (i == 10) {
            save_snapshot(wal, i);
        }
    }
    save_snapshot(wal, 60); /* the log knows 59 to be committed: it still starts from 10 */
    wal_release_to(wal, 60);
    expect_err(wal_purge(wal, wal_held_from(wal), 1, &removed, NULL), ERR_OK, "");
    wal_close(wal);
    wal = reopen(disk, 4096, 10, 1, &log);
    expect_entries(&log, 11, 50, 300);
    wal_log_fini(&log);
    expect_err(append_one(wal, 61, 1, 300), ERR_OK, "");
    save_snapshot(wal, 60);
    wal_release_to(wal, 60);
    expect_err(wal_purge(wal, wal_held_from(wal), 1, &removed, NULL), ERR_OK, "");
    assert_true(removed >= 2);
    wal_close(wal);
}

/* The process dies after any operation, comes back and acknowledges more; then the power goes. */
static void test_open_makes_durable_what_a_killed_process_left(void **state)
{
    (void)state;
    for (uint64_t op = 1; op <= 60; op++) {
        struct disk *disk = disk_faulty_new(op);
        struct wal_log log;
        struct wal *wal = create(disk, 2048);
        disk_faulty_fail(disk, op, ERR(IO), true);
        for (uint64_t i = 1; i <= 20 && !err_is(append_one(wal, i, 1, 300)); i++) {
        }
        disk_faulty_crash(disk, DISK_CRASH_KEEP);
        disk_faulty_fail(disk, 0, OK, false);
        wal_close(wal);
        wal = reopen(disk, 2048, 0, 0, &log);
        size_t count = log.entries_count;
        wal_log_fini(&log);
        expect_err(append_one(wal, count + 1, 1, 300), ERR_OK, "");
        disk_faulty_crash(disk, DISK_CRASH_LOSE);
        wal_close(wal);
        wal = reopen(disk, 2048, 0, 0, &log);
        expect_entries(&log, 1, count + 1, 300);
        wal_log_fini(&log);
        wal_close(wal);
        disk_faulty_free(disk);
    }
}

static void test_open_refuses_an_unknown_snapshot(void **state)
{
    struct disk *disk = *state;
    struct wal_options options = options_of(disk, 65536);
    struct wal_log log;
    struct wal *wal = create(disk, 65536);
    struct wal *other;
    struct why why;
    expect_err(append_one(wal, 1, 1, 10), ERR_OK, "");
    save_snapshot(wal, 1);
    expect_err(wal_open(&options, 0, 0, &other, &log, &why), ERR_LOCKED, why.text);
    assert_non_null(strstr(why.text, FIRST));
    wal_close(wal);
    expect_err(wal_open(&options, 7, 1, &other, &log, &why), ERR_ABSENT, why.text);
    expect_err(wal_open(&options, 1, 2, &other, &log, &why), ERR_BAD_FORMAT, why.text);
    wal = reopen(disk, 65536, 1, 1, &log);
    assert_int_equal(log.entries_count, 0);
    wal_log_fini(&log);
    wal_close(wal);
}

static void test_missing_segment_is_refused(void **state)
{
    struct disk *disk = *state;
    struct wal_options options = options_of(disk, 2048);
    struct wal_log log;
    struct wal *wal = create(disk, 2048);
    struct disk_names names;
    struct why why;
    for (uint64_t i = 1; i <= 30; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
    }
    wal_close(wal);
    expect_err(disk_list(disk, DIR, &names, NULL), ERR_OK, "");
    char *path = disk_path(DIR, names.names[2]);
    expect_err(disk_remove(disk, path, NULL), ERR_OK, "");
    expect_err(wal_open(&options, 0, 0, &wal, &log, &why), ERR_BAD_FORMAT, why.text);
    assert_non_null(strstr(why.text, names.names[3]));
    disk_names_fini(&names);
    free(path);
}

static void test_failed_sync_poisons(void **state)
{
    struct disk *disk = *state;
    struct wal *wal = create(disk, 65536);
    struct wal_snapshot none = {0};
    struct why why = {""};
    disk_faulty_fail(disk, 2, ERR(IO), false);
    expect_err(append_one(wal, 1, 1, 10), ERR_IO, "");
    expect_err(append_one(wal, 2, 1, 10), ERR_IO, "");
    expect_err(wal_save_snapshot(wal, &none, &why), ERR_IO, "");
    uint64_t ops = disk_faulty_ops(disk);
    wal_close(wal);
    assert_int_equal(disk_faulty_ops(disk), ops);
}

static size_t count_segments(struct disk *disk)
{
    struct disk_names names;
    size_t count = 0;
    expect_err(disk_list(disk, DIR, &names, NULL), ERR_OK, "");
    for (size_t i = 0; i < names.count; i++) {
        count += strstr(names.names[i], ".wal") != NULL;
    }
    disk_names_fini(&names);
    return count;
}

static void test_spare_that_fails_does_not_poison(void **state)
{
    struct disk *disk = *state;
    struct wal *wal = create(disk, 4096);
    expect_err(append_one(wal, 1, 1, 300), ERR_OK, "");
    for (uint64_t op = 1; op <= 4; op++) { /* open, allocate, write, sync */
        struct wal_spare *spare = wal_spare_begin(wal);
        bool is_more = true;
        struct err e = OK;
        assert_non_null(spare);
        disk_faulty_fail(disk, op, ERR(NO_DISK), false);
        while (is_more && !err_is(e)) {
            e = wal_spare_step(spare, &is_more, NULL);
        }
        expect_err(e, ERR_NO_DISK, "");
        wal_spare_end(wal, spare);
        assert_false(disk_exists(disk, DIR "/spare.tmp"));
        assert_null(wal_spare_begin(wal)); /* not again for this segment */
        for (uint64_t i = 0; i < 20; i++) {
            expect_err(append_one(wal, (op - 1) * 20 + i + 2, 1, 300), ERR_OK, "");
        }
    }
    wal_close(wal);
    struct wal_log log;
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    expect_entries(&log, 1, 81, 300);
    wal_log_fini(&log);
}

static void test_allocated_space_is_left_for_written(void **state)
{
    struct disk *disk = *state;
    struct wal_log log;
    struct wal *wal = create(disk, 65536);
    expect_err(append_one(wal, 1, 1, 300), ERR_OK, "");
    assert_null(wal_spare_begin(wal)); /* little was written */
    for (uint64_t i = 2; i <= 5; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
    }
    expect_err(fill_spare(wal), ERR_OK, "");
    assert_int_equal(count_segments(disk), 1);
    expect_err(append_one(wal, 6, 1, 300), ERR_OK, "");
    assert_int_equal(count_segments(disk), 2);
    /* In written space it stays until it is full, with the next one at hand. */
    for (uint64_t i = 7; i <= 20; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
        expect_err(fill_spare(wal), ERR_OK, "");
    }
    assert_int_equal(count_segments(disk), 2);
    for (uint64_t i = 21; i <= 300; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
    }
    assert_int_equal(count_segments(disk), 3);
    disk_faulty_crash(disk, DISK_CRASH_LOSE);
    wal_close(wal);
    wal = reopen(disk, 65536, 0, 0, &log);
    expect_entries(&log, 1, 300, 300);
    wal_log_fini(&log);
    wal_close(wal);
}

static void test_spare_begun_is_one_and_ends_unfinished(void **state)
{
    struct disk *disk = *state;
    bool is_more = false;
    struct wal *wal = create(disk, 4096);
    expect_err(append_one(wal, 1, 1, 300), ERR_OK, "");
    struct wal_spare *spare = wal_spare_begin(wal);
    assert_null(wal_spare_begin(wal));
    expect_err(wal_spare_step(spare, &is_more, NULL), ERR_OK, "");
    assert_true(is_more);
    for (uint64_t i = 2; i <= 40; i++) { /* cuts meanwhile */
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
    }
    wal_spare_end(wal, spare);
    assert_false(disk_exists(disk, DIR "/spare.tmp"));
    wal_close(wal);
}

static void test_append_of_a_batch_is_one_write_and_one_sync(void **state)
{
    struct disk *disk = *state;
    struct wal *wal = create(disk, 65536);
    struct raft_entry entries[16];
    struct raft_hard_state hard = {1, 1, 0};
    for (uint64_t i = 0; i < 16; i++) {
        entries[i] = entry_of(i + 1, 1, 100);
    }
    struct wal_batch batch = {&hard, entries, 16, true};
    uint64_t ops = disk_faulty_ops(disk);
    expect_err(wal_append(wal, &batch, NULL, NULL), ERR_OK, "");
    assert_int_equal(disk_faulty_ops(disk) - ops, 2);
    for (size_t i = 0; i < 16; i++) {
        blob_unref(entries[i].data);
    }
    wal_close(wal);
}

static struct err append_mebibytes(struct wal *wal, uint64_t first, struct blob *data)
{
    struct raft_entry entries[20];
    struct raft_hard_state hard = {1, 1, first};
    for (uint64_t i = 0; i < COUNT_OF(entries); i++) {
        entries[i] = (struct raft_entry){.term = 1, .index = first + i, .data = data};
    }
    struct wal_batch batch = {&hard, entries, COUNT_OF(entries), true};
    return wal_append(wal, &batch, NULL, NULL);
}

static void test_a_huge_batch_is_several_writes_and_one_sync(void **state)
{
    struct disk *disk = *state;
    struct wal_log log;
    struct wal *wal = create(disk, 48 << 20);
    struct raft_entry one = entry_of(1, 1, 1 << 20);
    uint64_t ops = disk_faulty_ops(disk);
    expect_err(append_mebibytes(wal, 1, one.data), ERR_OK, "");
    assert_int_equal(disk_faulty_ops(disk) - ops, 3);
    disk_faulty_fail(disk, 1, ERR(IO), false);
    expect_err(append_mebibytes(wal, 21, one.data), ERR_IO, "");
    expect_err(append_mebibytes(wal, 21, one.data), ERR_IO, "");
    disk_faulty_crash(disk, DISK_CRASH_LOSE);
    wal_close(wal);
    wal = reopen(disk, 48 << 20, 0, 0, &log);
    assert_int_equal(log.entries_count, 20);
    assert_true(slice_eq(blob_slice(log.entries[19].data), blob_slice(one.data)));
    assert_int_equal(log.hard.commit, 1);
    wal_log_fini(&log);
    wal_close(wal);
    blob_unref(one.data);
}

static uint64_t commit_on_disk(struct disk *disk)
{
    struct wal_log log;
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    uint64_t commit = log.hard.commit;
    wal_log_fini(&log);
    return commit;
}

static void append_commit(struct disk *disk, struct wal *wal, uint64_t commit, uint64_t ops_wanted)
{
    struct raft_hard_state hard = {1, 1, commit};
    struct wal_batch batch = {&hard, NULL, 0, false};
    uint64_t ops = disk_faulty_ops(disk);
    expect_err(wal_append(wal, &batch, NULL, NULL), ERR_OK, "");
    assert_int_equal(disk_faulty_ops(disk) - ops, ops_wanted);
}

static void append_entry(struct wal *wal, uint64_t index)
{
    struct raft_entry entry = entry_of(index, 1, 100);
    struct wal_batch batch = {NULL, &entry, 1, true};
    expect_err(wal_append(wal, &batch, NULL, NULL), ERR_OK, "");
    blob_unref(entry.data);
}

static void test_commit_alone_goes_with_the_next_write(void **state)
{
    struct disk *disk = *state;
    struct wal *wal = create(disk, 65536);
    append_commit(disk, wal, 1, 1); /* term and vote are new: at once */
    for (uint64_t i = 1; i <= 8; i++) {
        append_entry(wal, i);
    }
    append_commit(disk, wal, 4, 0);
    append_commit(disk, wal, 5, 0);
    assert_int_equal(commit_on_disk(disk), 1);
    append_entry(wal, 9);
    assert_int_equal(commit_on_disk(disk), 5);
    append_commit(disk, wal, 9, 0);
    struct wal_snapshot snapshot = {.index = 9, .term = 1, .has_conf = true};
    expect_err(wal_save_snapshot(wal, &snapshot, NULL), ERR_OK, "");
    assert_int_equal(commit_on_disk(disk), 9);
    append_entry(wal, 10);
    append_commit(disk, wal, 10, 0);
    struct wal_batch unchanged = {&(struct raft_hard_state){0, 0, 0}, NULL, 0, true};
    expect_err(wal_append(wal, &unchanged, NULL, NULL), ERR_OK, ""); /* zeros: as if not given */
    assert_int_equal(commit_on_disk(disk), 10);
    wal_close(wal);
    assert_int_equal(commit_on_disk(disk), 10);
}

static void test_conf_is_read_packed_or_not_and_bounded(void **state)
{
    struct raft_conf_state conf;
    struct buf out;
    (void)state;
    expect_err(wal_conf_decode(SLICE("\x0a\x03\x03\x01\x02\x10\x09\x28\x01"), &conf), ERR_OK, "");
    assert_int_equal(conf.voters.count, 3);
    assert_int_equal(conf.voters.ids[0], 1);
    assert_int_equal(conf.voters.ids[2], 3);
    assert_int_equal(conf.learners.ids[0], 9);
    assert_true(conf.auto_leave);
    buf_init(&out, 1024);
    wal_conf_encode(&conf, &out);
    assert_true(slice_eq(buf_slice(&out), SLICE("\x08\1\x08\2\x08\3\x10\x09\x28\1")));
    buf_reset(&out);
    for (int i = 0; i <= RAFT_MEMBERS_MAX; i++) {
        buf_add(&out, "\x08\x01", 2);
    }
    expect_err(wal_conf_decode(buf_slice(&out), &conf), ERR_BAD_FORMAT, "");
    expect_err(wal_conf_decode(SLICE("\x08"), &conf), ERR_BAD_FORMAT, "");
    buf_fini(&out);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_create_writes_etcds_bytes),
        T(test_append_is_read_back),
        T(test_append_tells_empty_from_absent_data),
        T(test_later_entries_replace_earlier),
        T(test_segments_are_cut_and_start_at_a_snapshot),
        T(test_a_snapshot_that_entries_overtake_does_not_count),
        T(test_release_waits_for_the_commit_of_the_snapshot),
        T(test_open_makes_durable_what_a_killed_process_left),
        T(test_open_refuses_an_unknown_snapshot),
        T(test_missing_segment_is_refused),
        T(test_failed_sync_poisons),
        T(test_spare_that_fails_does_not_poison),
        T(test_allocated_space_is_left_for_written),
        T(test_spare_begun_is_one_and_ends_unfinished),
        T(test_append_of_a_batch_is_one_write_and_one_sync),
        T(test_a_huge_batch_is_several_writes_and_one_sync),
        T(test_commit_alone_goes_with_the_next_write),
        T(test_conf_is_read_packed_or_not_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
