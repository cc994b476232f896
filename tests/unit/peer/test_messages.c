/* SPDX-License-Identifier: Apache-2.0
 * Two members over real sockets: messages each way, what is lost, what is refused. */
#include "base/clock.h"
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_messages_go_both_ways(void **state)
{
    struct raft_message to_two[] = {
        pair_heartbeat(TWO, ONE, 5), pair_append(1, 2, 10), pair_append(3, 1, 10)};
    struct raft_message to_one = pair_heartbeat(ONE, TWO, 6);
    (void)state;
    pair_start();
    peer_send(one.peer, to_two, 3);
    peer_send(two.peer, &to_one, 1);
    assert_null(to_two[1].entries);
    assert_true(node_await_heard(&two, 3));
    assert_true(node_await_heard(&one, 1));
    assert_int_equal(one.heard[0].commit, 6);
    size_t entries = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(two.heard[i].from, ONE);
        entries += two.heard[i].entries_count;
        if (two.heard[i].type == RAFT_MSG_APP && two.heard[i].index == 3) {
            assert_int_equal(two.heard[i].log_term, 2);
            assert_int_equal(two.heard[i].entries[0].index, 4);
            assert_int_equal(two.heard[i].entries[0].data->data[0], 3);
        }
    }
    assert_int_equal(entries, 3);
    assert_int_equal(one.unreachable + two.unreachable, 0);
}

/* Nobody is there: what is sent is reported, and so is a snapshot. */
static void test_nobody_there_is_reported(void **state)
{
    struct raft_message message = pair_heartbeat(TWO, ONE, 1);
    struct raft_snapshot_meta meta = {.index = 3, .term = 1};
    (void)state;
    node_start(&one, CLUSTER);
    node_knows(&one, &two); /* which does not listen */
    peer_send(one.peer, &message, 1);
    assert_true(node_await(&one.unreachable, &one, 1));
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
    message = (struct raft_message){.type = RAFT_MSG_SNAP, .to = TWO, .from = ONE, .term = 1};
    message.snapshot = raft_snapshot_new(&meta, NULL);
    peer_send(one.peer, &message, 1);
    assert_true(node_await(&one.snapshots_failed, &one, 1));
}

static bool is_refused(void *arg)
{
    (void)arg;
    return peer_refused_since_ms(one.peer, TWO) != 0;
}

static bool is_not_refused(void *arg)
{
    return !is_refused(arg);
}

/* A member that comes later, and one that comes back. That nobody listens is known until somebody
 * does; who answers in whatever way is there. */
static void test_streams_are_dialed_again(void **state)
{
    struct raft_message message;
    (void)state;
    node_start(&one, CLUSTER);
    node_knows(&one, &two);
    assert_int_equal(peer_refused_since_ms(one.peer, 0x33), 0);
    assert_true(node_await_until(is_refused, NULL));
    node_start(&two, CLUSTER);
    node_knows(&two, &one);
    assert_true(node_await_streams(&one, TWO));
    assert_true(node_await_streams(&two, ONE));
    assert_true(node_await_until(is_not_refused, NULL));
    peer_remove(two.peer, ONE);
    assert_true(node_await_active(&one, TWO, false));
    assert_int_equal(peer_refused_since_ms(one.peer, TWO), 0);
    node_knows(&two, &one);
    assert_true(node_await_streams(&one, TWO));
    message = pair_heartbeat(TWO, ONE, 1);
    peer_send(one.peer, &message, 1);
    assert_true(node_await_heard(&two, 1));
}

/* Another cluster's member is not listened to, and hears nothing. */
static void test_another_cluster_is_refused(void **state)
{
    struct raft_message message = pair_heartbeat(TWO, ONE, 1);
    (void)state;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER + 1);
    node_knows(&one, &two);
    node_knows(&two, &one);
    peer_send(one.peer, &message, 1);
    assert_true(node_await(&one.unreachable, &one, 1));
    assert_true(node_await_refusals(&one, TWO, "cluster ID mismatch"));
    assert_true(node_await_refusals(&two, ONE, "cluster ID mismatch"));
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
    assert_int_equal(two.heard_count, 0);
    assert_int_equal(one.removed_told, 0);
}

static void test_a_removed_member_is_told(void **state)
{
    (void)state;
    two.removed_id = ONE;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    assert_true(node_await_refusals(&one, TWO, "permanently removed"));
    assert_int_equal(one.removed_told, 1);
}

struct hearing {
    struct node *who;
    struct node *sender;
    size_t lost; /* of the sender's, when it began */
};

static bool is_heard_or_lost(void *arg)
{
    const struct hearing *hearing = arg;
    pthread_mutex_lock(&hearing->who->mutex);
    bool is_heard = hearing->who->heard_count > 0;
    pthread_mutex_unlock(&hearing->who->mutex);
    pthread_mutex_lock(&hearing->sender->mutex);
    bool is_lost = hearing->sender->unreachable > hearing->lost;
    pthread_mutex_unlock(&hearing->sender->mutex);
    return is_heard || is_lost;
}

/* Without a stream each message is a post of its own, which has ten seconds. */
static void send_until_heard(struct node *sender, struct node *who, uint64_t commit)
{
    int64_t deadline_ms = clock_mono_ms() + NODE_WAIT_MS;
    do {
        struct raft_message message = pair_heartbeat(who->id, sender->id, commit);
        struct hearing hearing = {who, sender, sender->unreachable};
        peer_send(sender->peer, &message, 1);
        assert_true(node_await_until(is_heard_or_lost, &hearing));
    } while (who->heard_count == 0 && clock_mono_ms() < deadline_ms);
    assert_true(who->heard_count > 0);
}

/* By the pipeline: two has no streams to one, whom it does not know. */
static void test_a_stranger_is_heard_and_answered(void **state)
{
    (void)state;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    send_until_heard(&one, &two, 1);
    send_until_heard(&two, &one, 2);
    assert_int_equal(one.heard[0].commit, 2);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_messages_go_both_ways),
        TEST(test_nobody_there_is_reported),
        TEST(test_streams_are_dialed_again),
        TEST(test_another_cluster_is_refused),
        TEST(test_a_removed_member_is_told),
        TEST(test_a_stranger_is_heard_and_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
