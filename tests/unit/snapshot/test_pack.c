/* SPDX-License-Identifier: Apache-2.0
 * The store's files from one member to another: whole and right, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "snap/snap.h"
#include "snapshot/arrival.h"
#include "snapshot/snapshot.h"
#include "tests/shared/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { INDEX = 0x12, TERM = 3, HEAD = 48, FOOT = 8, FILES_MAX = 10000 };

struct place {
    char from_dir[FOLDER_PATH_MAX];
    char from_snap_dir[FOLDER_PATH_MAX];
    char snap_dir[FOLDER_PATH_MAX];
    struct backend *from;
    struct buf sent;
    struct snapshot_check check;
    struct why why;
};

static struct backend *open_store(const char *path)
{
    struct backend *store = NULL;
    assert_false(err_is(backend_open(&(struct backend_options){.path = path}, &store, NULL)));
    return store;
}

static void put(struct backend *store, struct slice key, struct slice value)
{
    struct backend_batch *batch = backend_batch_new();
    backend_batch_put(batch, key, value);
    assert_false(err_is(backend_write(store, batch, NULL)));
    backend_batch_free(batch);
}

static void fill(struct backend *store)
{
    char key[16];
    uint8_t index[16] = {0};
    uint8_t *big = mem_new(1 << 20);
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "l%06d", i);
        put(store, slice_str(key), slice_str(key + 1));
    }
    for (size_t i = 0; i < 1 << 20; i++) {
        big[i] = (uint8_t)(i * 2654435761U >> 13);
    }
    put(store, SLICE("d1"), slice_of(big, 1 << 20));
    put_be64(index, INDEX);
    put_be64(index + 8, TERM);
    put(store, SLICE("mconsistent_index"), slice_of(index, sizeof(index)));
    put(store, SLICE("mformat"), SLICE("2"));
    put(store, SLICE("madopted"), SLICE("12345678"));
    put(store, SLICE("minstalling"), SLICE("12345678"));
    put(store, SLICE("mrestored"), SLICE("12345678"));
    free(big);
}

static int setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    folder_make(place->from_dir);
    folder_make(place->from_snap_dir);
    folder_make(place->snap_dir);
    place->from = open_store(place->from_dir);
    fill(place->from);
    buf_init(&place->sent, SIZE_MAX);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    backend_close(place->from);
    folder_remove(place->from_dir);
    folder_remove(place->from_snap_dir);
    folder_remove(place->snap_dir);
    buf_fini(&place->sent);
    free(place);
    return 0;
}

static size_t count_files(const char *dir)
{
    struct disk_names names;
    assert_false(err_is(disk_list(disk_real(), dir, &names, NULL)));
    size_t count = names.count;
    disk_names_fini(&names);
    return count;
}

static void send_all(struct place *place)
{
    uint8_t piece[1000];
    size_t got;
    struct snapshot_export *export;
    if (err_is(snapshot_export_files(
            disk_real(), place->from_snap_dir, place->from, &export, &place->why))) {
        fail_msg("%s", place->why.text);
    }
    assert_int_equal(snapshot_export_form(export), SNAPSHOT_FILES);
    assert_int_equal(count_files(place->from_snap_dir), 1);
    put(place->from, SLICE("lz-late"), SLICE("not in the files"));
    do {
        assert_false(err_is(snapshot_export_read(export, piece, sizeof(piece), &got, NULL)));
        buf_add(&place->sent, piece, got);
    } while (got);
    assert_int_equal(place->sent.len, snapshot_export_bytes(export));
    snapshot_export_close(export);
    assert_int_equal(count_files(place->from_snap_dir), 0);
}

/* Where the file begins whose head is at *at, and how long it is; false: it is the end. */
static bool next_file(const struct place *place, size_t *at, size_t *out_bytes)
{
    const uint8_t *head = place->sent.data + *at;
    *at += HEAD;
    *out_bytes = (size_t)get_be64(head);
    return head[8] != 0;
}

/* Of what was sent. */
static size_t count_sent(const struct place *place, size_t *out_largest)
{
    size_t count = 0;
    size_t at = 0;
    size_t bytes;
    for (*out_largest = 0; next_file(place, &at, &bytes); count++) {
        *out_largest = bytes > *out_largest ? bytes : *out_largest;
        at += bytes + FOOT;
    }
    return count;
}

static struct err take_in(
    struct place *place, struct snapshot_unpack *unpack, struct slice bytes, size_t step)
{
    for (size_t at = 0; at < bytes.len; at += step) {
        size_t len = bytes.len - at < step ? bytes.len - at : step;
        TRY(snapshot_unpack_take(unpack, slice_of(bytes.data + at, len), &place->why));
    }
    return snapshot_unpack_end(unpack, &place->check, &place->why);
}

static struct err take_at(
    struct place *place, const struct raft_snapshot_meta *meta, struct slice bytes, size_t step)
{
    struct snapshot_unpack *unpack = snapshot_unpack_new(disk_real(), place->snap_dir, meta);
    struct err err = take_in(place, unpack, bytes, step);
    snapshot_unpack_free(unpack, err_is(err));
    return err;
}

static struct err take(struct place *place, uint64_t index, struct slice bytes, size_t step)
{
    return take_at(place, &(struct raft_snapshot_meta){.index = index, .term = TERM}, bytes, step);
}

static bool has(struct backend *store, const char *key)
{
    struct blob *value = NULL;
    assert_false(err_is(backend_get(store, NULL, slice_str(key), &value, NULL)));
    bool is = value != NULL;
    blob_unref(value);
    return is;
}

static void move_files(struct place *place, size_t step)
{
    send_all(place);
    if (err_is(take(place, INDEX, buf_slice(&place->sent), step))) {
        fail_msg("%s", place->why.text);
    }
    char *folder = snapshot_files_folder(disk_real(), place->snap_dir, INDEX);
    assert_non_null(folder);
    assert_null(snapshot_files_folder(disk_real(), place->snap_dir, INDEX + 1));
    struct backend *to = open_store(folder);
    assert_true(has(to, "l000000") && has(to, "l002999") && has(to, "d1") && has(to, "mformat"));
    assert_false(has(to, "madopted") || has(to, "minstalling") || has(to, "mrestored"));
    assert_false(has(to, "lz-late"));
    backend_close(to);
    free(folder);
}

static void test_files_arrive(void **state)
{
    move_files(*state, 100000);
}

/* More than is held in memory: it goes through the disk. */
static void test_a_large_file_arrives(void **state)
{
    enum { LARGE = 14 << 20 };
    struct place *place = *state;
    uint8_t *large = mem_new(LARGE);
    uint64_t random = 1;
    for (size_t i = 0; i < LARGE; i++) { /* nothing that packs well */
        random = random * 6364136223846793005U + 1442695040888963407U;
        large[i] = (uint8_t)(random >> 56);
    }
    put(place->from, SLICE("d2"), slice_of(large, LARGE));
    free(large);
    move_files(place, 100000);
    size_t largest;
    assert_true(count_sent(place, &largest) > 0);
    assert_true(largest > ARRIVAL_HELD_MAX);
}

static void test_files_arrive_in_small_pieces(void **state)
{
    move_files(*state, 7);
}

static void assert_refused(struct place *place, uint64_t index, enum err_code code)
{
    struct err err = take(place, index, buf_slice(&place->sent), 100000);
    assert_int_equal(err.code, code);
    assert_int_equal(count_files(place->snap_dir), 0);
}

static void test_a_bit_flipped_on_the_way_is_seen(void **state)
{
    struct place *place = *state;
    send_all(place);
    const size_t places[] = {3, 12, 45, HEAD + 1, place->sent.len / 3, place->sent.len / 2,
        place->sent.len - HEAD - 2, place->sent.len - 2};
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        place->sent.data[places[i]] ^= 4;
        assert_refused(place, INDEX, ERR_BAD_CRC);
        place->sent.data[places[i]] ^= 4;
    }
}

/* It comes with a checksum that fits, of what the disk gave. */
static void flip_on_disk(struct place *place, const char *kind)
{
    struct disk_names names;
    uint8_t byte;
    off_t at = 600;
    assert_false(err_is(backend_flush(place->from, NULL)));
    assert_false(err_is(disk_list(disk_real(), place->from_dir, &names, NULL)));
    int fd = -1;
    for (size_t i = 0; i < names.count && fd < 0; i++) {
        if (strstr(names.names[i], kind)) {
            char *path = disk_path(place->from_dir, names.names[i]);
            fd = open(path, O_RDWR | O_CLOEXEC);
            free(path);
        }
    }
    disk_names_fini(&names);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    send_all(place);
    assert_refused(place, INDEX, ERR_BAD_CRC);
}

static void test_a_bit_flipped_on_the_senders_disk_is_seen(void **state)
{
    flip_on_disk(*state, ".sst");
}

static void test_a_bit_flipped_in_a_value_apart_is_seen(void **state)
{
    flip_on_disk(*state, ".blob");
}

static void test_half_a_stream_leaves_nothing(void **state)
{
    struct place *place = *state;
    send_all(place);
    size_t len = place->sent.len;
    const size_t ends[] = {0, 20, HEAD, len / 2, len - HEAD, len - 1};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        place->sent.len = ends[i];
        assert_refused(place, INDEX, ERR_TORN);
    }
    place->sent.len = len;
    buf_add_str(&place->sent, "x");
    assert_refused(place, INDEX, ERR_BAD_FORMAT);
}

static void test_a_store_of_another_index_is_refused(void **state)
{
    struct place *place = *state;
    send_all(place);
    assert_refused(place, INDEX + 1, ERR_BAD_FORMAT);
}

static void test_a_store_of_another_term_is_refused(void **state)
{
    struct place *place = *state;
    struct raft_snapshot_meta meta = {.index = INDEX, .term = TERM + 1};
    send_all(place);
    assert_true(IS(take_at(place, &meta, buf_slice(&place->sent), 100000), BAD_FORMAT));
    assert_int_equal(count_files(place->snap_dir), 0);
}

static struct err refuse(void *arg, struct backend *store, struct why *why)
{
    (void)arg;
    assert_true(has(store, "l000000") && has(store, "mformat"));
    return why_set(why, ERR(CORRUPT), "not to be taken");
}

static void test_who_knows_the_rows_may_refuse_them(void **state)
{
    struct place *place = *state;
    send_all(place);
    place->check = (struct snapshot_check){refuse, place};
    assert_refused(place, INDEX, ERR_CORRUPT);
    assert_string_equal(place->why.text, "not to be taken");
}

/* The index alone, without the term. */
static void test_half_an_index_is_refused(void **state)
{
    struct place *place = *state;
    uint8_t index[8];
    put_be64(index, INDEX);
    put(place->from, SLICE("mconsistent_index"), slice_of(index, sizeof(index)));
    send_all(place);
    assert_refused(place, INDEX, ERR_BAD_FORMAT);
}

static void add_head(struct place *place, const char *name, uint64_t bytes)
{
    uint8_t head[HEAD] = {0};
    put_be64(head, bytes);
    memcpy(head + 8, name, strlen(name));
    put_be64(head + 40, crc32c(0, slice_of(head, 40)));
    buf_add(&place->sent, head, sizeof(head));
}

static void add_file(struct place *place, const char *name, struct slice bytes)
{
    uint8_t foot[8];
    add_head(place, name, bytes.len);
    buf_add_slice(&place->sent, bytes);
    put_be64(foot, crc32c(0, bytes));
    buf_add(&place->sent, foot, sizeof(foot));
}

static void test_names_that_lead_away_are_refused(void **state)
{
    static const char *const names[] = {
        "../000001.sst", "/tmp/x", "LOCK", "01234567890123456789012345678901"};
    struct place *place = *state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        buf_reset(&place->sent);
        add_head(place, names[i], 1);
        assert_refused(place, INDEX, ERR_BAD_FORMAT);
    }
}

static void test_a_file_does_not_come_twice(void **state)
{
    struct place *place = *state;
    add_file(place, "CURRENT", SLICE("1"));
    add_file(place, "CURRENT", SLICE("2"));
    assert_refused(place, INDEX, ERR_BAD_FORMAT);
}

/* All that came is sound, and the manifest names one file more. */
static void test_a_file_of_values_that_did_not_come_is_noticed(void **state)
{
    struct place *place = *state;
    struct buf kept;
    send_all(place);
    buf_init(&kept, SIZE_MAX);
    size_t left_out = 0;
    for (size_t at = 0; at < place->sent.len;) {
        const uint8_t *head = place->sent.data + at;
        size_t bytes;
        bool is_file = next_file(place, &at, &bytes);
        at += is_file ? bytes + FOOT : 0;
        if (strstr((const char *)head + 8, ".blob")) {
            left_out++;
        } else {
            buf_add(&kept, head, (size_t)(place->sent.data + at - head));
        }
    }
    assert_int_equal(left_out, 1);
    buf_fini(&place->sent);
    place->sent = kept;
    assert_refused(place, INDEX, ERR_BAD_CRC);
    assert_non_null(strstr(place->why.text, ".blob"));
}

static atomic_int calls_left; /* before the one that fails */

static struct err fail_or_sync(struct disk_file *file, bool is_data_only, struct why *why)
{
    return atomic_fetch_sub(&calls_left, 1) == 0 ? why_errno(why, EIO, "sync")
                                                 : disk_real()->ops->sync(file, is_data_only, why);
}

static struct err fail_or_write(
    struct disk_file *file, uint64_t offset, struct slice bytes, struct why *why)
{
    return atomic_fetch_sub(&calls_left, 1) == 0
               ? why_errno(why, ENOSPC, "write")
               : disk_real()->ops->write(file, offset, bytes, why);
}

/* A file's own thread writes and syncs it: its failure is everybody's, whichever file it is. */
static void refuse_on(struct place *place, const struct disk_ops *ops, enum err_code code)
{
    struct disk disk = {ops};
    size_t largest;
    size_t count = count_sent(place, &largest);
    assert_true(largest <= ARRIVAL_HELD_MAX); /* one write a file */
    for (size_t i = 0; i < count; i++) {
        struct raft_snapshot_meta meta = {.index = INDEX, .term = TERM};
        struct snapshot_unpack *unpack = snapshot_unpack_new(&disk, place->snap_dir, &meta);
        atomic_store(&calls_left, (int)i);
        struct err err = take_in(place, unpack, buf_slice(&place->sent), 100000);
        assert_int_equal(err.code, code);
        snapshot_unpack_free(unpack, true);
        assert_int_equal(count_files(place->snap_dir), 0);
    }
}

static void test_a_file_that_cannot_be_synced_is_noticed(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    ops.sync = fail_or_sync;
    send_all(*state);
    refuse_on(*state, &ops, ERR_IO);
}

static void test_a_file_that_cannot_be_written_is_noticed(void **state)
{
    struct disk_ops ops = *disk_real()->ops;
    ops.write = fail_or_write;
    send_all(*state);
    refuse_on(*state, &ops, ERR_NO_DISK);
}

static struct err no_sync(struct disk_file *file, bool is_data_only, struct why *why)
{
    (void)file;
    (void)is_data_only;
    (void)why;
    return OK;
}

/* Small ones, whose number costs folders, threads and names. */
static void test_files_beyond_counting_are_refused(void **state)
{
    struct place *place = *state;
    struct disk_ops ops = *disk_real()->ops;
    struct disk disk = {&ops};
    struct raft_snapshot_meta meta = {.index = INDEX, .term = TERM};
    char name[32];
    ops.sync = no_sync;
    struct snapshot_unpack *unpack = snapshot_unpack_new(&disk, place->snap_dir, &meta);
    for (int i = 0; i <= FILES_MAX; i++) {
        buf_reset(&place->sent);
        snprintf(name, sizeof(name), "MANIFEST-%06d", i);
        add_file(place, name, (struct slice){0});
        struct err err = snapshot_unpack_take(unpack, buf_slice(&place->sent), &place->why);
        assert_int_equal(err.code, i < FILES_MAX ? ERR_OK : ERR_BAD_FORMAT);
    }
    snapshot_unpack_free(unpack, true);
    assert_int_equal(count_files(place->snap_dir), 0);
}

static void test_files_that_are_no_store_are_refused(void **state)
{
    struct place *place = *state;
    add_head(place, "", 0);
    assert_refused(place, INDEX, ERR_BAD_FORMAT);
    buf_reset(&place->sent);
    add_file(place, "CURRENT", SLICE("MANIFEST-000009\n"));
    add_head(place, "", 0);
    assert_true(err_is(take(place, INDEX, buf_slice(&place->sent), 100000)));
    assert_int_equal(count_files(place->snap_dir), 0);
}

/* What is claimed takes no memory and no disk before it comes. */
static void test_a_huge_length_is_only_a_claim(void **state)
{
    struct place *place = *state;
    add_head(place, "000001.sst", UINT64_MAX);
    buf_add_str(&place->sent, "some");
    assert_refused(place, INDEX, ERR_TORN);
}

static void test_nothing_comes_behind_the_end(void **state)
{
    struct place *place = *state;
    send_all(place);
    buf_add_str(&place->sent, "x");
    assert_refused(place, INDEX, ERR_BAD_FORMAT);
}

/* A peer may send this as a database. */
static void test_a_note_names_nothing_but_a_received_folder(void **state)
{
    static const char *const names[] = {"", ".", "..", "tmp.files.0", "0000000000000007.files.0",
        "0000000000000008.files.", "0000000000000008.files.0x", "0000000000000008.files.0/..",
        "0000000000000008.files.0\n1"};
    struct place *place = *state;
    struct slice good = SLICE("ketcd files\n0000000000000008.files.0\n");
    char *path = disk_path(place->snap_dir, "0000000000000008.snap.db");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char *note = mem_printf("ketcd files\n%s\n", names[i]);
        assert_false(err_is(disk_write_file(disk_real(), path, slice_str(note), 0600, NULL)));
        assert_null(snapshot_files_folder(disk_real(), place->snap_dir, 8));
        free(note);
    }
    assert_false(err_is(disk_write_file(disk_real(), path, good, 0600, NULL)));
    char *folder = snapshot_files_folder(disk_real(), place->snap_dir, 8);
    assert_non_null(folder);
    free(folder);
    free(path);
}

static void test_what_is_left_is_swept(void **state)
{
    struct place *place = *state;
    send_all(place);
    assert_false(err_is(take(place, INDEX, buf_slice(&place->sent), 100000)));
    assert_int_equal(count_files(place->snap_dir), 2);
    assert_false(err_is(snap_purge(disk_real(), place->snap_dir, 5, INDEX, NULL)));
    assert_int_equal(count_files(place->snap_dir), 2);
    assert_false(err_is(snap_purge(disk_real(), place->snap_dir, 5, INDEX + 1, NULL)));
    assert_int_equal(count_files(place->snap_dir), 0);
    assert_false(err_is(take(place, INDEX, buf_slice(&place->sent), 100000)));
    assert_false(err_is(snap_sweep(disk_real(), place->snap_dir, INDEX, NULL)));
    assert_int_equal(count_files(place->snap_dir), 2);
    assert_false(err_is(snap_sweep(disk_real(), place->snap_dir, INDEX + 1, NULL)));
    assert_int_equal(count_files(place->snap_dir), 0);
    assert_false(err_is(take(place, INDEX, buf_slice(&place->sent), 100000)));
    assert_false(err_is(snap_sweep(disk_real(), place->snap_dir, 0, NULL)));
    assert_int_equal(count_files(place->snap_dir), 0);
}

#define PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE(test_files_arrive),
        PLACE(test_a_large_file_arrives),
        PLACE(test_files_arrive_in_small_pieces),
        PLACE(test_a_bit_flipped_on_the_way_is_seen),
        PLACE(test_a_bit_flipped_on_the_senders_disk_is_seen),
        PLACE(test_a_bit_flipped_in_a_value_apart_is_seen),
        PLACE(test_half_a_stream_leaves_nothing),
        PLACE(test_a_store_of_another_index_is_refused),
        PLACE(test_a_store_of_another_term_is_refused),
        PLACE(test_who_knows_the_rows_may_refuse_them),
        PLACE(test_half_an_index_is_refused),
        PLACE(test_a_file_of_values_that_did_not_come_is_noticed),
        PLACE(test_a_file_that_cannot_be_synced_is_noticed),
        PLACE(test_a_file_that_cannot_be_written_is_noticed),
        PLACE(test_files_beyond_counting_are_refused),
        PLACE(test_names_that_lead_away_are_refused),
        PLACE(test_a_file_does_not_come_twice),
        PLACE(test_files_that_are_no_store_are_refused),
        PLACE(test_a_huge_length_is_only_a_claim),
        PLACE(test_nothing_comes_behind_the_end),
        PLACE(test_a_note_names_nothing_but_a_received_folder),
        PLACE(test_what_is_left_is_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
