/* SPDX-License-Identifier: Apache-2.0
 * A store replaced by a snapshot, with crashes on the way, and members that come and go. */
#include "cluster_case.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/parts.h"

#include <stdio.h>
#include <unistd.h>

static void test_a_member_far_behind_gets_a_snapshot(void **state)
{
    struct cluster *cluster = *state;
    put_many(cluster, "a", 10);
    node_grant(cluster_leader(cluster), 77, 100000);
    struct node *behind = cluster_follower(cluster);
    cluster_settle(cluster);
    net_isolate(cluster, behind->place, true);
    put_many(cluster, "b", 100);
    put_leased(cluster, "leased", 77);
    assert_int_equal(cluster->net.snapshots[behind->place], 0);
    reconnect_by_snapshot(cluster, behind);
    put_many(cluster, "c", 10);
    assert_reads(behind, "b99", "b");
    assert_reads(behind, "c9", "c");
    assert_true(cluster->net.snapshots[behind->place] > 0);
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

struct watching {
    struct watch_stream *stream;
    int events;
    revision last;
    bool is_ordered;
    revision until;
};

static void ignore(void *arg)
{
    (void)arg;
}

static void take_items(struct watching *watching)
{
    struct watch_item item;
    while (watch_stream_next(watching->stream, &item)) {
        for (size_t i = 0; item.kind == WATCH_ITEM_EVENTS && i < item.events_count; i++) {
            revision rev = item.events[i]->change.main;
            watching->is_ordered = watching->is_ordered && rev == watching->last + 1;
            watching->last = rev;
            watching->events++;
        }
        watch_item_fini(&item);
    }
}

static bool has_all_events(void *arg)
{
    struct watching *watching = arg;
    take_items(watching);
    return watching->last >= watching->until;
}

/* The store is replaced under a watcher: it sees every change all the same, once and in order. */
static void test_a_watcher_outlives_a_snapshot(void **state)
{
    struct cluster *cluster = *state;
    put_many(cluster, "a", 20);
    struct node *behind = cluster_follower(cluster);
    cluster_settle(cluster);
    struct watching watching = {.stream = watch_stream_new(behind->storage.hub, ignore, NULL),
        .last = 1,
        .is_ordered = true};
    struct watch_spec spec = {.key = SLICE("a"), .end = SLICE("z"), .start = 2};
    watch_create(watching.stream, &spec);
    net_isolate(cluster, behind->place, true);
    put_many(cluster, "b", 100);
    reconnect_by_snapshot(cluster, behind);
    put_many(cluster, "c", 10);
    watching.until = mvcc_revision(cluster_leader(cluster)->storage.mvcc);
    bool has_all = wait_until(has_all_events, &watching);
    watch_stream_free(watching.stream);
    assert_true(has_all);
    assert_true(watching.is_ordered);
    assert_true(watching.events >= 130); /* a put that had no answer was made again */
    assert_int_equal(watching.events, watching.last - 1);
    assert_true(cluster->net.snapshots[behind->place] > 0);
}

static bool has_database(struct node *node, uint64_t index, bool makes)
{
    char name[32];
    snprintf(name, sizeof(name), "%016llx.snap.db", (unsigned long long)index);
    char *path = disk_path(node->storage.snap_dir, name);
    if (makes) {
        assert_false(err_is(disk_write_file(disk_real(), path, SLICE("x"), 0600, NULL)));
    }
    bool has = disk_exists(disk_real(), path);
    free(path);
    return has;
}

/* The second comes before the first is taken in: the first one's database has to stay. */
static void test_two_snapshots_in_a_row(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = cluster_leader(cluster);
    struct raft_snapshot_meta second = {.index = 2000, .term = 9};
    put_many(cluster, "a", 10);
    apply_conf_state(node->storage.members, &second.conf);
    assert_true(has_database(node, 2, true)); /* of long ago */
    assert_true(has_database(node, 1000, true));
    assert_true(has_database(node, 2000, true));
    assert_false(
        err_is(storage_keep_snapshot(&node->storage, &second, SLICE("{\"Root\":{}}"), NULL)));
    assert_false(has_database(node, 2, false));
    assert_true(has_database(node, 1000, false));
    assert_true(has_database(node, 2000, false));
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
    reconnect_by_snapshot(cluster, behind);
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
    crash_while_installing(*state, CRASH_BEFORE);
}

static void test_a_crash_while_a_snapshot_is_taken_in(void **state)
{
    crash_while_installing(*state, CRASH_MIDWAY);
}

/* The files are the store's, and the mark of an install under way is still there. */
static void test_a_crash_right_after_rows_are_taken_in(void **state)
{
    crash_while_installing(*state, CRASH_AFTER);
}

static void test_a_crash_while_folders_change_places(void **state)
{
    crash_while_installing(*state, CRASH_BETWEEN);
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
    change_member(leader, RAFT_REMOVE_NODE, gone->id, NULL, false);
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
    change_member(other, RAFT_REMOVE_NODE, gone->id, NULL, false);
    assert_true(wait_until(is_removed, gone));
    node_crash(gone);
    cluster_put(cluster, "a", "2");
    assert_reads(cluster_leader(cluster), "a", "2");
    assert_true(cluster_agrees(cluster));
}

/* A leader that has not applied the change before drops the next, as etcd's: the asker times out.
 */
static void change_settled(struct node *node, enum raft_conf_change_type type, uint64_t id,
    const struct member *member, bool is_promote)
{
    cluster_settle(node->cluster);
    change_member(node, type, id, member, is_promote);
}

static bool is_told_to_exist(struct node *node, const struct member *member)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct err err = ERR(TIMEOUT);
    while (!IS(err, MEMBER_EXIST) && clock_mono_ms() < deadline_ms) {
        cluster_settle(node->cluster);
        err = node_change(node, RAFT_ADD_LEARNER_NODE, member->id, member, false);
        assert_true(err_is(err));
    }
    return IS(err, MEMBER_EXIST);
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
        change_settled(node, RAFT_ADD_LEARNER_NODE, extra.id, &extra, false);
        assert_true(is_told_to_exist(node, &extra));
        change_settled(node, RAFT_ADD_NODE, extra.id, &extra, true);
        assert_true(member_find(node->storage.members, extra.id, arena, &found));
        assert_false(found.is_learner);
        change_settled(node, RAFT_REMOVE_NODE, extra.id, NULL, false);
    }
    arena_free(arena);
    cluster_put(cluster, "a", "1");
    assert_true(cluster_agrees(cluster));
}

static bool has_forced(void *arg)
{
    char found[64] = "";
    return !err_is(node_get(arg, "a", found)) && strcmp(found, "2") == 0;
}

static void put_alone(struct node *node, const char *key, const char *value)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (err_is(node_put(node, key, value, 0))) {
        assert_true(clock_mono_ms() < deadline_ms);
    }
}

/* The others are gone for good: what was acknowledged stays, and writes go on. */
static void test_one_of_three_is_forced_to_be_alone(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->nodes[1];
    struct member *members;
    cluster_put(cluster, "a", "1");
    cluster_put(cluster, "a", "2");
    cluster_settle(cluster);
    for (size_t i = 0; i < 3; i++) {
        node_crash(&cluster->nodes[i]);
    }
    node->config.force_new_cluster = true;
    node_start(node);
    assert_true(wait_until(has_forced, node));
    struct arena *arena = arena_new(0);
    assert_int_equal(member_list(node->storage.members, arena, &members), 1);
    assert_int_equal(members[0].id, node->id);
    arena_free(arena);
    put_alone(node, "b", "3");
    node_crash(node);
    node->config.force_new_cluster = false;
    node_start(node);
    assert_true(wait_until(has_forced, node));
    assert_reads(node, "b", "3");
}

/* A member that joins, told of one that was removed meanwhile. */

enum { GONE = 4242 };

static const char *const gone_urls[] = {"http://10.0.0.42:2380"};
static const struct member founder = {
    .id = GONE, .name = "gone", .peer_urls = gone_urls, .peer_urls_count = 1};

/* What all transports are told of it. */
static struct {
    atomic_int adds;
    atomic_int removals;
} gone;

static void note_add(void *arg, uint64_t id, const char *const *peer_urls, size_t count)
{
    (void)arg;
    if (id == GONE && count == 1 && strcmp(peer_urls[0], gone_urls[0]) == 0) {
        atomic_fetch_add(&gone.adds, 1);
    }
}

static void note_removal(void *arg, uint64_t id)
{
    (void)arg;
    atomic_fetch_add(&gone.removals, id == GONE);
}

static void is_told(struct server_options *options)
{
    options->founders = &founder;
    options->founders_count = 1;
    options->transport.add = note_add;
    options->transport.remove = note_removal;
}

static int setup_told(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    atomic_store(&gone.adds, 0);
    atomic_store(&gone.removals, 0);
    cluster_init(cluster, 3);
    cluster->snapshot_count = 20;
    cluster->catch_up_entries = 5;
    cluster->tune = is_told;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

static bool is_dropped(void *arg)
{
    (void)arg;
    return atomic_load(&gone.removals) > 0;
}

static void test_a_founder_that_a_snapshot_lacks_is_dropped(void **state)
{
    struct cluster *cluster = *state;
    put_many(cluster, "a", 1);
    struct node *behind = cluster_follower(cluster);
    cluster_settle(cluster);
    assert_int_equal(atomic_load(&gone.adds), 3);
    assert_int_equal(atomic_load(&gone.removals), 0); /* no log tells of its end */
    net_isolate(cluster, behind->place, true);
    put_many(cluster, "b", 100);
    reconnect_by_snapshot(cluster, behind);
    assert_reads(behind, "b99", "b");
    assert_true(wait_until(is_dropped, NULL));
    assert_int_equal(atomic_load(&gone.adds), 3);
}

static struct server *told_server(struct backend_batch **out_batch)
{
    struct server *server = mem_new(sizeof(*server));
    atomic_store(&gone.adds, 0);
    atomic_store(&gone.removals, 0);
    server->options.members = member_table_new(1, 2);
    is_told(&server->options);
    *out_batch = backend_batch_new();
    return server;
}

static void told_server_free(struct server *server, struct backend_batch *batch)
{
    backend_batch_free(batch);
    member_table_free(server->options.members);
    free(server);
}

/* Core looks at both changes when the table is past them. */
static void test_a_founder_that_comes_and_goes_in_one_go_is_dropped(void **state)
{
    struct raft_conf_change added = {.changes = {{RAFT_ADD_NODE, GONE}}, .changes_count = 1};
    struct raft_conf_change removed = {.changes = {{RAFT_REMOVE_NODE, GONE}}, .changes_count = 1};
    struct backend_batch *batch;
    struct server *server = told_server(&batch);
    (void)state;
    transport_start(server);
    assert_int_equal(atomic_load(&gone.adds), 1);
    assert_false(err_is(member_add(server->options.members, &founder, batch)));
    assert_false(err_is(member_remove(server->options.members, GONE, batch)));
    transport_conf(server, &added);
    transport_conf(server, &removed);
    assert_int_equal(atomic_load(&gone.adds), 1);
    assert_int_equal(atomic_load(&gone.removals), 1);
    told_server_free(server, batch);
}

static void test_founders_are_for_who_has_no_table(void **state)
{
    const char *urls[] = {"http://10.0.0.9:2380"};
    struct member other = {.id = 9, .name = "", .peer_urls = urls, .peer_urls_count = 1};
    struct backend_batch *batch;
    struct server *server = told_server(&batch);
    (void)state;
    assert_false(err_is(member_add(server->options.members, &other, batch)));
    transport_start(server);
    assert_int_equal(atomic_load(&gone.adds), 0);
    told_server_free(server, batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL_LOG_TEST(test_a_member_far_behind_gets_a_snapshot),
        SMALL_LOG_TEST(test_a_watcher_outlives_a_snapshot),
        SMALL_LOG_TEST(test_a_crash_before_a_snapshot_is_taken_in),
        SMALL_LOG_TEST(test_a_crash_while_a_snapshot_is_taken_in),
        SENDING_ROWS_TEST(test_a_member_far_behind_gets_a_snapshot),
        SENDING_ROWS_TEST(test_a_watcher_outlives_a_snapshot),
        SENDING_ROWS_TEST(test_a_crash_before_a_snapshot_is_taken_in),
        SENDING_ROWS_TEST(test_a_crash_while_a_snapshot_is_taken_in),
        SENDING_ROWS_TEST(test_a_crash_right_after_rows_are_taken_in),
        SENDING_FILES_TEST(test_a_member_far_behind_gets_a_snapshot),
        SENDING_FILES_TEST(test_a_watcher_outlives_a_snapshot),
        SENDING_FILES_TEST(test_a_crash_before_a_snapshot_is_taken_in),
        SENDING_FILES_TEST(test_a_crash_while_a_snapshot_is_taken_in),
        SENDING_FILES_TEST(test_a_crash_while_folders_change_places),
        SENDING_FILES_TEST(test_a_crash_right_after_rows_are_taken_in),
        cmocka_unit_test_setup_teardown(
            test_a_founder_that_a_snapshot_lacks_is_dropped, setup_told, cluster_teardown),
        cmocka_unit_test(test_a_founder_that_comes_and_goes_in_one_go_is_dropped),
        cmocka_unit_test(test_founders_are_for_who_has_no_table),
        CLUSTER_TEST(test_two_snapshots_in_a_row),
        CLUSTER_TEST(test_a_removed_member_hears_of_it),
        CLUSTER_TEST(test_a_leader_can_be_removed),
        CLUSTER_TEST(test_changes_of_the_members_follow_each_other),
        CLUSTER_TEST(test_one_of_three_is_forced_to_be_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
