/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"
#include "raft/confchange.h"
#include "raft/describe.h"
#include "test_raft.h"

static void assert_conf(const struct raft_conf_state *conf, const char *want)
{
    struct buf buf;
    buf_init(&buf, 4096);
    describe_conf(&buf, conf);
    assert_string_equal(buf_text(&buf), want);
    buf_fini(&buf);
}

static void test_v1_bytes_are_etcds(void **state)
{
    (void)state;
    static const uint8_t want[] = {0x08, 0x07, 0x10, 0x03, 0x18, 0x80, 0x01, 0x22, 0x02, 'h', 'i'};
    struct raft_conf_change change = {.is_v1 = true,
        .id = 7,
        .changes = {{RAFT_ADD_LEARNER_NODE, 128}},
        .changes_count = 1,
        .context = SLICE("hi")};
    struct raft_conf_change back;
    struct buf buf;
    buf_init(&buf, 1024);
    raft_conf_change_encode(&change, &buf);
    assert_true(slice_eq(buf_slice(&buf), slice_of(want, sizeof(want))));
    assert_int_equal(
        raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE, buf_slice(&buf), &back).code, ERR_OK);
    assert_true(back.is_v1 && back.id == 7 && back.changes_count == 1);
    assert_int_equal(back.changes[0].type, RAFT_ADD_LEARNER_NODE);
    assert_int_equal(back.changes[0].node_id, 128);
    assert_true(slice_eq(back.context, SLICE("hi")));
    buf_fini(&buf);
}

static void test_v2_bytes_are_etcds(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        0x08, 0x02, 0x12, 0x04, 0x08, 0x00, 0x10, 0x01, 0x12, 0x04, 0x08, 0x01, 0x10, 0x02};
    struct raft_conf_change change = {.transition = RAFT_TRANSITION_JOINT_EXPLICIT,
        .changes = {{RAFT_ADD_NODE, 1}, {RAFT_REMOVE_NODE, 2}},
        .changes_count = 2};
    struct raft_conf_change back;
    struct buf buf;
    buf_init(&buf, 1024);
    raft_conf_change_encode(&change, &buf);
    assert_true(slice_eq(buf_slice(&buf), slice_of(want, sizeof(want))));
    assert_int_equal(
        raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, buf_slice(&buf), &back).code, ERR_OK);
    assert_int_equal(back.transition, RAFT_TRANSITION_JOINT_EXPLICIT);
    assert_int_equal(back.changes_count, 2);
    assert_int_equal(back.changes[1].type, RAFT_REMOVE_NODE);
    assert_int_equal(
        raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, SLICE(""), &back).code, ERR_OK);
    assert_int_equal(back.changes_count, 0);
    buf_fini(&buf);
}

static void test_malformed_changes_are_refused(void **state)
{
    (void)state;
    struct raft_conf_change out;
    static const struct {
        enum raft_entry_type type;
        struct slice data;
    } cases[] = {
        {RAFT_ENTRY_NORMAL, {(const uint8_t *)"", 0}},
        {RAFT_ENTRY_CONF_CHANGE, {(const uint8_t *)"\x10", 1}},
        {RAFT_ENTRY_CONF_CHANGE, {(const uint8_t *)"\x10\x04", 2}},
        {RAFT_ENTRY_CONF_CHANGE, {(const uint8_t *)"\x22\x7f", 2}},
        {RAFT_ENTRY_CONF_CHANGE_V2, {(const uint8_t *)"\x08\x03", 2}},
        {RAFT_ENTRY_CONF_CHANGE_V2, {(const uint8_t *)"\x12\x02\x08\x09", 4}},
        {RAFT_ENTRY_CONF_CHANGE_V2, {(const uint8_t *)"\x12\x01\x08", 3}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(
            raft_conf_change_decode(cases[i].type, cases[i].data, &out).code, ERR_BAD_FORMAT);
    }
    uint8_t many[2 * (RAFT_MEMBERS_MAX + 1)];
    for (size_t i = 0; i < sizeof(many); i += 2) {
        many[i] = 0x12;
        many[i + 1] = 0;
    }
    struct slice data = slice_of(many, sizeof(many));
    assert_int_equal(
        raft_conf_change_decode(RAFT_ENTRY_CONF_CHANGE_V2, data, &out).code, ERR_TOO_BIG);
}

static void set_ids(struct raft_ids *ids, const char *text)
{
    for (; *text; text++) {
        ids_add(ids, (uint64_t)(*text - '0'));
    }
}

static void test_states_are_restored(void **state)
{
    (void)state;
    static const struct {
        const char *voters, *outgoing, *learners, *next;
        bool auto_leave;
        const char *want;
    } cases[] = {
        {"", "", "", "", false, "voters=()"},
        {"123", "", "", "", false, "voters=(1 2 3)"},
        {"123", "", "456", "", false, "voters=(1 2 3) learners=(4 5 6)"},
        {"123", "1246", "5", "4", false,
            "voters=(1 2 3)&&(1 2 4 6) learners=(5) learners_next=(4)"},
        {"1", "2", "", "", true, "voters=(1)&&(2) autoleave"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tracker tracker = {.inflight_messages_max = 1};
        struct changer changer = {&tracker, 10};
        struct raft_conf_state conf = {.auto_leave = cases[i].auto_leave};
        struct membership members;
        struct why why;
        set_ids(&conf.voters, cases[i].voters);
        set_ids(&conf.voters_outgoing, cases[i].outgoing);
        set_ids(&conf.learners, cases[i].learners);
        set_ids(&conf.learners_next, cases[i].next);
        assert_int_equal(confchange_restore(&changer, &conf, &members, &why).code, ERR_OK);
        assert_conf(&members.conf, cases[i].want);
    }
}

static void test_contradicting_states_are_refused(void **state)
{
    (void)state;
    struct tracker tracker = {.inflight_messages_max = 1};
    struct changer changer = {&tracker, 10};
    struct raft_conf_state conf = {0};
    struct membership members;
    struct why why;
    for (uint64_t id = 1; id <= RAFT_MEMBERS_MAX; id++) {
        ids_add(&conf.voters, id);
    }
    assert_int_equal(confchange_restore(&changer, &conf, &members, &why).code, ERR_OK);
    ids_add(&conf.learners, 99);
    assert_int_equal(confchange_restore(&changer, &conf, &members, &why).code, ERR_BAD_INPUT);
    conf = (struct raft_conf_state){0};
    set_ids(&conf.learners, "1");
    assert_int_equal(confchange_restore(&changer, &conf, &members, &why).code, ERR_BAD_INPUT);
}

static void random_change(struct rand *rand, struct raft_conf_change *out)
{
    out->changes_count = 1 + rand_below(rand, 8);
    for (size_t i = 0; i < out->changes_count; i++) {
        out->changes[i].type = (enum raft_conf_change_type)rand_below(rand, 4);
        out->changes[i].node_id = 2 + rand_below(rand, 8);
    }
}

/* Through a joint configuration and out of it comes the same as one change after the other. */
static void test_joint_changes_end_where_simple_ones_do(void **state)
{
    (void)state;
    struct rand rand;
    rand_init(&rand, 1);
    for (int round = 0; round < 500; round++) {
        struct tracker simple = {.inflight_messages_max = 1};
        struct changer changer = {&simple, 10};
        struct raft_conf_change first = {.changes = {{RAFT_ADD_NODE, 1}}, .changes_count = 1};
        struct membership next;
        struct why why;
        assert_false(err_is(confchange_simple(&changer, first.changes, 1, &next, &why)));
        tracker_adopt(&simple, &next);
        struct tracker joint = simple;
        struct raft_conf_change change = {0};
        random_change(&rand, &change);
        for (size_t i = 0; i < change.changes_count; i++) {
            assert_false(err_is(confchange_simple(&changer, &change.changes[i], 1, &next, &why)));
            tracker_adopt(&simple, &next);
        }
        struct changer other = {&joint, 10};
        assert_false(err_is(confchange_enter_joint(&other, round % 2, &change, &next, &why)));
        tracker_adopt(&joint, &next);
        assert_true(tracker_is_joint(&joint));
        assert_false(err_is(confchange_leave_joint(&other, &next, &why)));
        assert_true(ids_eq(&next.conf.voters, &simple.members.conf.voters));
        assert_true(ids_eq(&next.conf.learners, &simple.members.conf.learners));
        assert_int_equal(next.count, simple.members.count);
        assert_false(next.conf.auto_leave);
    }
}

static void test_there_is_an_end_to_members(void **state)
{
    (void)state;
    struct tracker tracker = {.inflight_messages_max = 1};
    struct changer changer = {&tracker, 10};
    struct raft_snapshot_meta meta = test_meta(10, RAFT_MEMBERS_MAX);
    struct raft_conf_change change = {
        .is_v1 = true, .changes = {{RAFT_ADD_LEARNER_NODE, 99}}, .changes_count = 1};
    struct membership next;
    struct why why;
    assert_int_equal(confchange_restore(&changer, &meta.conf, &next, &why).code, ERR_OK);
    tracker_adopt(&tracker, &next);
    assert_int_equal(confchange_apply(&changer, &change, &next, &why).code, ERR_BAD_INPUT);
    assert_string_equal(why.text, "too many members");
}

int run_conf(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v1_bytes_are_etcds),
        cmocka_unit_test(test_v2_bytes_are_etcds),
        cmocka_unit_test(test_malformed_changes_are_refused),
        cmocka_unit_test(test_states_are_restored),
        cmocka_unit_test(test_contradicting_states_are_refused),
        cmocka_unit_test(test_joint_changes_end_where_simple_ones_do),
        cmocka_unit_test(test_there_is_an_end_to_members),
    };
    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
