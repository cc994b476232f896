/* SPDX-License-Identifier: Apache-2.0
 * The store as a bbolt database, there and back. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "bolt/bolt.h"
#include "disk/faulty.h"
#include "snap/snap.h"
#include "snapshot/snapshot.h"
#include "tests/shared/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { KEYS = 500 };

static int setup(void **state)
{
    struct disk *disk = disk_faulty_new(1);
    *state = disk;
    return err_is(disk_mkdir(disk, "/s", 0700, NULL)) ? -1 : 0;
}

static int teardown(void **state)
{
    disk_faulty_free(*state);
    return 0;
}

static void expect(struct err e, enum err_code code)
{
    assert_string_equal(err_name(e), err_name((struct err){code}));
}

static struct snapshot_key key_of(int64_t i)
{
    return (struct snapshot_key){
        .main = i + 2,
        .is_tombstone = i % 7 == 6,
        .key = SLICE("/registry/pods/default/a"),
        .value = i % 7 == 6 ? (struct slice){0} : SLICE("v"),
        .create = i % 7 == 6 ? 0 : 2,
        .mod = i % 7 == 6 ? 0 : i + 2,
        .version = i % 7 == 6 ? 0 : i + 1,
        .lease = i % 7 == 1 ? 0x3940a1fc4a65d50b : 0,
    };
}

static struct err add_keys(void *arg, struct snapshot_export *export, struct why *why)
{
    for (int64_t i = 0; i < *(int *)arg; i++) {
        struct snapshot_key key = key_of(i);
        TRY(snapshot_export_key(export, &key, why));
    }
    return OK;
}

static void fill(struct snapshot_export *export)
{
    static const char *const urls[] = {"http://127.0.0.1:2380"};
    static const uint64_t removed[] = {0x1234};
    struct snap_member members[] = {
        {.id = 9, .name = "b", .peer_urls = urls, .peer_urls_count = 1},
        {.id = 8, .name = "a", .peer_urls = urls, .peer_urls_count = 1},
    };
    struct snap_cluster cluster = {members, 2, removed, 1, "3.6.0", "3.5.0", false};
    struct raft_conf_state conf = {.voters = {{8, 9}, 2}};
    snapshot_export_cluster(export, &cluster);
    snapshot_export_index(export, 42, 3);
    snapshot_export_conf(export, &conf);
    snapshot_export_compacted(export, 7, 7);
    snapshot_export_storage_version(export, "3.6.0");
    snapshot_export_lease(export, 0x3940a1fc4a65d50b, 1000, 0);
    snapshot_export_alarm(export, 8, 1);
    snapshot_export_auth(export, false, 1);
    snapshot_export_row(export, SNAPSHOT_AUTH_USERS, SLICE("root"), SLICE("\x0a\x04root"));
}

/* Exports so many keys to path, with the hash behind it when asked. */
static struct err export_keys(struct disk *disk, const char *path, bool has_hash, int keys)
{
    struct snapshot_export *export;
    struct buf all;
    uint8_t chunk[1000];
    uint8_t sha[SNAPSHOT_SHA_BYTES];
    size_t got = 1;
    TRY(snapshot_export_open(disk, "/s", &export, NULL));
    fill(export);
    buf_init(&all, SIZE_MAX / 2);
    struct err e = snapshot_export_finish(export, add_keys, &keys, NULL);
    while (!err_is(e) && got) {
        e = snapshot_export_read(export, chunk, sizeof(chunk), &got, NULL);
        if (!err_is(e)) {
            buf_add(&all, chunk, got);
        }
    }
    if (!err_is(e)) {
        assert_int_equal(all.len, snapshot_export_bytes(export));
        snapshot_export_sha256(export, sha);
        buf_add(&all, sha, has_hash ? sizeof(sha) : 0);
        e = disk_write_file(disk, path, buf_slice(&all), 0600, NULL);
    }
    buf_fini(&all);
    snapshot_export_close(export);
    return e;
}

static struct err export_to(struct disk *disk, const char *path, bool has_hash)
{
    return export_keys(disk, path, has_hash, KEYS);
}

struct seen {
    int64_t count;
    char text[512];
};

static struct err see_key(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct seen *seen = arg;
    struct snapshot_key got;
    struct snapshot_key want = key_of(seen->count++);
    (void)why;
    TRY(snapshot_key_parse(key, value, &got));
    assert_int_equal(got.main, want.main);
    assert_int_equal(got.is_tombstone, want.is_tombstone);
    assert_true(slice_eq(got.key, want.key) && slice_eq(got.value, want.value));
    assert_int_equal(got.version, want.version);
    assert_int_equal(got.lease, want.lease);
    return OK;
}

static struct err see_row(void *arg, struct slice key, struct slice value, struct why *why)
{
    struct seen *seen = arg;
    size_t len = strlen(seen->text);
    (void)why;
    snprintf(seen->text + len, sizeof(seen->text) - len, "%.*s=%.*s;", (int)key.len, key.data,
        (int)value.len, value.data);
    return OK;
}

static void expect_rows(
    struct snapshot_import *import, enum snapshot_bucket bucket, const char *want)
{
    struct seen seen = {0};
    expect(snapshot_import_rows(import, bucket, see_row, &seen, NULL), ERR_OK);
    assert_string_equal(seen.text, want);
}

static void test_export_is_imported(void **state)
{
    struct disk *disk = *state;
    struct snapshot_import *import;
    struct seen seen = {0};
    struct disk_names names;
    expect(export_to(disk, "/s/out", true), ERR_OK);
    expect(disk_list(disk, "/s", &names, NULL), ERR_OK);
    assert_int_equal(names.count, 1);
    disk_names_fini(&names);
    expect(snapshot_import_open(disk, "/s/out", SNAPSHOT_HASH_REQUIRED, &import, NULL), ERR_OK);
    expect(snapshot_import_rows(import, SNAPSHOT_KEY, see_key, &seen, NULL), ERR_OK);
    assert_int_equal(seen.count, KEYS);
    expect_rows(import, SNAPSHOT_MEMBERS_REMOVED, "1234=removed;");
    expect_rows(import, SNAPSHOT_CLUSTER,
        "clusterVersion=3.6.0;downgrade={\"target-version\":\"3.5.0\",\"enabled\":true};");
    expect_rows(import, SNAPSHOT_AUTH_USERS, "root=\n\x04root;");
    expect_rows(import, SNAPSHOT_AUTH_ROLES, "");
    expect_rows(import, SNAPSHOT_ALARM, "\x08\x08\x10\x01=;");
    expect_rows(import, SNAPSHOT_MEMBERS,
        "8={\"id\":8,\"peerURLs\":[\"http://127.0.0.1:2380\"],\"name\":\"a\"};"
        "9={\"id\":9,\"peerURLs\":[\"http://127.0.0.1:2380\"],\"name\":\"b\"};");
    snapshot_import_close(import);
}

static void test_export_passes_the_check(void **state)
{
    struct disk *disk = *state;
    struct bolt *bolt;
    struct bolt_cursor *root;
    struct bolt_item item;
    expect(export_to(disk, "/s/out", false), ERR_OK);
    expect(bolt_open(disk, "/s/out", &bolt, NULL), ERR_OK);
    expect(bolt_check(bolt, NULL), ERR_OK);
    expect(bolt_root(bolt, &root, NULL), ERR_OK);
    for (enum snapshot_bucket i = 0; i < SNAPSHOT_BUCKETS; i++) {
        expect(bolt_next(root, &item, NULL), ERR_OK);
        assert_true(slice_eq(item.key, slice_str(snapshot_bucket_name(i))));
        assert_true(item.is_bucket);
    }
    bolt_cursor_close(root);
    bolt_close(bolt);
}

static void test_hash_is_checked(void **state)
{
    struct disk *disk = *state;
    struct snapshot_import *import;
    struct why why = {""};
    expect(export_to(disk, "/s/out", false), ERR_OK);
    expect(snapshot_import_open(disk, "/s/out", SNAPSHOT_HASH_REQUIRED, &import, &why),
        ERR_BAD_FORMAT);
    assert_string_equal(why.text, "snapshot missing hash but --skip-hash-check=false");
    expect(snapshot_import_open(disk, "/s/out", SNAPSHOT_HASH_IF_THERE, &import, &why), ERR_OK);
    snapshot_import_close(import);
    expect(export_to(disk, "/s/out", true), ERR_OK);
    disk_faulty_poke(disk, "/s/out", 9000, SLICE("x"));
    expect(
        snapshot_import_open(disk, "/s/out", SNAPSHOT_HASH_IF_THERE, &import, &why), ERR_BAD_CRC);
    assert_non_null(strstr(why.text, "expected sha256 ["));
    expect(snapshot_import_open(disk, "/s/out", SNAPSHOT_HASH_SKIPPED, &import, &why), ERR_OK);
    snapshot_import_close(import);
}

/* Whichever bit of its pages or of the hash behind them: whoever asks for the hash is told. */
static void test_a_flipped_bit_is_refused(void **state)
{
    struct disk *disk = *state;
    struct snapshot_import *import;
    uint8_t *bytes;
    size_t len;
    expect(export_keys(disk, "/s/out", true, 5), ERR_OK);
    expect(disk_read_file(disk, "/s/out", SIZE_MAX / 2, &bytes, &len, NULL), ERR_OK);
    for (size_t bit = 0; bit < len * 8; bit++) {
        uint8_t byte = (uint8_t)(bytes[bit / 8] ^ 1 << bit % 8);
        struct why why = {""};
        disk_faulty_poke(disk, "/s/out", bit / 8, slice_of(&byte, 1));
        struct err e = snapshot_import_open(disk, "/s/out", SNAPSHOT_HASH_REQUIRED, &import, &why);
        if (!IS(e, BAD_CRC) || !strstr(why.text, "expected sha256 [")) {
            fail_msg("%s with bit %zu of byte %zu flipped", err_name(e), bit % 8, bit / 8);
        }
        disk_faulty_poke(disk, "/s/out", bit / 8, slice_of(&bytes[bit / 8], 1));
    }
    expect(snapshot_import_open(disk, "/s/out", SNAPSHOT_HASH_REQUIRED, &import, NULL), ERR_OK);
    snapshot_import_close(import);
    free(bytes);
}

static void test_export_tells_a_full_disk(void **state)
{
    struct disk *disk = *state;
    struct disk_names names;
    for (uint64_t op = 1; op <= 5; op++) {
        disk_faulty_fail(disk, op, ERR(NO_DISK), false);
        struct err e = export_to(disk, "/s/out", true);
        if (op <= 4) {
            expect(e, ERR_NO_DISK);
        }
    }
    disk_faulty_fail(disk, 0, OK, false);
    expect(export_to(disk, "/s/out", true), ERR_OK);
    expect(disk_list(disk, "/s", &names, NULL), ERR_OK);
    assert_int_equal(names.count, 1);
    disk_names_fini(&names);
}

static void test_keys_must_be_revisions(void **state)
{
    struct snapshot_key key;
    (void)state;
    expect(snapshot_key_parse(SLICE("0123456789"), SLICE(""), &key), ERR_BAD_FORMAT);
    expect(snapshot_key_parse(SLICE("\0\0\0\0\0\0\0\1x\0\0\0\0\0\0\0\0"), SLICE(""), &key),
        ERR_BAD_FORMAT);
    expect(snapshot_key_parse(SLICE("\0\0\0\0\0\0\0\1_\0\0\0\0\0\0\0\0x"), SLICE(""), &key),
        ERR_BAD_FORMAT);
    expect(snapshot_key_parse(SLICE("\xff\0\0\0\0\0\0\1_\0\0\0\0\0\0\0\0"), SLICE(""), &key),
        ERR_BAD_FORMAT);
    expect(snapshot_key_parse(SLICE("\0\0\0\0\0\0\0\1_\0\0\0\0\0\0\0\0"), SLICE("\x08\1"), &key),
        ERR_BAD_FORMAT);
    expect(snapshot_key_parse(SLICE("\0\0\0\0\0\0\0\1_\0\0\0\0\0\0\0\2"), SLICE(""), &key), ERR_OK);
    assert_int_equal(key.main, 1);
    assert_int_equal(key.sub, 2);
    assert_int_equal(key.key.len, 0);
}

static int free_asked;

static struct err free_bytes_less(
    struct disk *disk, const char *path, uint64_t *out_bytes, struct why *why)
{
    (void)disk;
    (void)path;
    (void)why;
    *out_bytes = free_asked++ ? 100 << 20 : 1000 << 20;
    return OK;
}

static struct err add_large(void *arg, struct snapshot_export *export, struct why *why)
{
    struct snapshot_key key = key_of(0);
    key.value = slice_of(arg, 1 << 20);
    for (int64_t i = 0; i < 40; i++) {
        key.main++;
        TRY(snapshot_export_key(export, &key, why));
    }
    return OK;
}

/* Where the log is, too. */
static void test_an_export_does_not_fill_the_disk(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk small = {&ops};
    struct snapshot_export *export;
    struct why why = {""};
    char dir[FOLDER_PATH_MAX];
    uint8_t *value = mem_new(1 << 20);
    (void)state;
    ops.free_bytes = free_bytes_less;
    folder_make(dir);
    expect(snapshot_export_open(&small, dir, &export, &why), ERR_OK);
    expect(snapshot_export_finish(export, add_large, value, &why), ERR_NO_DISK);
    assert_non_null(strstr(why.text, "104857600 bytes are free"));
    snapshot_export_close(export);
    folder_remove(dir);
    free(value);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_export_is_imported),
        T(test_an_export_does_not_fill_the_disk),
        T(test_export_passes_the_check),
        T(test_hash_is_checked),
        T(test_a_flipped_bit_is_refused),
        T(test_export_tells_a_full_disk),
        T(test_keys_must_be_revisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
