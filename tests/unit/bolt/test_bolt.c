/* SPDX-License-Identifier: Apache-2.0
 * What the writer made is read back and holds against the check; damaged files are refused. */
#include "base/mem.h"
#include "bolt/format.h"
#include "disk/faulty.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PATH "/db"

static int setup(void **state)
{
    *state = disk_faulty_new(1);
    return 0;
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

static struct disk_file *new_file(struct disk *disk)
{
    struct disk_file *file;
    expect(
        disk_open(disk, PATH, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, 0600, &file, NULL), ERR_OK);
    return file;
}

static struct slice key_of(uint64_t i, char out[32])
{
    return slice_of(out, (size_t)snprintf(out, 32, "key-%012llu", (unsigned long long)i));
}

static size_t value_len(uint64_t i, size_t value_max)
{
    return (size_t)(i * 2654435761u % (value_max + 1));
}

/* One bucket of count keys between a small and an empty one. */
static void write_db(struct disk *disk, uint64_t count, size_t value_max)
{
    struct disk_file *file = new_file(disk);
    struct bolt_writer *writer = bolt_writer_new(file);
    uint64_t bytes;
    uint64_t size;
    char key[32];
    uint8_t *value = mem_alloc(value_max + 1);
    memset(value, 'v', value_max);
    expect(bolt_writer_bucket(writer, SLICE("alarm"), NULL), ERR_OK);
    expect(bolt_writer_bucket(writer, SLICE("key"), NULL), ERR_OK);
    for (uint64_t i = 0; i < count; i++) {
        struct slice data = slice_of(value, value_len(i, value_max));
        expect(bolt_writer_put(writer, key_of(i, key), data, NULL), ERR_OK);
    }
    expect(bolt_writer_bucket(writer, SLICE("meta"), NULL), ERR_OK);
    expect(bolt_writer_put(writer, SLICE("a"), SLICE("1"), NULL), ERR_OK);
    expect(bolt_writer_put(writer, SLICE("b"), SLICE(""), NULL), ERR_OK);
    expect(bolt_writer_end(writer, &bytes, NULL), ERR_OK);
    expect(disk_size(file, &size, NULL), ERR_OK);
    assert_int_equal(size, bytes);
    bolt_writer_free(writer);
    disk_close(file);
    free(value);
}

static void read_db(struct disk *disk, uint64_t count, size_t value_max)
{
    struct bolt *bolt;
    struct bolt_cursor *cursor;
    struct bolt_item item;
    struct why why = {""};
    char key[32];
    expect(bolt_open(disk, PATH, &bolt, &why), ERR_OK);
    struct err e = bolt_check(bolt, &why);
    assert_string_equal(err_is(e) ? why.text : "", "");
    expect(bolt_bucket(bolt, SLICE("key"), &cursor, NULL), ERR_OK);
    for (uint64_t i = 0; i < count; i++) {
        expect(bolt_next(cursor, &item, NULL), ERR_OK);
        assert_true(slice_eq(item.key, key_of(i, key)));
        assert_int_equal(item.value.len, value_len(i, value_max));
        assert_false(item.is_bucket);
    }
    expect(bolt_next(cursor, &item, NULL), ERR_OK);
    assert_true(item.is_end);
    bolt_cursor_close(cursor);
    expect(bolt_bucket(bolt, SLICE("nothing"), &cursor, NULL), ERR_OK);
    assert_null(cursor);
    expect(bolt_bucket(bolt, SLICE("alarm"), &cursor, NULL), ERR_OK);
    expect(bolt_next(cursor, &item, NULL), ERR_OK);
    assert_true(item.is_end);
    bolt_cursor_close(cursor);
    expect(bolt_bucket(bolt, SLICE("meta"), &cursor, NULL), ERR_OK);
    expect(bolt_next(cursor, &item, NULL), ERR_OK);
    assert_true(slice_eq(item.value, SLICE("1")));
    bolt_cursor_close(cursor);
    bolt_close(bolt);
}

static void test_writer_is_read_back(void **state)
{
    static const struct {
        uint64_t count;
        size_t value_max;
    } shapes[] = {
        {0, 0}, {1, 0}, {3, 200}, {20, 40}, {500, 100}, {20000, 60}, {40, 9000}, {3, 700000}};
    struct disk *disk = *state;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        write_db(disk, shapes[i].count, shapes[i].value_max);
        read_db(disk, shapes[i].count, shapes[i].value_max);
    }
}

static void test_writer_refuses_disorder(void **state)
{
    struct disk_file *file = new_file(*state);
    struct bolt_writer *writer = bolt_writer_new(file);
    expect(bolt_writer_bucket(writer, SLICE("b"), NULL), ERR_OK);
    expect(bolt_writer_put(writer, SLICE("k"), SLICE(""), NULL), ERR_OK);
    expect(bolt_writer_put(writer, SLICE("k"), SLICE(""), NULL), ERR_BAD_INPUT);
    expect(bolt_writer_put(writer, SLICE(""), SLICE(""), NULL), ERR_BAD_INPUT);
    expect(bolt_writer_bucket(writer, SLICE("a"), NULL), ERR_BAD_INPUT);
    expect(bolt_writer_bucket(writer, SLICE("b"), NULL), ERR_BAD_INPUT);
    bolt_writer_free(writer);
    disk_close(file);
}

static void test_writer_reports_a_full_disk(void **state)
{
    struct disk_file *file = new_file(*state);
    struct bolt_writer *writer = bolt_writer_new(file);
    uint64_t bytes;
    expect(bolt_writer_bucket(writer, SLICE("b"), NULL), ERR_OK);
    disk_faulty_fail(*state, 1, ERR(NO_DISK), true);
    expect(bolt_writer_end(writer, &bytes, NULL), ERR_NO_DISK);
    bolt_writer_free(writer);
    disk_close(file);
}

static struct err walk_all(struct bolt *bolt)
{
    struct bolt_cursor *root;
    struct bolt_item item = {0};
    TRY(bolt_root(bolt, &root, NULL));
    struct err e = bolt_next(root, &item, NULL);
    while (!err_is(e) && !item.is_end) {
        struct bolt_cursor *cursor = NULL;
        struct bolt_item inner = {0};
        e = bolt_bucket(bolt, item.key, &cursor, NULL);
        while (!err_is(e) && cursor && !inner.is_end) {
            e = bolt_next(cursor, &inner, NULL);
        }
        bolt_cursor_close(cursor);
        if (!err_is(e)) {
            e = bolt_next(root, &item, NULL);
        }
    }
    bolt_cursor_close(root);
    return e;
}

static void test_open_takes_the_other_meta(void **state)
{
    struct disk *disk = *state;
    struct bolt *bolt;
    write_db(disk, 500, 100);
    disk_faulty_poke(disk, PATH, 16 + 20, SLICE("x"));
    read_db(disk, 500, 100);
    disk_faulty_poke(disk, PATH, 4096 + 16 + 20, SLICE("x"));
    expect(bolt_open(disk, PATH, &bolt, NULL), ERR_BAD_FORMAT);
}

static void test_open_refuses_a_short_file(void **state)
{
    struct disk *disk = *state;
    struct disk_file *file;
    struct bolt *bolt;
    write_db(disk, 500, 100);
    expect(disk_open(disk, PATH, DISK_WRITE, 0, &file, NULL), ERR_OK);
    expect(disk_truncate(file, 5 * 4096, NULL), ERR_OK);
    disk_close(file);
    expect(bolt_open(disk, PATH, &bolt, NULL), ERR_TORN);
}

/* A branch that points to itself, or to one leaf twice. */
static void test_circles_are_refused(void **state)
{
    struct disk *disk = *state;
    struct bolt *bolt;
    uint8_t *data;
    size_t len;
    size_t branches = 0;
    write_db(disk, 500, 100);
    expect(disk_read_file(disk, PATH, SIZE_MAX, &data, &len, NULL), ERR_OK);
    for (size_t at = 2 * 4096; at < len; at += 4096) {
        if (data[at + 8] != 1) {
            continue;
        }
        branches++;
        disk_faulty_poke(disk, PATH, at + 16 + 16 + 8, slice_of(data + at, 8));
        expect(bolt_open(disk, PATH, &bolt, NULL), ERR_OK);
        expect(walk_all(bolt), ERR_BAD_FORMAT);
        expect(bolt_check(bolt, NULL), ERR_BAD_FORMAT);
        bolt_close(bolt);
        disk_faulty_poke(disk, PATH, at + 16 + 16 + 8, slice_of(data + at + 16 + 8, 8));
        expect(bolt_open(disk, PATH, &bolt, NULL), ERR_OK);
        expect(walk_all(bolt), ERR_BAD_FORMAT);
        expect(bolt_check(bolt, NULL), ERR_BAD_FORMAT);
        bolt_close(bolt);
        disk_faulty_poke(disk, PATH, at, slice_of(data + at, 4096));
    }
    assert_int_equal(branches, 1);
    free(data);
}

/* With two more pages: the list of the free ones, which names the other, and one more (0: none). */
static void add_freelist(struct disk *disk, uint64_t also)
{
    uint8_t page[2 * 4096] = {0};
    uint8_t *data;
    size_t len;
    struct meta meta;
    struct disk_file *file;
    write_db(disk, 30, 100);
    expect(disk_read_file(disk, PATH, SIZE_MAX, &data, &len, NULL), ERR_OK);
    assert_true(meta_parse(data + PAGE_HEAD, &meta));
    meta.freelist = meta.pages;
    meta.pages += 2;
    page_head_put(page, meta.freelist, PAGE_FREE, also ? 2 : 1, 0);
    put_le64(page + PAGE_HEAD, meta.freelist + 1);
    put_le64(page + PAGE_HEAD + 8, also);
    meta_put(data + PAGE_HEAD, &meta);
    expect(disk_open(disk, PATH, DISK_WRITE, 0, &file, NULL), ERR_OK);
    expect(disk_write(file, len, slice_of(page, sizeof(page)), NULL), ERR_OK);
    disk_close(file);
    disk_faulty_poke(disk, PATH, PAGE_HEAD, slice_of(data + PAGE_HEAD, META));
    disk_faulty_poke(disk, PATH, 4096 + PAGE_HEAD, slice_of(data + PAGE_HEAD, META));
    free(data);
}

static void test_a_freelist_names_pages_of_the_file(void **state)
{
    static const uint64_t beyond[] = {1 << 20, UINT64_MAX - 1, UINT64_MAX};
    struct disk *disk = *state;
    struct bolt *bolt;
    add_freelist(disk, 0);
    expect(bolt_open(disk, PATH, &bolt, NULL), ERR_OK);
    expect(bolt_check(bolt, NULL), ERR_OK);
    bolt_close(bolt);
    for (size_t i = 0; i < COUNT_OF(beyond); i++) {
        add_freelist(disk, beyond[i]);
        expect(bolt_open(disk, PATH, &bolt, NULL), ERR_OK);
        expect(bolt_check(bolt, NULL), ERR_BAD_FORMAT);
        bolt_close(bolt);
    }
}

/* No flipped bit in a page's head or elements makes the reader leave the page. */
static void test_flipped_bits_stay_inside(void **state)
{
    struct disk *disk = *state;
    struct bolt *bolt;
    uint8_t *data;
    size_t len;
    size_t refused = 0;
    write_db(disk, 30, 900);
    expect(disk_read_file(disk, PATH, SIZE_MAX, &data, &len, NULL), ERR_OK);
    for (size_t page = 2; page < len / 4096; page++) {
        for (size_t bit = 0; bit < 80 * 8; bit++) {
            size_t at = page * 4096 + bit / 8;
            uint8_t byte = data[at] ^ (uint8_t)(1 << bit % 8);
            disk_faulty_poke(disk, PATH, at, slice_of(&byte, 1));
            expect(bolt_open(disk, PATH, &bolt, NULL), ERR_OK);
            refused += err_is(walk_all(bolt)) || err_is(bolt_check(bolt, NULL));
            bolt_close(bolt);
            disk_faulty_poke(disk, PATH, at, slice_of(&data[at], 1));
        }
    }
    assert_true(refused > 1000);
    free(data);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_writer_is_read_back),
        T(test_writer_refuses_disorder),
        T(test_writer_reports_a_full_disk),
        T(test_open_takes_the_other_meta),
        T(test_open_refuses_a_short_file),
        T(test_circles_are_refused),
        T(test_a_freelist_names_pages_of_the_file),
        T(test_flipped_bits_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
