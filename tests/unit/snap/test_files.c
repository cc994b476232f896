/* SPDX-License-Identifier: Apache-2.0
 * Snapshot files and the members' JSON, held against what etcd 3.5 wrote. */
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "disk/faulty.h"
#include "snap/snap.h"
#include "tests/shared/folder.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *const peer_urls[] = {"http://127.0.0.1:21001"};
static const char *const client_urls[] = {"http://127.0.0.1:21000"};
static const struct snap_member member = {
    .id = 0xa759d8e1c4eeb940,
    .name = "default",
    .peer_urls = peer_urls,
    .peer_urls_count = 1,
    .client_urls = client_urls,
    .client_urls_count = 1,
};

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

static struct raft_snapshot_meta meta_of(uint64_t index, uint64_t term)
{
    struct raft_snapshot_meta meta = {.index = index, .term = term};
    meta.conf.voters = (struct raft_ids){{0xa759d8e1c4eeb940}, 1};
    return meta;
}

static void test_member_json_is_etcds(void **state)
{
    struct buf out;
    (void)state;
    struct snap_member bootstrap = member;
    bootstrap.client_urls_count = 0;
    buf_init(&out, 1024);
    snap_member_json(&bootstrap, &out);
    assert_string_equal(buf_text(&out), "{\"id\":12058907941444434240,\"peerURLs\":[\"http://"
                                        "127.0.0.1:21001\"],\"name\":\"default\"}");
    buf_reset(&out);
    bootstrap.is_learner = true;
    bootstrap.name = "";
    snap_member_json(&bootstrap, &out);
    assert_string_equal(buf_text(&out), "{\"id\":12058907941444434240,\"peerURLs\":[\"http://"
                                        "127.0.0.1:21001\"],\"isLearner\":true}");
    buf_fini(&out);
}

/* The tree as etcd writes it for one member that has published itself and a decided version. */
static void test_v2_json_has_etcds_tree(void **state)
{
    static const char want[] =
        "{\"Root\":{\"Path\":\"/\",\"CreatedIndex\":0,\"ModifiedIndex\":0,\"ExpireTime\":\"0001-01-"
        "01T00:00:00Z\",\"Value\":\"\",\"Children\":{\"0\":{\"Path\":\"/0\",\"CreatedIndex\":0,"
        "\"ModifiedIndex\":0,\"ExpireTime\":\"0001-01-01T00:00:00Z\",\"Value\":\"\",\"Children\":{"
        "\"members\":{\"Path\":\"/0/"
        "members\",\"CreatedIndex\":1,\"ModifiedIndex\":1,\"ExpireTime\":\"0001-01-01T00:00:00Z\","
        "\"Value\":\"\",\"Children\":{\"a759d8e1c4eeb940\":{\"Path\":\"/0/members/"
        "a759d8e1c4eeb940\",\"CreatedIndex\":1,\"ModifiedIndex\":1,\"ExpireTime\":\"0001-01-01T00:"
        "00:00Z\",\"Value\":\"\",\"Children\":{\"attributes\":{\"Path\":\"/0/members/"
        "a759d8e1c4eeb940/"
        "attributes\",\"CreatedIndex\":1,\"ModifiedIndex\":1,\"ExpireTime\":\"0001-01-01T00:00:"
        "00Z\",\"Value\":\"{\\\"name\\\":\\\"default\\\",\\\"clientURLs\\\":[\\\"http://"
        "127.0.0.1:21000\\\"]}\",\"Children\":null},";
    struct buf out;
    struct json_object *root;
    struct json_object *at;
    struct snap_cluster cluster = {.members = &member, .members_count = 1, .version = "3.6.0"};
    (void)state;
    buf_init(&out, SIZE_MAX / 2);
    snap_v2_json(&cluster, &out);
    assert_memory_equal(out.data, want, sizeof(want) - 1);
    root = json_tokener_parse(buf_text(&out));
    assert_non_null(root);
    static const char *const path[] = {"WatcherHub", "EventHistory", "Queue", "Events"};
    at = root;
    for (size_t i = 0; i < COUNT_OF(path); i++) {
        at = json_object_object_get(at, path[i]);
    }
    assert_int_equal(json_object_array_length(at), 1000);
    assert_int_equal(json_object_get_int(json_object_object_get(root, "CurrentIndex")), 3);
    assert_int_equal(json_object_get_int(json_object_object_get(root, "CurrentVersion")), 2);
    assert_int_equal(json_object_object_length(json_object_object_get(root, "Stats")), 16);
    json_object_put(root);
    buf_fini(&out);
}

/* The end of the file that etcd wrote for term 2, index 12. */
static void test_encode_is_etcds(void **state)
{
    static const uint8_t want[] = {0x0a, 0x02, '{', '}', 0x12, 0x13, 0x0a, 0x0d, 0x08, 0xc0, 0xf2,
        0xba, 0xa7, 0x9c, 0x9c, 0xf6, 0xac, 0xa7, 0x01, 0x28, 0x00, 0x10, 0x0c, 0x18, 0x02};
    struct raft_snapshot_meta meta = meta_of(12, 2);
    struct raft_snapshot_meta back;
    struct slice data;
    struct buf out;
    (void)state;
    buf_init(&out, 1024);
    snap_encode(&meta, SLICE("{}"), &out);
    assert_int_equal(out.len, sizeof(want));
    assert_memory_equal(out.data, want, sizeof(want));
    expect(snap_decode(buf_slice(&out), &back, &data), ERR_OK);
    assert_int_equal(back.index, 12);
    assert_int_equal(back.conf.voters.ids[0], 0xa759d8e1c4eeb940);
    assert_true(slice_eq(data, SLICE("{}")));
    buf_fini(&out);
}

static void save(struct disk *disk, uint64_t index)
{
    struct raft_snapshot_meta meta = meta_of(index, 2);
    expect(snap_save(disk, "/s", &meta, SLICE("{\"Root\":1}"), NULL), ERR_OK);
}

static void test_load_takes_the_newest_known(void **state)
{
    static const struct snap_point points[] = {{5, 2}, {10, 2}, {15, 1}};
    struct disk *disk = *state;
    struct snap_file file;
    expect(snap_load(disk, "/s", points, 3, &file, NULL), ERR_ABSENT);
    save(disk, 5);
    save(disk, 10);
    save(disk, 15);
    expect(snap_load(disk, "/s", points, 3, &file, NULL), ERR_OK);
    assert_int_equal(file.meta.index, 10);
    assert_int_equal(file.data_len, 10);
    snap_file_fini(&file);
    disk_faulty_poke(disk, "/s/0000000000000002-000000000000000a.snap", 20, SLICE("x"));
    expect(snap_load(disk, "/s", points, 3, &file, NULL), ERR_OK);
    assert_int_equal(file.meta.index, 5);
    snap_file_fini(&file);
    assert_true(disk_exists(disk, "/s/0000000000000002-000000000000000a.snap.broken"));
}

static void test_empty_file_is_broken(void **state)
{
    static const struct snap_point points[] = {{5, 2}};
    struct disk *disk = *state;
    struct snap_file file;
    const char *path = "/s/0000000000000002-0000000000000005.snap";
    expect(disk_write_file(disk, path, SLICE(""), 0600, NULL), ERR_OK);
    expect(snap_load(disk, "/s", points, 1, &file, NULL), ERR_ABSENT);
    assert_false(disk_exists(disk, path));
}

/* Whichever bit of it, or wherever it ends: refused, and nothing is given. */
static void test_a_flipped_bit_is_refused(void **state)
{
    struct snap_cluster cluster = {.members = &member, .members_count = 1, .version = "3.6.0"};
    struct raft_snapshot_meta meta = meta_of(12, 2);
    struct raft_snapshot_meta back = {.index = 77};
    struct slice data = {0};
    struct buf json;
    uint8_t *bytes;
    size_t len;
    buf_init(&json, SNAP_FILE_MAX);
    snap_v2_json(&cluster, &json);
    expect(snap_save(*state, "/s", &meta, buf_slice(&json), NULL), ERR_OK);
    const char *path = "/s/0000000000000002-000000000000000c.snap";
    expect(disk_read_file(*state, path, SNAP_FILE_MAX, &bytes, &len, NULL), ERR_OK);
    assert_true(len > json.len);
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct err e = snap_decode_file(slice_of(bytes, len), &back, &data);
        if (!IS(e, BAD_CRC) && !IS(e, BAD_FORMAT)) {
            fail_msg("%s with bit %zu of byte %zu flipped", err_name(e), bit % 8, bit / 8);
        }
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t end = 0; end < len; end++) {
        assert_true(err_is(snap_decode_file(slice_of(bytes, end), &back, &data)));
    }
    assert_true(back.index == 77 && !data.data);
    expect(snap_decode_file(slice_of(bytes, len), &back, &data), ERR_OK);
    assert_true(back.index == 12 && slice_eq(data, buf_slice(&json)));
    free(bytes);
    buf_fini(&json);
}

static void test_purge_keeps_the_newest(void **state)
{
    struct disk *disk = *state;
    struct disk_names names;
    for (uint64_t i = 1; i <= 5; i++) {
        save(disk, i);
    }
    const char *old = "/s/0000000000000003.snap.db";
    const char *now = "/s/0000000000000004.snap.db";
    expect(disk_write_file(disk, old, SLICE("x"), 0600, NULL), ERR_OK);
    expect(disk_write_file(disk, now, SLICE("x"), 0600, NULL), ERR_OK);
    expect(disk_write_file(disk, "/s/db", SLICE("x"), 0600, NULL), ERR_OK);
    expect(snap_purge(disk, "/s", 2, 4, NULL), ERR_OK);
    expect(disk_list(disk, "/s", &names, NULL), ERR_OK);
    assert_int_equal(names.count, 4);
    assert_string_equal(names.names[0], "0000000000000002-0000000000000004.snap");
    assert_string_equal(names.names[1], "0000000000000002-0000000000000005.snap");
    assert_string_equal(names.names[2], "0000000000000004.snap.db");
    assert_string_equal(names.names[3], "db");
    disk_names_fini(&names);
}

/* Another purge takes the oldest just after this one has looked. */
static struct err list_and_lose(
    struct disk *disk, const char *path, struct disk_names *out, struct why *why)
{
    TRY(disk_real()->ops->list(disk, path, out, why));
    char *oldest = disk_path(path, out->names[0]);
    struct err e = disk_real()->ops->remove(disk, oldest, why);
    free(oldest);
    return e;
}

static void test_purge_meets_another(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk disk = {&ops};
    struct disk_names names;
    char dir[FOLDER_PATH_MAX];
    (void)state;
    folder_make(dir);
    for (uint64_t i = 1; i <= 4; i++) {
        struct raft_snapshot_meta meta = meta_of(i, 2);
        expect(snap_save(disk_real(), dir, &meta, SLICE("{}"), NULL), ERR_OK);
    }
    ops.list = list_and_lose;
    expect(snap_purge(&disk, dir, 2, 0, NULL), ERR_OK);
    expect(disk_list(disk_real(), dir, &names, NULL), ERR_OK);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.names[0], "0000000000000002-0000000000000003.snap");
    disk_names_fini(&names);
    folder_remove(dir);
}

static struct err remove_nothing(struct disk *disk, const char *path, struct why *why)
{
    (void)disk;
    return why_set(why, ERR(EXISTS), "%s is not empty", path);
}

static struct err remove_on_bad_disk(struct disk *disk, const char *path, struct why *why)
{
    (void)disk;
    return why_set(why, ERR(IO), "unlink %s: Input/output error", path);
}

static int warnings;

void __real_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);

void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields)
{
    warnings += strcmp(message, "failed to remove an old received snapshot") == 0;
    __real_log_write(level, file, line, message, fields);
}

/* Above the newest that counts; gone once a newer one is purged for. */
static void test_what_never_counted_is_set_aside(void **state)
{
    struct disk *disk = *state;
    struct disk_names names;
    struct raft_snapshot_meta newest = meta_of(3, 2);
    struct raft_snapshot_meta none = {0};
    size_t count = 77;
    for (uint64_t i = 2; i <= 4; i++) {
        save(disk, i);
    }
    expect(disk_write_file(disk, "/s/0000000000000009.snap.db", SLICE("x"), 0600, NULL), ERR_OK);
    expect(snap_set_aside(disk, "/s", &newest, &count, NULL), ERR_OK);
    assert_int_equal(count, 1);
    expect(snap_purge(disk, "/s", 2, 4, NULL), ERR_OK);
    expect(disk_list(disk, "/s", &names, NULL), ERR_OK);
    assert_int_equal(names.count, 4);
    assert_string_equal(names.names[0], "0000000000000002-0000000000000002.snap");
    assert_string_equal(names.names[1], "0000000000000002-0000000000000003.snap");
    assert_string_equal(names.names[2], "0000000000000002-0000000000000004.snap.void");
    assert_string_equal(names.names[3], "0000000000000009.snap.db");
    disk_names_fini(&names);
    expect(snap_purge(disk, "/s", 2, 5, NULL), ERR_OK);
    expect(snap_set_aside(disk, "/s", &none, &count, NULL), ERR_OK);
    assert_int_equal(count, 2);
    expect(disk_list(disk, "/s", &names, NULL), ERR_OK);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.names[1], "0000000000000002-0000000000000003.snap.void");
    disk_names_fini(&names);
}

/* What is received meanwhile may be an old one, whose files still come. */
static void test_purge_leaves_what_is_being_written(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    struct disk disk = {&ops};
    char dir[FOLDER_PATH_MAX];
    (void)state;
    folder_make(dir);
    char *folder = disk_path(dir, "0000000000000003.files.0");
    expect(disk_mkdir_all(disk_real(), folder, 0700, NULL), ERR_OK);
    warnings = 0;
    ops.remove = remove_nothing;
    expect(snap_purge(&disk, dir, 2, 9, NULL), ERR_OK);
    assert_int_equal(warnings, 0);
    assert_true(disk_exists(disk_real(), folder));
    ops.remove = remove_on_bad_disk; /* no reason to stop, but it takes its place until it goes */
    expect(snap_purge(&disk, dir, 2, 9, NULL), ERR_OK);
    assert_int_equal(warnings, 1);
    assert_true(disk_exists(disk_real(), folder));
    expect(snap_purge(disk_real(), dir, 2, 9, NULL), ERR_OK);
    assert_false(disk_exists(disk_real(), folder));
    free(folder);
    folder_remove(dir);
}

/* Whatever operation of a save fails or is the last before a crash: the snapshot before it is still
 * there. */
static void test_failed_save_leaves_the_one_before(void **state)
{
    static const struct snap_point points[] = {{5, 2}, {10, 2}};
    (void)state;
    for (uint64_t op = 1; op <= 6; op++) {
        struct disk *disk = disk_faulty_new(op);
        struct snap_file file;
        struct raft_snapshot_meta meta = meta_of(10, 2);
        expect(disk_mkdir_all(disk, "/s", 0700, NULL), ERR_OK);
        save(disk, 5);
        disk_faulty_fail(disk, op, ERR(NO_DISK), true);
        struct err e = snap_save(disk, "/s", &meta, SLICE("{}"), NULL);
        assert_int_equal(err_is(e), op <= 5);
        disk_faulty_crash(disk, DISK_CRASH_TEAR);
        expect(snap_load(disk, "/s", points, 2, &file, NULL), ERR_OK);
        assert_true(file.meta.index == 10 || err_is(e));
        snap_file_fini(&file);
        disk_faulty_free(disk);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_member_json_is_etcds),
        T(test_v2_json_has_etcds_tree),
        T(test_encode_is_etcds),
        T(test_load_takes_the_newest_known),
        T(test_empty_file_is_broken),
        T(test_a_flipped_bit_is_refused),
        T(test_purge_keeps_the_newest),
        T(test_purge_meets_another),
        T(test_what_never_counted_is_set_aside),
        T(test_purge_leaves_what_is_being_written),
        T(test_failed_save_leaves_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
