/* SPDX-License-Identifier: Apache-2.0
 * What a cluster promises: one order of writes that every member comes to, nothing acknowledged is
 * lost, nothing old is read. */
#include "cluster.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

static int setup(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

static int teardown(void **state)
{
    cluster_fini(*state);
    free(*state);
    return 0;
}

static void assert_reads(struct node *node, const char *key, const char *value)
{
    char found[64] = "";
    assert_int_equal(node_get(node, key, found).code, ERR_OK);
    assert_string_equal(found, value);
}

static void test_every_member_takes_writes_and_reads(void **state)
{
    struct cluster *cluster = *state;
    char key[16];
    cluster_leader(cluster);
    for (size_t i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "k%zu", i);
        assert_int_equal(node_put(&cluster->nodes[i % 3], key, key, 0).code, ERR_OK);
        assert_reads(&cluster->nodes[(i + 1) % 3], key, key);
    }
    assert_true(cluster_agrees(cluster));
    assert_int_equal(mvcc_keys(cluster->nodes[0].storage.mvcc), 30);
}

static void test_a_killed_leader_takes_nothing_with_it(void **state)
{
    struct cluster *cluster = *state;
    cluster_put(cluster, "a", "1");
    struct node *old = cluster_leader(cluster);
    node_crash(old);
    cluster_put(cluster, "b", "2");
    assert_reads(cluster_leader(cluster), "a", "1");
    node_start(old);
    assert_reads(old, "b", "2");
    assert_true(cluster_agrees(cluster));
}

/* A leader without a majority: it acknowledges no write, answers no read, and what it took is void.
 */
static void test_a_cut_off_leader_serves_nothing(void **state)
{
    struct cluster *cluster = *state;
    char found[64];
    cluster_put(cluster, "a", "old");
    struct node *old = cluster_leader(cluster);
    net_isolate(cluster, old->place, true);
    struct request lost;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = (ProtobufCBinaryData){1, (uint8_t *)"z"};
    request_begin(&lost, old, 4, &put.base);
    cluster_put(cluster, "a", "new");
    assert_true(err_is(node_get(old, "a", found)));
    net_isolate(cluster, old->place, false);
    assert_true(err_is(request_wait(&lost)));
    request_fini(&lost);
    assert_reads(old, "a", "new");
    assert_reads(old, "z", "");
    assert_true(cluster_agrees(cluster));
}

static void test_two_of_three_down_means_no_service_until_one_is_back(void **state)
{
    struct cluster *cluster = *state;
    cluster_put(cluster, "a", "1");
    struct node *leader = cluster_leader(cluster);
    struct node *one = &cluster->nodes[(leader->place + 1) % 3];
    struct node *two = &cluster->nodes[(leader->place + 2) % 3];
    node_crash(one);
    node_crash(two);
    assert_true(err_is(node_put(leader, "a", "2", 0)));
    node_start(two);
    cluster_put(cluster, "a", "3");
    node_start(one);
    assert_reads(one, "a", "3");
    assert_true(cluster_agrees(cluster));
}

struct seen {
    struct node *node;
    const char *key;
};

static bool is_gone(void *arg)
{
    struct seen *seen = arg;
    char found[64] = "";
    return !err_is(node_get_serializable(seen->node, seen->key, found)) && !found[0];
}

/* The new leader gives each lease its whole time again; when that is over it goes, everywhere. A
 * leader that was cut off meanwhile revokes nothing when it comes back. */
static void test_leases_live_on_under_the_next_leader_and_end_there(void **state)
{
    struct cluster *cluster = *state;
    int64_t ttl_s;
    struct node *old = cluster_leader(cluster);
    assert_int_equal(node_grant(old, 5, 1).code, ERR_OK);
    assert_int_equal(node_grant(old, 6, 1).code, ERR_OK);
    assert_int_equal(node_put(old, "short", "x", 5).code, ERR_OK);
    assert_int_equal(node_put(old, "kept", "x", 6).code, ERR_OK);
    net_isolate(cluster, old->place, true);
    struct node *leader = cluster_leader(cluster);
    while (leader == old) { /* until it knows */
        leader = cluster_leader(cluster);
    }
    assert_reads(leader, "short", "x");
    for (int i = 0; i < 15; i++) {
        usleep(100000);
        assert_int_equal(
            lease_renew(leader->storage.leases, 6, clock_mono_ms(), &ttl_s).code, ERR_OK);
        if (i == 7) {
            net_isolate(cluster, old->place, false);
        }
    }
    assert_true(IS(lease_renew(old->storage.leases, 6, clock_mono_ms(), &ttl_s), NOT_LEADER));
    struct seen seen = {old, "short"};
    assert_true(wait_until(is_gone, &seen));
    assert_reads(cluster_leader(cluster), "kept", "x");
    assert_true(cluster_agrees(cluster));
}

static void test_followers_ask_the_leader_about_leases(void **state)
{
    struct cluster *cluster = *state;
    struct server_lease lease;
    struct node *leader = cluster_leader(cluster);
    struct node *follower = cluster_follower(cluster);
    assert_int_equal(node_grant(follower, 5, 100).code, ERR_OK);
    assert_int_equal(node_ask_lease(follower, 5, false, &lease).code, ERR_OK);
    assert_int_equal(lease.ttl_s, 100);
    assert_int_equal(node_ask_lease(follower, 5, true, &lease).code, ERR_OK);
    assert_int_equal(lease.granted_s, 100);
    assert_true(lease.ttl_s >= 95 && lease.ttl_s <= 100);
    assert_int_equal(node_ask_lease(leader, 5, true, &lease).code, ERR_OK);
    assert_true(IS(node_ask_lease(follower, 6, false, &lease), LEASE_NOT_FOUND));
    /* A leader that cannot know that it still leads renews nothing. */
    net_isolate(cluster, leader->place, true);
    assert_true(err_is(node_ask_lease(leader, 5, false, &lease)));
    net_isolate(cluster, leader->place, false);
}

static bool has_version(void *arg)
{
    struct cluster *cluster = arg;
    return strcmp(member_cluster_version(cluster->nodes[1].storage.members), "3.5.0") == 0;
}

static void test_the_cluster_version_is_what_all_members_can(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    for (size_t i = 0; i < 3; i++) {
        cluster->net.versions[i] = "3.5.30"; /* as the others see each */
    }
    (void)state;
    cluster_start(cluster);
    assert_true(wait_until(has_version, cluster));
    cluster_fini(cluster);
    free(cluster);
}

static void test_a_leader_that_stops_hands_over(void **state)
{
    struct cluster *cluster = *state;
    struct server_status status;
    cluster_put(cluster, "a", "1");
    struct node *old = cluster_leader(cluster);
    server_status_get(old->server, &status);
    uint64_t term = status.term;
    node_stop(old);
    struct node *leader = cluster_leader(cluster);
    server_status_get(leader->server, &status);
    assert_int_equal(status.term, term + 1); /* no election failed on the way */
    assert_reads(leader, "a", "1");
}

static void put_many(struct cluster *cluster, const char *prefix, int count)
{
    char key[32];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s%d", prefix, i);
        cluster_put(cluster, key, prefix);
    }
}

static int setup_small_log(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster->snapshot_count = 20;
    cluster->catch_up_entries = 5;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

static void test_a_member_far_behind_gets_a_snapshot(void **state)
{
    struct cluster *cluster = *state;
    put_many(cluster, "a", 10);
    assert_int_equal(node_grant(cluster_leader(cluster), 77, 100).code, ERR_OK);
    struct node *behind = cluster_follower(cluster);
    cluster_settle(cluster);
    net_isolate(cluster, behind->place, true);
    put_many(cluster, "b", 100);
    assert_int_equal(node_put(cluster_leader(cluster), "leased", "x", 77).code, ERR_OK);
    assert_int_equal(cluster->net.snapshots, 0);
    net_isolate(cluster, behind->place, false);
    put_many(cluster, "c", 10);
    assert_reads(behind, "b99", "b");
    assert_reads(behind, "c9", "c");
    assert_true(cluster->net.snapshots > 0);
    assert_true(cluster_agrees(cluster));
    assert_true(lease_exists(behind->storage.leases, 77));
    assert_int_equal(behind->storage.snapshot_index, 0);
    node_crash(behind);
    put_many(cluster, "d", 3);
    node_start(behind);
    assert_reads(behind, "d2", "d");
    assert_true(behind->storage.snapshot_index > 0);
    assert_true(cluster_agrees(cluster));
}

static bool has_failed(void *arg)
{
    return atomic_load(&((struct node *)arg)->fatals) > 0;
}

/* Whatever a crash leaves of a snapshot that was being taken in, the next start ends it. */
static void crash_while_installing(struct cluster *cluster, int fault)
{
    struct node *behind = cluster_follower(cluster);
    cluster_settle(cluster);
    net_isolate(cluster, behind->place, true);
    put_many(cluster, "b", 100);
    atomic_store(&behind->install_fault, fault);
    net_isolate(cluster, behind->place, false);
    put_many(cluster, "c", 10);
    assert_true(wait_until(has_failed, behind));
    node_crash(behind);
    atomic_store(&behind->fatals, 0);
    atomic_store(&behind->install_fault, INSTALL_WELL);
    node_start(behind);
    assert_reads(behind, "b99", "b");
    assert_reads(behind, "c9", "c");
    assert_true(cluster_agrees(cluster));
}

static void test_a_crash_before_a_snapshot_is_taken_in(void **state)
{
    crash_while_installing(*state, INSTALL_CRASHES_BEFORE);
}

static void test_a_crash_while_a_snapshot_is_taken_in(void **state)
{
    crash_while_installing(*state, INSTALL_CRASHES_MIDWAY);
}

static bool is_removed(void *arg)
{
    struct node *node = arg;
    return atomic_load(&node->removals) > 0 || atomic_load(&node->is_gone);
}

static void test_a_removed_member_hears_of_it(void **state)
{
    struct cluster *cluster = *state;
    cluster_put(cluster, "a", "1");
    struct node *leader = cluster_leader(cluster);
    struct node *gone = cluster_follower(cluster);
    assert_int_equal(node_change(leader, RAFT_REMOVE_NODE, gone->id, NULL, false).code, ERR_OK);
    assert_true(wait_until(is_removed, gone));
    node_crash(gone);
    assert_true(atomic_load(&gone->removals) <= 1);
    cluster_put(cluster, "a", "2");
    assert_true(cluster_agrees(cluster));
    assert_true(member_is_removed(leader->storage.members, gone->id));
}

static void test_a_leader_can_be_removed(void **state)
{
    struct cluster *cluster = *state;
    cluster_put(cluster, "a", "1");
    struct node *gone = cluster_leader(cluster);
    struct node *other = cluster_follower(cluster);
    assert_int_equal(node_change(other, RAFT_REMOVE_NODE, gone->id, NULL, false).code, ERR_OK);
    assert_true(wait_until(is_removed, gone));
    node_crash(gone);
    cluster_put(cluster, "a", "2");
    assert_reads(cluster_leader(cluster), "a", "2");
    assert_true(cluster_agrees(cluster));
}

/* A leader that has not applied the change before drops the next, as etcd's: the asker times out.
 */
static struct err change_settled(struct node *node, enum raft_conf_change_type type, uint64_t id,
    const struct member *member, bool is_promote)
{
    cluster_settle(node->cluster);
    return node_change(node, type, id, member, is_promote);
}

static void test_changes_of_the_members_follow_each_other(void **state)
{
    struct cluster *cluster = *state;
    const char *urls[] = {"http://10.0.0.9:2380"};
    struct member extra = {
        .id = 99, .name = "", .peer_urls = urls, .peer_urls_count = 1, .is_learner = true};
    struct member found;
    struct arena *arena = arena_new(0);
    for (size_t i = 0; i < 4; i++) {
        struct node *node = &cluster->nodes[i % 3];
        extra.id = 99 + i;
        assert_int_equal(
            change_settled(node, RAFT_ADD_LEARNER_NODE, extra.id, &extra, false).code, ERR_OK);
        assert_true(
            IS(change_settled(node, RAFT_ADD_LEARNER_NODE, extra.id, &extra, false), MEMBER_EXIST));
        assert_int_equal(change_settled(node, RAFT_ADD_NODE, extra.id, &extra, true).code, ERR_OK);
        assert_true(member_find(node->storage.members, extra.id, arena, &found));
        assert_false(found.is_learner);
        assert_int_equal(
            change_settled(node, RAFT_REMOVE_NODE, extra.id, NULL, false).code, ERR_OK);
    }
    arena_free(arena);
    cluster_put(cluster, "a", "1");
    assert_true(cluster_agrees(cluster));
}

#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(test_every_member_takes_writes_and_reads),
        CLUSTER_TEST(test_a_killed_leader_takes_nothing_with_it),
        CLUSTER_TEST(test_a_cut_off_leader_serves_nothing),
        CLUSTER_TEST(test_two_of_three_down_means_no_service_until_one_is_back),
        CLUSTER_TEST(test_leases_live_on_under_the_next_leader_and_end_there),
        CLUSTER_TEST(test_followers_ask_the_leader_about_leases),
        cmocka_unit_test(test_the_cluster_version_is_what_all_members_can),
        CLUSTER_TEST(test_a_leader_that_stops_hands_over),
        cmocka_unit_test_setup_teardown(
            test_a_member_far_behind_gets_a_snapshot, setup_small_log, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_crash_before_a_snapshot_is_taken_in, setup_small_log, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_crash_while_a_snapshot_is_taken_in, setup_small_log, teardown),
        CLUSTER_TEST(test_a_removed_member_hears_of_it),
        CLUSTER_TEST(test_a_leader_can_be_removed),
        CLUSTER_TEST(test_changes_of_the_members_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
