/* SPDX-License-Identifier: Apache-2.0
 *
 * One member of several; the test speaks for its peers.
 */
#include "test_raft.h"

struct peers {
    struct raft *raft;
    struct raft_update update;
};

static void receive(struct peers *p, struct raft_message message)
{
    message.to = 1;
    test_step(p->raft, (struct raft_event){.type = RAFT_RECEIVE, .message = &message});
}

/* The message to a peer that the last turn gave, at once or after the disk; NULL: none. */
static const struct raft_message *sent(
    const struct peers *p, enum raft_message_type type, uint64_t to)
{
    for (size_t i = 0; i < p->update.messages_count; i++) {
        const struct raft_message *m = &p->update.messages[i];
        if (m->type == type && m->to == to) {
            return m;
        }
    }
    for (size_t i = 0; i < p->update.after_count; i++) {
        const struct raft_message *m = &p->update.after[i];
        if (m->type == type && m->to == to) {
            return m;
        }
    }
    return NULL;
}

static size_t count_sent(const struct peers *p, enum raft_message_type type, uint64_t to)
{
    size_t count = 0;
    for (size_t i = 0; i < p->update.messages_count; i++) {
        count += p->update.messages[i].type == type && p->update.messages[i].to == to;
    }
    return count;
}

static void turn(struct peers *p)
{
    test_turn(p->raft, &p->update);
}

static enum raft_role role(const struct peers *p)
{
    return raft_soft_state_get(p->raft).role;
}

static void open_peers(struct peers *p, struct raft_options options)
{
    struct raft_snapshot_meta meta = test_meta(10, 3);
    options.snapshot = &meta;
    p->raft = test_new(&options);
    raft_update_init(&p->update);
}

static void close_peers(struct peers *p)
{
    raft_update_fini(&p->update);
    raft_free(p->raft);
}

static void tick(struct peers *p, int count)
{
    for (int i = 0; i < count; i++) {
        test_step(p->raft, (struct raft_event){.type = RAFT_TICK});
    }
}

/* Elected at term 1 with index 11 committed, both peers replicating. */
static void open_leader(struct peers *p, struct raft_options options)
{
    open_peers(p, options);
    test_step(p->raft, (struct raft_event){.type = RAFT_CAMPAIGN});
    turn(p);
    if (options.pre_vote) {
        receive(p, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_RESP, .from = 2, .term = 1});
        turn(p);
    }
    receive(p, (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 1});
    assert_int_equal(role(p), RAFT_LEADER);
    turn(p);
    for (uint64_t id = 2; id <= 3; id++) {
        receive(p,
            (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = id, .term = 1, .index = 11});
    }
    turn(p);
    assert_int_equal(raft_hard_state_get(p->raft).commit, 11);
}

static void test_pre_vote_changes_nothing_before_it_is_won(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.pre_vote = true;
    open_peers(&p, options);
    tick(&p, 20);
    turn(&p);
    assert_int_equal(role(&p), RAFT_PRE_CANDIDATE);
    assert_int_equal(raft_hard_state_get(p.raft).term, 0);
    assert_int_equal(sent(&p, RAFT_MSG_PRE_VOTE, 2)->term, 1);
    receive(&p, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_RESP, .from = 2, .term = 1});
    turn(&p);
    assert_int_equal(role(&p), RAFT_CANDIDATE);
    assert_int_equal(raft_hard_state_get(p.raft).term, 1);
    assert_non_null(sent(&p, RAFT_MSG_VOTE, 3));
    close_peers(&p);
}

/* A member that was asked for the term before, and stood still since then. */
static void test_a_late_grant_is_none_for_the_next_term(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.pre_vote = options.check_quorum = true;
    open_leader(&p, options);
    tick(&p, 20);
    assert_int_equal(role(&p), RAFT_FOLLOWER);
    tick(&p, 20);
    turn(&p);
    assert_int_equal(role(&p), RAFT_PRE_CANDIDATE);
    receive(&p, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_RESP, .from = 3, .term = 1});
    turn(&p);
    assert_int_equal(role(&p), RAFT_PRE_CANDIDATE);
    receive(&p, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_RESP, .from = 3, .term = 2});
    turn(&p);
    assert_int_equal(role(&p), RAFT_CANDIDATE);
    close_peers(&p);
}

static void test_lost_election_makes_a_follower(void **state)
{
    (void)state;
    struct peers p;
    open_peers(&p, test_options(1));
    test_step(p.raft, (struct raft_event){.type = RAFT_CAMPAIGN});
    turn(&p);
    for (uint64_t id = 2; id <= 3; id++) {
        receive(&p, (struct raft_message){
                        .type = RAFT_MSG_VOTE_RESP, .from = id, .term = 1, .reject = true});
    }
    assert_int_equal(role(&p), RAFT_FOLLOWER);
    assert_int_equal(raft_hard_state_get(p.raft).term, 1);
    close_peers(&p);
}

static void test_a_vote_goes_to_one_complete_log_a_term(void **state)
{
    (void)state;
    static const struct {
        uint64_t from, term, index, log_term;
        bool want;
    } asks[] = {
        {2, 2, 9, 1, false},  /* a shorter log */
        {2, 2, 99, 0, false}, /* an older one */
        {2, 2, 10, 1, true},
        {2, 2, 10, 1, true}, /* again */
        {3, 2, 99, 2, false},
        {3, 3, 10, 1, true},
    };
    struct peers p;
    open_peers(&p, test_options(1));
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        receive(&p, (struct raft_message){.type = RAFT_MSG_VOTE,
                        .from = asks[i].from,
                        .term = asks[i].term,
                        .index = asks[i].index,
                        .log_term = asks[i].log_term});
        raft_take_update(p.raft, &p.update);
        assert_int_equal(p.update.messages_count, 0);
        assert_int_equal(p.update.after_count, 1);
        assert_int_equal(p.update.after[0].reject, !asks[i].want);
        assert_int_equal(p.update.after[0].to, asks[i].from);
    }
    assert_int_equal(raft_hard_state_get(p.raft).vote, 3);
    close_peers(&p);
}

static void test_a_member_with_a_leader_does_not_vote_unless_told(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.check_quorum = true;
    open_peers(&p, options);
    receive(&p, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1});
    turn(&p);
    struct raft_message vote = {
        .type = RAFT_MSG_VOTE, .from = 3, .term = 5, .index = 10, .log_term = 1};
    receive(&p, vote);
    assert_int_equal(raft_hard_state_get(p.raft).term, 1);
    assert_false(raft_has_update(p.raft));
    vote.context = blob_new(SLICE("CampaignTransfer"));
    receive(&p, vote);
    blob_unref(vote.context);
    assert_int_equal(raft_hard_state_get(p.raft).term, 5);
    assert_int_equal(raft_hard_state_get(p.raft).vote, 3);
    close_peers(&p);
}

static void test_a_leader_without_quorum_steps_down(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.check_quorum = true;
    open_leader(&p, options);
    tick(&p, 10);
    assert_int_equal(role(&p), RAFT_LEADER);
    tick(&p, 10);
    assert_int_equal(role(&p), RAFT_FOLLOWER);
    assert_int_equal(raft_hard_state_get(p.raft).term, 1);
    close_peers(&p);
}

static void test_a_stuck_candidate_is_freed_by_the_answer_of_a_higher_term(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.check_quorum = true;
    options.hard_state = (struct raft_hard_state){.term = 7, .commit = 10};
    open_peers(&p, options);
    receive(&p, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 3});
    turn(&p);
    assert_int_equal(sent(&p, RAFT_MSG_APP_RESP, 2)->term, 7);
    close_peers(&p);
}

static void test_learners_vote_but_do_not_run(void **state)
{
    (void)state;
    struct raft_options options = test_options(1);
    struct raft_snapshot_meta meta = {.index = 10,
        .term = 1,
        .conf = {.voters = {.ids = {2, 3}, .count = 2}, .learners = {.ids = {1}, .count = 1}}};
    struct peers p;
    options.snapshot = &meta;
    p.raft = test_new(&options);
    raft_update_init(&p.update);
    tick(&p, 100);
    assert_false(raft_has_update(p.raft));
    receive(&p, (struct raft_message){
                    .type = RAFT_MSG_VOTE, .from = 2, .term = 2, .index = 10, .log_term = 1});
    turn(&p);
    assert_false(sent(&p, RAFT_MSG_VOTE_RESP, 2)->reject);
    close_peers(&p);
}

static void test_election_timeouts_differ_and_stay_in_bounds(void **state)
{
    (void)state;
    bool is_seen[21] = {false};
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct peers p;
        struct raft_options options = test_options(1);
        int ticks = 0;
        options.seed = seed;
        open_peers(&p, options);
        while (role(&p) == RAFT_FOLLOWER) {
            tick(&p, 1);
            ticks++;
        }
        assert_true(ticks >= 10 && ticks < 20);
        is_seen[ticks] = true;
        close_peers(&p);
    }
    for (int i = 10; i < 20; i++) {
        assert_true(is_seen[i]);
    }
}

static void test_the_window_bounds_what_is_on_its_way(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.inflight_messages_max = 3;
    open_leader(&p, options);
    for (int i = 0; i < 10; i++) {
        test_propose(p.raft, "x");
    }
    turn(&p);
    assert_int_equal(count_sent(&p, RAFT_MSG_APP, 2), 3);
    receive(
        &p, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 2, .term = 1, .index = 12});
    turn(&p);
    assert_int_equal(sent(&p, RAFT_MSG_APP, 2)->index, 14);
    assert_int_equal(sent(&p, RAFT_MSG_APP, 2)->entries_count, 7);
    close_peers(&p);
}

static void test_appends_are_paged(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.message_bytes_max = 100;
    open_leader(&p, options);
    receive(&p, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                    .from = 2,
                    .term = 1,
                    .index = 11,
                    .reject = true,
                    .reject_hint = 10,
                    .log_term = 1});
    char text[61] = {0};
    memset(text, 'x', 60);
    struct raft_entry entries[4];
    for (int i = 0; i < 4; i++) {
        entries[i] = (struct raft_entry){.data = blob_new(slice_str(text))};
    }
    test_step(
        p.raft, (struct raft_event){.type = RAFT_PROPOSE, .entries = entries, .entries_count = 4});
    turn(&p);
    assert_int_equal(sent(&p, RAFT_MSG_APP, 2)->entries_count, 1);
    receive(
        &p, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 2, .term = 1, .index = 12});
    turn(&p);
    assert_int_equal(count_sent(&p, RAFT_MSG_APP, 2), 3);
    for (int i = 0; i < 4; i++) {
        blob_unref(entries[i].data);
    }
    close_peers(&p);
}

static void test_uncommitted_bytes_are_bounded(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    options.uncommitted_bytes_max = 10;
    open_leader(&p, options);
    struct raft_entry entry = {.data = blob_new(SLICE("0123456789abcdef"))};
    struct raft_event event = {.type = RAFT_PROPOSE, .entries = &entry, .entries_count = 1};
    assert_int_equal(raft_step(p.raft, &event).code, ERR_OK);
    assert_int_equal(raft_step(p.raft, &event).code, ERR_PROPOSAL_DROPPED);
    turn(&p);
    receive(
        &p, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 2, .term = 1, .index = 12});
    turn(&p);
    assert_int_equal(p.update.committed_count, 1);
    assert_int_equal(raft_step(p.raft, &event).code, ERR_OK);
    blob_unref(entry.data);
    close_peers(&p);
}

static void test_who_is_too_far_behind_gets_a_snapshot(void **state)
{
    (void)state;
    struct peers p;
    open_leader(&p, test_options(1));
    test_propose(p.raft, "x");
    turn(&p);
    receive(
        &p, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 3, .term = 1, .index = 12});
    turn(&p);
    struct raft_snapshot_meta meta = test_meta(12, 3);
    struct raft_snapshot *made = raft_snapshot_new(&meta, NULL);
    test_step(p.raft, (struct raft_event){.type = RAFT_SNAPSHOT_MADE, .snapshot = made});
    test_step(p.raft, (struct raft_event){.type = RAFT_COMPACT, .index = 12});
    test_step(p.raft, (struct raft_event){.type = RAFT_UNREACHABLE, .peer = 2});
    receive(&p, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP, .from = 2, .term = 1});
    turn(&p);
    assert_ptr_equal(sent(&p, RAFT_MSG_SNAP, 2)->snapshot, made);
    raft_snapshot_unref(made);
    test_propose(p.raft, "y");
    turn(&p);
    assert_null(sent(&p, RAFT_MSG_APP, 2));
    test_step(p.raft, (struct raft_event){.type = RAFT_SNAPSHOT_STATUS, .peer = 2, .is_ok = true});
    receive(
        &p, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 2, .term = 1, .index = 12});
    turn(&p);
    assert_int_equal(sent(&p, RAFT_MSG_APP, 2)->entries[0].index, 13);
    close_peers(&p);
}

static void test_one_conf_change_at_a_time(void **state)
{
    (void)state;
    struct peers p;
    struct raft_conf_change change = {
        .is_v1 = true, .changes = {{RAFT_ADD_NODE, 4}}, .changes_count = 1};
    struct raft_event event = {.type = RAFT_PROPOSE_CONF, .conf_change = &change};
    open_leader(&p, test_options(1));
    test_step(p.raft, event);
    test_step(p.raft, event);
    turn(&p);
    assert_int_equal(p.update.entries_count, 2);
    assert_int_equal(p.update.entries[0].type, RAFT_ENTRY_CONF_CHANGE);
    /* Refused ones leave an empty entry, so that whoever waits for its index learns of it. */
    assert_int_equal(p.update.entries[1].type, RAFT_ENTRY_NORMAL);
    assert_null(p.update.entries[1].data);
    close_peers(&p);
}

static void test_proposals_go_to_the_leader(void **state)
{
    (void)state;
    struct peers p;
    struct raft_entry entry = {.type = RAFT_ENTRY_NORMAL};
    struct raft_event event = {.type = RAFT_PROPOSE, .entries = &entry, .entries_count = 1};
    open_peers(&p, test_options(1));
    assert_int_equal(raft_step(p.raft, &event).code, ERR_PROPOSAL_DROPPED);
    receive(&p, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1});
    assert_int_equal(raft_step(p.raft, &event).code, ERR_OK);
    turn(&p);
    assert_int_equal(sent(&p, RAFT_MSG_PROP, 2)->from, 1);
    assert_int_equal(sent(&p, RAFT_MSG_PROP, 2)->term, 0);
    close_peers(&p);
    struct raft_options options = test_options(1);
    options.disable_proposal_forwarding = true;
    open_peers(&p, options);
    receive(&p, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1});
    assert_int_equal(raft_step(p.raft, &event).code, ERR_PROPOSAL_DROPPED);
    close_peers(&p);
}

static void test_reads_wait_for_the_first_commit_and_a_quorum(void **state)
{
    (void)state;
    struct peers p;
    struct blob *context = blob_new(SLICE("r"));
    struct raft_options options = test_options(1);
    options.hard_state = (struct raft_hard_state){.term = 4, .commit = 10};
    open_peers(&p, options);
    test_step(p.raft, (struct raft_event){.type = RAFT_CAMPAIGN});
    turn(&p);
    receive(&p, (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = 2, .term = 5});
    test_step(p.raft, (struct raft_event){.type = RAFT_READ_INDEX, .context = context});
    turn(&p);
    assert_null(sent(&p, RAFT_MSG_HEARTBEAT, 2));
    receive(
        &p, (struct raft_message){.type = RAFT_MSG_APP_RESP, .from = 2, .term = 5, .index = 11});
    turn(&p);
    assert_non_null(sent(&p, RAFT_MSG_HEARTBEAT, 2));
    assert_int_equal(p.update.reads_count, 0);
    receive(&p, (struct raft_message){
                    .type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .term = 5, .context = context});
    turn(&p);
    assert_int_equal(p.update.reads_count, 1);
    assert_int_equal(p.update.reads[0].index, 11);
    blob_unref(context);
    close_peers(&p);
}

static struct raft_message read_answer(uint64_t term, struct raft_entry *entry)
{
    return (struct raft_message){.type = RAFT_MSG_READ_INDEX_RESP,
        .from = 2,
        .term = term,
        .index = 7,
        .entries = entry,
        .entries_count = 1};
}

/* A follower slept while the leader that it had asked was replaced: that one's answer comes too
 * late to speak for a read that is still asked. */
static void test_an_earlier_leaders_answer_to_a_read_is_void(void **state)
{
    (void)state;
    struct peers p;
    struct raft_entry entry = {.type = RAFT_ENTRY_NORMAL, .data = blob_new(SLICE("r"))};
    open_peers(&p, test_options(1));
    receive(&p, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 2, .term = 1});
    test_step(p.raft, (struct raft_event){.type = RAFT_READ_INDEX, .context = entry.data});
    turn(&p);
    assert_non_null(sent(&p, RAFT_MSG_READ_INDEX, 2));
    receive(&p, read_answer(1, &entry));
    turn(&p);
    assert_int_equal(p.update.reads_count, 1);
    receive(&p, (struct raft_message){.type = RAFT_MSG_HEARTBEAT, .from = 3, .term = 2});
    receive(&p, read_answer(1, &entry));
    turn(&p);
    assert_int_equal(p.update.reads_count, 0);
    blob_unref(entry.data);
    close_peers(&p);
}

static void test_a_lease_answers_reads_at_once(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    struct blob *context = blob_new(SLICE("r"));
    options.check_quorum = options.is_lease_read = true;
    open_leader(&p, options);
    test_step(p.raft, (struct raft_event){.type = RAFT_READ_INDEX, .context = context});
    turn(&p);
    assert_int_equal(p.update.reads_count, 1);
    assert_int_equal(p.update.messages_count, 0);
    blob_unref(context);
    close_peers(&p);
}

static void commit_conf_change(struct peers *p, const struct raft_conf_change *change)
{
    test_step(p->raft, (struct raft_event){.type = RAFT_PROPOSE_CONF, .conf_change = change});
    turn(p);
    receive(
        p, (struct raft_message){
               .type = RAFT_MSG_APP_RESP, .from = 2, .term = 1, .index = raft_last_index(p->raft)});
}

static void test_a_removed_leader_steps_down_when_asked_to(void **state)
{
    (void)state;
    struct peers p;
    struct raft_options options = test_options(1);
    struct raft_conf_change change = {
        .is_v1 = true, .changes = {{RAFT_REMOVE_NODE, 1}}, .changes_count = 1};
    struct raft_conf_state conf;
    options.step_down_on_removal = true;
    open_leader(&p, options);
    commit_conf_change(&p, &change);
    turn(&p);
    assert_int_equal(role(&p), RAFT_LEADER);
    assert_int_equal(raft_apply_conf_change(p.raft, 12, &change, &conf, NULL).code, ERR_OK);
    assert_int_equal(conf.voters.count, 2);
    assert_int_equal(role(&p), RAFT_FOLLOWER);
    close_peers(&p);
}

/* The application's reports come on two ways: a conf change counts as applied when it is in force.
 */
static void test_applied_waits_for_the_conf_change(void **state)
{
    (void)state;
    struct peers p;
    struct raft_conf_change change = {
        .is_v1 = true, .changes = {{RAFT_ADD_NODE, 4}}, .changes_count = 1};
    struct raft_event event = {.type = RAFT_PROPOSE_CONF, .conf_change = &change};
    struct raft_conf_state conf;
    struct raft_status status;
    open_leader(&p, test_options(1));
    struct why why;
    commit_conf_change(&p, &change);
    turn(&p);
    assert_int_equal(p.update.committed_count, 1);
    raft_status_get(p.raft, &status);
    assert_int_equal(status.applied, 11);
    test_step(p.raft, event);
    raft_take_update(p.raft, &p.update);
    assert_int_equal(p.update.entries[0].type, RAFT_ENTRY_NORMAL);
    assert_int_equal(raft_apply_conf_change(p.raft, 12, &change, &conf, &why).code, ERR_OK);
    raft_status_get(p.raft, &status);
    assert_int_equal(status.applied, 12);
    assert_int_equal(status.conf.voters.count, 4);
    test_step(p.raft, event);
    raft_take_update(p.raft, &p.update);
    assert_int_equal(p.update.entries[0].type, RAFT_ENTRY_CONF_CHANGE);
    close_peers(&p);
}

static void test_a_snapshot_is_installed_and_then_acknowledged(void **state)
{
    (void)state;
    struct peers p;
    struct raft_snapshot_meta meta = test_meta(50, 4);
    struct blob *data = blob_new(SLICE("opaque"));
    struct raft_snapshot *snapshot = raft_snapshot_new(&meta, data);
    open_peers(&p, test_options(1));
    receive(&p,
        (struct raft_message){.type = RAFT_MSG_SNAP, .from = 2, .term = 3, .snapshot = snapshot});
    raft_take_update(p.raft, &p.update);
    assert_ptr_equal(p.update.snapshot, snapshot);
    assert_int_equal(p.update.after[0].index, 50);
    assert_int_equal(p.update.ticket.snapshot_index, 50);
    assert_int_equal(p.update.hard_state.commit, 50);
    test_step(p.raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &p.update.ticket});
    struct raft_status status;
    raft_status_get(p.raft, &status);
    assert_int_equal(status.applied, 50);
    assert_int_equal(status.first_index, 51);
    assert_int_equal(status.conf.voters.count, 4);
    raft_snapshot_unref(snapshot);
    close_peers(&p);
    assert_int_equal(atomic_load(&data->refs), 1);
    blob_unref(data);
}

/* The leader's append of one conf change behind index, committed. */
static void receive_conf_change(struct peers *p, uint64_t index, enum raft_conf_change_type type)
{
    struct raft_conf_change change = {.is_v1 = true, .changes = {{type, 4}}, .changes_count = 1};
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX);
    raft_conf_change_encode(&change, &bytes);
    struct raft_entry entry = {.type = RAFT_ENTRY_CONF_CHANGE,
        .term = 3,
        .index = index + 1,
        .data = blob_new(buf_slice(&bytes))};
    receive(p, (struct raft_message){.type = RAFT_MSG_APP,
                   .from = 2,
                   .term = 3,
                   .log_term = 1,
                   .index = index,
                   .entries = &entry,
                   .entries_count = 1,
                   .commit = index + 1});
    raft_take_update(p->raft, &p->update);
    test_step(p->raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &p->update.ticket});
    raft_take_update(p->raft, &p->update);
    assert_int_equal(p->update.committed_count, 1);
    blob_unref(entry.data);
    buf_fini(&bytes);
}

/* The application is slow: when it comes to a change that a snapshot brought too, raft has given
 * out the next one already, which must not be taken for it. */
static void test_a_conf_change_that_a_snapshot_overtook_changes_nothing(void **state)
{
    (void)state;
    struct peers p;
    struct raft_conf_change add = {
        .is_v1 = true, .changes = {{RAFT_ADD_NODE, 4}}, .changes_count = 1};
    struct raft_conf_change remove = {
        .is_v1 = true, .changes = {{RAFT_REMOVE_NODE, 4}}, .changes_count = 1};
    struct raft_snapshot_meta meta = test_meta(50, 4);
    struct raft_snapshot *snapshot = raft_snapshot_new(&meta, NULL);
    struct raft_conf_state conf;
    struct raft_status status;
    struct why why;
    open_peers(&p, test_options(1));
    receive_conf_change(&p, 10, RAFT_ADD_NODE);
    receive(&p,
        (struct raft_message){.type = RAFT_MSG_SNAP, .from = 2, .term = 3, .snapshot = snapshot});
    raft_take_update(p.raft, &p.update);
    test_step(p.raft, (struct raft_event){.type = RAFT_PERSISTED, .ticket = &p.update.ticket});
    receive_conf_change(&p, 50, RAFT_REMOVE_NODE);
    assert_int_equal(raft_apply_conf_change(p.raft, 11, &add, &conf, &why).code, ERR_BAD_INPUT);
    assert_int_equal(raft_apply_conf_change(p.raft, 51, &remove, &conf, &why).code, ERR_OK);
    assert_int_equal(conf.voters.count, 3);
    raft_status_get(p.raft, &status);
    assert_int_equal(status.conf.voters.count, 3);
    raft_snapshot_unref(snapshot);
    close_peers(&p);
}

int run_peers(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pre_vote_changes_nothing_before_it_is_won),
        cmocka_unit_test(test_a_late_grant_is_none_for_the_next_term),
        cmocka_unit_test(test_lost_election_makes_a_follower),
        cmocka_unit_test(test_a_vote_goes_to_one_complete_log_a_term),
        cmocka_unit_test(test_a_member_with_a_leader_does_not_vote_unless_told),
        cmocka_unit_test(test_a_leader_without_quorum_steps_down),
        cmocka_unit_test(test_a_stuck_candidate_is_freed_by_the_answer_of_a_higher_term),
        cmocka_unit_test(test_learners_vote_but_do_not_run),
        cmocka_unit_test(test_election_timeouts_differ_and_stay_in_bounds),
        cmocka_unit_test(test_the_window_bounds_what_is_on_its_way),
        cmocka_unit_test(test_appends_are_paged),
        cmocka_unit_test(test_uncommitted_bytes_are_bounded),
        cmocka_unit_test(test_who_is_too_far_behind_gets_a_snapshot),
        cmocka_unit_test(test_one_conf_change_at_a_time),
        cmocka_unit_test(test_proposals_go_to_the_leader),
        cmocka_unit_test(test_reads_wait_for_the_first_commit_and_a_quorum),
        cmocka_unit_test(test_an_earlier_leaders_answer_to_a_read_is_void),
        cmocka_unit_test(test_a_lease_answers_reads_at_once),
        cmocka_unit_test(test_a_removed_leader_steps_down_when_asked_to),
        cmocka_unit_test(test_applied_waits_for_the_conf_change),
        cmocka_unit_test(test_a_snapshot_is_installed_and_then_acknowledged),
        cmocka_unit_test(test_a_conf_change_that_a_snapshot_overtook_changes_nothing),
    };
    return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
