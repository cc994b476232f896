/* SPDX-License-Identifier: Apache-2.0
 * The store's rows from one member to another: what arrives is what was sent, and nothing else is
 * taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "snap/snap.h"
#include "snapshot/snapshot.h"
#include "tests/shared/folder.h"

#include <stdio.h>

enum { INDEX = 0x12 };

struct place {
    char from_dir[FOLDER_PATH_MAX];
    char to_dir[FOLDER_PATH_MAX];
    char snap_dir[FOLDER_PATH_MAX];
    struct backend *from;
    struct backend *to;
    struct buf sent;
    struct snapshot_refill *refill;
};

static void open_store(const char *path, struct backend **out)
{
    struct backend_options options = {.path = path};
    assert_false(err_is(backend_open(&options, out, NULL)));
}

static int setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    folder_make(place->from_dir);
    folder_make(place->to_dir);
    folder_make(place->snap_dir);
    open_store(place->from_dir, &place->from);
    open_store(place->to_dir, &place->to);
    buf_init(&place->sent, SIZE_MAX);
    place->refill = snapshot_refill_new(disk_real(), place->snap_dir, INDEX, NULL);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    snapshot_refill_free(place->refill, true);
    backend_close(place->from);
    backend_close(place->to);
    folder_remove(place->from_dir);
    folder_remove(place->to_dir);
    folder_remove(place->snap_dir);
    buf_fini(&place->sent);
    free(place);
    return 0;
}

static void put(struct backend *store, struct slice key, struct slice value)
{
    struct backend_batch *batch = backend_batch_new();
    backend_batch_put(batch, key, value);
    assert_false(err_is(backend_write(store, batch, NULL)));
    backend_batch_free(batch);
}

static void send_all(struct place *place)
{
    uint8_t piece[1000];
    size_t got;
    struct snapshot_export *export =
        snapshot_export_rows(place->from, backend_snapshot_take(place->from));
    put(place->from, SLICE("lz-late"), SLICE("not in the view"));
    do {
        assert_false(err_is(snapshot_export_read(export, piece, sizeof(piece), &got, NULL)));
        buf_add(&place->sent, piece, got);
    } while (got);
    snapshot_export_close(export);
}

static struct err take(struct place *place, size_t step)
{
    struct why why = {""};
    for (size_t at = 0; at < place->sent.len; at += step) {
        size_t left = place->sent.len - at;
        TRY(snapshot_refill_take(
            place->refill, slice_of(place->sent.data + at, left < step ? left : step), &why));
    }
    return snapshot_refill_end(place->refill, &why);
}

static size_t count_files(const char *dir)
{
    struct disk_names names;
    assert_false(err_is(disk_list(disk_real(), dir, &names, NULL)));
    size_t count = names.count;
    disk_names_fini(&names);
    return count;
}

static void assert_value(struct backend *store, struct slice key, struct slice want)
{
    struct blob *value = NULL;
    assert_false(err_is(backend_get(store, NULL, key, &value, NULL)));
    assert_true(want.data ? value && slice_eq(blob_slice(value), want) : !value);
    blob_unref(value);
}

static void fill(struct place *place)
{
    char key[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "l%06d", i);
        put(place->from, slice_str(key), slice_str(key + 1));
    }
    uint8_t *big = mem_new(1 << 20);
    put(place->from, SLICE("d1"), slice_of(big, 1 << 20));
    put(place->from, SLICE("d2"), (struct slice){0});
    put(place->from, SLICE("mlease/1"), SLICE("lease"));
    put(place->from, SLICE("mformat"), SLICE("1"));
    put(place->from, SLICE("madopted"), SLICE("1"));
    put(place->from, SLICE("mrestored"), SLICE("1"));
    free(big);
}

static void take_into_store(struct place *place)
{
    struct snapshot_list list;
    char *path = mem_printf("%s/%016x.snap.db", place->snap_dir, INDEX);
    assert_true(snapshot_is_list(disk_real(), path));
    free(path);
    assert_false(err_is(snapshot_list_read(disk_real(), place->snap_dir, INDEX, &list, NULL)));
    assert_int_equal(list.count, 2); /* values, and the other rows */
    assert_false(err_is(backend_take_files(place->to, list.paths, list.count, NULL)));
    snapshot_list_fini(&list);
}

static void move_rows(struct place *place, size_t step)
{
    fill(place);
    put(place->to, SLICE("mformat"), SLICE("own"));
    send_all(place);
    assert_int_equal(take(place, step).code, ERR_OK);
    take_into_store(place);
    assert_value(place->to, SLICE("l000000"), SLICE("000000"));
    assert_value(place->to, SLICE("l002999"), SLICE("002999"));
    assert_value(place->to, SLICE("lz-late"), (struct slice){0});
    assert_value(place->to, SLICE("mlease/1"), SLICE("lease"));
    assert_value(place->to, SLICE("mformat"), SLICE("own"));
    assert_value(place->to, SLICE("madopted"), (struct slice){0});
    assert_value(place->to, SLICE("mrestored"), (struct slice){0});
    assert_value(place->to, SLICE("d2"), SLICE(""));
    struct blob *big = NULL;
    assert_false(err_is(backend_get(place->to, NULL, SLICE("d1"), &big, NULL)));
    assert_true(big && big->len == 1 << 20);
    blob_unref(big);
}

static void test_rows_arrive_in_large_pieces(void **state)
{
    move_rows(*state, 64 << 10);
}

static void test_rows_arrive_byte_for_byte(void **state)
{
    move_rows(*state, 1);
}

static void test_an_empty_store_is_sent_too(void **state)
{
    struct place *place = *state;
    struct snapshot_list list;
    send_all(place);
    assert_int_equal(place->sent.len, 16);
    assert_int_equal(take(place, 3).code, ERR_OK);
    assert_false(err_is(snapshot_list_read(disk_real(), place->snap_dir, INDEX, &list, NULL)));
    assert_int_equal(list.count, 0);
    assert_false(err_is(backend_take_files(place->to, list.paths, list.count, NULL)));
    snapshot_list_fini(&list);
}

/* Refused, and no list is left of it; its files go with the refill. */
static void assert_refused(struct place *place, enum err_code code)
{
    assert_int_equal(take(place, 4096).code, code);
    snapshot_refill_free(place->refill, true);
    place->refill = NULL;
    assert_int_equal(count_files(place->snap_dir), 0);
}

static void test_what_breaks_off_is_refused(void **state)
{
    struct place *place = *state;
    fill(place);
    send_all(place);
    place->sent.len -= 16; /* all but the end */
    assert_refused(place, ERR_TORN);
}

static void test_a_flipped_bit_is_refused(void **state)
{
    struct place *place = *state;
    fill(place);
    send_all(place);
    place->sent.data[place->sent.len / 2] ^= 4;
    assert_refused(place, ERR_BAD_CRC);
}

static void test_bytes_behind_the_end_are_refused(void **state)
{
    struct place *place = *state;
    fill(place);
    send_all(place);
    buf_add_byte(&place->sent, 0);
    assert_refused(place, ERR_BAD_FORMAT);
}

/* Before memory is taken for it. */
static void test_a_huge_block_is_refused(void **state)
{
    struct place *place = *state;
    uint8_t head[16];
    put_be64(head, UINT64_MAX);
    put_be64(head + 8, 0);
    buf_add(&place->sent, head, sizeof(head));
    assert_refused(place, ERR_TOO_BIG);
}

static void add_block(struct place *place, struct slice rows)
{
    uint8_t head[16];
    put_be64(head, rows.len);
    put_be64(head + 8, crc32c(0, rows));
    buf_add(&place->sent, head, sizeof(head));
    buf_add_slice(&place->sent, rows);
}

static bool is_row(struct slice key, struct slice value)
{
    return !slice_eq(key, SLICE("l1")) || slice_eq(value, SLICE("x"));
}

/* Who knows what rows mean is asked. */
static void test_rows_that_mean_nothing_are_refused(void **state)
{
    struct place *place = *state;
    snapshot_refill_free(place->refill, true);
    place->refill = snapshot_refill_new(disk_real(), place->snap_dir, INDEX, is_row);
    add_block(place, slice_of("\x02l1\x01x\x02l2\x01y", 10));
    assert_false(err_is(snapshot_refill_take(place->refill, buf_slice(&place->sent), NULL)));
    snapshot_refill_free(place->refill, true);
    place->refill = snapshot_refill_new(disk_real(), place->snap_dir, INDEX, is_row);
    buf_reset(&place->sent);
    add_block(place, slice_of("\x02l1\x01y", 5));
    assert_refused(place, ERR_BAD_FORMAT);
}

static void test_malformed_rows_are_refused(void **state)
{
    static const struct slice bad[] = {
        {(const uint8_t *)"\x02l2\x01x\x02l1\x01x", 10}, /* falling */
        {(const uint8_t *)"\x02l1\x01x\x02l1\x01x", 10}, /* twice */
        {(const uint8_t *)"\x02x1\x01x", 5},             /* of no kind */
        {(const uint8_t *)"\x01l\x01x", 4},
        {(const uint8_t *)"\x00\x01x", 3},
        {(const uint8_t *)"\x02l1\x05x", 5}, /* longer than the block */
        {(const uint8_t *)"\x02l1", 3},
        {(const uint8_t *)"\x07mformat\x01x", 10}, /* one's own */
        {(const uint8_t *)"\x0bminstalling\x01x", 14},
    };
    struct place *place = *state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        snapshot_refill_free(place->refill, true);
        place->refill = snapshot_refill_new(disk_real(), place->snap_dir, INDEX, NULL);
        buf_reset(&place->sent);
        add_block(place, bad[i]);
        assert_refused(place, ERR_BAD_FORMAT);
    }
}

static void test_a_list_leads_nowhere_else(void **state)
{
    static const char *const bad[] = {"ketcd rows\n../x\n", "ketcd rows\nx", "ketcd rows\n\n"};
    struct place *place = *state;
    struct snapshot_list list;
    char *path = mem_printf("%s/%016x.snap.db", place->snap_dir, INDEX);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(err_is(disk_write_file(disk_real(), path, slice_str(bad[i]), 0600, NULL)));
        assert_int_equal(snapshot_list_read(disk_real(), place->snap_dir, INDEX, &list, NULL).code,
            ERR_BAD_FORMAT);
    }
    free(path);
}

static void touch(struct place *place, const char *name)
{
    char *path = disk_path(place->snap_dir, name);
    assert_false(err_is(disk_write_file(disk_real(), path, SLICE("x"), 0600, NULL)));
    free(path);
}

static void test_a_sweep_leaves_what_counts(void **state)
{
    struct place *place = *state;
    touch(place, "tmp0");
    touch(place, "0000000000000012.snap.db");
    touch(place, "0000000000000012.rows.0.000000");
    touch(place, "0000000000000001-0000000000000012.snap");
    assert_false(err_is(snap_purge(disk_real(), place->snap_dir, 5, 0x13, NULL)));
    assert_int_equal(count_files(place->snap_dir), 2);
    touch(place, "0000000000000012.snap.db");
    touch(place, "0000000000000012.rows.0.000000");
    assert_false(err_is(snap_sweep(disk_real(), place->snap_dir, 0, NULL)));
    assert_int_equal(count_files(place->snap_dir), 1);
    touch(place, "db.etcd");
    touch(place, "0000000000000012.snap.db"); /* etcd's, too */
    touch(place, "tmp123");
    assert_false(err_is(snap_sweep(disk_real(), place->snap_dir, 0, NULL)));
    assert_int_equal(count_files(place->snap_dir), 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_rows_arrive_in_large_pieces),
        T(test_rows_arrive_byte_for_byte),
        T(test_an_empty_store_is_sent_too),
        T(test_what_breaks_off_is_refused),
        T(test_a_flipped_bit_is_refused),
        T(test_bytes_behind_the_end_are_refused),
        T(test_a_huge_block_is_refused),
        T(test_malformed_rows_are_refused),
        T(test_rows_that_mean_nothing_are_refused),
        T(test_a_list_leads_nowhere_else),
        T(test_a_sweep_leaves_what_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
