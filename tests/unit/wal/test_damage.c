/* SPDX-License-Identifier: Apache-2.0
 * Damage: every flipped bit is found or harmless, every torn tail is cut off, nothing else is ever
 * cut. */
#include "base/codec.h"
#include "fixture.h"

#include <time.h>

enum { SEGMENT = 8192, ENTRIES = 6 };

/* A small log and its bytes. */
static struct disk *make(uint8_t **out_data, size_t *out_len, uint64_t *out_tail)
{
    struct disk *disk = disk_faulty_new(1);
    struct wal_log log;
    struct wal *wal = create(disk, SEGMENT);
    for (uint64_t i = 1; i <= ENTRIES; i++) {
        expect_err(append_one(wal, i, 1, i == 3 ? 700 : 60), ERR_OK, "");
    }
    wal_close(wal);
    expect_err(disk_read_file(disk, FIRST, SIZE_MAX, out_data, out_len, NULL), ERR_OK, "");
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    *out_tail = log.tail_offset;
    wal_log_fini(&log);
    return disk;
}

static bool is_whole(const struct wal_log *log)
{
    bool is_same = log->entries_count == ENTRIES && log->hard.commit == ENTRIES - 1 &&
                   log->hard.term == 1 && log->hard.vote == 1;
    for (size_t i = 0; i < log->entries_count && is_same; i++) {
        struct raft_entry want = entry_of(i + 1, 1, i == 2 ? 700 : 60);
        is_same = slice_eq(blob_slice(want.data), blob_slice(log->entries[i].data)) &&
                  log->entries[i].term == 1 && log->entries[i].index == i + 1 &&
                  log->entries[i].type == RAFT_ENTRY_NORMAL;
        blob_unref(want.data);
    }
    return is_same;
}

static void test_every_flipped_bit_is_found_or_harmless(void **state)
{
    uint8_t *data;
    size_t len;
    uint64_t tail;
    (void)state;
    struct disk *disk = make(&data, &len, &tail);
    size_t found = 0;
    for (uint64_t bit = 0; bit < tail * 8; bit++) {
        struct wal_log log;
        struct why why = {""};
        uint8_t byte = data[bit / 8] ^ (uint8_t)(1 << bit % 8);
        disk_faulty_poke(disk, FIRST, bit / 8, slice_of(&byte, 1));
        struct err e = wal_read(disk, DIR, 0, 0, &log, &why);
        if (!err_is(e)) {
            if (log.torn_bytes || !is_whole(&log)) {
                print_message("bit %llu of byte %llu: torn %llu entries %zu\n",
                    (unsigned long long)bit % 8, (unsigned long long)bit / 8,
                    (unsigned long long)log.torn_bytes, log.entries_count);
            }
            assert_int_equal(log.torn_bytes, 0);
            assert_true(is_whole(&log));
            wal_log_fini(&log);
        } else {
            assert_non_null(strstr(why.text, ".wal"));
            found++;
        }
        disk_faulty_poke(disk, FIRST, bit / 8, slice_of(&data[bit / 8], 1));
    }
    assert_true(found > tail * 8 * 9 / 10);
    free(data);
    disk_faulty_free(disk);
}

/* A value of zeros looks like sectors that were never written. */
static void test_flipped_bit_beside_zeros_is_not_torn(void **state)
{
    (void)state;
    struct disk *disk = disk_faulty_new(1);
    struct wal_log log;
    struct wal *wal = create(disk, SEGMENT);
    for (uint64_t i = 1; i <= 4; i++) {
        struct raft_entry entry = entry_of(i, 1, i == 2 ? 1500 : 60);
        memset(entry.data->data + 20, 0, entry.data->len - 40);
        struct wal_batch batch = {&(struct raft_hard_state){1, 1, i - 1}, &entry, 1, true};
        expect_err(wal_append(wal, &batch, NULL, NULL), ERR_OK, "");
        blob_unref(entry.data);
    }
    wal_close(wal);
    uint8_t *data;
    size_t len;
    expect_err(disk_read_file(disk, FIRST, SIZE_MAX, &data, &len, NULL), ERR_OK, "");
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    uint64_t tail = log.tail_offset;
    wal_log_fini(&log);
    for (uint64_t bit = 0; bit < tail * 8; bit++) {
        uint8_t flipped = data[bit / 8] ^ (uint8_t)(1 << bit % 8);
        disk_faulty_poke(disk, FIRST, bit / 8, slice_of(&flipped, 1));
        struct err e = wal_read(disk, DIR, 0, 0, &log, NULL);
        if (!err_is(e)) {
            assert_int_equal(log.torn_bytes, 0);
            assert_int_equal(log.entries_count, 4);
            wal_log_fini(&log);
        }
        disk_faulty_poke(disk, FIRST, bit / 8, slice_of(&data[bit / 8], 1));
    }
    free(data);
    disk_faulty_free(disk);
}

/* A frame that says it holds an entry of so many bytes altogether. */
static void put_frame(uint8_t *at, uint64_t bytes)
{
    uint8_t head[] = {8, 2, 16, 1, 26, 0, 0, 0, 0};
    uint64_t data = bytes - sizeof(head);
    for (int i = 0; i < 4; i++) {
        head[5 + i] = (uint8_t)((data >> 7 * i & 0x7f) | (i < 3 ? 0x80 : 0));
    }
    put_le64(at, bytes);
    memcpy(at + 8, head, sizeof(head));
}

/* Behind a record without an end: small records, each followed by one that reaches to the end. */
static void test_crafted_tail_is_judged_in_little_time(void **state)
{
    enum { BYTES = 4 << 20, STEP = 48 };
    static const uint8_t small[] = {8, 2, 16, 0x81, 0x82, 0x80, 0x80, 1};
    (void)state;
    struct disk *disk = disk_faulty_new(1);
    uint8_t *data = mem_new(BYTES);
    uint8_t *first;
    size_t len;
    struct wal_log log;
    struct timespec began;
    struct timespec ended;
    struct wal *wal = create(disk, 4096);
    wal_close(wal);
    expect_err(disk_read_file(disk, FIRST, SIZE_MAX, &first, &len, NULL), ERR_OK, "");
    memcpy(data, first, len);
    free(first);
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    size_t at = (size_t)log.tail_offset;
    wal_log_fini(&log);
    put_frame(data + at, 2 * BYTES);
    for (at += 32; at + 2 * STEP < BYTES; at += STEP) {
        put_le64(data + at, 8);
        memcpy(data + at + 8, small, sizeof(small));
        put_frame(data + at + 16, (BYTES - at - 16 - 8) / 8 * 8);
    }
    expect_err(disk_write_file(disk, FIRST, slice_of(data, BYTES), 0600, NULL), ERR_OK, "");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
    struct why why = {""};
    expect_err(wal_read(disk, DIR, 0, 0, &log, &why), ERR_BAD_FORMAT, "");
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    assert_non_null(strstr(why.text, "good records follow"));
    assert_true(ended.tv_sec - began.tv_sec <= 2);
    free(data);
    disk_faulty_free(disk);
}

/* The file ends anywhere inside the last records: what is whole stays, the rest goes, and the log
 * can be written on. */
static void test_cut_file_is_repaired(void **state)
{
    (void)state;
    uint8_t *data;
    size_t len;
    uint64_t tail;
    struct disk *disk = make(&data, &len, &tail);
    for (uint64_t cut = 96; cut < tail; cut += 8) {
        struct disk *copy = disk_faulty_new(1);
        struct wal_options options = options_of(copy, SEGMENT);
        struct wal_log log;
        struct wal *wal;
        struct why why = {""};
        expect_err(disk_mkdir(copy, DIR, 0700, NULL), ERR_OK, "");
        expect_err(
            disk_write_file(copy, FIRST, slice_of(data, (size_t)cut), 0600, NULL), ERR_OK, "");
        expect_err(wal_open(&options, 0, 0, &wal, &log, &why), ERR_OK, why.text);
        assert_int_equal(log.tail_offset + log.torn_bytes, cut);
        assert_int_equal(disk_exists(copy, FIRST ".broken"), log.torn_bytes != 0);
        size_t count = log.entries_count;
        wal_log_fini(&log);
        expect_err(append_one(wal, count + 1, 1, 60), ERR_OK, "");
        wal_close(wal);
        expect_err(wal_open(&options, 0, 0, &wal, &log, &why), ERR_OK, why.text);
        assert_int_equal(log.entries_count, count + 1);
        assert_int_equal(log.torn_bytes, 0);
        wal_log_fini(&log);
        wal_close(wal);
        disk_faulty_free(copy);
    }
    free(data);
    disk_faulty_free(disk);
}

/* A sector that was not written makes its record torn, in the last segment. */
static void test_zero_sector_is_torn(void **state)
{
    static const uint8_t zeros[512];
    (void)state;
    uint8_t *data;
    size_t len;
    uint64_t tail;
    struct disk *disk = make(&data, &len, &tail);
    struct wal_log log;
    /* The 700-byte entry covers the sector at 512 from its start on. */
    disk_faulty_poke(disk, FIRST, 512, slice_of(zeros, sizeof(zeros)));
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    assert_true(log.torn_bytes > 0);
    assert_int_equal(log.entries_count, 2);
    wal_log_fini(&log);
    free(data);
    disk_faulty_free(disk);
}

/* A log of one entry and a hard state whose last byte, 8-aligned for one size in 64, is a single
 * bit.
 */
static uint64_t one_and_a_bit(struct disk *disk, size_t len)
{
    struct wal_log log;
    struct wal *wal = create(disk, SEGMENT);
    struct raft_entry entry = entry_of(1, 1, len);
    struct wal_batch batch = {&(struct raft_hard_state){200, 1, 1}, &entry, 1, true};
    expect_err(wal_append(wal, &batch, NULL, NULL), ERR_OK, "");
    blob_unref(entry.data);
    wal_close(wal);
    expect_err(wal_read(disk, DIR, 0, 0, &log, NULL), ERR_OK, "");
    uint64_t tail = log.tail_offset;
    wal_log_fini(&log);
    return tail;
}

/* The last sector was not written, and all it lacks is one bit: nobody flipped that. */
static void test_a_sector_of_one_bit_is_torn(void **state)
{
    static const uint8_t zeros[512];
    size_t torn = 0;
    (void)state;
    for (size_t size = 1; size < 600; size++) {
        struct disk *disk = disk_faulty_new(1);
        struct wal_log log;
        struct why why = {""};
        uint8_t *data;
        size_t len;
        uint64_t tail = one_and_a_bit(disk, size);
        uint64_t last = tail - tail % sizeof(zeros);
        expect_err(disk_read_file(disk, FIRST, SIZE_MAX, &data, &len, NULL), ERR_OK, "");
        if (last < tail && data[last] == 1 && !memcmp(data + last + 1, zeros, sizeof(zeros) - 1)) {
            disk_faulty_poke(disk, FIRST, last, slice_of(zeros, sizeof(zeros)));
            expect_err(wal_read(disk, DIR, 0, 0, &log, &why), ERR_OK, why.text);
            assert_true(log.torn_bytes > 0);
            assert_int_equal(log.entries_count, 1);
            wal_log_fini(&log);
            torn++;
        }
        free(data);
        disk_faulty_free(disk);
    }
    assert_true(torn > 0);
}

static void test_damage_in_an_earlier_segment_is_refused(void **state)
{
    static const uint8_t zeros[512];
    (void)state;
    struct disk *disk = disk_faulty_new(1);
    struct wal_options options = options_of(disk, 2048);
    struct wal_log log;
    struct why why = {""};
    struct wal *wal = create(disk, 2048);
    for (uint64_t i = 1; i <= 20; i++) {
        expect_err(append_one(wal, i, 1, 300), ERR_OK, "");
    }
    wal_close(wal);
    disk_faulty_poke(disk, FIRST, 1024, slice_of(zeros, sizeof(zeros)));
    struct err e = wal_open(&options, 0, 0, &wal, &log, &why);
    assert_true(IS(e, BAD_CRC) || IS(e, BAD_FORMAT));
    assert_non_null(strstr(why.text, FIRST " at offset "));
    assert_false(disk_exists(disk, FIRST ".broken"));
    disk_faulty_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flipped_bit_is_found_or_harmless),
        cmocka_unit_test(test_flipped_bit_beside_zeros_is_not_torn),
        cmocka_unit_test(test_crafted_tail_is_judged_in_little_time),
        cmocka_unit_test(test_cut_file_is_repaired),
        cmocka_unit_test(test_zero_sector_is_torn),
        cmocka_unit_test(test_a_sector_of_one_bit_is_torn),
        cmocka_unit_test(test_damage_in_an_earlier_segment_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
