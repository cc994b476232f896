/* SPDX-License-Identifier: Apache-2.0 */
#include "test_raft.h"

static struct raft *new_leader(struct raft_update *update)
{
    struct raft_options options = test_options(1);
    struct raft_snapshot_meta meta = test_meta(10, 1);
    options.snapshot = &meta;
    struct raft *raft = test_new(&options);
    test_step(raft, (struct raft_event){.type = RAFT_CAMPAIGN});
    while (raft_has_update(raft)) {
        test_turn(raft, update);
    }
    return raft;
}

static void test_member_elects_itself_after_its_vote_is_persisted(void **state)
{
    (void)state;
    struct raft_options options = test_options(1);
    struct raft_snapshot_meta meta = test_meta(10, 1);
    options.snapshot = &meta;
    struct raft *raft = test_new(&options);
    struct raft_update update;
    raft_update_init(&update);
    assert_false(raft_has_update(raft));
    for (int i = 0; i < 20; i++) {
        test_step(raft, (struct raft_event){.type = RAFT_TICK});
    }
    raft_take_update(raft, &update);
    assert_true(update.needs_persist && update.must_sync && update.has_hard_state);
    assert_int_equal(update.hard_state.term, update.ticket.vote_term);
    assert_int_equal(update.hard_state.vote, 1);
    assert_int_equal(raft_soft_state_get(raft).role, RAFT_CANDIDATE);
    test_step(raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &update.ticket});
    assert_int_equal(raft_soft_state_get(raft).role, RAFT_LEADER);
    raft_take_update(raft, &update);
    assert_true(update.has_soft_state && update.soft_state.lead == 1);
    assert_int_equal(update.entries_count, 1);
    assert_int_equal(update.entries[0].index, 11);
    assert_int_equal(update.messages_count + update.after_count, 0);
    raft_update_fini(&update);
    raft_free(raft);
}

static void test_entries_commit_when_persisted_and_not_before(void **state)
{
    (void)state;
    struct raft_update update;
    raft_update_init(&update);
    struct raft *raft = new_leader(&update);
    test_propose(raft, "a");
    raft_take_update(raft, &update);
    assert_int_equal(update.entries_count, 1);
    assert_int_equal(update.entries[0].index, 12);
    assert_int_equal(update.committed_count, 0);
    assert_false(raft_has_update(raft));
    test_step(raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &update.ticket});
    raft_take_update(raft, &update);
    assert_int_equal(update.committed_count, 1);
    assert_true(slice_eq(blob_slice(update.committed[0].data), SLICE("a")));
    assert_int_equal(update.hard_state.commit, 12);
    assert_false(update.must_sync);
    raft_update_fini(&update);
    raft_free(raft);
}

static void test_a_hundred_proposals_make_one_update(void **state)
{
    (void)state;
    struct raft_update update;
    raft_update_init(&update);
    struct raft *raft = new_leader(&update);
    struct raft_entry entries[100];
    struct blob *data = blob_new(SLICE("x"));
    for (size_t i = 0; i < 100; i++) {
        entries[i] = (struct raft_entry){.data = data};
    }
    test_step(
        raft, (struct raft_event){.type = RAFT_PROPOSE, .entries = entries, .entries_count = 100});
    raft_take_update(raft, &update);
    assert_int_equal(update.entries_count, 100);
    assert_int_equal(update.entries[0].index, 12);
    assert_int_equal(update.entries[99].index, 111);
    assert_int_equal(update.ticket.ack_index, 111);
    test_step(raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &update.ticket});
    raft_take_update(raft, &update);
    assert_int_equal(update.committed_count, 100);
    raft_update_fini(&update);
    raft_free(raft);
    assert_int_equal(atomic_load(&data->refs), 1);
    blob_unref(data);
}

static void test_updates_may_be_on_their_way_together(void **state)
{
    (void)state;
    struct raft_update a;
    struct raft_update b;
    raft_update_init(&a);
    raft_update_init(&b);
    struct raft *raft = new_leader(&a);
    test_propose(raft, "a");
    raft_take_update(raft, &a);
    test_propose(raft, "b");
    test_propose(raft, "c");
    raft_take_update(raft, &b);
    assert_int_equal(a.entries_count, 1);
    assert_int_equal(b.entries_count, 2);
    test_step(raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &a.ticket});
    assert_int_equal(raft_hard_state_get(raft).commit, 12);
    test_step(raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &b.ticket});
    assert_int_equal(raft_hard_state_get(raft).commit, 14);
    raft_take_update(raft, &a);
    assert_int_equal(a.committed_count, 3);
    raft_update_fini(&a);
    raft_update_fini(&b);
    raft_free(raft);
}

static void test_read_index_needs_no_round(void **state)
{
    (void)state;
    struct raft_update update;
    raft_update_init(&update);
    struct raft *raft = new_leader(&update);
    struct blob *context = blob_new(SLICE("ctx"));
    test_step(raft, (struct raft_event){.type = RAFT_READ_INDEX, .context = context});
    raft_take_update(raft, &update);
    assert_int_equal(update.reads_count, 1);
    assert_int_equal(update.reads[0].index, 11);
    assert_ptr_equal(update.reads[0].context, context);
    assert_false(update.needs_persist);
    blob_unref(context);
    raft_update_fini(&update);
    raft_free(raft);
}

/* The commit index is not synced: after a crash it may be behind what was answered before. */
static void test_read_waits_until_the_leader_has_committed(void **state)
{
    (void)state;
    struct raft_options options = test_options(1);
    struct raft_snapshot_meta meta = test_meta(10, 1);
    struct raft_entry entry = {.term = 1, .index = 11};
    options.snapshot = &meta;
    options.entries = &entry;
    options.entries_count = 1;
    options.hard_state = (struct raft_hard_state){.term = 1, .vote = 1, .commit = 10};
    struct raft *raft = test_new(&options);
    struct raft_update update;
    raft_update_init(&update);
    test_step(raft, (struct raft_event){.type = RAFT_CAMPAIGN});
    test_turn(raft, &update);
    assert_int_equal(raft_soft_state_get(raft).role, RAFT_LEADER);
    struct blob *context = blob_new(SLICE("ctx"));
    test_step(raft, (struct raft_event){.type = RAFT_READ_INDEX, .context = context});
    test_turn(raft, &update);
    assert_int_equal(update.reads_count, 0);
    raft_take_update(raft, &update);
    assert_int_equal(update.reads_count, 1);
    assert_int_equal(update.reads[0].index, 12);
    blob_unref(context);
    raft_update_fini(&update);
    raft_free(raft);
}

static void test_compaction_keeps_what_comes_after(void **state)
{
    (void)state;
    struct raft_update update;
    raft_update_init(&update);
    struct raft *raft = new_leader(&update);
    test_propose(raft, "a");
    test_propose(raft, "b");
    while (raft_has_update(raft)) {
        test_turn(raft, &update);
    }
    struct raft_event compact = {.type = RAFT_COMPACT, .index = 14};
    assert_int_equal(raft_step(raft, &compact).code, ERR_BAD_INPUT);
    compact.index = 12;
    test_step(raft, compact);
    assert_int_equal(raft_last_index(raft), 13);
    assert_int_equal(raft_term_at(raft, 11), 0);
    assert_true(raft_term_at(raft, 12) > 0 && raft_term_at(raft, 13) > 0);
    raft_update_fini(&update);
    raft_free(raft);
}

static void test_bootstrap_commits_the_first_members(void **state)
{
    (void)state;
    struct raft_options options = test_options(7);
    struct raft *raft = test_new(&options);
    struct raft_peer peers[] = {{5, SLICE("five")}, {7, SLICE("seven")}};
    struct raft_update update;
    raft_update_init(&update);
    assert_int_equal(raft_bootstrap(raft, peers, 2).code, ERR_OK);
    raft_take_update(raft, &update);
    assert_int_equal(update.entries_count, 2);
    assert_int_equal(update.hard_state.term, 1);
    assert_int_equal(update.hard_state.commit, 2);
    assert_int_equal(update.committed_count, 0);
    test_step(raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &update.ticket});
    raft_take_update(raft, &update);
    assert_int_equal(update.committed_count, 2);
    struct raft_conf_change change;
    assert_int_equal(raft_conf_change_decode(
                         update.committed[0].type, blob_slice(update.committed[0].data), &change)
                         .code,
        ERR_OK);
    assert_int_equal(change.changes[0].node_id, 5);
    assert_true(slice_eq(change.context, SLICE("five")));
    assert_int_equal(raft_bootstrap(raft, peers, 2).code, ERR_BAD_INPUT);
    raft_update_fini(&update);
    raft_free(raft);
}

static void test_state_is_restored(void **state)
{
    (void)state;
    struct raft_options options = test_options(1);
    struct raft_snapshot_meta meta = test_meta(10, 1);
    struct raft_entry entries[] = {{.term = 1, .index = 11}, {.term = 2, .index = 12}};
    options.snapshot = &meta;
    options.entries = entries;
    options.entries_count = 2;
    options.hard_state = (struct raft_hard_state){.term = 3, .vote = 1, .commit = 12};
    options.applied = 11;
    struct raft *raft = test_new(&options);
    struct raft_update update;
    raft_update_init(&update);
    raft_take_update(raft, &update);
    assert_false(update.needs_persist);
    assert_int_equal(update.committed_count, 1);
    assert_int_equal(update.committed[0].index, 12);
    raft_update_fini(&update);
    raft_free(raft);
}

static void test_state_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct raft_options options = test_options(1);
    struct raft_snapshot_meta meta = test_meta(10, 1);
    struct raft_entry gap = {.term = 1, .index = 12};
    struct raft *raft = NULL;
    struct why why;
    options.snapshot = &meta;
    options.entries = &gap;
    options.entries_count = 1;
    assert_int_equal(raft_new(&options, &raft, &why).code, ERR_BAD_FORMAT);
    gap.index = 11;
    options.hard_state.commit = 12;
    assert_int_equal(raft_new(&options, &raft, &why).code, ERR_BAD_FORMAT);
    options.hard_state.commit = 11;
    options.applied = 12;
    assert_int_equal(raft_new(&options, &raft, &why).code, ERR_BAD_FORMAT);
    options.applied = 0;
    options.election_ticks = 1;
    assert_int_equal(raft_new(&options, &raft, &why).code, ERR_BAD_CONFIG);
    assert_string_equal(why.text, "election tick must be greater than heartbeat tick");
    assert_null(raft);
}

int run_single(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_member_elects_itself_after_its_vote_is_persisted),
        cmocka_unit_test(test_entries_commit_when_persisted_and_not_before),
        cmocka_unit_test(test_a_hundred_proposals_make_one_update),
        cmocka_unit_test(test_updates_may_be_on_their_way_together),
        cmocka_unit_test(test_read_index_needs_no_round),
        cmocka_unit_test(test_read_waits_until_the_leader_has_committed),
        cmocka_unit_test(test_compaction_keeps_what_comes_after),
        cmocka_unit_test(test_bootstrap_commits_the_first_members),
        cmocka_unit_test(test_state_is_restored),
        cmocka_unit_test(test_state_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests_name("single", tests, NULL, NULL);
}
