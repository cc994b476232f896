/* SPDX-License-Identifier: Apache-2.0
 * Data directories: new, found again, in use, somebody else's, and with a part lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "boot/install.h"
#include "boot/storage.h"
#include "tests/shared/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
    char path[FOLDER_PATH_MAX];
    struct config config;
};

static int setup(void **state)
{
    struct folder *folder = mem_new(sizeof(*folder));
    struct config_notes notes = {0};
    struct why why = {""};
    char *environ_none[] = {NULL};
    char program[] = "etcd";
    char name[] = "--name=m";
    char flag[] = "--data-dir";
    folder_make(folder->path);
    char *argv[] = {program, name, flag, folder->path, NULL};
    struct config_source source = {4, argv, environ_none, "/nonexistent", 0};
    struct err err = config_load(&source, &folder->config, &notes, &why);
    config_notes_fini(&notes);
    if (err_is(err)) {
        fail_msg("%s", why.text);
    }
    *state = folder;
    return 0;
}

static void remove_in(const struct folder *folder, const char *name)
{
    char *path = disk_path(folder->path, name);
    folder_remove(path);
    free(path);
}

static int teardown(void **state)
{
    struct folder *folder = *state;
    config_fini(&folder->config);
    folder_remove(folder->path);
    free(folder);
    return 0;
}

/* Opens and closes; on success with a row in the store and the consistent index at index. */
static struct err visit(struct folder *folder, uint64_t index, const char *format)
{
    struct storage storage;
    struct why why = {""};
    struct err err = storage_open(&storage, &folder->config, &why);
    if (!err_is(err)) {
        struct backend_batch *batch = backend_batch_new();
        if (index) {
            const uint8_t row[16] = {[7] = (uint8_t)index, [15] = 1};
            backend_batch_put(batch, SLICE("mconsistent_index"), slice_of(row, sizeof(row)));
        }
        if (format) {
            backend_batch_put(batch, SLICE("mformat"), slice_str(format));
        }
        assert_false(err_is(backend_write(storage.backend, batch, &why)));
        backend_batch_free(batch);
    } else {
        assert_true(why.text[0] != 0); /* a refusal says what is wrong */
    }
    storage_close(&storage, true);
    return err;
}

static void test_new_and_found_again_is_the_same_member(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    uint64_t id = member_self_id(storage.members);
    uint64_t cluster = member_cluster_id(storage.members);
    storage_close(&storage, true);
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    assert_int_equal(member_self_id(storage.members), id);
    assert_int_equal(member_cluster_id(storage.members), cluster);
    storage_close(&storage, false);
}

static void test_a_folder_in_use_is_refused(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    assert_true(IS(visit(folder, 0, NULL), LOCKED));
    storage_close(&storage, true);
    assert_false(err_is(visit(folder, 0, NULL)));
}

/* "1" had other rows: before any release, but somebody may have such a folder. */
static void test_a_store_of_another_format_is_refused(void **state)
{
    struct folder *folder = *state;
    assert_false(err_is(visit(folder, 0, "1")));
    assert_true(IS(visit(folder, 0, NULL), BAD_FORMAT));
}

static void test_a_store_of_a_newer_cluster_is_refused(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    struct backend_batch *batch = backend_batch_new();
    member_set_cluster_version(storage.members, "3.8.0", batch);
    assert_false(err_is(backend_write(storage.backend, batch, &why)));
    backend_batch_free(batch);
    storage_close(&storage, true);
    assert_true(IS(storage_open(&storage, &folder->config, &why), BAD_FORMAT));
    assert_non_null(strstr(why.text, "invalid downgrade"));
    assert_non_null(strstr(why.text, "is of 3.8.0"));
    storage_close(&storage, true);
}

static void test_a_store_ahead_of_its_log_is_refused(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct wal_batch batch = {.must_sync = true};
    struct raft_entry entry = {.term = 1, .index = 1};
    struct wal_cost cost;
    struct why why = {""};
    struct raft_hard_state hard = {.term = 1, .commit = 1};
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    batch.entries = &entry;
    batch.entries_count = 1;
    batch.hard = &hard;
    assert_false(err_is(wal_append(storage.wal, &batch, &cost, &why)));
    storage_close(&storage, true);
    assert_false(err_is(visit(folder, 9, NULL)));
    assert_true(IS(visit(folder, 0, NULL), BAD_FORMAT));
}

static void test_a_store_without_its_log_is_refused(void **state)
{
    struct folder *folder = *state;
    assert_false(err_is(visit(folder, 0, NULL)));
    remove_in(folder, "member/wal");
    assert_true(IS(visit(folder, 0, NULL), BAD_FORMAT));
}

#define FOLDER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The store is still in its place: it is all that is left. */
static void test_a_received_store_that_is_gone_replaces_nothing(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    struct slice note = SLICE("ketcd files\n0000000000000009.files.0\n");
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    char *path = disk_path(storage.snap_dir, "0000000000000009.snap.db");
    assert_false(err_is(disk_write_file(disk_real(), path, note, 0600, &why)));
    free(path);
    storage.snapshot.meta.index = 9;
    assert_true(IS(storage_finish_install(&storage, &why), BAD_FORMAT));
    assert_true(disk_exists(disk_real(), storage.store_dir));
    assert_non_null(strstr(why.text, "0000000000000009.files.0"));
    storage.snapshot.meta.index = 0;
    storage_close(&storage, true);
}

static void put_row(struct backend *backend, struct slice key, struct slice value)
{
    struct backend_batch *batch = backend_batch_new();
    backend_batch_put(batch, key, value);
    assert_false(err_is(backend_write(backend, batch, NULL)));
    backend_batch_free(batch);
}

static void delete_row(struct backend *backend, struct slice key)
{
    struct backend_batch *batch = backend_batch_new();
    backend_batch_delete(batch, key);
    assert_false(err_is(backend_write(backend, batch, NULL)));
    backend_batch_free(batch);
}

/* A member's own store stands for a received one. */
static void test_a_received_store_must_be_what_its_message_says(void **state)
{
    static const struct {
        struct slice key;
        struct slice bad;
        const char *says;
    } rows[] = {
        {{(const uint8_t *)"mformat", 7}, {(const uint8_t *)"1", 1}, "format"},
        {{(const uint8_t *)"mformat", 7}, {0}, "format"},
        {{(const uint8_t *)"mcluster_version", 16}, {(const uint8_t *)"3.8.0", 5}, "is of 3.8.0"},
        {{(const uint8_t *)"mcluster_version", 16}, {(const uint8_t *)"3.5.0", 5}, "version"},
        {{(const uint8_t *)"mcluster_version", 16}, {0}, "version"},
        {{(const uint8_t *)"l", 1}, {(const uint8_t *)"x", 1}, "malformed row"},
        {{(const uint8_t *)"l\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0", 17}, {(const uint8_t *)"\3", 1},
            "malformed row"},
        {{(const uint8_t *)"mfinishedCompactRev", 19}, {(const uint8_t *)"x", 1}, "malformed row"},
        {{(const uint8_t *)"mlease/x", 8}, {(const uint8_t *)"x", 1}, "lease"},
        {{(const uint8_t *)"mmember/x", 9}, {(const uint8_t *)"x", 1}, "member"},
        {{(const uint8_t *)"mauth_user/x", 12}, {(const uint8_t *)"\xff", 1}, ""},
    };
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    struct backend *store = storage.backend;
    struct backend_batch *batch = backend_batch_new();
    member_set_cluster_version(storage.members, "3.6.0", batch);
    assert_false(err_is(backend_write(store, batch, &why)));
    backend_batch_free(batch);
    struct blob *v2 = storage_snapshot_v2(&storage);
    struct raft_snapshot *snapshot =
        raft_snapshot_new(&(struct raft_snapshot_meta){.index = 1, .term = 1}, v2);
    if (err_is(storage_check_received(&storage, snapshot, store, &why))) {
        fail_msg("%s", why.text);
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct blob *before = NULL;
        assert_false(err_is(backend_get(store, NULL, rows[i].key, &before, NULL)));
        why = (struct why){""};
        if (rows[i].bad.len) {
            put_row(store, rows[i].key, rows[i].bad);
        } else {
            delete_row(store, rows[i].key);
        }
        struct err err = storage_check_received(&storage, snapshot, store, &why);
        if (!err_is(err) || !strstr(why.text, rows[i].says)) {
            fail_msg("%zu: %s", i, why.text);
        }
        if (before) {
            put_row(store, rows[i].key, blob_slice(before));
        } else {
            delete_row(store, rows[i].key);
        }
        blob_unref(before);
        assert_false(err_is(storage_check_received(&storage, snapshot, store, &why)));
    }
    raft_snapshot_unref(snapshot);
    blob_unref(v2);
    storage_close(&storage, true);
}

static void add_call(void *arg)
{
    ++*(int *)arg;
}

/* A folder as if it had been received, which stands at index 9. */
static void receive_folder(struct storage *storage)
{
    const uint8_t index[16] = {[7] = 9, [15] = 1};
    struct slice note = SLICE("ketcd files\n0000000000000009.files.0\n");
    char *folder = disk_path(storage->snap_dir, "0000000000000009.files.0");
    char *path = disk_path(storage->snap_dir, "0000000000000009.snap.db");
    put_row(storage->backend, SLICE("mconsistent_index"), slice_of(index, sizeof(index)));
    assert_false(err_is(backend_checkpoint(storage->backend, folder, NULL)));
    delete_row(storage->backend, SLICE("mconsistent_index"));
    assert_false(err_is(disk_write_file(disk_real(), path, note, 0600, NULL)));
    storage->snapshot.meta.index = 9;
    storage->snapshot.meta.term = 1;
    free(folder);
    free(path);
}

static bool has_row(const struct storage *storage, struct slice key)
{
    struct blob *row = NULL;
    assert_false(err_is(backend_get(storage->backend, NULL, key, &row, NULL)));
    bool has = row != NULL;
    blob_unref(row);
    return has;
}

/* Of the last store that was looked at, and once. */
static void test_what_is_read_of_a_received_store_is_kept_for_it(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    put_row(storage.backend, SLICE("mcluster_version"), SLICE("3.6.0"));
    assert_false(err_is(member_load(storage.members, storage.backend, &why)));
    struct blob *v2 = storage_snapshot_v2(&storage);
    struct raft_snapshot *snapshot =
        raft_snapshot_new(&(struct raft_snapshot_meta){.index = 1, .term = 1}, v2);
    for (int round = 0; round < 2; round++) {
        const char *asked = round == 0 ? backend_path(storage.backend) : "elsewhere";
        if (err_is(storage_check_received(&storage, snapshot, storage.backend, &why))) {
            fail_msg("%s", why.text);
        }
        struct mvcc_reading *reading = storage_take_reading(&storage, asked);
        assert_int_equal(reading != NULL, round == 0);
        mvcc_reading_free(reading);
        assert_null(storage_take_reading(&storage, backend_path(storage.backend)));
    }
    for (uint64_t applied = 0; applied < 2; applied++) {
        assert_false(err_is(storage_check_received(&storage, snapshot, storage.backend, &why)));
        storage_forget_reading(&storage, applied);
        struct mvcc_reading *reading =
            storage_take_reading(&storage, backend_path(storage.backend));
        assert_int_equal(reading != NULL, applied == 0);
        mvcc_reading_free(reading);
    }
    assert_false(err_is(storage_check_received(&storage, snapshot, storage.backend, &why)));
    raft_snapshot_unref(snapshot);
    blob_unref(v2);
    storage_close(&storage, true); /* lets go of what nobody took */
}

/* Who reads the old store for another member may do so for ever. */
static void test_a_store_is_replaced_once_nobody_is_sent_the_old_one(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    int calls = 0;
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    receive_folder(&storage);
    storage.end_sending = add_call;
    storage.end_sending_arg = &calls;
    if (err_is(storage_finish_install(&storage, &why))) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(calls, 1);
    assert_true(has_row(&storage, SLICE("mconsistent_index")));
    storage.snapshot.meta.index = 0;
    storage_close(&storage, true);
}

/* Another file system where every machine has one; not each, as a container may be built. */
static void test_a_store_behind_a_mount_or_a_link_is_not_replaced(void **state)
{
    struct folder *folder = *state;
    struct storage storage;
    struct why why = {""};
    char shm[] = "/dev/shm/ketcd-test-XXXXXX";
    assert_false(err_is(storage_open(&storage, &folder->config, &why)));
    assert_true(storage_can_swap(&storage));
    char *store_dir = storage.store_dir;
    storage.store_dir = mem_printf("%s/link", folder->path);
    assert_int_equal(symlink(store_dir, storage.store_dir), 0);
    assert_false(storage_can_swap(&storage));
    receive_folder(&storage);
    assert_true(IS(storage_finish_install(&storage, &why), IO));
    assert_false(has_row(&storage, SLICE("mconsistent_index")));
    assert_true(disk_exists(disk_real(), store_dir));
    free(storage.store_dir);
    storage.store_dir = store_dir;
    if (mkdtemp(shm)) {
        char *snap_dir = storage.snap_dir;
        storage.snap_dir = shm;
        struct stat a;
        struct stat b;
        assert_true(stat(shm, &a) == 0 && stat(store_dir, &b) == 0);
        assert_int_equal(storage_can_swap(&storage), a.st_dev == b.st_dev);
        storage.snap_dir = snap_dir;
        rmdir(shm);
    }
    storage.snapshot.meta.index = 0;
    storage_close(&storage, true);
}

/* The disk may be full of them, and that be why it cannot be opened. */
static void test_what_a_crash_left_goes_before_the_store_is_opened(void **state)
{
    static const char *const left[] = {
        "tmp7", "db.export", "db.new", "0000000000000009.snap.db", "0000000000000009.files.0"};
    struct folder *folder = *state;
    assert_false(err_is(visit(folder, 0, "1")));
    char *snap_dir = disk_path(folder->path, "member/snap");
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        char *path = disk_path(snap_dir, left[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    assert_true(err_is(visit(folder, 0, NULL)));
    assert_int_equal(rmdir(snap_dir), 0);
    free(snap_dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(test_new_and_found_again_is_the_same_member),
        FOLDER_TEST(test_a_folder_in_use_is_refused),
        FOLDER_TEST(test_a_store_of_another_format_is_refused),
        FOLDER_TEST(test_a_store_of_a_newer_cluster_is_refused),
        FOLDER_TEST(test_a_store_ahead_of_its_log_is_refused),
        FOLDER_TEST(test_a_store_without_its_log_is_refused),
        FOLDER_TEST(test_a_received_store_that_is_gone_replaces_nothing),
        FOLDER_TEST(test_a_received_store_must_be_what_its_message_says),
        FOLDER_TEST(test_what_is_read_of_a_received_store_is_kept_for_it),
        FOLDER_TEST(test_a_store_is_replaced_once_nobody_is_sent_the_old_one),
        FOLDER_TEST(test_a_store_behind_a_mount_or_a_link_is_not_replaced),
        FOLDER_TEST(test_what_a_crash_left_goes_before_the_store_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
