/* SPDX-License-Identifier: Apache-2.0
 * What is answered to a renewal holds when the leader is gone at once, though a checkpoint said
 * shortly before that little remained. The leader's clock is moved. */
#include "cluster_case.h"
#include "cluster_clock.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>

enum { HOUR_S = 3600, LEFT_S = 300, LOW_S = 400, LEAST_S = 3000 };
enum { FIRST_ID = 1000, BEHIND = 300, PROPOSALS_MAX = 100 };

static void be_patient(struct server_options *options)
{
    options->request_ms = WAIT_MS;
}

static void setup(void **state, size_t count)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, count);
    cluster->tune = be_patient;
    clock_begin(cluster);
    cluster_start(cluster);
    *state = cluster;
}

static int setup_three(void **state)
{
    setup(state, 3);
    return 0;
}

static int setup_one(void **state)
{
    setup(state, 1);
    return 0;
}

/* What it would give the lease if it led next, by its store. */
static int64_t would_give_s(struct node *node, int64_t id)
{
    struct lease_table *table = lease_table_new(1);
    struct arena *arena = arena_new(0);
    struct lease_info info = {0};
    assert_false(err_is(lease_load(table, node->storage.backend, NULL)));
    lease_promote(table, 0, 0);
    struct err err = lease_look(table, id, 0, arena, &info, NULL, NULL);
    lease_table_free(table);
    arena_free(arena);
    return err_is(err) ? INT64_MAX : info.remaining_s;
}

/* Leases that have little left by the leader's clock, as all members have heard; while it leads. */
struct low {
    struct cluster *cluster;
    struct node *leader;
    uint64_t term;
    int64_t first;
    int64_t count;
};

static bool is_over(const struct low *low)
{
    struct server_status status;
    server_status_get(low->leader->server, &status);
    return !status.is_leader || status.term != low->term;
}

static bool is_low(const struct low *low)
{
    for (size_t i = 0; i < low->cluster->count; i++) {
        struct node *node = &low->cluster->nodes[i];
        for (int64_t id = low->first; id < low->first + low->count; id++) {
            if (would_give_s(node, id) > LOW_S) {
                return false;
            }
        }
    }
    return true;
}

static bool is_low_or_over(void *arg)
{
    const struct low *low = arg;
    return is_over(low) || is_low(low);
}

static void bring_low(struct low *low, struct cluster *cluster, int64_t count)
{
    static int64_t next_id = FIRST_ID;
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    do {
        assert_true(clock_mono_ms() < deadline_ms);
        struct node *leader = cluster_leader(cluster);
        *low = (struct low){cluster, leader, server_term(leader->server), next_id, count};
        next_id += count;
        for (int64_t id = low->first; id < next_id; id++) {
            node_grant(leader, id, HOUR_S);
        }
        clock_jump_mono(leader, HOUR_S - LEFT_S);
        assert_true(wait_until(is_low_or_over, low));
    } while (is_over(low));
}

/* Whoever was asked: the answer there is in the end. */
static int64_t time_left_s(struct node *node, int64_t id)
{
    struct server_lease lease = {0};
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct err err = node_ask_lease(node, id, true, &lease);
    while (err_is(err) && !IS(err, LEASE_NOT_FOUND) && clock_mono_ms() < deadline_ms) {
        err = node_ask_lease(node, id, true, &lease);
    }
    assert_int_equal(err.code, ERR_OK);
    return lease.ttl_s;
}

/* Whether it was renewed: a leader may be lost meanwhile. */
static bool renews(struct node *node, int64_t id)
{
    struct server_lease lease;
    struct err err = node_ask_lease(node, id, false, &lease);
    assert_true(!err_is(err) || !IS(err, LEASE_NOT_FOUND));
    assert_true(err_is(err) || lease.ttl_s == HOUR_S);
    return !err_is(err);
}

static void assert_kept_without_leader(struct cluster *cluster, bool is_follower_asked)
{
    struct low low;
    struct node *asked;
    do {
        bring_low(&low, cluster, 1);
        asked = is_follower_asked ? cluster_follower(cluster) : low.leader;
    } while (!renews(asked, low.first));
    node_crash(low.leader);
    assert_true(time_left_s(cluster_leader(cluster), low.first) > LEAST_S);
    node_start(low.leader);
    assert_true(time_left_s(low.leader, low.first) > LEAST_S);
}

static void test_what_the_leader_renewed_the_next_one_keeps(void **state)
{
    assert_kept_without_leader(*state, false);
}

static void test_what_a_follower_had_renewed_the_next_leader_keeps(void **state)
{
    assert_kept_without_leader(*state, true);
}

static void test_a_lone_member_keeps_it_over_its_end(void **state)
{
    struct low low;
    do {
        bring_low(&low, *state, 1);
    } while (!renews(low.leader, low.first));
    node_crash(low.leader);
    node_start(low.leader);
    assert_true(time_left_s(low.leader, low.first) > LEAST_S);
}

static uint64_t committed(const struct node *node)
{
    struct server_status status;
    server_status_get(node->server, &status);
    return status.commit_index;
}

/* While one checkpoint is under way the others gather. */
static void test_renewals_share_their_checkpoints(void **state)
{
    struct low low;
    struct standstill still;
    struct request *requests = mem_new(BEHIND * sizeof(*requests));
    bring_low(&low, *state, BEHIND);
    standstill_begin(&still, low.leader);
    uint64_t before = committed(low.leader);
    for (int64_t i = 0; i < BEHIND; i++) {
        request_begin_lease(&requests[i], low.leader, low.first + i, false);
        assert_int_equal(atomic_load(&requests[i].dones), 0);
    }
    standstill_end(&still);
    for (int64_t i = 0; i < BEHIND; i++) {
        assert_int_equal(request_wait(&requests[i]).code, ERR_OK);
        assert_int_equal(requests[i].lease.lease.ttl_s, HOUR_S);
        request_fini(&requests[i]);
    }
    assert_true(committed(low.leader) - before < PROPOSALS_MAX);
    free(requests);
}

/* A renewal that waits is told so by who stops. */
static void test_the_end_comes_before_the_checkpoint(void **state)
{
    struct low low;
    struct standstill still;
    struct request requests[2];
    bring_low(&low, *state, 2);
    standstill_begin(&still, low.leader);
    for (int64_t i = 0; i < 2; i++) {
        request_begin_lease(&requests[i], low.leader, low.first + i, false);
    }
    standstill_end(&still);
    node_crash(low.leader);
    for (int64_t i = 0; i < 2; i++) {
        struct err err = request_wait(&requests[i]);
        assert_true(!err_is(err) || IS(err, STOPPED));
        request_fini(&requests[i]);
    }
}

#define ONE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_one, cluster_teardown)
#define THREE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_three, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        THREE_TEST(test_what_the_leader_renewed_the_next_one_keeps),
        THREE_TEST(test_what_a_follower_had_renewed_the_next_leader_keeps),
        ONE_TEST(test_a_lone_member_keeps_it_over_its_end),
        ONE_TEST(test_renewals_share_their_checkpoints),
        ONE_TEST(test_the_end_comes_before_the_checkpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
