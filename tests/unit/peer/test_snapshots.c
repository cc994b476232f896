/* SPDX-License-Identifier: Apache-2.0
 * Two members over real sockets: snapshots as databases, as rows and as files, whole, broken and
 * too large.
 */
#include "base/clock.h"
#include "base/codec.h"
#include "base/mem.h"
#include "pair.h"
#include "peer/inner.h"
#include "tests/shared/folder.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void test_a_snapshot_arrives_whole(void **state)
{
    struct snapshot_import *import;
    struct disk_stat stat;
    (void)state;
    one.export_bytes = 20 << 20;
    pair_start();
    pair_deliver_snapshot(0x1234);
    assert_int_equal(two.heard[0].type, RAFT_MSG_SNAP);
    assert_int_equal(two.heard[0].snapshot->meta.index, 0x1234);
    assert_true(slice_eq(blob_slice(two.heard[0].snapshot->data), SLICE("{\"Root\":{}}")));
    char *path = mem_printf("%s/0000000000001234.snap.db", two.snap_dir);
    assert_string_equal(two.snapshot_path, path);
    assert_false(err_is(disk_stat(disk_real(), path, &stat, NULL)));
    assert_true(stat.bytes > one.export_bytes);
    assert_false(
        err_is(snapshot_import_open(disk_real(), path, SNAPSHOT_HASH_IF_THERE, &import, NULL)));
    snapshot_import_close(import);
    free(path);
}

static void open_store(const char *dir, struct backend **out)
{
    struct backend_options options = {.path = dir};
    assert_false(err_is(backend_open(&options, out, NULL)));
}

static void fill_store(struct backend *store, size_t rows)
{
    struct backend_batch *batch = backend_batch_new();
    uint8_t *value = mem_new(1 << 16);
    char key[32];
    for (size_t i = 0; i < rows; i++) {
        snprintf(key, sizeof(key), "d%06zu", i);
        backend_batch_put(batch, slice_str(key), slice_of(value, 1 << 16));
    }
    assert_false(err_is(backend_write(store, batch, NULL)));
    backend_batch_free(batch);
    free(value);
}

/* A value that does not pack. */
static void put_letters(struct backend *store, size_t number)
{
    char key[32];
    struct backend_batch *batch = backend_batch_new();
    uint8_t *value = mem_alloc(1 << 16);
    uint32_t seed = (uint32_t)number;
    for (size_t i = 0; i < 1 << 16; i++) {
        seed = seed * 1664525 + 1013904223;
        value[i] = (uint8_t)(seed >> 24);
    }
    snprintf(key, sizeof(key), "d%06zu", number);
    backend_batch_put(batch, slice_str(key), slice_of(value, 1 << 16));
    assert_false(err_is(backend_write(store, batch, NULL)));
    backend_batch_free(batch);
    free(value);
}

static struct err free_bytes(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why)
{
    (void)disk;
    (void)path;
    (void)why;
    *out_bytes = 5 << 20;
    return OK;
}

/* The database and the store that is made of it must fit, before the first byte is taken. */
static void test_a_database_that_does_not_fit_is_refused(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk small = {&ops};
    (void)state;
    ops.free_bytes = free_bytes;
    two.disk = &small;
    one.export_bytes = 3 << 20;
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_false(node_has_files(&two));
    one.export_bytes = 2 << 20;
    pair_deliver_snapshot(8);
    peer_stop(two.peer); /* the disk is this function's */
}

/* Rows come in chunks, so their sender says about how many bytes there are. */
static void test_rows_that_do_not_fit_are_refused(void **state)
{
    char dir[FOLDER_PATH_MAX];
    struct disk_ops ops = *disk_real()->ops;
    struct disk small = {&ops};
    (void)state;
    ops.free_bytes = free_bytes;
    two.disk = &small;
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 79);
    one.rows_format = two.rows_format = "1";
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_false(node_has_files(&two));
    assert_false(err_is(backend_clear(one.store, SLICE("d000040"), SLICE("e"), NULL)));
    assert_false(err_is(backend_compact_files(one.store, NULL)));
    pair_deliver_snapshot(8);
    peer_stop(two.peer); /* the disk is this function's */
    backend_close(one.store);
    folder_remove(dir);
}

static void send_rows(const char *ours, const char *theirs, char dir[FOLDER_PATH_MAX])
{
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 200);
    one.rows_format = ours;
    two.rows_format = theirs;
    one.export_bytes = 1 << 20;
    pair_start();
    pair_deliver_snapshot(0x1234);
    backend_close(one.store);
    folder_remove(dir);
}

/* Members that keep their stores alike move rows. */
static void test_rows_arrive_instead_of_a_database(void **state)
{
    char dir[FOLDER_PATH_MAX];
    struct snapshot_list list;
    struct blob *row = NULL;
    struct backend *store;
    (void)state;
    send_rows("1", "1", dir);
    assert_true(snapshot_is_list(disk_real(), two.snapshot_path));
    assert_true(slice_eq(blob_slice(two.heard[0].snapshot->data), SLICE("{\"Root\":{}}")));
    assert_false(err_is(snapshot_list_read(disk_real(), two.snap_dir, 0x1234, &list, NULL)));
    folder_make(dir);
    open_store(dir, &store);
    assert_false(err_is(backend_take_files(store, list.paths, list.count, NULL)));
    assert_false(err_is(backend_get(store, NULL, SLICE("d000199"), &row, NULL)));
    assert_true(row && row->len == 1 << 16);
    blob_unref(row);
    backend_close(store);
    folder_remove(dir);
    snapshot_list_fini(&list);
}

/* One that keeps them otherwise, or is etcd, gets a database. */
static void test_rows_of_another_format_are_not_sent(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    send_rows("1", "2", dir);
    assert_false(snapshot_is_list(disk_real(), two.snapshot_path));
}

static void test_members_without_rows_get_a_database(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    send_rows("1", NULL, dir);
    assert_false(snapshot_is_list(disk_real(), two.snapshot_path));
}

static void put_index(struct backend *store, uint64_t at)
{
    uint8_t index[16] = {0};
    struct backend_batch *batch = backend_batch_new();
    put_be64(index, at);
    put_be64(index + 8, 1);
    backend_batch_put(batch, SLICE("mconsistent_index"), slice_of(index, sizeof(index)));
    assert_false(err_is(backend_write(store, batch, NULL)));
    backend_batch_free(batch);
}

static void send_files(const char *ours, const char *theirs)
{
    char dir[FOLDER_PATH_MAX];
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 200);
    put_index(one.store, 0x1234);
    one.rows_format = two.rows_format = "1";
    one.files_format = ours;
    two.files_format = theirs;
    pair_start();
    pair_deliver_snapshot(0x1234);
    backend_close(one.store);
    folder_remove(dir);
}

/* Members whose stores are alike to the file move files. */
static void test_files_arrive_instead_of_rows(void **state)
{
    struct blob *row = NULL;
    struct backend *store;
    (void)state;
    send_files("1 x", "1 x");
    assert_true(slice_eq(blob_slice(two.heard[0].snapshot->data), SLICE("{\"Root\":{}}")));
    char *folder = snapshot_files_folder(disk_real(), two.snap_dir, 0x1234);
    assert_non_null(folder);
    assert_false(node_has_files(&one));
    open_store(folder, &store);
    assert_false(err_is(backend_get(store, NULL, SLICE("d000199"), &row, NULL)));
    assert_true(row && row->len == 1 << 16);
    blob_unref(row);
    backend_close(store);
    free(folder);
}

static void test_files_of_another_format_are_not_sent(void **state)
{
    (void)state;
    send_files("1 x", "1 y");
    assert_true(snapshot_is_list(disk_real(), two.snapshot_path));
}

static void test_members_without_files_get_rows(void **state)
{
    (void)state;
    send_files("1 x", NULL);
    assert_true(snapshot_is_list(disk_real(), two.snapshot_path));
}

/* Refused by its length, before any of it comes. */
static void test_files_that_do_not_fit_are_refused(void **state)
{
    char dir[FOLDER_PATH_MAX];
    struct disk_ops ops = *disk_real()->ops;
    struct disk small = {&ops};
    (void)state;
    ops.free_bytes = free_bytes;
    two.disk = &small;
    folder_make(dir);
    open_store(dir, &one.store);
    for (size_t i = 0; i < 200; i++) {
        put_letters(one.store, i);
    }
    one.files_format = two.files_format = "1 x";
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_false(node_has_files(&two));
    peer_stop(two.peer); /* the disk is this function's */
    backend_close(one.store);
    folder_remove(dir);
}

/* All came, and then it is seen that the store stands at no index. */
static void test_files_that_are_refused_leave_nothing(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 200);
    one.files_format = two.files_format = "1 x";
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_true(node_await_snap_dir(&one, true));
    assert_false(node_has_files(&two));
    assert_null(two.snapshot_path);
    backend_close(one.store);
    folder_remove(dir);
}

/* All came and is a store, and who knows what rows mean will not have it. */
static void test_a_store_that_is_not_wanted_leaves_nothing(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    folder_make(dir);
    open_store(dir, &one.store);
    put_index(one.store, 7);
    one.files_format = two.files_format = "1 x";
    two.is_store_refused = true;
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_false(node_has_files(&two));
    assert_null(two.snapshot_path);
    backend_close(one.store);
    folder_remove(dir);
}

static atomic_bool is_half_written;

/* From the middle on, the disk takes nothing until the member ends. */
static struct err write_half(
    struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why)
{
    int64_t deadline_ms = clock_mono_ms() + NODE_WAIT_MS;
    if (offset + bytes.len > one.export_bytes / 2) {
        atomic_store(&is_half_written, true);
        while (!atomic_load(&two.peer->is_stopped) && clock_mono_ms() < deadline_ms) {
            usleep(1000);
        }
    }
    return disk_real()->ops->write(file, offset, bytes, why);
}

static bool is_half(void *arg)
{
    (void)arg;
    return atomic_load(&is_half_written);
}

/* The receiver ends in the middle: reported, and nothing is left lying there. */
static void test_a_broken_snapshot_leaves_nothing(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk slow = {&ops};
    (void)state;
    ops.write = write_half;
    two.disk = &slow;
    one.export_bytes = 64 << 20;
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await_until(is_half, NULL));
    peer_stop(two.peer);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_false(node_has_files(&two));
    assert_null(two.snapshot_path);
}

static bool has_ended(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&one.mutex);
    bool has = one.snapshots_ok + one.snapshots_failed > 0;
    pthread_mutex_unlock(&one.mutex);
    return has;
}

/* Rows go past the table of operations: where it ends is left open, what must be then is not. */
static void test_broken_rows_leave_nothing(void **state)
{
    char dir[FOLDER_PATH_MAX];
    (void)state;
    folder_make(dir);
    open_store(dir, &one.store);
    fill_store(one.store, 1000);
    one.rows_format = two.rows_format = "1";
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await_snap_dir(&two, false));
    peer_stop(two.peer);
    assert_true(node_await_until(has_ended, NULL));
    assert_true(!node_has_files(&two) || two.snapshot_path);
    backend_close(one.store);
    folder_remove(dir);
}

/* The receiver ends in the middle of a file. */
static void test_broken_files_leave_nothing(void **state)
{
    char dir[FOLDER_PATH_MAX];
    struct disk_ops ops = *disk_real()->ops;
    struct disk slow = {&ops};
    (void)state;
    ops.write = write_half;
    two.disk = &slow;
    one.export_bytes = 2 << 20;
    folder_make(dir);
    open_store(dir, &one.store);
    for (size_t i = 0; i < 200; i++) {
        put_letters(one.store, i);
    }
    one.files_format = two.files_format = "1 x";
    atomic_store(&is_half_written, false);
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await_until(is_half, NULL));
    peer_stop(two.peer);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_false(node_has_files(&two));
    assert_null(two.snapshot_path);
    backend_close(one.store);
    folder_remove(dir);
}

/* Goes on and on, much slower than it is sent. */
static struct err write_slowly(
    struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why)
{
    atomic_store(&is_half_written, true);
    for (int i = 0; i < 50 && !atomic_load(&two.peer->is_stopped); i++) {
        usleep(1000);
    }
    return disk_real()->ops->write(file, offset, bytes, why);
}

/* Nobody can say how long a receiver takes, and a store that is sent cannot be replaced. */
static void test_sending_ends_when_it_is_told_to(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk slow = {&ops};
    (void)state;
    ops.write = write_slowly;
    two.disk = &slow;
    one.export_bytes = 64 << 20;
    atomic_store(&is_half_written, false);
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await_until(is_half, NULL));
    peer_end_sending(one.peer);
    assert_true(node_await_until(has_ended, NULL));
    assert_int_equal(one.snapshots_failed, 1);
    peer_stop(two.peer);
    assert_false(node_has_files(&two));
}

static void begin_held(void)
{
    atomic_store(&one.is_open_held, true);
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await_atomic(&one.opening, 1));
}

/* A database of a large store takes minutes to make: nobody waits for it who wants to end. */
static void test_stopping_does_not_wait_for_a_database_that_is_made(void **state)
{
    (void)state;
    begin_held();
    int64_t start = clock_mono_ms();
    peer_stop(one.peer);
    assert_in_range(clock_mono_ms() - start, 0, NODE_WAIT_MS / 2);
    assert_int_equal(one.snapshots_ok + one.snapshots_failed, 0);
}

static void test_making_a_database_ends_when_sending_is_told_to(void **state)
{
    (void)state;
    begin_held();
    int64_t start = clock_mono_ms();
    peer_end_sending(one.peer);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_in_range(clock_mono_ms() - start, 0, NODE_WAIT_MS / 2);
    assert_int_equal(one.snapshots_ok, 0);
}

static void send_snapshot_to(uint64_t id)
{
    struct raft_snapshot_meta meta = {.index = 7, .term = 1};
    struct raft_message message = {.type = RAFT_MSG_SNAP, .to = id, .from = ONE, .term = 1};
    message.snapshot = raft_snapshot_new(&meta, NULL);
    peer_send(one.peer, &message, 1);
}

/* Who sends it counts those under way, and keeps his log for them. */
static void test_a_snapshot_for_somebody_unknown_is_reported(void **state)
{
    (void)state;
    pair_start();
    send_snapshot_to(0x33);
    send_snapshot_to(0); /* to nobody: raft does not wait for that one */
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    peer_remove(one.peer, TWO);
    send_snapshot_to(TWO);
    assert_true(node_await(&one.snapshots_failed, &one, 2));
    peer_stop(one.peer);
    assert_int_equal(one.snapshots_failed, 2);
    assert_int_equal(one.snapshots_ok, 0);
}

static atomic_int free_asked;

/* Plenty at first; then somebody else takes it. */
static struct err free_bytes_less_and_less(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why)
{
    (void)disk;
    (void)path;
    (void)why;
    *out_bytes = atomic_fetch_add(&free_asked, 1) ? 10 << 20 : 1ULL << 40;
    return OK;
}

/* Also where its sender did not say how much would come. */
static void test_a_disk_that_fills_meanwhile_ends_it(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk small = {&ops};
    (void)state;
    ops.free_bytes = free_bytes_less_and_less;
    two.disk = &small;
    one.export_bytes = 40 << 20;
    atomic_store(&free_asked, 0);
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_true(node_await_snap_dir(&two, true));
    assert_null(two.snapshot_path);
    peer_stop(two.peer); /* the disk is this function's */
}

static struct err write_until_full(
    struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why)
{
    return offset < 1 << 20 ? disk_real()->ops->write(file, offset, bytes, why)
                            : why_errno(why, ENOSPC, "write");
}

static void test_a_full_disk_leaves_nothing(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk full = {&ops};
    (void)state;
    ops.write = write_until_full;
    two.disk = &full;
    one.export_bytes = 2 << 20;
    pair_start();
    pair_send_snapshot(7);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
    assert_true(node_await_snap_dir(&two, true));
    peer_stop(two.peer); /* the disk is this function's */
    assert_null(two.snapshot_path);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_snapshot_arrives_whole),
        TEST(test_a_database_that_does_not_fit_is_refused),
        TEST(test_rows_that_do_not_fit_are_refused),
        TEST(test_rows_arrive_instead_of_a_database),
        TEST(test_rows_of_another_format_are_not_sent),
        TEST(test_members_without_rows_get_a_database),
        TEST(test_a_broken_snapshot_leaves_nothing),
        TEST(test_broken_rows_leave_nothing),
        TEST(test_files_arrive_instead_of_rows),
        TEST(test_files_of_another_format_are_not_sent),
        TEST(test_members_without_files_get_rows),
        TEST(test_files_that_do_not_fit_are_refused),
        TEST(test_files_that_are_refused_leave_nothing),
        TEST(test_a_store_that_is_not_wanted_leaves_nothing),
        TEST(test_broken_files_leave_nothing),
        TEST(test_sending_ends_when_it_is_told_to),
        TEST(test_stopping_does_not_wait_for_a_database_that_is_made),
        TEST(test_making_a_database_ends_when_sending_is_told_to),
        TEST(test_a_snapshot_for_somebody_unknown_is_reported),
        TEST(test_a_disk_that_fills_meanwhile_ends_it),
        TEST(test_a_full_disk_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
