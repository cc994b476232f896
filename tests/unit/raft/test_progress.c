/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/progress.h"
#include "test_raft.h"

static void test_inflights_wrap_around(void **state)
{
    (void)state;
    struct inflights in = {.count_max = 10};
    for (uint64_t i = 1; i <= 10; i++) {
        inflights_add(&in, i, 100);
    }
    assert_true(inflights_is_full(&in));
    inflights_free_to(&in, 4);
    assert_int_equal(in.count, 6);
    assert_int_equal(in.bytes, 600);
    for (uint64_t i = 11; i <= 14; i++) {
        inflights_add(&in, i, 1);
    }
    assert_true(inflights_is_full(&in));
    inflights_free_to(&in, 12);
    assert_int_equal(in.count, 2);
    assert_int_equal(in.bytes, 2);
    inflights_free_to(&in, 3);
    assert_int_equal(in.count, 2);
    inflights_fini(&in);
}

static void test_inflights_are_bounded_in_bytes_too(void **state)
{
    (void)state;
    struct inflights in = {.count_max = 10, .bytes_max = 100};
    inflights_add(&in, 1, 99);
    assert_false(inflights_is_full(&in));
    /* The message that crosses the limit still goes. */
    inflights_add(&in, 2, 500);
    assert_true(inflights_is_full(&in));
    inflights_free_to(&in, 2);
    assert_false(inflights_is_full(&in));
    inflights_fini(&in);
}

static void test_inflights_grow_out_of_a_wrapped_ring(void **state)
{
    (void)state;
    struct inflights in = {.count_max = 100};
    for (uint64_t i = 1; i <= 4; i++) {
        inflights_add(&in, i, 0);
    }
    inflights_free_to(&in, 2);
    for (uint64_t i = 5; i <= 20; i++) {
        inflights_add(&in, i, 0);
    }
    for (uint64_t i = 3; i <= 20; i++) {
        inflights_free_to(&in, i);
        assert_int_equal(in.count, 20 - i);
    }
    inflights_fini(&in);
}

static void test_probe_goes_on_behind_a_snapshot_that_arrived(void **state)
{
    (void)state;
    static const struct {
        enum raft_progress_state state;
        uint64_t pending, want_next;
    } cases[] = {{RAFT_REPLICATE, 0, 2}, {RAFT_SNAPSHOT, 10, 11}, {RAFT_SNAPSHOT, 0, 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct progress p = {.match = 1,
            .next = 5,
            .state = cases[i].state,
            .pending_snapshot = cases[i].pending,
            .inflights = {.count_max = 256}};
        progress_become_probe(&p);
        assert_int_equal(p.state, RAFT_PROBE);
        assert_int_equal(p.match, 1);
        assert_int_equal(p.next, cases[i].want_next);
    }
}

static void test_acknowledgements_only_move_forward(void **state)
{
    (void)state;
    static const struct {
        uint64_t index, want_match, want_next;
        bool want;
    } cases[] = {{2, 3, 5, false}, {3, 3, 5, false}, {4, 4, 5, true}, {5, 5, 6, true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct progress p = {.match = 3, .next = 5, .is_flow_paused = true};
        assert_int_equal(progress_maybe_update(&p, cases[i].index), cases[i].want);
        assert_int_equal(p.match, cases[i].want_match);
        assert_int_equal(p.next, cases[i].want_next);
        assert_int_equal(p.is_flow_paused, !cases[i].want);
    }
}

static void test_rejections_move_back_no_further_than_the_match(void **state)
{
    (void)state;
    static const struct {
        enum raft_progress_state state;
        uint64_t match, next, rejected, hint;
        bool want;
        uint64_t want_next;
    } cases[] = {
        {RAFT_REPLICATE, 5, 10, 5, 5, false, 10}, /* outdated */
        {RAFT_REPLICATE, 5, 10, 9, 9, true, 6},
        {RAFT_PROBE, 0, 0, 0, 0, false, 0},
        {RAFT_PROBE, 0, 10, 5, 5, false, 10}, /* an answer to another probe */
        {RAFT_PROBE, 0, 10, 9, 9, true, 9},
        {RAFT_PROBE, 0, 2, 1, 1, true, 1},
        {RAFT_PROBE, 0, 10, 9, 2, true, 3},
        {RAFT_PROBE, 0, 10, 9, 0, true, 1},
        {RAFT_PROBE, 0, 10, 9, UINT64_MAX, true, 9},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct progress p = {
            .state = cases[i].state, .match = cases[i].match, .next = cases[i].next};
        assert_int_equal(
            progress_maybe_decrease(&p, cases[i].rejected, cases[i].hint), cases[i].want);
        assert_int_equal(p.match, cases[i].match);
        assert_int_equal(p.next, cases[i].want_next);
    }
}

static void test_sending_pauses_a_probe_and_a_full_window(void **state)
{
    (void)state;
    struct progress p = {.match = 1, .next = 2, .inflights = {.count_max = 2}};
    progress_sent_entries(&p, 0, 0);
    assert_false(progress_is_paused(&p));
    progress_sent_entries(&p, 1, 10);
    assert_true(progress_is_paused(&p));
    assert_int_equal(p.next, 2);
    progress_become_replicate(&p);
    assert_false(progress_is_paused(&p));
    progress_sent_entries(&p, 3, 10);
    assert_int_equal(p.next, 5);
    assert_false(progress_is_paused(&p));
    progress_sent_entries(&p, 1, 10);
    assert_true(progress_is_paused(&p));
    progress_become_snapshot(&p, 9);
    assert_true(progress_is_paused(&p));
    assert_int_equal(p.next, 10);
    inflights_fini(&p.inflights);
}

int run_progress(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inflights_wrap_around),
        cmocka_unit_test(test_inflights_are_bounded_in_bytes_too),
        cmocka_unit_test(test_inflights_grow_out_of_a_wrapped_ring),
        cmocka_unit_test(test_probe_goes_on_behind_a_snapshot_that_arrived),
        cmocka_unit_test(test_acknowledgements_only_move_forward),
        cmocka_unit_test(test_rejections_move_back_no_further_than_the_match),
        cmocka_unit_test(test_sending_pauses_a_probe_and_a_full_window),
    };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
