/* SPDX-License-Identifier: Apache-2.0
 * Logs as crashes and received snapshots leave them: what a start makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/codec.h"
#include "base/mem.h"
#include "boot/install.h"
#include "boot/storage.h"
#include "tests/shared/folder.h"

enum { OTHER = 99, LEARNER = 98, ENTRIES_MAX = 16 };

struct place {
    char path[FOLDER_PATH_MAX];
    struct config config;
    struct storage storage;
    uint64_t id;
};

static void open_place(struct place *place)
{
    struct why why = {""};
    struct err err = storage_open(&place->storage, &place->config, &why);
    assert_string_equal(err_is(err) ? why.text : "", "");
    place->id = member_self_id(place->storage.members);
}

static void close_place(struct place *place)
{
    storage_close(&place->storage, true);
}

static int setup(void **state)
{
    struct place *place = mem_new(sizeof(*place));
    struct config_notes notes = {0};
    char *environ_none[] = {NULL};
    char program[] = "etcd";
    char name[] = "--name=m";
    char flag[] = "--data-dir";
    folder_make(place->path);
    char *argv[] = {program, name, flag, place->path, NULL};
    struct config_source source = {4, argv, environ_none, "/nonexistent", 0};
    struct err err = config_load(&source, &place->config, &notes, NULL);
    config_notes_fini(&notes);
    assert_false(err_is(err));
    open_place(place);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    config_fini(&place->config);
    folder_remove(place->path);
    free(place);
    return 0;
}

static struct raft_entry conf_entry(uint64_t index, uint64_t id)
{
    struct raft_conf_change change = {
        .is_v1 = true, .changes = {{RAFT_ADD_NODE, id}}, .changes_count = 1};
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX);
    raft_conf_change_encode(&change, &bytes);
    struct raft_entry entry = {.term = 1,
        .index = index,
        .type = RAFT_ENTRY_CONF_CHANGE,
        .data = blob_new(buf_slice(&bytes))};
    buf_fini(&bytes);
    return entry;
}

static void append(struct place *place, const struct raft_entry *entries, size_t count,
    struct raft_hard_state hard)
{
    struct wal_batch batch = {&hard, entries, count, true};
    assert_false(err_is(wal_append(place->storage.wal, &batch, NULL, NULL)));
}

static void append_empty(
    struct place *place, uint64_t first, uint64_t last, struct raft_hard_state hard)
{
    struct raft_entry entries[ENTRIES_MAX] = {{0}};
    size_t count = 0;
    for (uint64_t index = first; index <= last; index++) {
        entries[count++] = (struct raft_entry){.term = hard.term, .index = index};
    }
    append(place, entries, count, hard);
}

/* Its file and its record; the hard state that makes them count comes behind. */
static void receive_snapshot_of(
    struct place *place, uint64_t index, uint64_t term, struct raft_conf_state conf)
{
    struct storage *storage = &place->storage;
    struct raft_snapshot_meta meta = {.index = index, .term = term, .conf = conf};
    struct wal_snapshot record = {index, term, true, meta.conf};
    assert_false(err_is(snap_save(storage->disk, storage->snap_dir, &meta, SLICE("{}"), NULL)));
    assert_false(err_is(wal_save_snapshot(storage->wal, &record, NULL)));
}

static void receive_snapshot(struct place *place, uint64_t index, uint64_t term)
{
    receive_snapshot_of(
        place, index, term, (struct raft_conf_state){.voters = {{place->id, OTHER}, 2}});
}

static void set_applied(struct place *place, uint64_t index, uint64_t term)
{
    uint8_t row[16];
    struct backend_batch *batch = backend_batch_new();
    put_be64(row, index);
    put_be64(row + 8, term);
    backend_batch_put(batch, SLICE("mconsistent_index"), slice_of(row, sizeof(row)));
    assert_false(err_is(backend_write(place->storage.backend, batch, NULL)));
    backend_batch_free(batch);
}

static struct raft_status reopen(struct place *place, bool is_forced)
{
    struct raft_status status;
    place->config.force_new_cluster = is_forced;
    open_place(place);
    raft_status_get(place->storage.raft, &status);
    return status;
}

/* A crash left the last entries without the hard state of their term. */
static void test_forced_entries_have_the_term_of_the_last(void **state)
{
    struct place *place = *state;
    struct raft_entry entries[] = {conf_entry(1, place->id), conf_entry(2, OTHER)};
    struct raft_entry last = {.term = 5, .index = 3};
    append(place, entries, 2, (struct raft_hard_state){.term = 4, .vote = 7, .commit = 1});
    append(place, &last, 1, (struct raft_hard_state){0});
    close_place(place);
    struct raft_status status = reopen(place, true);
    assert_int_equal(status.last_index, 4);
    assert_int_equal(status.hard_state.term, 5);
    assert_int_equal(status.hard_state.vote, 0);
    close_place(place);
    status = reopen(place, false);
    assert_int_equal(status.last_index, 4);
    assert_int_equal(status.hard_state.commit, 4);
    close_place(place);
    blob_unref(entries[0].data);
    blob_unref(entries[1].data);
}

/* Entries of an older term that lie behind a received snapshot never happened. */
static void test_forced_entries_follow_the_snapshot(void **state)
{
    struct place *place = *state;
    append_empty(place, 1, 12, (struct raft_hard_state){.term = 2, .commit = 5});
    receive_snapshot(place, 10, 3);
    append(place, NULL, 0, (struct raft_hard_state){.term = 3, .commit = 10});
    set_applied(place, 10, 3);
    close_place(place);
    struct raft_status status = reopen(place, true);
    assert_int_equal(status.last_index, 11);
    assert_int_equal(status.hard_state.commit, 11);
    close_place(place);
    status = reopen(place, false);
    assert_int_equal(status.last_index, 11);
    close_place(place);
}

static uint64_t removed_by(const struct raft_entry *entry)
{
    struct raft_conf_change change;
    assert_int_equal(entry->type, RAFT_ENTRY_CONF_CHANGE);
    assert_false(err_is(raft_conf_change_decode(entry->type, blob_slice(entry->data), &change)));
    assert_int_equal(change.changes_count, 1);
    assert_int_equal(change.changes[0].type, RAFT_REMOVE_NODE);
    return change.changes[0].node_id;
}

/* They vote for nobody, and count as members all the same. */
static void test_forced_entries_remove_learners_of_the_snapshot(void **state)
{
    struct place *place = *state;
    struct raft_conf_state conf = {.voters = {{place->id, OTHER}, 2}, .learners = {{LEARNER}, 1}};
    append_empty(place, 1, 10, (struct raft_hard_state){.term = 2, .commit = 10});
    receive_snapshot_of(place, 10, 2, conf);
    set_applied(place, 10, 2);
    close_place(place);
    struct raft_status status = reopen(place, true);
    assert_int_equal(status.last_index, 12);
    assert_int_equal(status.hard_state.commit, 12);
    struct raft_update update;
    raft_update_init(&update);
    raft_take_update(place->storage.raft, &update);
    assert_int_equal(update.committed_count, 2);
    assert_int_equal(removed_by(&update.committed[0]), OTHER);
    assert_int_equal(removed_by(&update.committed[1]), LEARNER);
    raft_update_fini(&update);
    close_place(place);
}

/* A crash took the hard state behind a received snapshot's record, what was received went at the
 * next start, and the entries came by the log: their commit does not make it count. */
static void test_a_snapshot_that_did_not_count_never_does(void **state)
{
    struct place *place = *state;
    append_empty(place, 1, 5, (struct raft_hard_state){.term = 2, .commit = 5});
    receive_snapshot(place, 10, 3);
    set_applied(place, 5, 2);
    close_place(place);
    struct raft_status status = reopen(place, false);
    assert_int_equal(status.last_index, 5);
    append_empty(place, 6, 12, (struct raft_hard_state){.term = 3, .commit = 12});
    close_place(place);
    status = reopen(place, false);
    assert_int_equal(status.applied, 5);
    assert_int_equal(status.last_index, 12);
    assert_int_equal(status.hard_state.commit, 12);
    close_place(place);
}

static size_t count_files(const struct place *place, const char *end)
{
    struct disk_names names;
    size_t count = 0;
    assert_false(err_is(disk_list(disk_real(), place->storage.snap_dir, &names, NULL)));
    for (size_t i = 0; i < names.count; i++) {
        size_t len = strlen(names.names[i]);
        count += len > strlen(end) && strcmp(names.names[i] + len - strlen(end), end) == 0;
    }
    disk_names_fini(&names);
    return count;
}

/* A crash comes before the log knows the next file: the one before is still there, and what never
 * counted is not kept in its place. */
static void test_a_snapshot_that_did_not_count_displaces_none_that_does(void **state)
{
    struct place *place = *state;
    struct raft_snapshot_meta next = {.index = 12, .term = 3, .conf = {.voters = {{OTHER}, 1}}};
    place->config.snapshots_max = 2;
    append_empty(place, 1, 5, (struct raft_hard_state){.term = 2, .commit = 5});
    receive_snapshot(place, 4, 2);
    receive_snapshot(place, 10, 3);
    set_applied(place, 5, 2);
    close_place(place);
    reopen(place, false);
    assert_int_equal(place->storage.snapshot_index, 4);
    assert_int_equal(count_files(place, ".snap"), 1);
    assert_int_equal(count_files(place, ".snap.void"), 1);
    append_empty(place, 6, 12, (struct raft_hard_state){.term = 3, .commit = 12});
    assert_false(err_is(storage_keep_snapshot(&place->storage, &next, SLICE("{}"), NULL)));
    assert_int_equal(count_files(place, ".snap"), 2);
    close_place(place);
    reopen(place, false);
    assert_int_equal(place->storage.snapshot_index, 4);
    close_place(place);
}

static void keep_unrecorded(struct place *place, uint64_t index, uint64_t term)
{
    struct raft_snapshot_meta meta = {
        .index = index, .term = term, .conf = {.voters = {{place->id}, 1}}};
    assert_false(err_is(storage_keep_snapshot(&place->storage, &meta, SLICE("{}"), NULL)));
}

/* This member's own and one that a leader sent are saved by two threads: a crash may come when the
 * log knows neither. */
static void test_two_files_that_the_log_does_not_know_displace_none_that_it_does(void **state)
{
    struct place *place = *state;
    for (uint64_t max = 1; max <= 3; max++) {
        uint64_t known = 10 * max;
        place->config.snapshots_max = max;
        append_empty(
            place, known - 9, known, (struct raft_hard_state){.term = max, .commit = known});
        set_applied(place, known, max);
        receive_snapshot(place, known, max);
        keep_unrecorded(place, known + 2, max);
        keep_unrecorded(place, known + 4, max + 1);
        assert_int_equal(count_files(place, ".snap"), 3);
        close_place(place);
        reopen(place, false);
        assert_int_equal(place->storage.snapshot_index, known);
    }
    close_place(place);
}

static const char alone_words[] = "restore the member from a snapshot";
static const char several_words[] =
    "remove this member from the cluster and add it again with an empty data directory";

static struct why expect_refused(struct place *place, bool is_forced)
{
    struct why why = {""};
    place->config.force_new_cluster = is_forced;
    struct err err = storage_open(&place->storage, &place->config, &why);
    storage_close(&place->storage, false);
    assert_string_equal(err_text(err), err_text(ERR(BAD_FORMAT)));
    return why;
}

static void expect_words(struct place *place, const char *what, bool is_alone, bool is_several)
{
    struct why why = expect_refused(place, false);
    assert_non_null(strstr(why.text, what));
    assert_int_equal(strstr(why.text, alone_words) != NULL, is_alone);
    assert_int_equal(strstr(why.text, several_words) != NULL, is_several);
}

/* With the store ahead of it by one. */
static void append_members(struct place *place, const uint64_t *others, size_t others_count)
{
    struct raft_entry entries[ENTRIES_MAX] = {conf_entry(1, place->id)};
    size_t count = 1;
    for (size_t i = 0; i < others_count; i++, count++) {
        entries[count] = conf_entry(count + 1, others[i]);
    }
    append(place, entries, count, (struct raft_hard_state){.term = 1, .commit = count});
    set_applied(place, count + 1, 1);
    while (count) {
        blob_unref(entries[--count].data);
    }
    close_place(place);
}

static void test_a_lone_member_that_lost_data_is_to_be_restored(void **state)
{
    append_members(*state, NULL, 0);
    expect_words(*state, "the log lost data", true, false);
}

/* Restored, it would come back with its ids and without its vote. */
static void test_one_of_several_that_lost_data_is_to_be_added_again(void **state)
{
    static const uint64_t others[] = {OTHER};
    append_members(*state, others, 1);
    expect_words(*state, "the log lost data", false, true);
}

static void test_one_of_several_that_lost_its_store_is_to_be_added_again(void **state)
{
    struct place *place = *state;
    append_empty(place, 1, 10, (struct raft_hard_state){.term = 2, .commit = 10});
    receive_snapshot(place, 10, 2);
    set_applied(place, 9, 2);
    close_place(place);
    expect_words(place, "it lost data", false, true);
}

static void set_index(struct place *place, const char *name, uint64_t index)
{
    uint8_t row[16] = {0};
    struct backend_batch *batch = backend_batch_new();
    put_be64(row, index);
    backend_batch_put(batch, slice_str(name), slice_of(row, sizeof(row)));
    assert_false(err_is(backend_write(place->storage.backend, batch, NULL)));
    backend_batch_free(batch);
}

static void test_one_whose_received_snapshot_is_gone_is_to_be_added_again(void **state)
{
    struct place *place = *state;
    append_empty(place, 1, 10, (struct raft_hard_state){.term = 2, .commit = 10});
    receive_snapshot(place, 10, 2);
    set_index(place, "minstalling", 10);
    close_place(place);
    expect_words(place, "whose database is gone", false, true);
}

/* One that has voted since is no more what it was restored as. */
static void test_a_restored_member_is_restored_again_unless_it_has_run(void **state)
{
    struct place *place = *state;
    struct raft_entry entries[] = {conf_entry(1, place->id), conf_entry(2, OTHER)};
    append(place, entries, 2, (struct raft_hard_state){.term = 1, .commit = 2});
    set_applied(place, 2, 1);
    set_index(place, "mrestored", 2);
    close_place(place);
    assert_non_null(strstr(expect_refused(place, false).text, "restore the member again"));
    struct wal_log log;
    struct wal_options options = {.disk = disk_real(), .dir = disk_path(place->path, "member/wal")};
    assert_false(err_is(wal_open(&options, 0, 0, &place->storage.wal, &log, NULL)));
    append(place, NULL, 0, (struct raft_hard_state){.term = 2, .vote = OTHER, .commit = 2});
    wal_log_fini(&log);
    wal_close(place->storage.wal);
    free((char *)options.dir);
    expect_words(place, "was restored at index 2", false, true);
    blob_unref(entries[0].data);
    blob_unref(entries[1].data);
}

/* Else the first removals would take indices that count as applied: they never happen, nobody
 * leads, and a second try finds nothing to remove. */
static void test_a_store_ahead_of_the_log_is_not_forced(void **state)
{
    static const uint64_t others[] = {OTHER, LEARNER};
    struct place *place = *state;
    append_members(place, others, 2);
    assert_non_null(strstr(expect_refused(place, true).text, "the log in"));
    struct why why = expect_refused(place, false);
    assert_non_null(strstr(why.text, "stands at index 4"));
    assert_non_null(strstr(why.text, "ends at 3: the log lost data"));
}

/* Nothing but the log tells who else there is. */
static void test_one_without_its_log_hears_of_both_ways(void **state)
{
    struct place *place = *state;
    close_place(place);
    char *wal_dir = disk_path(place->path, "member/wal");
    assert_false(err_is(disk_remove_all(disk_real(), wal_dir, NULL)));
    free(wal_dir);
    expect_words(place, "holds no log", true, true);
}

int main(void)
{
#define PLACE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        PLACE_TEST(test_forced_entries_have_the_term_of_the_last),
        PLACE_TEST(test_forced_entries_follow_the_snapshot),
        PLACE_TEST(test_forced_entries_remove_learners_of_the_snapshot),
        PLACE_TEST(test_a_snapshot_that_did_not_count_never_does),
        PLACE_TEST(test_a_snapshot_that_did_not_count_displaces_none_that_does),
        PLACE_TEST(test_two_files_that_the_log_does_not_know_displace_none_that_it_does),
        PLACE_TEST(test_a_lone_member_that_lost_data_is_to_be_restored),
        PLACE_TEST(test_one_of_several_that_lost_data_is_to_be_added_again),
        PLACE_TEST(test_one_of_several_that_lost_its_store_is_to_be_added_again),
        PLACE_TEST(test_one_whose_received_snapshot_is_gone_is_to_be_added_again),
        PLACE_TEST(test_a_restored_member_is_restored_again_unless_it_has_run),
        PLACE_TEST(test_a_store_ahead_of_the_log_is_not_forced),
        PLACE_TEST(test_one_without_its_log_hears_of_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
