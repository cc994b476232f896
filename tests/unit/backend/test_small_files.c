/* SPDX-License-Identifier: Apache-2.0
 * What RocksDB keeps beside its rows, MANIFEST, CURRENT, OPTIONS and IDENTITY, each byte of them
 * damaged in turn: the store is refused with words, or has every row that it had.
 *
 * KETCD_FLIPS=all: each bit of each byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/buf.h"
#include "base/mem.h"
#include "tests/shared/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLUSHES = 4, ROWS = 5, BIG = 5000, FILE_MAX = 1 << 20 };

struct place {
    char dir[FOLDER_PATH_MAX];
    char *whole;
    char *copy;
    struct buf rows; /* of the whole one */
};

static struct err open_store(
    const char *path, bool is_received, struct backend **out, struct why *why)
{
    struct backend_options options = {.path = path, .is_received = is_received};
    return backend_open(&options, out, why);
}

/* Every row, by a walk; and values by their keys as well. */
static struct err read_rows(struct backend *store, struct buf *out, struct why *why)
{
    struct slice key;
    struct slice value;
    struct backend_iter *iter =
        backend_iter_open(store, NULL, (struct slice){0}, (struct slice){0});
    while (backend_iter_next(iter, &key, &value)) {
        buf_add(out, key.data, key.len);
        buf_add(out, value.data, value.len);
    }
    struct err err = backend_iter_err(iter, why);
    backend_iter_close(iter);
    for (int i = 0; i < FLUSHES * ROWS && !err_is(err); i++) {
        struct blob *blob = NULL;
        char name[16];
        snprintf(name, sizeof(name), "d%06d", i);
        err = backend_get(store, NULL, slice_str(name), &blob, why);
        if (blob) {
            buf_add(out, blob->data, blob->len);
        }
        blob_unref(blob);
    }
    return err;
}

/* Small values and some that stand apart, in files of several flushes; some rows are deleted by a
 * later one. */
static void fill(struct backend *store)
{
    char key[16];
    uint8_t *big = mem_new(BIG);
    for (int i = 0; i < FLUSHES * ROWS; i++) {
        struct backend_batch *batch = backend_batch_new();
        snprintf(key, sizeof(key), "d%06d", i);
        memset(big, 'a' + i, BIG);
        backend_batch_put(batch, slice_str(key), slice_of(big, (size_t)(i % 2 ? BIG : 30)));
        key[0] = 'l';
        backend_batch_put(batch, slice_str(key), SLICE("row"));
        backend_batch_put(batch, SLICE("mapplied"), slice_str(key));
        snprintf(key, sizeof(key), "l%06d", i - ROWS);
        backend_batch_delete(batch, slice_str(key));
        assert_false(err_is(backend_write(store, batch, NULL)));
        backend_batch_free(batch);
        if (i % ROWS == ROWS - 1) {
            assert_false(err_is(backend_flush(store, NULL)));
        }
    }
    free(big);
}

static int setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    struct backend *store = NULL;
    folder_make(place->dir);
    place->whole = mem_printf("%s/whole", place->dir);
    place->copy = mem_printf("%s/copy", place->dir);
    buf_init(&place->rows, SIZE_MAX / 2);
    *state = place;
    if (err_is(open_store(place->whole, false, &store, NULL))) {
        return -1;
    }
    fill(store);
    struct err err = read_rows(store, &place->rows, NULL);
    backend_close(store);
    return err_is(err) ? -1 : 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    folder_remove(place->dir);
    buf_fini(&place->rows);
    free(place->whole);
    free(place->copy);
    free(place);
    return 0;
}

static size_t read_file(const char *path, uint8_t *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t len = read(fd, out, FILE_MAX);
    assert_in_range(len, 0, FILE_MAX - 1);
    close(fd);
    return (size_t)len;
}

static void write_file(const char *path, const uint8_t *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static bool ends(const char *name, const char *end)
{
    size_t len = strlen(name);
    return len >= strlen(end) && strcmp(name + len - strlen(end), end) == 0;
}

/* Rows' files, which are written once, under second names; all others as bytes. */
static void copy_store(const struct place *place, uint8_t *bytes)
{
    DIR *dir = opendir(place->whole);
    assert_non_null(dir);
    assert_int_equal(mkdir(place->copy, 0700), 0);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *from = mem_printf("%s/%s", place->whole, entry->d_name);
        char *to = mem_printf("%s/%s", place->copy, entry->d_name);
        if (ends(from, ".sst") || ends(from, ".blob")) {
            assert_int_equal(link(from, to), 0);
        } else if (entry->d_name[0] != '.') {
            write_file(to, bytes, read_file(from, bytes));
        }
        free(from);
        free(to);
    }
    closedir(dir);
}

/* The file whose name begins so; there is one. */
static char *find(const struct place *place, const char *begin)
{
    char *found = NULL;
    DIR *dir = opendir(place->whole);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, begin, strlen(begin)) == 0) {
            free(found);
            found = mem_strdup(entry->d_name);
        }
    }
    closedir(dir);
    assert_non_null(found);
    return found;
}

/* Whether the copy, damaged as what says, was refused. */
static bool is_refused(const struct place *place, bool is_received, const char *what)
{
    struct why why = {""};
    struct backend *store = NULL;
    struct buf rows;
    buf_init(&rows, SIZE_MAX / 2);
    struct err err = open_store(place->copy, is_received, &store, &why);
    if (!err_is(err)) {
        err = read_rows(store, &rows, &why);
    }
    if (err_is(err) && !strstr(why.text, place->copy)) {
        fail_msg("%s: refused without words: %s %s", what, err_name(err), why.text);
    }
    if (!err_is(err) && !slice_eq(buf_slice(&rows), buf_slice(&place->rows))) {
        fail_msg("%s: opened with other rows: %zu bytes of %zu", what, rows.len, place->rows.len);
    }
    backend_close(store);
    buf_fini(&rows);
    return err_is(err);
}

static bool is_all(void)
{
    const char *asked = getenv("KETCD_FLIPS");
    return asked && strcmp(asked, "all") == 0;
}

/* One bit of every so-manieth byte, another one each time. */
static void check_flips_each(
    const struct place *place, const char *begin, bool is_received, size_t step)
{
    uint8_t *bytes = mem_new(FILE_MAX);
    uint8_t *others = mem_new(FILE_MAX);
    char *name = find(place, begin);
    char *path = mem_printf("%s/%s", place->copy, name);
    char *whole = mem_printf("%s/%s", place->whole, name);
    size_t len = read_file(whole, bytes);
    size_t refused = 0;
    size_t count = 0;
    assert_true(len > 0);
    for (size_t bit = 0; bit < len * 8; bit++) {
        char what[64];
        size_t at = bit / 8;
        if (!is_all() && (at % step || bit % 8 != at / step % 8)) {
            continue;
        }
        snprintf(what, sizeof(what), "%s, bit %zu of byte %zu", name, bit % 8, at);
        copy_store(place, others);
        bytes[at] ^= (uint8_t)(1 << bit % 8);
        write_file(path, bytes, len);
        bytes[at] ^= (uint8_t)(1 << bit % 8);
        refused += is_refused(place, is_received, what);
        count++;
        folder_remove(place->copy);
    }
    print_message("%s%s: %zu of %zu flips refused, the others of no effect\n", name,
        is_received ? ", received" : "", refused, count);
    free(bytes);
    free(others);
    free(name);
    free(path);
    free(whole);
}

static void check_flips(const struct place *place, const char *begin, bool is_received)
{
    check_flips_each(place, begin, is_received, 1);
}

static void test_manifest(void **state)
{
    check_flips(*state, "MANIFEST-", false);
}

/* As a crash leaves one: its last change was not made. Where that was a merge, whose files before
 * are gone here, RocksDB misses them. */
static void test_torn_manifest(void **state)
{
    enum { CUTS = 20 };
    const struct place *place = *state;
    uint8_t *bytes = mem_new(FILE_MAX);
    char *name = find(place, "MANIFEST-");
    char *path = mem_printf("%s/%s", place->copy, name);
    for (off_t cut = 1; cut <= CUTS; cut++) {
        struct why why = {""};
        struct stat st;
        struct backend *store = NULL;
        copy_store(place, bytes);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - cut), 0);
        if (err_is(open_store(place->copy, false, &store, &why)) &&
            !strstr(why.text, "No such file")) {
            fail_msg("%lld bytes less: %s", (long long)cut, why.text);
        }
        backend_close(store);
        folder_remove(place->copy);
    }
    free(path);
    free(name);
    free(bytes);
}

/* Sectors of the last edit that were not written read as zeros: its head, while what lies behind is
 * there, or what lies behind its first bytes. Nothing that was ever synced is missing. */
static void test_holed_manifest(void **state)
{
    enum { HOLE = 300, REST = 100 };
    static const uint8_t HEAD[] = {0x11, 0x22, 0x33, 0x44};
    const struct place *place = *state;
    uint8_t *bytes = mem_new(FILE_MAX);
    uint8_t rest[REST];
    uint8_t hole[HOLE] = {0};
    memset(rest, 0x55, sizeof(rest));
    for (unsigned is_head = 0; is_head < 2; is_head++) {
        char *name = find(place, "MANIFEST-");
        char *path = mem_printf("%s/%s", place->copy, name);
        copy_store(place, bytes);
        FILE *file = fopen(path, "abe");
        assert_non_null(file);
        assert_int_equal(fwrite(HEAD, 1, is_head * sizeof(HEAD), file), is_head * sizeof(HEAD));
        assert_int_equal(fwrite(hole, 1, sizeof(hole), file), sizeof(hole));
        size_t tail = is_head ? 0 : sizeof(rest);
        assert_int_equal(fwrite(rest, 1, tail, file), tail);
        assert_int_equal(fclose(file), 0);
        assert_false(is_refused(place, false, is_head ? "half a head" : "a hole"));
        folder_remove(place->copy);
        free(path);
        free(name);
    }
    free(bytes);
}

static void test_received_manifest(void **state)
{
    check_flips(*state, "MANIFEST-", true);
}

static void test_current(void **state)
{
    check_flips(*state, "CURRENT", false);
    check_flips(*state, "CURRENT", true);
}

static void test_identity(void **state)
{
    check_flips(*state, "IDENTITY", false);
}

/* Which nobody reads: 11 KiB of text. */
static void test_options(void **state)
{
    enum { STEP = 61 };
    const struct place *place = *state;
    check_flips_each(place, "OPTIONS-", false, STEP);
    uint8_t *bytes = mem_new(FILE_MAX);
    char *name = find(place, "OPTIONS-");
    char *path = mem_printf("%s/%s", place->copy, name);
    copy_store(place, bytes);
    write_file(path, (const uint8_t *)"\xff\xfe", 2);
    assert_false(is_refused(place, false, "OPTIONS of two bytes"));
    free(path);
    free(name);
    free(bytes);
}

#define PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE(test_manifest),
        PLACE(test_torn_manifest),
        PLACE(test_holed_manifest),
        PLACE(test_received_manifest),
        PLACE(test_current),
        PLACE(test_identity),
        PLACE(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
