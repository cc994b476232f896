/* SPDX-License-Identifier: Apache-2.0
 * Data directories of etcd's own: what becomes of them at the first start, and which are refused.
 * The members here: 1 founded the cluster, 2 was added by the third entry, 1 is named by the
 * fourth, 2 leaves by the sixth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/mem.h"
#include "base/pb.h"
#include "boot/storage.h"
#include "snapshot/snapshot.h"
#include "tests/shared/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
#include <v2.pb-c.h>

enum { ENTRIES = 8, LEASE = 77, DATABASE_MAX = 1024 * 1024 };

struct directory {
    char path[FOLDER_PATH_MAX];
    struct config config;
    char *db;
    char *aside;
    char *wal;
    char *snap;
    char *store;
    char *fresh;
    struct arena *arena;
};

static void load_config(struct directory *d)
{
    struct config_notes notes = {0};
    struct why why = {""};
    char *environ_none[] = {NULL};
    char program[] = "etcd";
    char name[] = "--name=m";
    char flag[] = "--data-dir";
    char *argv[] = {program, name, flag, d->path, NULL};
    struct config_source source = {4, argv, environ_none, "/nonexistent", 0};
    struct err err = config_load(&source, &d->config, &notes, &why);
    config_notes_fini(&notes);
    assert_false(err_is(err));
}

static int setup(void **state)
{
    struct directory *d = mem_new(sizeof(*d));
    folder_make(d->path);
    load_config(d);
    d->snap = disk_path(d->path, "member/snap");
    d->wal = disk_path(d->path, "member/wal");
    d->store = disk_path(d->path, "member/store");
    d->fresh = disk_path(d->path, "member/store.new");
    d->db = disk_path(d->snap, "db");
    d->aside = disk_path(d->snap, "db.etcd");
    d->arena = arena_new(0);
    assert_false(err_is(disk_mkdir_all(disk_real(), d->snap, 0700, NULL)));
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct directory *d = *state;
    config_fini(&d->config);
    folder_remove(d->path);
    free(d->snap);
    free(d->wal);
    free(d->store);
    free(d->fresh);
    free(d->db);
    free(d->aside);
    arena_free(d->arena);
    free(d);
    return 0;
}

/* The log. */

static struct blob *conf_change(
    struct directory *d, enum raft_conf_change_type type, uint64_t id, const char *url)
{
    struct member member = {.id = id, .name = "", .peer_urls = &url, .peer_urls_count = 1};
    struct raft_conf_change change = {.is_v1 = true,
        .changes = {{type, id}},
        .changes_count = 1,
        .context = url ? member_to_json(&member, d->arena) : (struct slice){0}};
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX);
    raft_conf_change_encode(&change, &bytes);
    struct blob *blob = blob_new(buf_slice(&bytes));
    buf_fini(&bytes);
    return blob;
}

static struct blob *v2_put(struct directory *d, const char *path, const char *val)
{
    char method[] = "PUT";
    Etcdserverpb__Request request = ETCDSERVERPB__REQUEST__INIT;
    request.method = method;
    request.path = arena_strdup(d->arena, path);
    request.val = arena_strdup(d->arena, val);
    return blob_new(pb_pack_arena(&request, d->arena));
}

static void make_entries(struct directory *d, struct raft_entry *entries)
{
    for (uint64_t i = 0; i < ENTRIES; i++) {
        entries[i] = (struct raft_entry){.term = i < 2 ? 1 : 2, .index = i + 1};
    }
    entries[0].type = entries[2].type = entries[5].type = RAFT_ENTRY_CONF_CHANGE;
    entries[0].data = conf_change(d, RAFT_ADD_NODE, 1, "http://a:1");
    entries[2].data = conf_change(d, RAFT_ADD_NODE, 2, "http://b:1");
    entries[3].data =
        v2_put(d, "/0/members/1/attributes", "{\"name\":\"one\",\"clientURLs\":[\"http://a:2\"]}");
    entries[4].data = v2_put(d, "/0/version", "3.5.0");
    entries[5].data = conf_change(d, RAFT_REMOVE_NODE, 2, NULL);
}

/* All entries but the first and with the last replaced, when that is given. */
static void make_log(struct directory *d, struct blob *last)
{
    struct wal *wal;
    struct raft_entry entries[ENTRIES];
    struct wal_options options = {.disk = disk_real(), .dir = d->wal, .segment_bytes = 65536};
    struct raft_hard_state hard = {.term = 2, .vote = 1, .commit = 7};
    struct wal_batch batch = {&hard, entries, ENTRIES, true};
    make_entries(d, entries);
    if (last) {
        entries[ENTRIES - 1].data = last;
    }
    assert_false(err_is(wal_create(&options, &(struct wal_identity){1, 0xc}, &wal, NULL)));
    assert_false(err_is(wal_append(wal, &batch, NULL, NULL)));
    wal_close(wal);
    for (size_t i = 0; i < ENTRIES; i++) {
        blob_unref(entries[i].data);
    }
}

/* The snapshot at the third entry: members 1 and 2, no names yet. */
static void make_snapshot(struct directory *d, const char *extra)
{
    static const char *const urls[] = {"http://a:1", "http://b:1"};
    struct snap_member members[] = {
        {.id = 1, .peer_urls = &urls[0], .peer_urls_count = 1},
        {.id = 2, .peer_urls = &urls[1], .peer_urls_count = 1},
    };
    struct snap_cluster cluster = {.members = members, .members_count = 2};
    struct raft_snapshot_meta meta = {.index = 3, .term = 2, .conf = {.voters = {{1, 2}, 2}}};
    struct wal_snapshot record = {3, 2, true, meta.conf};
    struct wal_options options = {.disk = disk_real(), .dir = d->wal, .segment_bytes = 65536};
    struct wal_log log;
    struct wal *wal;
    struct buf json;
    buf_init(&json, SIZE_MAX);
    snap_v2_json(&cluster, &json);
    const char *text = extra ? extra : arena_printf(d->arena, "%.*s", (int)json.len, json.data);
    assert_false(err_is(snap_save(disk_real(), d->snap, &meta, slice_str(text), NULL)));
    buf_fini(&json);
    assert_false(err_is(wal_open(&options, 0, 0, &wal, &log, NULL)));
    wal_log_fini(&log);
    assert_false(err_is(wal_save_snapshot(wal, &record, NULL)));
    wal_close(wal);
}

/* The database. */

static struct err add_keys(void *arg, struct snapshot_export *export, struct why *why)
{
    int64_t count = *(const int64_t *)arg;
    struct snapshot_key gone = {.main = count + 2, .is_tombstone = true, .key = SLICE("k00002")};
    for (int64_t i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof(name), "k%05lld", (long long)i + 2);
        struct snapshot_key key = {.main = i + 2,
            .key = slice_str(name),
            .value = SLICE("value"),
            .create = i + 2,
            .mod = i + 2,
            .version = 1,
            .lease = i == 1 ? LEASE : 0};
        TRY(snapshot_export_key(export, &key, why));
    }
    return snapshot_export_key(export, &gone, why);
}

static void make_database_of(
    const char *path, uint64_t index, int64_t count, const char *storage_version)
{
    struct disk_file *file;
    unsigned flags = DISK_WRITE | DISK_CREATE | DISK_TRUNCATE;
    assert_false(err_is(disk_open(disk_real(), path, flags, 0600, &file, NULL)));
    struct snapshot_export *export = snapshot_export_to(file);
    uint8_t rev[8];
    put_be64(rev, 9);
    snapshot_export_index(export, index, 0);
    if (storage_version) {
        snapshot_export_storage_version(export, storage_version);
    }
    snapshot_export_lease(export, LEASE, 100, 0);
    snapshot_export_alarm(export, 1, 1);
    snapshot_export_row(export, SNAPSHOT_CLUSTER, SLICE("downgrade"),
        SLICE("{\"target-version\":\"3.5.0\",\"enabled\":true}"));
    snapshot_export_row(export, SNAPSHOT_MEMBERS, SLICE("bad"), SLICE("what nobody reads"));
    snapshot_export_row(export, SNAPSHOT_AUTH, SLICE("authRevision"), slice_of(rev, sizeof(rev)));
    assert_false(err_is(snapshot_export_finish(export, add_keys, &count, NULL)));
    snapshot_export_close(export);
    disk_close(file);
}

static void make_database(const char *path, uint64_t index, int64_t count)
{
    make_database_of(path, index, count, NULL);
}

static struct slice read_database(struct directory *d, const char *path)
{
    uint8_t *bytes;
    size_t size;
    assert_false(err_is(disk_read_file(disk_real(), path, DATABASE_MAX, &bytes, &size, NULL)));
    struct slice copy = slice_of(arena_alloc(d->arena, size), size);
    memcpy((uint8_t *)(uintptr_t)copy.data, bytes, size);
    free(bytes);
    return copy;
}

/* Looking at what came of it. */

static void open_fine(struct directory *d, struct storage *storage)
{
    struct why why = {""};
    if (err_is(storage_open(storage, &d->config, &why))) {
        fail_msg("%s", why.text);
    }
}

static void expect_keys(struct storage *storage, int64_t count)
{
    struct mvcc_hash hash;
    struct member_downgrade downgrade;
    assert_int_equal(mvcc_revision(storage->mvcc), count + 2);
    assert_int_equal(mvcc_keys(storage->mvcc), count - 1);
    assert_false(err_is(mvcc_hash_kv(storage->mvcc, 0, &hash, NULL)));
    assert_true(lease_exists(storage->leases, LEASE));
    assert_int_equal(apply_alarms(storage->apply, (struct apply_alarm[APPLY_ALARMS_MAX]){0}), 1);
    member_downgrade_get(storage->members, &downgrade);
    assert_true(downgrade.is_enabled);
    assert_string_equal(downgrade.target, "3.5.0");
}

static void expect_adopted(struct directory *d, uint64_t index, int64_t count)
{
    struct storage storage;
    struct arena *arena = arena_new(0);
    struct member one;
    open_fine(d, &storage);
    assert_int_equal(apply_index(storage.apply), index);
    assert_int_equal(apply_term(storage.apply), 2);
    expect_keys(&storage, count);
    assert_int_equal(member_self_id(storage.members), 1);
    assert_true(member_find(storage.members, 1, arena, &one));
    assert_string_equal(one.name, index >= 4 ? "one" : "");
    assert_string_equal(one.peer_urls[0], "http://a:1");
    assert_int_equal(member_find(storage.members, 2, arena, &one), index < 6);
    assert_int_equal(member_is_removed(storage.members, 2), index >= 6);
    assert_string_equal(
        member_cluster_version(storage.members), index >= 5 ? "3.5.0" : "not_decided");
    assert_false(disk_exists(disk_real(), d->db));
    assert_true(disk_exists(disk_real(), d->aside));
    assert_false(disk_exists(disk_real(), d->fresh));
    storage_close(&storage, true);
    arena_free(arena);
}

static void expect_refused(struct directory *d, struct err want, const char *words)
{
    struct storage storage;
    struct why why = {""};
    struct slice before = read_database(d, d->db);
    struct err err = storage_open(&storage, &d->config, &why);
    storage_close(&storage, false);
    assert_string_equal(err_text(err), err_text(want));
    assert_non_null(strstr(why.text, words));
    assert_true(slice_eq(read_database(d, d->db), before));
    assert_false(disk_exists(disk_real(), d->aside));
    assert_false(disk_exists(disk_real(), d->store));
    assert_false(disk_exists(disk_real(), d->fresh));
}

static void test_from_a_whole_log(void **state)
{
    for (uint64_t index = 3; index <= ENTRIES; index += index == 3 ? 1 : 2) {
        struct directory *d = *state;
        make_log(d, NULL);
        make_database(d->db, index, 50);
        expect_adopted(d, index, 50);
        expect_adopted(d, index, 50); /* and is an ordinary member from then on */
        teardown(state);
        setup(state);
    }
}

static void test_from_a_snapshot_and_the_log_behind_it(void **state)
{
    for (uint64_t index = 3; index <= ENTRIES; index += index == 3 ? 1 : 2) {
        struct directory *d = *state;
        make_log(d, NULL);
        make_snapshot(d, NULL);
        make_database(d->db, index, 50);
        expect_adopted(d, index, 50);
        teardown(state);
        setup(state);
    }
}

static void test_the_database_is_only_renamed(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_database(d->db, 7, 3000);
    struct slice before = read_database(d, d->db);
    expect_adopted(d, 7, 3000);
    assert_true(slice_eq(read_database(d, d->aside), before));
}

static void test_a_database_received_but_not_used_yet(void **state)
{
    struct directory *d = *state;
    char *received = disk_path(d->snap, "0000000000000003.snap.db");
    make_log(d, NULL);
    make_snapshot(d, NULL);
    make_database(d->db, 2, 5);
    make_database(received, 1, 60); /* an old one's own index may lag */
    expect_adopted(d, 3, 60);
    free(received);
}

static void test_a_database_behind_the_snapshot_is_refused(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_snapshot(d, NULL);
    make_database(d->db, 2, 5);
    expect_refused(d, ERR(BAD_FORMAT), "behind the log's snapshot");
    expect_refused(d, ERR(BAD_FORMAT), "it lost data; restore the member"); /* the other left */
}

static void test_a_database_beyond_the_log_is_refused(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_database(d->db, ENTRIES + 1, 5);
    expect_refused(d, ERR(BAD_FORMAT), "the log lost data; restore the member");
}

static void test_a_database_without_a_log_is_refused(void **state)
{
    struct directory *d = *state;
    make_database(d->db, 5, 5);
    expect_refused(d, ERR(BAD_FORMAT), "holds no log");
    assert_false(disk_exists(disk_real(), d->wal));
}

static void test_a_damaged_database_is_refused(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_database(d->db, 7, 3000);
    struct disk_file *file;
    assert_false(err_is(disk_open(disk_real(), d->db, DISK_WRITE, 0, &file, NULL)));
    assert_false(err_is(disk_write(file, 5 * 4096, SLICE("damaged, at a page's head"), NULL)));
    disk_close(file);
    expect_refused(d, ERR(BAD_FORMAT), "page");
    assert_false(err_is(disk_write_file(disk_real(), d->db, SLICE("bolt"), 0600, NULL)));
    expect_refused(d, ERR(BAD_FORMAT), "not a bbolt file");
}

/* 3.7 is like 3.6; what comes behind, nobody knows. */
static void test_a_newer_etcds_directory_is_refused(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_database_of(d->db, 3, 5, "3.8.0");
    expect_refused(d, ERR(BAD_FORMAT), "member/snap/db is of 3.8.0");
    make_database_of(d->db, 3, 5, "4.0.0");
    expect_refused(d, ERR(BAD_FORMAT), "invalid downgrade");
    make_database_of(d->db, 3, 5, "3.7.0");
    expect_adopted(d, 3, 5);
}

/* Its version stands in the log here, as etcd 3.4 left it. */
static void test_a_newer_clusters_directory_is_refused(void **state)
{
    struct directory *d = *state;
    make_log(d, v2_put(d, "/0/version", "3.8.0"));
    make_database(d->db, ENTRIES, 5);
    expect_refused(d, ERR(BAD_FORMAT), "member/snap/db is of 3.8.0");
}

static void test_keys_of_the_v2_api_are_refused(void **state)
{
    struct directory *d = *state;
    make_log(d, v2_put(d, "/1/key", "value"));
    make_database(d->db, 3, 5);
    expect_refused(d, ERR(BAD_CONFIG), "v2 API");
    folder_remove(d->wal);
    make_log(d, NULL);
    make_snapshot(d,
        "{\"Root\":{\"Path\":\"/\",\"Children\":{\"0\":{\"Path\":\"/0\",\"Children\":{}},\"1\":{"
        "\"Path\":\"/1\",\"Children\":{\"key\":{\"Path\":\"/1/key\",\"Value\":\"value\","
        "\"Children\":null}}}}}}");
    expect_refused(d, ERR(BAD_CONFIG), "v2 API");
}

static void test_a_database_in_use_is_refused(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_database(d->db, 7, 5);
    int fd = open(d->db, O_RDONLY | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    expect_refused(d, ERR(LOCKED), "in use by another process");
    close(fd);
    expect_adopted(d, 7, 5);
}

/* Killed while the store was being made. */
static void test_what_was_half_made_is_made_anew(void **state)
{
    struct directory *d = *state;
    struct backend *backend;
    struct backend_batch *batch = backend_batch_new();
    make_log(d, NULL);
    make_database(d->db, 5, 5);
    assert_false(err_is(backend_open(&(struct backend_options){.path = d->fresh}, &backend, NULL)));
    backend_batch_put(batch, SLICE("mremoved/\0\0\0\0\0\0\0\2"), (struct slice){0});
    assert_false(err_is(backend_write(backend, batch, NULL)));
    backend_batch_free(batch);
    assert_false(err_is(backend_flush(backend, NULL)));
    backend_close(backend);
    expect_adopted(d, 5, 5);
}

/* Killed between the two renames. */
static void test_what_was_made_is_not_made_again(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_database(d->db, 7, 5);
    expect_adopted(d, 7, 5);
    assert_false(err_is(disk_rename(disk_real(), d->aside, d->db, NULL)));
    make_database(d->db, 8, 40); /* would be seen, were it taken */
    expect_adopted(d, 7, 5);
}

/* etcd ran here since and has cut the log off behind the store. */
static void test_a_store_that_the_log_does_not_reach_gives_way(void **state)
{
    struct directory *d = *state;
    struct storage storage;
    make_log(d, NULL);
    make_database(d->db, 2, 5);
    open_fine(d, &storage);
    assert_int_equal(apply_index(storage.apply), 2);
    storage_close(&storage, true);
    make_snapshot(d, NULL);
    struct why why = {""};
    assert_true(IS(storage_open(&storage, &d->config, &why), BAD_FORMAT)); /* without a database */
    storage_close(&storage, false);
    make_database(d->db, 7, 40);
    expect_adopted(d, 7, 40);
}

/* The member's store, as if a leader had sent it as files at index 3. */
static void make_received(struct directory *d)
{
    struct storage storage;
    struct backend_batch *batch = backend_batch_new();
    struct slice note = SLICE("ketcd files\n0000000000000003.files.0\n");
    char *folder = disk_path(d->snap, "0000000000000003.files.0");
    char *path = disk_path(d->snap, "0000000000000003.snap.db");
    make_database(d->db, 3, 60);
    open_fine(d, &storage);
    assert_int_equal(apply_index(storage.apply), 3);
    backend_batch_delete(batch, SLICE("madopted")); /* is its member's alone: none is sent */
    assert_false(err_is(backend_write(storage.backend, batch, NULL)));
    backend_batch_free(batch);
    storage_close(&storage, true);
    assert_false(err_is(disk_rename(disk_real(), d->store, folder, NULL)));
    assert_false(err_is(disk_remove(disk_real(), d->aside, NULL)));
    assert_false(err_is(disk_write_file(disk_real(), path, note, 0600, NULL)));
    free(folder);
    free(path);
}

/* A migration that was killed left a database, the member went on, and was killed while a received
 * store took its store's place: the old one is gone, the other not there yet. */
static void test_a_store_that_was_being_replaced_comes_before_an_older_database(void **state)
{
    struct directory *d = *state;
    struct storage storage;
    make_log(d, NULL);
    make_snapshot(d, NULL);
    make_received(d);
    make_database(d->db, 2, 5);
    struct slice before = read_database(d, d->db);
    for (int round = 0; round < 2; round++) {
        open_fine(d, &storage);
        assert_int_equal(apply_index(storage.apply), 3);
        expect_keys(&storage, 60);
        storage_close(&storage, true);
        assert_true(slice_eq(read_database(d, d->db), before));
    }
}

/* One that etcd made since, and the log goes on from. */
static void test_a_newer_database_comes_before_a_received_store(void **state)
{
    struct directory *d = *state;
    make_log(d, NULL);
    make_snapshot(d, NULL);
    make_received(d);
    make_database(d->db, 7, 40);
    expect_adopted(d, 7, 40);
}

#define ADOPT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADOPT_TEST(test_from_a_whole_log),
        ADOPT_TEST(test_from_a_snapshot_and_the_log_behind_it),
        ADOPT_TEST(test_the_database_is_only_renamed),
        ADOPT_TEST(test_a_database_received_but_not_used_yet),
        ADOPT_TEST(test_a_database_behind_the_snapshot_is_refused),
        ADOPT_TEST(test_a_database_beyond_the_log_is_refused),
        ADOPT_TEST(test_a_database_without_a_log_is_refused),
        ADOPT_TEST(test_a_damaged_database_is_refused),
        ADOPT_TEST(test_a_newer_etcds_directory_is_refused),
        ADOPT_TEST(test_a_newer_clusters_directory_is_refused),
        ADOPT_TEST(test_keys_of_the_v2_api_are_refused),
        ADOPT_TEST(test_a_database_in_use_is_refused),
        ADOPT_TEST(test_what_was_half_made_is_made_anew),
        ADOPT_TEST(test_what_was_made_is_not_made_again),
        ADOPT_TEST(test_a_store_that_the_log_does_not_reach_gives_way),
        ADOPT_TEST(test_a_store_that_was_being_replaced_comes_before_an_older_database),
        ADOPT_TEST(test_a_newer_database_comes_before_a_received_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
