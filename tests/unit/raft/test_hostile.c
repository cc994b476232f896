/* SPDX-License-Identifier: Apache-2.0
 *
 * What peers may not send: it is refused, and the member lives on.
 */
#include "base/rand.h"
#include "test_raft.h"

static struct raft *new_member(struct raft_update *update, bool is_leader)
{
    struct raft_options options = test_options(1);
    struct raft_snapshot_meta meta = test_meta(10, 3);
    options.snapshot = &meta;
    struct raft *raft = test_new(&options);
    raft_update_init(update);
    if (is_leader) {
        struct raft_message vote = {.type = RAFT_MSG_VOTE_RESP, .from = 2, .to = 1, .term = 1};
        test_step(raft, (struct raft_event){.type = RAFT_CAMPAIGN});
        test_turn(raft, update);
        test_step(raft, (struct raft_event){.type = RAFT_RECEIVE, .message = &vote});
        test_turn(raft, update);
    }
    return raft;
}

static void expect(bool is_leader, struct raft_message message, enum err_code want)
{
    struct raft_update update;
    struct raft *raft = new_member(&update, is_leader);
    uint64_t last = raft_last_index(raft);
    struct err e = raft_step(raft, &(struct raft_event){.type = RAFT_RECEIVE, .message = &message});
    assert_int_equal(e.code, want);
    assert_int_equal(raft_last_index(raft), last);
    raft_take_update(raft, &update);
    assert_int_equal(update.after_count, 0);
    raft_update_fini(&update);
    raft_free(raft);
}

static void test_local_messages_do_not_come_from_outside(void **state)
{
    (void)state;
    static const int types[] = {RAFT_MSG_HUP, RAFT_MSG_BEAT, RAFT_MSG_UNREACHABLE,
        RAFT_MSG_SNAP_STATUS, RAFT_MSG_CHECK_QUORUM, RAFT_MSG_STORAGE_APPEND,
        RAFT_MSG_STORAGE_APPEND_RESP, RAFT_MSG_STORAGE_APPLY, RAFT_MSG_STORAGE_APPLY_RESP, 24, 99,
        -1};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct raft_message message = {
            .type = (enum raft_message_type)types[i], .from = 2, .term = 1};
        expect(true, message, ERR_BAD_INPUT);
    }
}

static void test_messages_need_a_sender_and_a_term(void **state)
{
    (void)state;
    static const enum raft_message_type types[] = {RAFT_MSG_APP, RAFT_MSG_VOTE, RAFT_MSG_SNAP,
        RAFT_MSG_HEARTBEAT, RAFT_MSG_TIMEOUT_NOW, RAFT_MSG_PRE_VOTE};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        expect(false, (struct raft_message){.type = types[i], .from = 2}, ERR_BAD_INPUT);
        expect(false, (struct raft_message){.type = types[i], .term = 1}, ERR_BAD_INPUT);
    }
}

static void test_nobody_speaks_in_a_members_own_name(void **state)
{
    (void)state;
    expect(true, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 1, .term = 1},
        ERR_BAD_INPUT);
    expect(false, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 1, .term = 1},
        ERR_BAD_INPUT);
    expect(
        false, (struct raft_message){.type = RAFT_MSG_VOTE, .from = 1, .term = 9}, ERR_BAD_INPUT);
}

static void test_answers_of_strangers_are_refused(void **state)
{
    (void)state;
    expect(true, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 9, .term = 1},
        ERR_PEER_UNKNOWN);
}

static void test_appends_must_be_gapless_and_of_their_time(void **state)
{
    (void)state;
    struct raft_entry gap[] = {{.term = 1, .index = 11}, {.term = 1, .index = 13}};
    struct raft_entry future = {.term = 9, .index = 11};
    struct raft_entry back[] = {{.term = 2, .index = 11}, {.term = 1, .index = 12}};
    struct raft_message message = {
        .type = RAFT_MSG_APP, .from = 2, .term = 2, .index = 10, .log_term = 1};
    message.entries = gap;
    message.entries_count = 2;
    expect(false, message, ERR_BAD_INPUT);
    message.entries = &future;
    message.entries_count = 1;
    expect(false, message, ERR_BAD_INPUT);
    message.entries = back;
    message.entries_count = 2;
    expect(false, message, ERR_BAD_INPUT);
}

static void test_commits_beyond_the_log_are_corruption(void **state)
{
    (void)state;
    expect(false,
        (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1, .commit = 99},
        ERR_CORRUPT);
}

static void test_acknowledgements_beyond_the_log_are_refused(void **state)
{
    (void)state;
    expect(true,
        (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 2, .term = 1, .index = 99},
        ERR_BAD_INPUT);
}

static void test_requests_must_carry_something(void **state)
{
    (void)state;
    struct raft_entry bad = {.type = RAFT_ENTRY_CONF_CHANGE, .data = blob_new(SLICE("\xff"))};
    expect(true, (struct raft_message){.type = RAFT_MSG_PROP, .from = 2}, ERR_BAD_INPUT);
    expect(true, (struct raft_message){.type = RAFT_MSG_READ_INDEX, .from = 2}, ERR_BAD_INPUT);
    expect(false, (struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP, .from = 2, .term = 1},
        ERR_BAD_INPUT);
    expect(true,
        (struct raft_message){
            .type = RAFT_MSG_PROP, .from = 2, .entries = &bad, .entries_count = 1},
        ERR_BAD_INPUT);
    blob_unref(bad.data);
}

static void test_a_snapshot_with_an_impossible_configuration_is_refused(void **state)
{
    (void)state;
    struct raft_snapshot_meta meta = {
        .index = 50, .term = 1, .conf = {.learners = {.ids = {1}, .count = 1}}};
    struct raft_snapshot *snapshot = raft_snapshot_new(&meta, NULL);
    expect(false,
        (struct raft_message){.type = RAFT_MSG_SNAP, .from = 2, .term = 1, .snapshot = snapshot},
        ERR_BAD_INPUT);
    raft_snapshot_unref(snapshot);
}

static struct raft_message random_message(struct rand *rand, struct raft_entry *entries)
{
    struct raft_message message = {.type = (enum raft_message_type)rand_below(rand, 25),
        .reject = rand_below(rand, 2),
        .to = 1,
        .from = rand_below(rand, 5),
        .term = rand_below(rand, 4),
        .log_term = rand_below(rand, 4),
        .index = rand_below(rand, 16),
        .commit = rand_below(rand, 16),
        .reject_hint = rand_below(rand, 16),
        .entries = entries,
        .entries_count = rand_below(rand, 4)};
    for (size_t i = 0; i < message.entries_count; i++) {
        entries[i] = (struct raft_entry){.term = rand_below(rand, 4),
            .index = message.index + 1 + i + (rand_below(rand, 9) == 0),
            .type = (enum raft_entry_type)rand_below(rand, 3)};
    }
    return message;
}

static void test_no_message_whatever_brings_a_member_down(void **state)
{
    (void)state;
    struct rand rand;
    rand_init(&rand, 7);
    for (int round = 0; round < 3000; round++) {
        struct raft_update update;
        struct raft *raft = new_member(&update, round % 2);
        for (int i = 0; i < 30; i++) {
            struct raft_entry entries[4];
            struct raft_message message = random_message(&rand, entries);
            struct err e =
                raft_step(raft, &(struct raft_event){.type = RAFT_RECEIVE, .message = &message});
            assert_true(e.code < ERR_CODES);
            if (rand_below(&rand, 4) == 0) {
                test_turn(raft, &update);
            }
            if (rand_below(&rand, 4) == 0) {
                test_step(raft, (struct raft_event){.type = RAFT_TICK});
            }
        }
        raft_update_fini(&update);
        raft_free(raft);
    }
}

int run_hostile(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_messages_do_not_come_from_outside),
        cmocka_unit_test(test_messages_need_a_sender_and_a_term),
        cmocka_unit_test(test_nobody_speaks_in_a_members_own_name),
        cmocka_unit_test(test_answers_of_strangers_are_refused),
        cmocka_unit_test(test_appends_must_be_gapless_and_of_their_time),
        cmocka_unit_test(test_commits_beyond_the_log_are_corruption),
        cmocka_unit_test(test_acknowledgements_beyond_the_log_are_refused),
        cmocka_unit_test(test_requests_must_carry_something),
        cmocka_unit_test(test_a_snapshot_with_an_impossible_configuration_is_refused),
        cmocka_unit_test(test_no_message_whatever_brings_a_member_down),
    };
    return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
