/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/log.h"
#include "test_raft.h"

static struct raft_log new_log(uint64_t base, const uint64_t *terms, size_t count)
{
    struct raft_snapshot_meta meta = {.index = base, .term = 1};
    struct raft_entry entries[16];
    struct raft_log log;
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct raft_entry){.term = terms[i], .index = base + 1 + i};
    }
    raft_log_init(&log, &meta, entries, count);
    return log;
}

static void test_append_replaces_from_the_first_conflict(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1, 2, 2}, 3);
    struct raft_entry entries[] = {{.term = 2, .index = 3}, {.term = 3, .index = 4}};
    struct raft_message append = {.index = 2, .log_term = 2, .entries = entries, .commit = 9};
    bool is_matched;
    append.entries_count = 2;
    assert_false(err_is(raft_log_maybe_append(&log, &append, &is_matched)));
    assert_true(is_matched);
    assert_int_equal(raft_log_last(&log), 4);
    /* Never more than what this append vouches for. */
    assert_int_equal(log.committed, 4);
    assert_int_equal(log.stable_next, 4);
    raft_log_fini(&log);
}

static void test_an_old_append_does_not_cut_the_log(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1, 2, 2}, 3);
    struct raft_entry entry = {.term = 2, .index = 2};
    struct raft_message append = {.index = 1, .log_term = 1, .entries = &entry, .entries_count = 1};
    bool is_matched;
    assert_false(err_is(raft_log_maybe_append(&log, &append, &is_matched)));
    assert_true(is_matched);
    assert_int_equal(raft_log_last(&log), 3);
    append.log_term = 2;
    assert_false(err_is(raft_log_maybe_append(&log, &append, &is_matched)));
    assert_false(is_matched);
    raft_log_fini(&log);
}

static void test_contradicting_a_committed_entry_is_corruption(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1, 2}, 2);
    struct raft_entry entry = {.term = 3, .index = 2};
    struct raft_message append = {.index = 1, .log_term = 1, .entries = &entry, .entries_count = 1};
    bool is_matched;
    assert_int_equal(raft_log_commit_to(&log, 3).code, ERR_CORRUPT);
    assert_int_equal(raft_log_commit_to(&log, 2).code, ERR_OK);
    assert_int_equal(raft_log_maybe_append(&log, &append, &is_matched).code, ERR_CORRUPT);
    raft_log_fini(&log);
}

static void test_overwritten_entries_are_not_taken_for_stable(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1}, 1);
    struct raft_entry first = {.term = 1, .index = 2};
    struct raft_entry second = {.term = 2, .index = 2};
    size_t count;
    raft_log_append(&log, &first, 1);
    raft_log_taken(&log);
    raft_log_append(&log, &second, 1);
    raft_log_stable_to(&log, 2, 1);
    assert_int_equal(log.stable_next, 2);
    assert_int_equal(raft_log_to_persist(&log, &count)->term, 2);
    raft_log_taken(&log);
    raft_log_stable_to(&log, 2, 2);
    assert_int_equal(log.stable_next, 3);
    raft_log_to_persist(&log, &count);
    assert_int_equal(count, 0);
    raft_log_fini(&log);
}

static void test_only_stable_entries_are_applied(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1}, 1);
    struct raft_entry entry = {.term = 1, .index = 2};
    size_t count;
    raft_log_append(&log, &entry, 1);
    assert_false(err_is(raft_log_commit_to(&log, 2)));
    raft_log_to_apply(&log, false, &count);
    assert_int_equal(count, 1);
    raft_log_to_apply(&log, true, &count);
    assert_int_equal(count, 2);
    raft_log_fini(&log);
}

static void test_applying_pauses_at_its_limit(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1, 1, 1}, 3);
    size_t count;
    log.applying_bytes_max = raft_entry_size(&(struct raft_entry){.term = 1, .index = 1}) + 1;
    assert_false(err_is(raft_log_commit_to(&log, 3)));
    const struct raft_entry *entries = raft_log_to_apply(&log, false, &count);
    assert_int_equal(count, 1);
    raft_log_applying(&log, 1, raft_entries_size(entries, 1), false);
    raft_log_to_apply(&log, false, &count);
    assert_int_equal(count, 0);
    raft_log_applied(&log, 1);
    entries = raft_log_to_apply(&log, false, &count);
    assert_int_equal(entries[0].index, 2);
    raft_log_fini(&log);
}

static void test_slices_hold_at_least_one_entry(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1, 1, 1, 1}, 4);
    uint64_t one = raft_entry_size(&(struct raft_entry){.term = 1, .index = 1});
    static const struct {
        uint64_t entries;
        size_t count;
    } cases[] = {{0, 1}, {1, 1}, {2, 2}, {3, 3}, {100, 4}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t count;
        raft_log_slice(&log, 1, 5, cases[i].entries * one, &count);
        assert_int_equal(count, cases[i].count);
    }
    raft_log_fini(&log);
}

static void test_conflict_hints_skip_whole_terms(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1, 3, 3, 3, 5}, 5);
    static const struct {
        uint64_t index, term, want_index, want_term;
    } cases[] = {
        {5, 5, 5, 5}, {5, 4, 4, 3}, {4, 2, 1, 1}, {4, 3, 4, 3}, {1, 0, 0, 1}, {9, 4, 9, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t term;
        uint64_t index = raft_log_conflict_by_term(&log, cases[i].index, cases[i].term, &term);
        assert_int_equal(index, cases[i].want_index);
        if (index > 0) {
            assert_int_equal(term, cases[i].want_term);
        }
    }
    raft_log_fini(&log);
}

static void test_truncated_log_goes_on_growing(void **state)
{
    (void)state;
    struct raft_log log = new_log(7, NULL, 0);
    struct blob *data = blob_new(SLICE("x"));
    for (uint64_t index = 8; index < 5000; index++) {
        struct raft_entry entry = {.term = 1, .index = index, .data = data};
        raft_log_append(&log, &entry, 1);
        if (index % 100 == 0) {
            assert_false(err_is(raft_log_commit_to(&log, index)));
            raft_log_applied(&log, index);
            raft_log_compact(&log, index - 10);
        }
    }
    assert_int_equal(raft_log_first(&log), 4891);
    assert_int_equal(raft_log_last(&log), 4999);
    assert_true(log.cap <= 1024);
    assert_int_equal(atomic_load(&data->refs), 1 + log.count);
    uint64_t term;
    assert_false(raft_log_term(&log, 4889, &term));
    assert_true(raft_log_term(&log, 4890, &term));
    raft_log_fini(&log);
    assert_int_equal(atomic_load(&data->refs), 1);
    blob_unref(data);
}

static void test_a_snapshot_replaces_the_log(void **state)
{
    (void)state;
    struct raft_log log = new_log(0, (uint64_t[]){1, 1}, 2);
    struct raft_snapshot_meta meta = {.index = 10, .term = 3};
    struct raft_snapshot *snapshot = raft_snapshot_new(&meta, NULL);
    size_t count;
    raft_log_restore(&log, snapshot);
    raft_snapshot_unref(snapshot);
    assert_int_equal(raft_log_last(&log), 10);
    assert_int_equal(raft_log_last_term(&log), 3);
    assert_int_equal(log.committed, 10);
    struct raft_entry entry = {.term = 3, .index = 11};
    raft_log_append(&log, &entry, 1);
    assert_false(err_is(raft_log_commit_to(&log, 11)));
    raft_log_to_apply(&log, true, &count);
    assert_int_equal(count, 0);
    raft_log_snapshot_stable(&log, 9);
    assert_non_null(log.incoming);
    raft_log_snapshot_stable(&log, 10);
    assert_null(log.incoming);
    assert_int_equal(log.made->meta.index, 10);
    raft_log_applied(&log, 10);
    assert_int_equal(raft_log_to_apply(&log, true, &count)->index, 11);
    raft_log_fini(&log);
}

int run_log(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_replaces_from_the_first_conflict),
        cmocka_unit_test(test_an_old_append_does_not_cut_the_log),
        cmocka_unit_test(test_contradicting_a_committed_entry_is_corruption),
        cmocka_unit_test(test_overwritten_entries_are_not_taken_for_stable),
        cmocka_unit_test(test_only_stable_entries_are_applied),
        cmocka_unit_test(test_applying_pauses_at_its_limit),
        cmocka_unit_test(test_slices_hold_at_least_one_entry),
        cmocka_unit_test(test_conflict_hints_skip_whole_terms),
        cmocka_unit_test(test_truncated_log_goes_on_growing),
        cmocka_unit_test(test_a_snapshot_replaces_the_log),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
