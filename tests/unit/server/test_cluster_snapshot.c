/* SPDX-License-Identifier: Apache-2.0
 * What comes with a snapshot besides keys, and what else goes on while one is taken in. */
#include "cluster_case.h"

#include "base/clock.h"

#include <unistd.h>

enum {
    LEASE = 77,
    FIELD_AUTH_ENABLE = 1000,
    FIELD_USER_ADD = 1100,
    FIELD_USER_GRANT_ROLE = 1104,
    FIELD_ROLE_ADD = 1200,
    FIELD_ROLE_GRANT = 1203,
};

static char *text(const char *t)
{
    return (char *)(uintptr_t)t; /* protobuf-c only reads it */
}

/* Until it is done: what gets no answer, because a leader changed, may have been done all the same.
 */
static void ask(struct cluster *cluster, uint32_t field, const ProtobufCMessage *message)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    bool is_done = false;
    while (!is_done) {
        struct request request;
        assert_true(clock_mono_ms() < deadline_ms);
        request_begin(&request, cluster_leader(cluster), field, message);
        struct err err = request_wait(&request);
        request_fini(&request);
        is_done = !err_is(err) || IS(err, USER_ALREADY_EXIST) || IS(err, ROLE_ALREADY_EXIST) ||
                  IS(err, USER_EMPTY);
    }
}

static void assert_denied(struct node *node, const char *key)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct err err = OK;
    while (!IS(err, PERMISSION_DENIED)) {
        err = node_put(node, key, "2", 0);
        assert_true(err_is(err) && clock_mono_ms() < deadline_ms);
    }
}

static void add_user(struct cluster *cluster, const char *name, const char *role)
{
    Etcdserverpb__AuthUserAddRequest user = ETCDSERVERPB__AUTH_USER_ADD_REQUEST__INIT;
    Etcdserverpb__AuthRoleAddRequest add = ETCDSERVERPB__AUTH_ROLE_ADD_REQUEST__INIT;
    Etcdserverpb__AuthUserGrantRoleRequest grant = ETCDSERVERPB__AUTH_USER_GRANT_ROLE_REQUEST__INIT;
    user.name = grant.user = text(name);
    user.hashedpassword = text("JDJhJDA0JHg=");
    add.name = grant.role = text(role);
    ask(cluster, FIELD_USER_ADD, &user.base);
    ask(cluster, FIELD_ROLE_ADD, &add.base);
    ask(cluster, FIELD_USER_GRANT_ROLE, &grant.base);
}

static void let_write(struct cluster *cluster, const char *role, const char *key, const char *end)
{
    Etcdserverpb__AuthRoleGrantPermissionRequest give =
        ETCDSERVERPB__AUTH_ROLE_GRANT_PERMISSION_REQUEST__INIT;
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    permission.permtype = AUTHPB__PERMISSION__TYPE__READWRITE;
    permission.key = (ProtobufCBinaryData){strlen(key), (uint8_t *)text(key)};
    permission.range_end = (ProtobufCBinaryData){strlen(end), (uint8_t *)text(end)};
    give.name = text(role);
    give.perm = &permission;
    ask(cluster, FIELD_ROLE_GRANT, &give.base);
}

/* A member that learned of the users by a snapshot lets them write what the others let them write:
 * were it to refuse, its store would differ from theirs. */
static void test_users_come_with_a_snapshot(void **state)
{
    struct cluster *cluster = *state;
    Etcdserverpb__AuthEnableRequest enable = ETCDSERVERPB__AUTH_ENABLE_REQUEST__INIT;
    struct node *behind = cluster_follower(cluster);
    cluster_put(cluster, "a", "1");
    cluster_settle(cluster);
    net_isolate(cluster, behind->place, true);
    add_user(cluster, "root", "root");
    add_user(cluster, "u", "r");
    let_write(cluster, "r", "u", "v");
    ask(cluster, FIELD_AUTH_ENABLE, &enable.base);
    cluster->username = "u";
    put_many(cluster, "u", 100);
    reconnect_by_snapshot(cluster, behind);
    put_many(cluster, "ub", 10);
    assert_reads(behind, "ub9", "ub");
    assert_true(cluster->net.snapshots[behind->place] > 0);
    put_many(cluster, "uc", 10);
    assert_denied(behind, "a");
    assert_reads(behind, "uc9", "uc");
    assert_true(cluster_agrees(cluster));
    node_crash(behind);
    put_many(cluster, "ud", 3);
    node_start(behind);
    assert_reads(behind, "ud2", "ud");
    assert_true(cluster_agrees(cluster));
}

static bool is_holding(void *arg)
{
    return atomic_load(&((struct node *)arg)->is_holding);
}

struct handing {
    struct server_ask ask;
    uint64_t target;
    atomic_bool is_done;
};

static void hand(struct server_ask *ask, struct raft *raft)
{
    struct handing *handing = CONTAINER_OF(ask, struct handing, ask);
    struct raft_event event = {.type = RAFT_TRANSFER, .peer = handing->target};
    (void)err_is(raft_step(raft, &event)); /* asked for again while it does not lead */
    atomic_store(&handing->is_done, true);
}

static bool was_asked(void *arg)
{
    return atomic_load(&((struct handing *)arg)->is_done);
}

static bool is_leader(void *arg)
{
    struct node *node = arg;
    struct server_status status;
    server_status_get(node->server, &status);
    if (!status.is_leader) {
        struct handing handing = {.ask.run = hand, .target = node->id};
        assert_true(server_on_core(cluster_leader(node->cluster)->server, &handing.ask));
        assert_true(wait_until(was_asked, &handing));
        usleep(TICK_MS * 1000);
    }
    return status.is_leader;
}

/* On the leader, and its time passes. */
static bool runs_there(void *arg)
{
    struct node *node = arg;
    struct lease_info info = {.remaining_s = -1};
    struct arena *arena = arena_new(0);
    bool runs = is_leader(node) &&
                !err_is(lease_look(
                    node->storage.leases, LEASE, clock_mono_ms(), arena, &info, NULL, NULL)) &&
                info.remaining_s >= 0;
    arena_free(arena);
    return runs;
}

/* To vote and to lead a snapshot is enough that is saved. What it says of leases is taken in later
 * than the leader's clock began to count for those that were there before. */
static void test_leases_run_on_who_is_elected_before_its_snapshot_is_installed(void **state)
{
    struct cluster *cluster = *state;
    struct node *behind = cluster_follower(cluster);
    cluster_put(cluster, "a", "1");
    cluster_settle(cluster);
    net_isolate(cluster, behind->place, true);
    node_grant(cluster_leader(cluster), LEASE, 100000);
    put_many(cluster, "b", 100);
    atomic_store(&behind->install_fault, INSTALL_HELD);
    reconnect_by_snapshot(cluster, behind);
    bool is_held = wait_until(is_holding, behind);
    bool is_elected = is_held && wait_until(is_leader, behind);
    bool is_new = !lease_exists(behind->storage.leases, LEASE);
    atomic_store(&behind->install_fault, INSTALL_WELL);
    assert_true(is_held && is_elected && is_new);
    assert_true(wait_until(runs_there, behind));
}

struct compacting {
    struct node *node;
    atomic_bool is_ending;
    atomic_int times;
};

static void *compact_files(void *arg)
{
    struct compacting *compacting = arg;
    struct why why = {""};
    while (!atomic_load(&compacting->is_ending)) {
        assert_false(err_is(backend_compact_files(compacting->node->storage.backend, &why)));
        atomic_fetch_add(&compacting->times, 1);
        usleep(1000);
    }
    return NULL;
}

static bool has_compacted_again(void *arg)
{
    return atomic_load(&((struct compacting *)arg)->times) > 2;
}

/* The files of the store are rewritten all the while that its contents are replaced, again and
 * again. */
static void test_snapshots_beside_defragmentation(void **state)
{
    struct cluster *cluster = *state;
    struct node *behind = cluster_follower(cluster);
    struct compacting compacting = {.node = behind};
    pthread_t thread;
    uint64_t snapshots = 0;
    put_many(cluster, "a", 10);
    cluster_settle(cluster);
    assert_int_equal(pthread_create(&thread, NULL, compact_files, &compacting), 0);
    for (int round = 0; round < 4; round++) {
        net_isolate(cluster, behind->place, true);
        put_many(cluster, "b", 60);
        atomic_store(&compacting.times, 0);
        reconnect_by_snapshot(cluster, behind);
        put_many(cluster, "c", 5);
        cluster_settle(cluster);
        assert_true(wait_until(has_compacted_again, &compacting));
    }
    snapshots = cluster->net.snapshots[behind->place];
    atomic_store(&compacting.is_ending, true);
    pthread_join(thread, NULL);
    assert_true(snapshots >= 4);
    assert_reads(behind, "b59", "b");
    assert_true(cluster_agrees(cluster));
    node_crash(behind);
    node_start(behind);
    cluster_put(cluster, "d", "1");
    assert_reads(behind, "d", "1");
    assert_true(cluster_agrees(cluster));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SMALL_LOG_TEST(test_users_come_with_a_snapshot),
        SMALL_LOG_TEST(test_leases_run_on_who_is_elected_before_its_snapshot_is_installed),
        SMALL_LOG_TEST(test_snapshots_beside_defragmentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
