/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/mem.h"
#include "tests/shared/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

struct place {
    char path[FOLDER_PATH_MAX];
    struct backend *backend;
};

static void place_open(struct place *place)
{
    struct why why = {""};
    struct backend_options options = {.path = place->path};
    struct err err = backend_open(&options, &place->backend, &why);
    if (err_is(err)) {
        fail_msg("%s", why.text);
    }
}

static int setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    folder_make(place->path);
    place_open(place);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    backend_close(place->backend);
    folder_remove(place->path);
    free(place);
    return 0;
}

static void reopen(struct place *place)
{
    backend_close(place->backend);
    place->backend = NULL;
    place_open(place);
}

static void put(struct place *place, const char *key, const char *value)
{
    struct backend_batch *batch = backend_batch_new();
    backend_batch_put(batch, slice_str(key), slice_str(value));
    assert_false(err_is(backend_write(place->backend, batch, NULL)));
    backend_batch_free(batch);
}

static void assert_value(
    struct place *place, const struct backend_snapshot *snapshot, const char *key, const char *want)
{
    struct blob *value = NULL;
    assert_false(err_is(backend_get(place->backend, snapshot, slice_str(key), &value, NULL)));
    if (want) {
        assert_non_null(value);
        assert_true(slice_eq(blob_slice(value), slice_str(want)));
    } else {
        assert_null(value);
    }
    blob_unref(value);
}

static void test_backend_reads_what_was_written(void **state)
{
    struct place *place = *state;
    put(place, "ma", "1");
    assert_value(place, NULL, "ma", "1");
    assert_value(place, NULL, "mb", NULL);
    struct backend_batch *batch = backend_batch_new();
    struct slice parts[2] = {SLICE("head"), SLICE("tail")};
    backend_batch_put_parts(batch, SLICE("mb"), parts, 2);
    backend_batch_delete(batch, SLICE("ma"));
    assert_true(backend_batch_bytes(batch) > 12);
    assert_false(err_is(backend_write(place->backend, batch, NULL)));
    assert_value(place, NULL, "ma", NULL);
    assert_value(place, NULL, "mb", "headtail");
    backend_batch_free(batch);
}

static void test_backend_keeps_only_what_was_flushed(void **state)
{
    struct place *place = *state;
    put(place, "ma", "1");
    assert_false(err_is(backend_flush(place->backend, NULL)));
    put(place, "ma", "2");
    put(place, "mb", "2");
    reopen(place);
    assert_value(place, NULL, "ma", "1");
    assert_value(place, NULL, "mb", NULL);
}

static void test_backend_gets_many_in_any_order(void **state)
{
    struct place *place = *state;
    put(place, "ma", "1");
    put(place, "mb", "");
    put(place, "mc", "3");
    struct slice keys[4] = {SLICE("mc"), SLICE("mx"), SLICE("ma"), SLICE("mb")};
    struct blob *values[4];
    assert_false(err_is(backend_get_many(place->backend, NULL, keys, 4, values, NULL)));
    assert_true(slice_eq(blob_slice(values[0]), SLICE("3")));
    assert_null(values[1]);
    assert_true(slice_eq(blob_slice(values[2]), SLICE("1")));
    assert_non_null(values[3]);
    assert_int_equal(values[3]->len, 0);
    for (int i = 0; i < 4; i++) {
        blob_unref(values[i]);
    }
}

static void test_backend_snapshot_stands_still(void **state)
{
    struct place *place = *state;
    put(place, "ma", "1");
    struct backend_snapshot *snapshot = backend_snapshot_take(place->backend);
    put(place, "ma", "2");
    assert_value(place, snapshot, "ma", "1");
    assert_value(place, NULL, "ma", "2");
    backend_snapshot_release(place->backend, snapshot);
}

static void test_backend_iter_ends_before_its_bound(void **state)
{
    struct place *place = *state;
    put(place, "ma", "1");
    put(place, "mb", "2");
    put(place, "mc", "3");
    struct slice key;
    struct slice value;
    struct backend_iter *iter = backend_iter_open(place->backend, NULL, SLICE("ma"), SLICE("mc"));
    assert_true(backend_iter_next(iter, &key, &value));
    assert_true(slice_eq(key, SLICE("ma")) && slice_eq(value, SLICE("1")));
    assert_true(backend_iter_next(iter, &key, &value));
    assert_true(slice_eq(key, SLICE("mb")) && slice_eq(value, SLICE("2")));
    assert_false(backend_iter_next(iter, &key, &value));
    assert_false(backend_iter_next(iter, &key, &value));
    assert_false(err_is(backend_iter_err(iter, NULL)));
    backend_iter_close(iter);
}

/* What a walk finds, as "key=value key=value". */
static void assert_walk(struct place *place, const struct backend_snapshot *snapshot,
    const char *from, const char *to, const char *want)
{
    char found[256] = "";
    struct slice key;
    struct slice value;
    struct backend_iter *iter =
        backend_iter_open(place->backend, snapshot, slice_str(from), slice_str(to));
    while (backend_iter_next(iter, &key, &value)) {
        size_t at = strlen(found);
        snprintf(found + at, sizeof(found) - at, "%s%.*s=%.*s", at ? " " : "", (int)key.len,
            (const char *)key.data, (int)value.len, (const char *)value.data);
    }
    assert_false(err_is(backend_iter_err(iter, NULL)));
    backend_iter_close(iter);
    assert_string_equal(found, want);
}

/* Values stand apart from the rows on either side of them. */
static void test_backend_walks_values_and_rows_in_order(void **state)
{
    struct place *place = *state;
    put(place, "ma", "5");
    put(place, "d2", "3");
    put(place, "l1", "4");
    put(place, "d1", "2");
    put(place, "ca", "1");
    assert_walk(place, NULL, "", "", "ca=1 d1=2 d2=3 l1=4 ma=5");
    assert_walk(place, NULL, "d", "n", "d1=2 d2=3 l1=4 ma=5");
    assert_walk(place, NULL, "d2", "ma", "d2=3 l1=4");
    assert_walk(place, NULL, "d", "e", "d1=2 d2=3");
    assert_walk(place, NULL, "d", "d2", "d1=2");
    assert_walk(place, NULL, "c", "d", "ca=1");
    assert_walk(place, NULL, "c", "d2", "ca=1 d1=2");
    assert_walk(place, NULL, "l", "e", "");
    struct backend_snapshot *snapshot = backend_snapshot_take(place->backend);
    put(place, "d3", "new");
    put(place, "l1", "new");
    assert_walk(place, snapshot, "d", "n", "d1=2 d2=3 l1=4 ma=5");
    backend_snapshot_release(place->backend, snapshot);
    assert_false(err_is(backend_clear(place->backend, SLICE("d2"), SLICE("m"), NULL)));
    assert_walk(place, NULL, "", "", "ca=1 d1=2 ma=5");
}

/* The walk leads on to rows that did not exist when it came to the values before them. */
static void test_backend_walk_sees_one_moment(void **state)
{
    struct place *place = *state;
    struct slice key;
    struct slice value;
    put(place, "d1", "1");
    struct backend_iter *iter = backend_iter_open(place->backend, NULL, SLICE("d"), SLICE("n"));
    assert_true(backend_iter_next(iter, &key, &value));
    put(place, "l1", "late");
    assert_false(backend_iter_next(iter, &key, &value));
    backend_iter_close(iter);
}

static void test_backend_flushes_values_and_rows_as_one(void **state)
{
    struct place *place = *state;
    struct backend_batch *batch = backend_batch_new();
    backend_batch_put(batch, SLICE("d1"), SLICE("1"));
    backend_batch_put(batch, SLICE("l1"), SLICE("1"));
    backend_batch_put(batch, SLICE("mindex"), SLICE("1"));
    assert_false(err_is(backend_write(place->backend, batch, NULL)));
    backend_batch_free(batch);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    put(place, "mindex", "2"); /* of values there is nothing to flush */
    assert_false(err_is(backend_compact_files(place->backend, NULL)));
    put(place, "d2", "lost");
    reopen(place);
    assert_walk(place, NULL, "", "", "d1=1 l1=1 mindex=2");
}

/* What is done when a family's files are about to be rewritten. */
static struct {
    struct place *place; /* NULL: nothing */
    int calls;
} at_compaction;

void __real_rocksdb_compact_range_cf_opt(rocksdb_t *db, rocksdb_column_family_handle_t *family,
    rocksdb_compactoptions_t *options, const char *from, size_t from_len, const char *to,
    size_t to_len);
void __wrap_rocksdb_compact_range_cf_opt(rocksdb_t *db, rocksdb_column_family_handle_t *family,
    rocksdb_compactoptions_t *options, const char *from, size_t from_len, const char *to,
    size_t to_len);

void __wrap_rocksdb_compact_range_cf_opt(rocksdb_t *db, rocksdb_column_family_handle_t *family,
    rocksdb_compactoptions_t *options, const char *from, size_t from_len, const char *to,
    size_t to_len)
{
    if (at_compaction.place) {
        uint64_t in_memory = 1;
        assert_int_equal(
            rocksdb_property_int_cf(db, family, "rocksdb.num-entries-active-mem-table", &in_memory),
            0);
        assert_int_equal(in_memory, 0);
        put(at_compaction.place, at_compaction.calls++ ? "l3" : "l2", "a row without a value");
    }
    __real_rocksdb_compact_range_cf_opt(db, family, options, from, from_len, to, to_len);
}

/* RocksDB flushes what it finds in memory of the range, without the values of a batch that is being
 * written right then: it must find nothing, also of rows that came after the first flush. */
static void test_backend_leaves_rocksdb_nothing_to_flush(void **state)
{
    struct place *place = *state;
    put(place, "d1", "1");
    put(place, "l1", "1");
    at_compaction.place = place;
    at_compaction.calls = 0;
    assert_false(err_is(backend_compact_files(place->backend, NULL)));
    at_compaction.place = NULL;
    assert_int_equal(at_compaction.calls, 2);
    reopen(place);
    assert_walk(place, NULL, "", "", "d1=1 l1=1 l2=a row without a value");
}

static uint64_t failures; /* of RocksDB's own threads */

int __real_rocksdb_property_int_cf(
    rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *name, uint64_t *out);
int __wrap_rocksdb_property_int_cf(
    rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *name, uint64_t *out);

int __wrap_rocksdb_property_int_cf(
    rocksdb_t *db, rocksdb_column_family_handle_t *family, const char *name, uint64_t *out)
{
    if (failures && strcmp(name, "rocksdb.background-errors") == 0) {
        *out = failures;
        return 0;
    }
    return __real_rocksdb_property_int_cf(db, family, name, out);
}

/* Nobody asked for them, so there is no call that says why they failed. */
static void test_backend_leads_to_why_a_merge_failed(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    assert_false(err_is(backend_health(place->backend, &why)));
    failures = 2;
    struct err err = backend_health(place->backend, &why);
    failures = 0;
    assert_true(IS(err, IO));
    assert_non_null(strstr(why.text, backend_path(place->backend)));
    assert_non_null(strstr(why.text, "the member's log says why"));
    assert_non_null(strstr(why.text, "\"RocksDB says\""));
    assert_null(strstr(why.text, "/LOG"));
}

/* The most that one of this process' threads of that name gives way; -1: there is none. */
static int nice_of(const char *name)
{
    int most = -1;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    while ((entry = readdir(tasks))) {
        char path[300];
        char comm[32] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file && fgets(comm, sizeof(comm), file) && strncmp(comm, name, strlen(name)) == 0) {
            int level = getpriority(PRIO_PROCESS, (id_t)strtoul(entry->d_name, NULL, 10));
            most = level > most ? level : most;
        }
        if (file) {
            fclose(file);
        }
    }
    closedir(tasks);
    return most;
}

/* Where two processors are all there is, a merge that runs is what an answer waits for. */
static void test_backend_merges_give_way(void **state)
{
    struct place *place = *state;
    put(place, "d1", "1");
    put(place, "l1", "1");
    assert_false(err_is(backend_compact_files(place->backend, NULL)));
    int own = getpriority(PRIO_PROCESS, 0);
    assert_int_equal(nice_of("rocksdb:low"), own > 5 ? own : 5);
}

static rocksdb_column_family_handle_t *make_family(
    rocksdb_t *db, rocksdb_options_t *options, const char *name)
{
    char *text = NULL;
    rocksdb_column_family_handle_t *family = rocksdb_create_column_family(db, options, name, &text);
    assert_null(text);
    return family;
}

/* What a peer sends may be any store: this one's values have the number 2. */
static void test_backend_refuses_families_of_other_numbers(void **state)
{
    struct place *place = *state;
    char *path = mem_printf("%s-foreign", place->path);
    char *text = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_t *db = rocksdb_open(options, path, &text);
    assert_null(text);
    rocksdb_column_family_handle_t *first = make_family(db, options, "first");
    rocksdb_drop_column_family(db, first, &text);
    assert_null(text);
    rocksdb_column_family_handle_destroy(first);
    rocksdb_column_family_handle_destroy(make_family(db, options, "values"));
    rocksdb_close(db);
    rocksdb_options_destroy(options);
    struct backend *backend = NULL;
    assert_true(
        IS(backend_open(&(struct backend_options){.path = path}, &backend, NULL), BAD_FORMAT));
    folder_remove(path);
    free(path);
}

struct rewriting {
    struct backend *backend;
    atomic_bool is_over;
};

static void *rewrite_main(void *arg)
{
    struct rewriting *rewriting = arg;
    while (!atomic_load(&rewriting->is_over)) {
        check(!err_is(backend_compact_files(rewriting->backend, NULL)));
    }
    return NULL;
}

/* The number n is in a value, a row and a name; every third batch drops an earlier value and row,
 * every fourth has none. */
static void write_numbered(struct place *place, struct backend_batch *batch, int n)
{
    char text[16];
    uint8_t value[1000] = {0};
    backend_batch_reset(batch);
    snprintf(text, sizeof(text), "d%06d", n);
    if (n % 4) {
        backend_batch_put(batch, slice_str(text), slice_of(value, sizeof(value)));
        text[0] = 'l';
        backend_batch_put(batch, slice_str(text), SLICE("row"));
    }
    if (n % 3 == 0) {
        snprintf(text, sizeof(text), "d%06d", n / 3);
        backend_batch_delete(batch, slice_str(text));
        text[0] = 'l';
        backend_batch_delete(batch, slice_str(text));
    }
    snprintf(text, sizeof(text), "%d", n);
    backend_batch_put(batch, SLICE("mn"), slice_str(text));
    assert_false(err_is(backend_write(place->backend, batch, NULL)));
}

/* Values and rows of 1..n without those that were dropped, and no others; returns n. */
static int assert_prefix(struct place *place)
{
    struct blob *blob = NULL;
    assert_false(err_is(backend_get(place->backend, NULL, SLICE("mn"), &blob, NULL)));
    char text[16] = "";
    snprintf(text, sizeof(text), "%.*s", blob ? (int)blob->len : 0, blob ? (char *)blob->data : "");
    int n = (int)strtol(text, NULL, 10);
    blob_unref(blob);
    for (int i = 1; i < n + 1000; i++) {
        bool is_there = i % 4 && i <= n && i > n / 3;
        snprintf(text, sizeof(text), "d%06d", i);
        for (int kind = 0; kind < 2; kind++) {
            text[0] = kind ? 'l' : 'd';
            assert_false(err_is(backend_get(place->backend, NULL, slice_str(text), &blob, NULL)));
            assert_true((blob != NULL) == is_there);
            blob_unref(blob);
        }
    }
    return n;
}

/* What is in memory is flushed again and again, and lost at the end of each life. */
static void test_backend_keeps_a_prefix_of_whole_batches(void **state)
{
    struct place *place = *state;
    struct backend_batch *batch = backend_batch_new();
    int n = 0;
    int kept = 0;
    for (int life = 0; life < 3; life++) {
        struct backend_options options = {.path = place->path, .memtable_bytes = 64 << 10};
        backend_close(place->backend);
        assert_false(err_is(backend_open(&options, &place->backend, NULL)));
        n = assert_prefix(place);
        assert_true(n >= kept);
        kept = n;
        struct rewriting rewriting = {.backend = place->backend};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, rewrite_main, &rewriting), 0);
        for (int i = 0; i < 300; i++) {
            write_numbered(place, batch, ++n);
        }
        atomic_store(&rewriting.is_over, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        for (int i = 0; i < 600; i++) {
            write_numbered(place, batch, ++n);
        }
    }
    backend_batch_free(batch);
    reopen(place);
    assert_true(assert_prefix(place) > 900);
}

static void test_backend_refuses_a_second_opener(void **state)
{
    struct place *place = *state;
    struct backend *second = NULL;
    struct why why = {""};
    struct backend_options options = {.path = place->path};
    struct err err = backend_open(&options, &second, &why);
    assert_string_equal(err_name(err), "LOCKED");
    assert_null(second);
    assert_non_null(strstr(why.text, place->path));
}

static void test_backend_refuses_a_path_that_is_a_file(void **state)
{
    struct place *place = *state;
    char path[256];
    snprintf(path, sizeof(path), "%s/CURRENT", place->path);
    struct backend *second = NULL;
    struct backend_options options = {.path = path};
    assert_true(err_is(backend_open(&options, &second, NULL)));
    assert_null(second);
}

/* Flips one bit inside a value, in a file of that kind. */
static void flip(const char *folder, const char *kind)
{
    char path[512] = "";
    DIR *dir = opendir(folder);
    struct dirent *ent;
    while ((ent = readdir(dir))) {
        if (strstr(ent->d_name, kind)) {
            snprintf(path, sizeof(path), "%s/%s", folder, ent->d_name);
        }
    }
    closedir(dir);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, 1000), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 1000), 1);
    close(fd);
}

static void test_backend_detects_a_flipped_bit(void **state)
{
    struct place *place = *state;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        char value[33];
        snprintf(key, sizeof(key), "d%05d", i);
        snprintf(
            value, sizeof(value), "%016x%016x", (unsigned)i * 2654435761u, (unsigned)i * 40503u);
        put(place, key, value);
    }
    assert_false(err_is(backend_flush(place->backend, NULL)));
    backend_close(place->backend);
    flip(place->path, ".sst");
    place_open(place);
    struct why why = {""};
    struct blob *value = NULL;
    struct slice key = SLICE("d00000");
    struct slice row;
    assert_string_equal(err_name(backend_get(place->backend, NULL, key, &value, &why)), "BAD_CRC");
    assert_null(value);
    assert_non_null(strstr(why.text, ".sst"));
    assert_string_equal(
        err_name(backend_get_many(place->backend, NULL, &key, 1, &value, NULL)), "BAD_CRC");
    assert_null(value);
    struct backend_iter *iter =
        backend_iter_open(place->backend, NULL, SLICE("d"), (struct slice){0});
    assert_false(backend_iter_next(iter, &key, &row));
    assert_string_equal(err_name(backend_iter_err(iter, NULL)), "BAD_CRC");
    backend_iter_close(iter);
}

static void test_backend_detects_a_flipped_bit_in_a_large_value(void **state)
{
    struct place *place = *state;
    char value[8001];
    uint32_t seed = 1;
    for (size_t i = 0; i < 8000; i++) {
        seed = seed * 1664525 + 1013904223;
        value[i] = (char)('!' + (seed >> 24) % 89);
    }
    value[8000] = 0;
    put(place, "da", value);
    assert_false(err_is(backend_flush(place->backend, NULL)));
    reopen(place);
    assert_value(place, NULL, "da", value);
    backend_close(place->backend);
    flip(place->path, ".blob");
    place_open(place);
    struct blob *got = NULL;
    struct slice key = SLICE("da");
    struct slice row;
    assert_string_equal(err_name(backend_get(place->backend, NULL, key, &got, NULL)), "BAD_CRC");
    assert_string_equal(
        err_name(backend_get_many(place->backend, NULL, &key, 1, &got, NULL)), "BAD_CRC");
    assert_null(got);
    struct backend_iter *iter =
        backend_iter_open(place->backend, NULL, SLICE("d"), (struct slice){0});
    assert_false(backend_iter_next(iter, &key, &row));
    assert_string_equal(err_name(backend_iter_err(iter, NULL)), "BAD_CRC");
    backend_iter_close(iter);
}

/* Merging by itself leaves some garbage behind; this leaves none. */
static void test_backend_compacts_deleted_values_away(void **state)
{
    struct place *place = *state;
    struct backend_batch *batch = backend_batch_new();
    uint8_t value[4096];
    uint32_t seed = 1;
    char key[16];
    for (int i = 0; i < 512; i++) {
        for (size_t at = 0; at < sizeof(value); at++) {
            seed = seed * 1664525 + 1013904223;
            value[at] = (uint8_t)(seed >> 24);
        }
        snprintf(key, sizeof(key), "d%05d", i);
        backend_batch_put(batch, slice_str(key), slice_of(value, sizeof(value)));
    }
    assert_false(err_is(backend_write(place->backend, batch, NULL)));
    assert_false(err_is(backend_flush(place->backend, NULL)));
    uint64_t before = backend_disk_bytes(place->backend);
    assert_true(before > 512 * sizeof(value));
    backend_batch_reset(batch);
    for (int i = 0; i < 512; i++) {
        snprintf(key, sizeof(key), "d%05d", i);
        if (i % 8) {
            backend_batch_delete(batch, slice_str(key));
        }
    }
    assert_false(err_is(backend_write(place->backend, batch, NULL)));
    backend_batch_free(batch);
    assert_false(err_is(backend_compact_files(place->backend, NULL)));
    assert_true(backend_disk_bytes(place->backend) < before / 4);
    assert_true(backend_live_bytes(place->backend) < before / 4);
    struct blob *got = NULL;
    assert_false(err_is(backend_get(place->backend, NULL, SLICE("d00504"), &got, NULL)));
    assert_int_equal(got->len, sizeof(value));
    blob_unref(got);
}

static void test_backend_compacts_and_measures(void **state)
{
    struct place *place = *state;
    char value[4096];
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (int i = 0; i < 100; i++) {
        put(place, "mbig", value);
    }
    assert_false(err_is(backend_compact_files(place->backend, NULL)));
    assert_value(place, NULL, "mbig", value);
    assert_true(backend_disk_bytes(place->backend) > 0);
    assert_true(backend_live_bytes(place->backend) > 0);
}

static struct backend_bulk *bulk_new(struct place *place, const char *name)
{
    char *prefix = mem_printf("%s/%s-", place->path, name);
    struct backend_bulk *bulk = backend_bulk_new(prefix);
    free(prefix);
    return bulk;
}

static void bulk_put(struct backend_bulk *bulk, const char *key, struct slice value)
{
    struct why why = {""};
    if (err_is(backend_bulk_put(bulk, slice_str(key), value, &why))) {
        fail_msg("%s", why.text);
    }
}

/* More than one file holds, over rows that are there and under ones that come later. */
static void test_backend_takes_files_at_once_and_durably(void **state)
{
    enum { ROWS = 70, ROW_BYTES = 1 << 20 };
    struct place *place = *state;
    struct why why = {""};
    uint8_t *value = mem_new(ROW_BYTES);
    char *const *paths;
    char key[16];
    put(place, "l0007", "old");
    put(place, "minstalling", "1");
    assert_false(err_is(backend_clear(place->backend, SLICE("l"), SLICE("m"), NULL)));
    struct backend_bulk *bulk = bulk_new(place, "tmp");
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof(key), "l%04d", i);
        value[0] = (uint8_t)i;
        bulk_put(bulk, key, slice_of(value, ROW_BYTES));
    }
    bulk_put(bulk, "mname", SLICE("new"));
    bulk_put(bulk, "v1", (struct slice){0});
    assert_false(err_is(backend_bulk_end(bulk, NULL)));
    size_t count = backend_bulk_paths(bulk, &paths);
    assert_int_equal(count, 2);
    assert_value(place, NULL, "l0007", NULL);
    if (err_is(backend_take_files(place->backend, paths, count, &why))) {
        fail_msg("%s", why.text);
    }
    assert_int_not_equal(access(paths[0], F_OK), 0);
    backend_bulk_free(bulk, true);
    put(place, "mname", "newer");
    assert_value(place, NULL, "mname", "newer");
    reopen(place);
    struct blob *got = NULL;
    assert_false(err_is(backend_get(place->backend, NULL, SLICE("l0007"), &got, NULL)));
    assert_true(got && got->len == ROW_BYTES && got->data[0] == 7);
    blob_unref(got);
    assert_value(place, NULL, "mname", "new");
    assert_value(place, NULL, "v1", "");
    free(value);
}

/* A merge is held where it writes what it has made. */
static atomic_bool is_merge_held;
static atomic_bool is_merge_at_work;

__attribute__((visibility("default"))) ssize_t write(int fd, const void *bytes, size_t count)
{
    char name[16] = "";
    (void)pthread_getname_np(pthread_self(), name, sizeof(name));
    while (atomic_load(&is_merge_held) && strncmp(name, "rocksdb:low", 11) == 0) {
        atomic_store(&is_merge_at_work, true);
        usleep(1000);
    }
    return syscall(SYS_write, fd, bytes, count);
}

void __real_rocksdb_disable_manual_compaction(rocksdb_t *db);
void __wrap_rocksdb_disable_manual_compaction(rocksdb_t *db);

void __wrap_rocksdb_disable_manual_compaction(rocksdb_t *db)
{
    atomic_store(&is_merge_held, false);
    __real_rocksdb_disable_manual_compaction(db);
}

static void *compact_main(void *arg)
{
    struct place *place = arg;
    struct why why = {""};
    struct err err = backend_compact_files(place->backend, &why);
    check(IS(err, STOPPED) && strstr(why.text, "was ended"));
    return NULL;
}

/* The first half is deleted then. */
static void put_large(struct place *place, char *value, size_t bytes)
{
    enum { ROWS = 8 };
    char key[8];
    struct backend_batch *batch = backend_batch_new();
    for (uint32_t i = 0, x = 1; i < bytes - 1; i++) {
        x = x * 1664525 + 1013904223;
        value[i] = (char)(1 + (x >> 24) % 255);
    }
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof(key), "d%d", i);
        put(place, key, value);
        if (i < ROWS / 2) {
            backend_batch_delete(batch, slice_str(key));
        }
    }
    assert_false(err_is(backend_flush(place->backend, NULL)));
    assert_false(err_is(backend_write(place->backend, batch, NULL)));
    backend_batch_free(batch);
}

/* What was there stays, and so does the store. */
static void test_backend_ends_a_merge_under_way(void **state)
{
    enum { VALUE_BYTES = 1 << 20 };
    struct place *place = *state;
    pthread_t compacting;
    char *value = mem_new(VALUE_BYTES);
    put_large(place, value, VALUE_BYTES);
    uint64_t before = backend_disk_bytes(place->backend);
    atomic_store(&is_merge_held, true);
    assert_int_equal(pthread_create(&compacting, NULL, compact_main, place), 0);
    for (int i = 0; i < 30000 && !atomic_load(&is_merge_at_work); i++) {
        usleep(1000);
    }
    assert_true(atomic_load(&is_merge_at_work));
    backend_end_compact_files(place->backend);
    pthread_join(compacting, NULL);
    (void)compact_main(place);
    assert_true(backend_disk_bytes(place->backend) > before / 4 * 3);
    assert_false(err_is(backend_health(place->backend, NULL)));
    put(place, "d9", "9");
    reopen(place);
    assert_value(place, NULL, "d7", value);
    free(value);
}

static uint64_t free_bytes = UINT64_MAX;

/* Instead of libc's. */
int statvfs(const char *path, struct statvfs *out)
{
    (void)path;
    *out = (struct statvfs){.f_frsize = 1, .f_bavail = free_bytes};
    return 0;
}

/* Earlier versions kept values among the other rows, in their files too: those have no mark. */
static void test_backend_moves_values_of_an_earlier_version(void **state)
{
    struct place *place = *state;
    char *const *paths;
    put(place, "d0", "0");
    struct backend_bulk *bulk = bulk_new(place, "tmp");
    bulk_put(bulk, "d1", SLICE("1"));
    bulk_put(bulk, "d2", SLICE("2"));
    bulk_put(bulk, "l1", SLICE("1"));
    assert_false(err_is(backend_bulk_end(bulk, NULL)));
    assert_int_equal(backend_bulk_paths(bulk, &paths), 2);
    char *old = mem_printf("%s/old-000000", place->path);
    assert_int_equal(rename(paths[0], old), 0);
    assert_false(err_is(backend_take_files(place->backend, &old, 1, NULL)));
    assert_walk(place, NULL, "d", "e", "d0=0 d1=1 d2=2");
    assert_value(place, NULL, "d1", "1");
    reopen(place);
    assert_value(place, NULL, "d2", "2");
    assert_walk(place, NULL, "", "", "d0=0 d1=1 d2=2");
    backend_bulk_free(bulk, true);
    free(old);
}

/* Nothing is moved, and nothing lost. */
static void test_backend_needs_room_to_move_values(void **state)
{
    struct place *place = *state;
    struct backend_options options = {.path = place->path};
    struct why why = {""};
    char *const *paths;
    struct backend_bulk *bulk = bulk_new(place, "tmp");
    bulk_put(bulk, "d1", SLICE("1"));
    assert_false(err_is(backend_bulk_end(bulk, NULL)));
    assert_int_equal(backend_bulk_paths(bulk, &paths), 1);
    char *old = mem_printf("%s/old-000000", place->path);
    assert_int_equal(rename(paths[0], old), 0);
    free_bytes = 1;
    assert_true(IS(backend_take_files(place->backend, &old, 1, &why), NO_DISK));
    backend_close(place->backend);
    place->backend = NULL;
    why = (struct why){""};
    assert_true(IS(backend_open(&options, &place->backend, &why), NO_DISK));
    assert_non_null(strstr(why.text, "make room"));
    free_bytes = UINT64_MAX;
    assert_false(err_is(backend_open(&options, &place->backend, &why)));
    assert_value(place, NULL, "d1", "1");
    backend_bulk_free(bulk, true);
    free(old);
}

/* Where the second line that RocksDB cannot write ends the process. */
static void test_backend_has_no_log_file_of_its_own(void **state)
{
    struct place *place = *state;
    char *path = mem_printf("%s/LOG", place->path);
    assert_int_equal(access(path, F_OK), -1);
    free(path);
}

static void test_backend_bulk_refuses_rows_out_of_order(void **state)
{
    struct place *place = *state;
    struct backend_bulk *bulk = bulk_new(place, "tmp");
    char *const *paths;
    bulk_put(bulk, "l2", SLICE("2"));
    assert_true(err_is(backend_bulk_put(bulk, SLICE("l1"), SLICE("1"), NULL)));
    assert_true(err_is(backend_bulk_put(bulk, SLICE("l2"), SLICE("1"), NULL)));
    assert_int_equal(backend_bulk_paths(bulk, &paths), 1);
    char *path = mem_strdup(paths[0]);
    backend_bulk_free(bulk, true);
    assert_int_not_equal(access(path, F_OK), 0);
    free(path);
}

/* Files are ended by a thread of their own: what goes wrong there is told all the same. */
static void test_backend_bulk_says_which_file_it_cannot_end(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    struct rlimit before;
    char *const *paths;
    struct backend_bulk *bulk = bulk_new(place, "tmp");
    bulk_put(bulk, "l1", SLICE("1"));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit tight = {16, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    struct err err = backend_bulk_end(bulk, &why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(IS(err, IO));
    assert_non_null(strstr(why.text, "tmp-000000"));
    assert_int_equal(backend_bulk_paths(bulk, &paths), 1);
    char *path = mem_strdup(paths[0]);
    backend_bulk_free(bulk, true);
    assert_int_not_equal(access(path, F_OK), 0);
    free(path);
}

static void test_backend_bulk_says_which_file_it_cannot_make(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    struct backend_bulk *bulk = bulk_new(place, "absent/tmp");
    assert_true(err_is(backend_bulk_put(bulk, SLICE("l1"), SLICE("1"), &why)));
    assert_non_null(strstr(why.text, "absent/tmp-000000"));
    backend_bulk_free(bulk, true);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_backend_reads_what_was_written),
        T(test_backend_keeps_only_what_was_flushed),
        T(test_backend_gets_many_in_any_order),
        T(test_backend_snapshot_stands_still),
        T(test_backend_iter_ends_before_its_bound),
        T(test_backend_walks_values_and_rows_in_order),
        T(test_backend_walk_sees_one_moment),
        T(test_backend_flushes_values_and_rows_as_one),
        T(test_backend_leaves_rocksdb_nothing_to_flush),
        T(test_backend_leads_to_why_a_merge_failed),
        T(test_backend_merges_give_way),
        T(test_backend_refuses_families_of_other_numbers),
        T(test_backend_keeps_a_prefix_of_whole_batches),
        T(test_backend_refuses_a_second_opener),
        T(test_backend_refuses_a_path_that_is_a_file),
        T(test_backend_detects_a_flipped_bit),
        T(test_backend_detects_a_flipped_bit_in_a_large_value),
        T(test_backend_compacts_deleted_values_away),
        T(test_backend_compacts_and_measures),
        T(test_backend_ends_a_merge_under_way),
        T(test_backend_takes_files_at_once_and_durably),
        T(test_backend_moves_values_of_an_earlier_version),
        T(test_backend_needs_room_to_move_values),
        T(test_backend_has_no_log_file_of_its_own),
        T(test_backend_bulk_refuses_rows_out_of_order),
        T(test_backend_bulk_says_which_file_it_cannot_make),
        T(test_backend_bulk_says_which_file_it_cannot_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
