/* SPDX-License-Identifier: Apache-2.0
 * Every disk test runs on the machine's disk and on the faulty twin; then what only the twin does.
 */
#include "base/mem.h"
#include "disk/disk.h"
#include "disk/faulty.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    struct disk *disk;
    char dir[64];
};

static int real_setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    place->disk = disk_real();
    snprintf(place->dir, sizeof(place->dir), "/tmp/ketcd-disk-XXXXXX");
    *state = place;
    return mkdtemp(place->dir) ? 0 : -1;
}

static int real_teardown(void **state)
{
    struct place *place = *state;
    struct err e = disk_remove_all(place->disk, place->dir, NULL);
    free(place);
    return err_is(e) ? -1 : 0;
}

static int faulty_setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    place->disk = disk_faulty_new(7);
    snprintf(place->dir, sizeof(place->dir), "/data");
    *state = place;
    return err_is(disk_mkdir(place->disk, place->dir, 0700, NULL)) ? -1 : 0;
}

static int faulty_teardown(void **state)
{
    struct place *place = *state;
    disk_faulty_free(place->disk);
    free(place);
    return 0;
}

static void expect(struct err e, enum err_code code)
{
    assert_string_equal(err_name(e), err_name((struct err){code}));
}

static void test_disk_reads_what_it_wrote(void **state)
{
    struct place *place = *state;
    struct disk_file *file;
    uint64_t size;
    char *path = disk_path(place->dir, "a");
    char got[16] = {0};
    size_t len;
    expect(disk_open(place->disk, path, DISK_WRITE, 0600, &file, NULL), ERR_ABSENT);
    expect(disk_open(place->disk, path, DISK_WRITE | DISK_CREATE, 0600, &file, NULL), ERR_OK);
    expect(disk_write(file, 3, SLICE("hello"), NULL), ERR_OK);
    expect(disk_sync_data(file, NULL), ERR_OK);
    expect(disk_read(file, 0, got, sizeof(got), &len, NULL), ERR_OK);
    assert_int_equal(len, 8);
    assert_memory_equal(got, "\0\0\0hello", 8);
    expect(disk_allocate(file, 4096, NULL), ERR_OK);
    expect(disk_size(file, &size, NULL), ERR_OK);
    assert_int_equal(size, 4096);
    expect(disk_truncate(file, 5, NULL), ERR_OK);
    expect(disk_read(file, 3, got, sizeof(got), &len, NULL), ERR_OK);
    assert_int_equal(len, 2);
    disk_close(file);
    unsigned flags = DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE;
    expect(disk_open(place->disk, path, flags, 0600, &file, NULL), ERR_EXISTS);
    free(path);
}

/* Past the page cache or not, as the file system can: it is all there, aligned or not. */
/* What is written goes by the page cache then, and of the direct way nothing is tested. */
static void say_if_direct_is_refused(const struct place *place)
{
    char *path = disk_path(place->dir, "probe");
    int fd = place->disk == disk_real() ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && fcntl(fd, F_SETFL, O_DIRECT) != 0) {
        print_message(
            "%s: the file system refuses O_DIRECT: the way around it is tested\n", place->dir);
    }
    if (fd >= 0) {
        close(fd);
        expect(disk_remove(place->disk, path, NULL), ERR_OK);
    }
    free(path);
}

static void test_disk_writes_directly(void **state)
{
    enum { WHOLE = 3 * DISK_BLOCK, ALL = WHOLE + 100 };
    struct place *place = *state;
    struct disk_file *file;
    void *aligned = NULL;
    uint8_t *data;
    size_t len;
    unsigned flags = DISK_WRITE | DISK_CREATE | DISK_DIRECT;
    char *path = disk_path(place->dir, "direct");
    say_if_direct_is_refused(place);
    assert_int_equal(posix_memalign(&aligned, DISK_BLOCK, ALL), 0);
    uint8_t *bytes = aligned;
    for (size_t i = 0; i < ALL; i++) {
        bytes[i] = (uint8_t)(i * 31 >> 3);
    }
    for (size_t step = 1000; step <= ALL; step += ALL - 1000) { /* in pieces, and at once */
        expect(disk_open(place->disk, path, flags, 0600, &file, NULL), ERR_OK);
        for (size_t at = 0; at < ALL; at += step) {
            size_t size = ALL - at < step ? ALL - at : step;
            expect(disk_write(file, at, slice_of(bytes + at, size), NULL), ERR_OK);
        }
        expect(disk_sync(file, NULL), ERR_OK);
        disk_close(file);
        expect(disk_read_file(place->disk, path, ALL, &data, &len, NULL), ERR_OK);
        assert_int_equal(len, ALL);
        assert_memory_equal(data, bytes, ALL);
        free(data);
        expect(disk_remove(place->disk, path, NULL), ERR_OK);
    }
    free(aligned);
    free(path);
}

static void test_disk_reads_what_it_wrote_directly(void **state)
{
    struct place *place = *state;
    struct disk_file *file;
    void *block = NULL;
    uint8_t got[DISK_BLOCK];
    size_t len;
    unsigned flags = DISK_WRITE | DISK_CREATE | DISK_DIRECT;
    char *path = disk_path(place->dir, "direct");
    assert_int_equal(posix_memalign(&block, DISK_BLOCK, DISK_BLOCK), 0);
    memset(block, 'b', DISK_BLOCK);
    expect(disk_open(place->disk, path, flags, 0600, &file, NULL), ERR_OK);
    expect(disk_write(file, 0, slice_of(block, DISK_BLOCK), NULL), ERR_OK);
    expect(disk_read(file, 1, got + 1, 10, &len, NULL), ERR_OK);
    assert_int_equal(len, 10);
    assert_memory_equal(got + 1, block, 10);
    disk_close(file);
    free(block);
    free(path);
}

static void test_disk_lists_and_renames(void **state)
{
    struct place *place = *state;
    struct disk_names names;
    struct disk_stat stat;
    uint8_t *data;
    size_t len;
    char *b = disk_path(place->dir, "b");
    char *a = disk_path(place->dir, "a");
    char *deep = disk_path(place->dir, "x/y/z");
    char *x = disk_path(place->dir, "x");
    expect(disk_write_file(place->disk, b, SLICE("one"), 0600, NULL), ERR_OK);
    expect(disk_write_file(place->disk, b, SLICE("two!"), 0600, NULL), ERR_OK);
    expect(disk_rename(place->disk, b, a, NULL), ERR_OK);
    expect(disk_rename(place->disk, b, a, NULL), ERR_ABSENT);
    expect(disk_mkdir_all(place->disk, deep, 0700, NULL), ERR_OK);
    expect(disk_mkdir_all(place->disk, deep, 0700, NULL), ERR_OK);
    expect(disk_mkdir(place->disk, deep, 0700, NULL), ERR_EXISTS);
    expect(disk_list(place->disk, place->dir, &names, NULL), ERR_OK);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.names[0], "a");
    assert_string_equal(names.names[1], "x");
    disk_names_fini(&names);
    expect(disk_stat(place->disk, deep, &stat, NULL), ERR_OK);
    assert_true(stat.is_folder);
    expect(disk_read_file(place->disk, a, 3, &data, &len, NULL), ERR_TOO_BIG);
    expect(disk_read_file(place->disk, a, 4, &data, &len, NULL), ERR_OK);
    assert_memory_equal(data, "two!", 4);
    free(data);
    expect(disk_remove(place->disk, x, NULL), ERR_EXISTS);
    expect(disk_remove_all(place->disk, x, NULL), ERR_OK);
    assert_false(disk_exists(place->disk, x));
    free(a);
    free(b);
    free(deep);
    free(x);
}

static void test_disk_tells_free_space(void **state)
{
    struct place *place = *state;
    uint64_t bytes = 0;
    expect(disk_free_bytes(place->disk, place->dir, &bytes, NULL), ERR_OK);
    assert_true(bytes > 0);
}

static void test_disk_locks_once(void **state)
{
    struct place *place = *state;
    struct disk_file *one;
    struct disk_file *two;
    struct why why = {""};
    char *path = disk_path(place->dir, "l");
    expect(disk_open(place->disk, path, DISK_WRITE | DISK_CREATE, 0600, &one, NULL), ERR_OK);
    expect(disk_open(place->disk, path, DISK_WRITE, 0600, &two, NULL), ERR_OK);
    expect(disk_lock(one, NULL), ERR_OK);
    expect(disk_lock(two, &why), ERR_LOCKED);
    assert_non_null(strstr(why.text, path));
    disk_close(one);
    expect(disk_lock(two, NULL), ERR_OK);
    disk_close(two);
    free(path);
}

static void test_faulty_forgets_what_was_not_synced(void **state)
{
    struct place *place = *state;
    struct disk_file *file;
    uint8_t *data;
    size_t len;
    expect(disk_sync_folder(place->disk, "/", NULL), ERR_OK);
    expect(disk_open(place->disk, "/data/a", DISK_WRITE | DISK_CREATE, 0600, &file, NULL), ERR_OK);
    expect(disk_write(file, 0, SLICE("safe"), NULL), ERR_OK);
    expect(disk_sync(file, NULL), ERR_OK);
    expect(disk_sync_folder(place->disk, "/data", NULL), ERR_OK);
    expect(disk_write(file, 4, SLICE("lost"), NULL), ERR_OK);
    expect(disk_rename(place->disk, "/data/a", "/data/b", NULL), ERR_OK);
    disk_faulty_crash(place->disk, DISK_CRASH_LOSE);
    expect(disk_write(file, 0, SLICE("x"), NULL), ERR_IO);
    disk_close(file);
    assert_false(disk_exists(place->disk, "/data/b"));
    expect(disk_read_file(place->disk, "/data/a", 99, &data, &len, NULL), ERR_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "safe", 4);
    free(data);
}

static void test_faulty_fails_the_nth(void **state)
{
    struct place *place = *state;
    struct disk_file *file;
    disk_faulty_fail(place->disk, 2, ERR(NO_DISK), false);
    expect(disk_open(place->disk, "/data/a", DISK_WRITE | DISK_CREATE, 0600, &file, NULL), ERR_OK);
    expect(disk_write(file, 0, SLICE("x"), NULL), ERR_NO_DISK);
    expect(disk_write(file, 0, SLICE("x"), NULL), ERR_OK);
    disk_faulty_fail(place->disk, 1, ERR(IO), true);
    expect(disk_sync(file, NULL), ERR_IO);
    expect(disk_sync(file, NULL), ERR_IO);
    assert_int_equal(disk_faulty_ops(place->disk), 1 + 1 + 2 + 2);
    disk_close(file);
}

static void test_faulty_tears_by_sector(void **state)
{
    struct place *place = *state;
    struct disk_file *file;
    uint8_t page[512 * 64];
    uint8_t *data;
    size_t len;
    size_t kept = 0;
    memset(page, 7, sizeof(page));
    expect(disk_sync_folder(place->disk, "/", NULL), ERR_OK);
    expect(disk_open(place->disk, "/data/a", DISK_WRITE | DISK_CREATE, 0600, &file, NULL), ERR_OK);
    expect(disk_allocate(file, sizeof(page), NULL), ERR_OK);
    expect(disk_sync(file, NULL), ERR_OK);
    expect(disk_sync_folder(place->disk, "/data", NULL), ERR_OK);
    expect(disk_write(file, 0, slice_of(page, sizeof(page)), NULL), ERR_OK);
    disk_faulty_crash(place->disk, DISK_CRASH_TEAR);
    disk_close(file);
    expect(disk_read_file(place->disk, "/data/a", sizeof(page), &data, &len, NULL), ERR_OK);
    for (size_t i = 0; i < len; i += 512) {
        assert_int_equal(data[i], data[i + 511]);
        kept += data[i] == 7;
    }
    assert_in_range(kept, 1, 63);
    free(data);
}

#define BOTH(f)                                                                                    \
    cmocka_unit_test_setup_teardown(f, real_setup, real_teardown),                                 \
        cmocka_unit_test_setup_teardown(f, faulty_setup, faulty_teardown)
#define FAULTY(f) cmocka_unit_test_setup_teardown(f, faulty_setup, faulty_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_disk_reads_what_it_wrote),
        BOTH(test_disk_writes_directly),
        BOTH(test_disk_reads_what_it_wrote_directly),
        BOTH(test_disk_lists_and_renames),
        BOTH(test_disk_locks_once),
        BOTH(test_disk_tells_free_space),
        FAULTY(test_faulty_forgets_what_was_not_synced),
        FAULTY(test_faulty_fails_the_nth),
        FAULTY(test_faulty_tears_by_sector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
