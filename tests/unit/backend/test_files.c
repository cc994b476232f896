/* SPDX-License-Identifier: Apache-2.0
 * The store as files: given away, looked through, and another's put in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backend/backend.h"
#include "base/mem.h"
#include "tests/shared/folder.h"
#include "tests/unit/backend/look.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BIG = 100 * 1024, SMALL_ROWS = 5000 };

struct place {
    char dir[FOLDER_PATH_MAX];
    char *from_path;
    char *to_path;
    char *files; /* of from */
    struct backend *from;
    struct backend *to;
};

static struct backend *open_store(const char *path)
{
    struct why why = {""};
    struct backend *store = NULL;
    if (err_is(backend_open(&(struct backend_options){.path = path}, &store, &why))) {
        fail_msg("%s", why.text);
    }
    return store;
}

static int setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    folder_make(place->dir);
    place->from_path = mem_printf("%s/from", place->dir);
    place->to_path = mem_printf("%s/to", place->dir);
    place->files = mem_printf("%s/files", place->dir);
    place->from = open_store(place->from_path);
    place->to = open_store(place->to_path);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    backend_close(place->from);
    backend_close(place->to);
    folder_remove(place->dir);
    free(place->from_path);
    free(place->to_path);
    free(place->files);
    free(place);
    return 0;
}

static void put(struct backend *store, const char *key, struct slice value)
{
    struct backend_batch *batch = backend_batch_new();
    backend_batch_put(batch, slice_str(key), value);
    assert_false(err_is(backend_write(store, batch, NULL)));
    backend_batch_free(batch);
}

static bool has(struct backend *store, const char *key, size_t len)
{
    struct blob *value = NULL;
    assert_false(err_is(backend_get(store, NULL, slice_str(key), &value, NULL)));
    bool is = value && value->len == len;
    blob_unref(value);
    return is;
}

/* Values in blocks, and some that stand apart. */
static void fill(struct backend *store)
{
    char key[16];
    uint8_t *big = mem_new(BIG);
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (uint8_t)(i * 2654435761U >> 13);
    }
    for (int i = 0; i < SMALL_ROWS; i++) {
        snprintf(key, sizeof(key), "l%06d", i);
        put(store, key, SLICE("small"));
    }
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "d%06d", i);
        put(store, key, slice_of(big, (size_t)(BIG - i)));
    }
    free(big);
}

static void checkpoint(struct place *place)
{
    struct why why = {""};
    fill(place->from);
    if (err_is(backend_checkpoint(place->from, place->files, &why))) {
        fail_msg("%s", why.text);
    }
}

static void replace(struct place *place)
{
    struct why why = {""};
    char *aside = mem_printf("%s/aside", place->dir);
    if (err_is(backend_replace(place->to, place->files, aside, &why))) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(access(aside, F_OK), 0);
    assert_int_not_equal(access(place->files, F_OK), 0);
    free(aside);
}

/* What was only in memory is in the files; what comes later is not. */
static void test_files_become_another_store(void **state)
{
    struct place *place = *state;
    put(place->to, "lold", SLICE("old"));
    checkpoint(place);
    put(place->from, "llate", SLICE("late"));
    replace(place);
    assert_true(has(place->to, "l000000", 5));
    assert_true(has(place->to, "d000019", BIG - 19));
    assert_false(has(place->to, "lold", 3));
    assert_false(has(place->to, "llate", 4));
    assert_true(has(place->from, "llate", 4));
    put(place->to, "lnew", SLICE("new"));
    assert_false(err_is(backend_flush(place->to, NULL)));
    backend_close(place->to);
    place->to = open_store(place->to_path);
    assert_true(has(place->to, "lnew", 3));
    assert_true(has(place->to, "d000007", BIG - 7));
}

struct reading {
    struct backend *store;
    atomic_bool is_over;
    atomic_size_t rounds;
};

/* A round sees the old store or the new one. */
static void *read_on(void *arg)
{
    struct reading *reading = arg;
    struct slice key;
    struct slice value;
    while (!atomic_load(&reading->is_over)) {
        size_t count = 0;
        struct backend_iter *iter = backend_iter_open(reading->store, NULL, SLICE("l"), SLICE("m"));
        while (backend_iter_next(iter, &key, &value)) {
            count++;
        }
        assert_false(err_is(backend_iter_err(iter, NULL)));
        backend_iter_close(iter);
        assert_true(count == 1 || count == SMALL_ROWS);
        assert_true(has(reading->store, "l000001", 5) || count == 1);
        atomic_fetch_add(&reading->rounds, 1);
    }
    return NULL;
}

static void test_readers_see_one_or_the_other(void **state)
{
    struct place *place = *state;
    pthread_t thread;
    put(place->to, "lold", SLICE("old"));
    checkpoint(place);
    struct reading reading = {.store = place->to};
    assert_int_equal(pthread_create(&thread, NULL, read_on, &reading), 0);
    while (atomic_load(&reading.rounds) < 2) {
        usleep(1000);
    }
    replace(place);
    size_t rounds = atomic_load(&reading.rounds);
    while (atomic_load(&reading.rounds) < rounds + 2) {
        usleep(1000);
    }
    atomic_store(&reading.is_over, true);
    pthread_join(thread, NULL);
    assert_true(has(place->to, "l000001", 5));
}

/* One name that ends so. */
static char *find(const struct place *place, const char *end)
{
    char *found = NULL;
    DIR *dir = opendir(place->files);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *at = strstr(entry->d_name, end);
        if (!found && at && strlen(at) == strlen(end)) {
            found = mem_printf("%s/%s", place->files, entry->d_name);
        }
    }
    closedir(dir);
    assert_non_null(found);
    return found;
}

/* Each byte of the first and last, and some between. */
static off_t step_at(off_t at, off_t size)
{
    enum { EDGE = 1500, STEP = 997 };
    return at < EDGE || at + EDGE > size ? 1 : STEP;
}

static void flip(int fd, off_t at, uint8_t bit)
{
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= bit;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

/* The file is from's too, under its other name: a copy is damaged. Zeros fill a foot up, which
 * nobody reads, and with its highest bit its last number goes on into them. */
static void check_damaged(const struct place *place, const char *end, off_t foot, uint8_t bit)
{
    enum { FOOT_END = 12 };
    struct why why = {""};
    struct stat st;
    char *path = find(place, end);
    char *copy = mem_printf("%s/000001%s", place->dir, end);
    char *command = mem_printf("cp %s %s", path, copy);
    assert_int_equal(system(command), 0);
    if (err_is(look(copy, &why))) {
        fail_msg("%s", why.text);
    }
    int fd = open(copy, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    for (off_t at = 0; at < st.st_size; at += step_at(at, st.st_size)) {
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        if ((byte == 0 || bit == 0x80) && at > st.st_size - foot && at < st.st_size - FOOT_END) {
            continue;
        }
        flip(fd, at, bit);
        if (!err_is(look(copy, &why))) {
            fail_msg("%s: nobody saw the bit at %lld", end, (long long)at);
        }
        assert_non_null(strstr(why.text, copy));
        flip(fd, at, bit);
    }
    assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
    assert_true(err_is(look(copy, &why)));
    assert_int_equal(ftruncate(fd, 20), 0);
    assert_true(err_is(look(copy, &why)));
    close(fd);
    free(command);
    free(copy);
    free(path);
}

static void test_a_flipped_bit_is_found_in_blocks(void **state)
{
    checkpoint(*state);
    enum { FOOT = 53 };
    check_damaged(*state, ".sst", FOOT, 0x10);
}

/* The highest bit in a block's last number says how it is to be searched. */
static void test_a_flipped_bit_is_found_before_a_table_is_opened(void **state)
{
    checkpoint(*state);
    enum { FOOT = 53 };
    check_damaged(*state, ".sst", FOOT, 0x80);
}

/* The highest bit of the properties' last number, which RocksDB trusts before their checksum. */
static void test_a_flipped_bit_of_the_own_table_refuses_the_start(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    struct backend *store = NULL;
    struct stat st;
    checkpoint(place);
    char *path = find(place, ".sst");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    size_t refused = 0;
    for (off_t at = 0; at < st.st_size; at++) {
        flip(fd, at, 0x80);
        bool is_seen = err_is(look(path, &why));
        if (is_seen && strstr(why.text, "a block does not fit its checksum")) {
            struct backend_options options = {.path = place->files};
            assert_true(err_is(backend_open(&options, &store, &why)));
            assert_non_null(strstr(why.text, "a block does not fit its checksum"));
            refused++;
        }
        flip(fd, at, 0x80);
    }
    close(fd);
    free(path);
    assert_true(refused > 100);
}

/* That is no damage, and nobody is to hear of any. */
static void test_a_table_that_cannot_be_read_is_not_called_damaged(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    struct backend *store = NULL;
    checkpoint(place);
    char *path = find(place, ".sst");
    char *away = mem_printf("%s.away", path);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink("loop.sst", path), 0);
    char *loop = mem_printf("%s/loop.sst", place->files);
    assert_int_equal(symlink("loop.sst", loop), 0);
    struct backend_options options = {.path = place->files};
    assert_true(IS(backend_open(&options, &store, &why), IO));
    assert_null(strstr(why.text, "Corruption"));
    free(loop);
    free(away);
    free(path);
}

/* Such a file was written to once more, behind its checksums' back. */
static void test_a_file_that_was_taken_in_is_whole(void **state)
{
    struct place *place = *state;
    struct why why = {""};
    char *const *paths;
    struct backend_bulk *bulk = backend_bulk_new_in(place->from, "bulk");
    put(place->from, "l2", SLICE("over"));
    assert_false(err_is(backend_bulk_put(bulk, SLICE("l2"), SLICE("in"), NULL)));
    assert_false(err_is(backend_bulk_end(bulk, NULL)));
    size_t count = backend_bulk_paths(bulk, &paths);
    assert_false(err_is(backend_take_files(place->from, paths, count, NULL)));
    backend_bulk_free(bulk, true);
    assert_false(err_is(backend_checkpoint(place->from, place->files, NULL)));
    DIR *dir = opendir(place->files);
    assert_non_null(dir);
    size_t looked_at = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strstr(entry->d_name, ".sst")) {
            char *path = mem_printf("%s/%s", place->files, entry->d_name);
            if (err_is(look(path, &why))) {
                fail_msg("%s", why.text);
            }
            free(path);
            looked_at++;
        }
    }
    closedir(dir);
    assert_true(looked_at >= 2);
}

static void test_a_flipped_bit_is_found_in_values_apart(void **state)
{
    checkpoint(*state);
    check_damaged(*state, ".blob", 0, 0x10);
}

/* The foot of a table, 53 bytes: one for the kind of checksum, then place and length of a block. */
static void test_a_length_that_no_memory_can_hold_is_refused(void **state)
{
    static const uint8_t handle[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f};
    enum { FOOT = 53 };
    const struct place *place = *state;
    struct why why = {""};
    struct stat st;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("the sanitizer ends a process that asks for so much\n");
    skip();
#endif
    checkpoint(*state);
    char *path = find(place, ".sst");
    char *copy = mem_printf("%s/000001.sst", place->dir);
    char *command = mem_printf("cp %s %s", path, copy);
    assert_int_equal(system(command), 0);
    int fd = open(copy, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(
        pwrite(fd, handle, sizeof(handle), st.st_size - FOOT + 1), (ssize_t)sizeof(handle));
    close(fd);
    assert_true(IS(look(copy, &why), BAD_CRC));
    free(command);
    free(copy);
    free(path);
}

/* Whoever asks for one stops the member when its store has failed. */
static void test_second_names_that_cannot_be_made_are_no_failure_of_the_store(void **state)
{
    struct place *place = *state;
    assert_int_equal(mkdir(place->files, 0700), 0);
    assert_true(err_is(backend_checkpoint(place->from, place->files, NULL)));
    assert_false(err_is(backend_health(place->from, NULL)));
}

static void test_only_a_stores_names_are_its_own(void **state)
{
    static const char *const own[] = {"000012.sst", "7.blob", "CURRENT", "MANIFEST-000004"};
    static const char *const others[] = {"", ".sst", "../1.sst", "1.sst/", "LOCK", "MANIFEST-",
        "MANIFEST-1/x", "CURRENT2", "x1.sst", "12345678901234567890.sst", "1.log", "MANIFEST-1a"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        assert_true(backend_file_is_ours(own[i]));
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        assert_false(backend_file_is_ours(others[i]));
    }
    assert_non_null(strstr(backend_files_format(), "rocksdb-"));
}

#define PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE(test_files_become_another_store),
        PLACE(test_readers_see_one_or_the_other),
        PLACE(test_a_flipped_bit_is_found_in_blocks),
        PLACE(test_a_flipped_bit_is_found_before_a_table_is_opened),
        PLACE(test_a_file_that_was_taken_in_is_whole),
        PLACE(test_a_flipped_bit_of_the_own_table_refuses_the_start),
        PLACE(test_a_table_that_cannot_be_read_is_not_called_damaged),
        PLACE(test_a_flipped_bit_is_found_in_values_apart),
        PLACE(test_a_length_that_no_memory_can_hold_is_refused),
        PLACE(test_second_names_that_cannot_be_made_are_no_failure_of_the_store),
        cmocka_unit_test(test_only_a_stores_names_are_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
