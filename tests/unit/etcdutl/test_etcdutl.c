/* SPDX-License-Identifier: Apache-2.0
 * Snapshots made here, looked at and restored by the commands; what they print is the reference's
 * form. */
#include "auth/auth.h"
#include "base/mem.h"
#include "ctl/etcdutl/etcdutl.h"
#include "member/member.h"
#include "mvcc/mvcc.h"
#include "snap/snap.h"
#include "snapshot/snapshot.h"
#include "wal/wal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORDS_MAX = 16, PRINTED_MAX = 4096 };

static char dir[64];
static char printed[PRINTED_MAX];

static uint64_t free_bytes = UINT64_MAX;

/* Instead of libc's. */
int statvfs(const char *path, struct statvfs *out)
{
    (void)path;
    *out = (struct statvfs){.f_frsize = 1, .f_bavail = free_bytes};
    return 0;
}

static void expect(struct err e, enum err_code code)
{
    assert_string_equal(err_name(e), err_name((struct err){code}));
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/ketcd-utl-XXXXXX");
    return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct err e = disk_remove_all(disk_real(), dir, NULL);
    return err_is(e) ? -1 : 0;
}

/* Runs "etcdutl <words>" with stdout and stderr in printed. */
static int run(const char *line)
{
    char *words = mem_strdup(line);
    char *argv[WORDS_MAX] = {(char[]){"etcdutl"}};
    char *rest = NULL;
    int argc = 1;
    for (char *word = strtok_r(words, " ", &rest); word && argc < WORDS_MAX - 1;
         word = strtok_r(NULL, " ", &rest)) {
        argv[argc++] = word;
    }
    fflush(stdout);
    fflush(stderr);
    int out = dup(1);
    int err = dup(2);
    int file = open("printed", O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, 1);
    dup2(file, 2);
    int code = etcdutl_run(argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(err, 2);
    ssize_t len = pread(file, printed, sizeof(printed) - 1, 0);
    printed[len > 0 ? len : 0] = 0;
    close(out);
    close(err);
    close(file);
    free(words);
    return code;
}

/* Revisions 2 to 7: a=1, b=1, a=2, b deleted, c=1 with a lease, a=3. */
static struct err add_keys(void *arg, struct snapshot_export *export, struct why *why)
{
    struct slice a = SLICE("a");
    struct slice b = SLICE("b");
    struct slice c = SLICE("c");
    const struct snapshot_key keys[] = {
        {.main = 2, .key = a, .value = SLICE("1"), .create = 2, .mod = 2, .version = 1},
        {.main = 3, .key = b, .value = SLICE("1"), .create = 3, .mod = 3, .version = 1},
        {.main = 4, .key = a, .value = SLICE("2"), .create = 2, .mod = 4, .version = 2},
        {.main = 5, .key = b, .is_tombstone = true},
        {.main = 6,
            .key = c,
            .value = SLICE("1"),
            .create = 6,
            .mod = 6,
            .version = 1,
            .lease = 77},
        {.main = 7, .key = a, .value = SLICE("3"), .create = 2, .mod = 7, .version = 3},
    };
    (void)arg;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        TRY(snapshot_export_key(export, &keys[i], why));
    }
    return OK;
}

static void make(const char *path, bool has_hash, bool is_auth_enabled)
{
    struct snapshot_export *export;
    struct buf all;
    uint8_t chunk[4096];
    uint8_t sha[SNAPSHOT_SHA_BYTES];
    size_t got = 1;
    expect(snapshot_export_open(disk_real(), dir, &export, NULL), ERR_OK);
    snapshot_export_index(export, 42, 3);
    snapshot_export_lease(export, 77, 100, 0);
    snapshot_export_auth(export, is_auth_enabled, 1);
    snapshot_export_storage_version(export, "3.6.0");
    expect(snapshot_export_finish(export, add_keys, NULL, NULL), ERR_OK);
    buf_init(&all, SIZE_MAX / 2);
    while (got) {
        expect(snapshot_export_read(export, chunk, sizeof(chunk), &got, NULL), ERR_OK);
        buf_add(&all, chunk, got);
    }
    snapshot_export_sha256(export, sha);
    buf_add(&all, sha, has_hash ? sizeof(sha) : 0);
    expect(disk_write_file(disk_real(), path, buf_slice(&all), 0600, NULL), ERR_OK);
    buf_fini(&all);
    snapshot_export_close(export);
}

static void test_status_counts_living_keys(void **state)
{
    (void)state;
    make("s.db", true, false);
    assert_int_equal(run("snapshot status s.db"), 0);
    assert_non_null(strstr(printed, ", 7, 2, "));
    assert_non_null(strstr(printed, " kB, 3.6.0\n"));
    assert_int_equal(run("snapshot status s.db -w json"), 0);
    assert_non_null(strstr(printed, ",\"revision\":7,\"totalKey\":2,\"totalSize\":"));
    assert_non_null(strstr(printed, ",\"version\":\"3.6.0\"}\n"));
    assert_int_equal(run("snapshot status s.db -w table"), 0);
    assert_non_null(strstr(printed, "| REVISION | TOTAL KEYS | TOTAL SIZE | VERSION |\n"));
    assert_int_equal(run("snapshot status s.db -w protobuf"), 4);
    assert_string_equal(printed, "Error: protobuf not supported as output format\n");
}

static void test_status_refuses_bad_input(void **state)
{
    (void)state;
    assert_int_equal(run("snapshot status"), 128);
    assert_string_equal(printed, "Error: snapshot status requires exactly one argument\n");
    assert_int_equal(run("snapshot status none.db"), 1);
    assert_string_equal(printed, "Error: stat none.db: no such file or directory\n");
    assert_int_equal(run("snapshot status printed"), 1);
    assert_string_equal(printed, "Error: invalid database\n");
    assert_int_equal(run("nothing"), 1);
    assert_string_equal(printed, "Error: unknown command \"nothing\" for \"etcdutl\"\nRun 'etcdutl "
                                 "--help' for usage.\nError: unknown command \"nothing\" for "
                                 "\"etcdutl\"\n");
}

static void test_defrag_refuses_what_is_no_store_of_ours(void **state)
{
    (void)state;
    assert_int_equal(run("defrag --data-dir x"), 1);
    assert_string_equal(printed, "Error: Failed to defragment etcd data[x] (open x/member/store: "
                                 "no such file or directory)\n");
    assert_int_equal(mkdir("x", 0700) | mkdir("x/member", 0700) | mkdir("x/member/snap", 0700) |
                         mkdir("x/member/snap/db", 0700),
        0);
    assert_int_equal(run("defrag --data-dir x"), 4);
    assert_non_null(strstr(printed, "x/member/snap/db is not touched; use etcd's etcdutl)"));
    assert_int_not_equal(access("x/member/lock", F_OK), 0);
}

static void test_defrag_begins_nothing_without_room(void **state)
{
    (void)state;
    assert_int_equal(mkdir("y", 0700) | mkdir("y/member", 0700) | mkdir("y/member/store", 0700), 0);
    free_bytes = 0;
    assert_int_equal(run("defrag --data-dir y"), 1);
    assert_non_null(strstr(printed, "Error: Failed to defragment etcd data[y] (write y/member/store"
                                    ": no space left on device: "));
    free_bytes = UINT64_MAX;
    assert_int_equal(run("defrag --data-dir y"), 0);
}

static void test_hashkv_hides_what_is_to_be_compacted(void **state)
{
    (void)state;
    make("s.db", true, false);
    assert_int_equal(run("hashkv s.db"), 0);
    assert_non_null(strstr(printed, ", 7, -1\n"));
    assert_int_equal(run("hashkv s.db --rev 8"), 1);
    assert_string_equal(printed, "Error: mvcc: required revision is a future revision\n");
}

/* Opens the restored store and reads all of it at a revision. */
static size_t read_store(const char *path, struct arena *arena, struct mvcc_range_result *out)
{
    struct backend *backend;
    struct mvcc *mvcc;
    struct backend_options options = {.path = path};
    struct mvcc_range_options range = {.key = SLICE("\0"), .end = SLICE("\0")};
    expect(backend_open(&options, &backend, NULL), ERR_OK);
    struct mvcc_options opened = {.backend = backend, .value_cache_bytes = 1 << 20};
    expect(mvcc_open(&opened, &mvcc, NULL), ERR_OK);
    expect(mvcc_range(mvcc, &range, arena, out), ERR_OK);
    struct blob *index = NULL;
    expect(backend_get(backend, NULL, SLICE("mconsistent_index"), &index, NULL), ERR_OK);
    assert_true(slice_eq(blob_slice(index), SLICE("\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1")));
    blob_unref(index);
    mvcc_close(mvcc);
    backend_close(backend);
    return out->kvs_count;
}

static void test_restore_makes_a_data_directory(void **state)
{
    static const struct snap_point points[] = {{1, 1}};
    struct arena *arena = arena_new(0);
    struct mvcc_range_result result;
    struct wal_log log;
    struct snap_file file;
    (void)state;
    make("s.db", true, false);
    assert_int_equal(run("snapshot restore s.db --data-dir d"), 0);
    assert_int_equal(read_store("d/member/store", arena, &result), 2);
    assert_int_equal(result.rev, 7);
    assert_true(slice_eq(result.kvs[0].value, SLICE("3")));
    assert_int_equal(result.kvs[0].version, 3);
    assert_int_equal(result.kvs[1].lease, 77);
    expect(wal_read(disk_real(), "d/member/wal", 1, 1, &log, NULL), ERR_OK);
    assert_int_equal(log.identity.node_id, 0x8e9e05c52164694d);
    assert_int_equal(log.identity.cluster_id, 0xcdf818194e3a8c32);
    assert_int_equal(log.hard.commit, 1);
    wal_log_fini(&log);
    expect(snap_load(disk_real(), "d/member/snap", points, 1, &file, NULL), ERR_OK);
    assert_int_equal(file.meta.conf.voters.ids[0], 0x8e9e05c52164694d);
    snap_file_fini(&file);
    assert_int_equal(run("snapshot restore s.db --data-dir d"), 1);
    assert_string_equal(printed, "Error: data-dir \"d\" not empty or could not be read\n");
    arena_free(arena);
}

static void test_restore_bumps_and_compacts(void **state)
{
    struct arena *arena = arena_new(0);
    struct mvcc_range_result result;
    (void)state;
    make("s.db", true, false);
    assert_int_equal(run("snapshot restore s.db --data-dir d --bump-revision 1000"), 128);
    assert_int_equal(
        run("snapshot restore s.db --data-dir d --bump-revision 1000 --mark-compacted"), 0);
    assert_int_equal(read_store("d/member/store", arena, &result), 2);
    assert_int_equal(result.rev, 1007);
    assert_int_equal(result.kvs[0].mod, 7);
    arena_free(arena);
}

/* A store that asks for passwords must not come back open to everybody. */
static void test_restore_keeps_access_control(void **state)
{
    struct backend *backend;
    struct auth_table *table = auth_table_new();
    (void)state;
    make("auth.db", true, true);
    assert_int_equal(run("snapshot restore auth.db --data-dir d"), 0);
    assert_false(
        err_is(backend_open(&(struct backend_options){.path = "d/member/store"}, &backend, NULL)));
    assert_false(err_is(auth_load(table, backend, NULL)));
    assert_true(auth_is_enabled(table));
    assert_int_equal(auth_revision(table), 1);
    auth_table_free(table);
    backend_close(backend);
}

static void test_restore_refuses(void **state)
{
    (void)state;
    make("plain.db", false, false);
    make("auth.db", true, true);
    assert_int_equal(run("snapshot restore plain.db --data-dir a"), 1);
    assert_non_null(strstr(printed, "Error: snapshot missing hash but --skip-hash-check=false\n"));
    assert_int_equal(run("snapshot restore plain.db --data-dir b --skip-hash-check"), 0);
    assert_int_equal(run("snapshot restore none.db --data-dir e"), 1);
    assert_non_null(strstr(printed, "Error: open none.db: no such file or directory\n"));
    assert_false(disk_exists(disk_real(), "e"));
    assert_int_equal(run("snapshot restore plain.db --data-dir f --name m1"), 1);
    assert_string_equal(
        printed, "Error: couldn't find local name \"m1\" in the initial cluster configuration\n");
    assert_int_equal(run("snapshot restore plain.db --data-dir f --initial-cluster "
                         "default=http://localhost:2380,x=http://localhost:2380"),
        1);
    assert_non_null(strstr(printed, " has duplicate url\n"));
    assert_int_equal(run("snapshot restore plain.db --data-dir f "
                         "--initial-advertise-peer-urls http://127.0.0.1:2380"),
        1);
    assert_string_equal(printed,
        "Error: --initial-cluster has default=http://localhost:2380 but missing from "
        "--initial-advertise-peer-urls=http://127.0.0.1:2380 (resolved urls: "
        "\"http://127.0.0.1:2380\" != \"http://localhost:2380\")\n");
}

static void test_restore_takes_an_address_written_in_another_way(void **state)
{
    (void)state;
    make("plain.db", false, false);
    assert_int_equal(run("snapshot restore plain.db --data-dir g --skip-hash-check "
                         "--initial-advertise-peer-urls http://[::1]:2380 "
                         "--initial-cluster default=http://[0:0:0:0:0:0:0:1]:2380"),
        0);
    assert_true(disk_exists(disk_real(), "g/member"));
}

/* The log of a directory d, with a snapshot at its first entry and one entry after that. */
static void make_directory(const char *v2, struct blob *last)
{
    struct wal *wal;
    struct wal_options options = {.disk = disk_real(), .dir = "d/member/wal"};
    struct raft_snapshot_meta meta = {.index = 1, .term = 1, .conf = {.voters = {{1}, 1}}};
    struct wal_snapshot record = {1, 1, true, meta.conf};
    struct raft_entry entries[2] = {{.index = 1, .term = 1}, {.index = 2, .term = 1, .data = last}};
    struct raft_hard_state hard = {.term = 1, .vote = 1, .commit = 2};
    struct wal_batch batch = {&hard, entries, 2, true};
    expect(disk_remove_all(disk_real(), "d", NULL), ERR_OK);
    expect(disk_mkdir_all(disk_real(), "d/member/wal", 0700, NULL), ERR_OK);
    expect(disk_mkdir_all(disk_real(), "d/member/snap", 0700, NULL), ERR_OK);
    expect(wal_create(&options, &(struct wal_identity){1, 2}, &wal, NULL), ERR_OK);
    expect(wal_append(wal, &batch, NULL, NULL), ERR_OK);
    expect(snap_save(disk_real(), "d/member/snap", &meta, slice_str(v2), NULL), ERR_OK);
    expect(wal_save_snapshot(wal, &record, NULL), ERR_OK);
    wal_close(wal);
}

static void test_keys_of_the_v2_api_are_found(void **state)
{
    static const char none[] = "{\"Root\":{\"Children\":{\"0\":{\"Children\":{}},"
                               "\"1\":{\"Children\":{}}}}}";
    static const char one[] = "{\"Root\":{\"Children\":{\"0\":{\"Children\":{}},"
                              "\"1\":{\"Children\":{\"a\":{\"Value\":\"1\"}}}}}}";
    /* method (2) PUT, path (3) /1/a, val (4) 1 */
    struct blob *put = blob_new(SLICE("\x12\x03PUT\x1a\x04/1/a\x22\x01"
                                      "1"));
    (void)state;
    make_directory(none, NULL);
    assert_int_equal(run("check v2store --data-dir d"), 0);
    assert_string_equal(printed, "No custom content found in v2store.\n");
    make_directory(one, NULL);
    assert_int_equal(run("check v2store --data-dir d"), 1);
    assert_string_equal(printed, "Error: detected custom content in v2store\n");
    make_directory(none, put);
    assert_int_equal(run("check v2store --data-dir d --wal-dir d/member/wal"), 1);
    assert_string_equal(printed, "Error: detected custom content in v2store\n");
    assert_int_equal(run("check v2store --data-dir nowhere"), 1);
    assert_string_equal(printed, "Error: open nowhere/member/wal: no such file or directory\n");
    assert_int_equal(run("check v2store"), 1);
    assert_non_null(strstr(printed, "Error: required flag(s) \"data-dir\" not set\n"));
    blob_unref(put);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_status_counts_living_keys),
        T(test_status_refuses_bad_input),
        T(test_defrag_refuses_what_is_no_store_of_ours),
        T(test_defrag_begins_nothing_without_room),
        T(test_hashkv_hides_what_is_to_be_compacted),
        T(test_restore_makes_a_data_directory),
        T(test_restore_bumps_and_compacts),
        T(test_restore_keeps_access_control),
        T(test_restore_refuses),
        T(test_restore_takes_an_address_written_in_another_way),
        T(test_keys_of_the_v2_api_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
