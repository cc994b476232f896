/* SPDX-License-Identifier: Apache-2.0
 * What a member does by itself when nobody else has a say, and from when on. */
#include "cluster_case.h"

#include "base/mem.h"
#include "base/pb.h"
#include "server/parts.h"

#include <unistd.h>

enum { FIELD_PUT = 4, ENDLESS_MS = 600000, BIG = 700 * 1024, BIG_PUTS = 2 };

static void is_patient(struct server_options *options)
{
    options->request_ms = ENDLESS_MS;
}

/* No tick helps: what is to happen has to happen by itself. */
static void never_ticks(struct server_options *options)
{
    is_patient(options);
    options->tick_ms = ENDLESS_MS;
    options->max_request_bytes = 2 * (size_t)BIG;
}

static int setup(void **state, size_t count, void (*tune)(struct server_options *options))
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, count);
    cluster->tune = tune;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

static int setup_two(void **state)
{
    return setup(state, 2, is_patient);
}

static int setup_one(void **state)
{
    return setup(state, 1, is_patient);
}

static int setup_one_that_never_ticks(void **state)
{
    return setup(state, 1, never_ticks);
}

/* A change of the members whose asker keeps the thread that applies. */
struct removal {
    struct request request;
    atomic_bool is_in;
    atomic_bool is_open;
};

static void stay(struct server_proposal *proposal)
{
    struct removal *removal = CONTAINER_OF(proposal, struct removal, request.proposal);
    atomic_store(&removal->is_in, true);
    while (!atomic_load(&removal->is_open)) {
        usleep(1000);
    }
    atomic_fetch_add(&removal->request.dones, 1);
}

static void begin_removal(struct removal *removal, struct node *node, uint64_t id)
{
    struct raft_conf_change change = {
        .is_v1 = true, .changes = {{RAFT_REMOVE_NODE, id}}, .changes_count = 1};
    *removal = (struct removal){.request.arena = arena_new(0)};
    removal->request.proposal.conf = &change;
    removal->request.proposal.result.arena = removal->request.arena;
    removal->request.proposal.done = stay;
    server_propose(node->server, &removal->request.proposal);
}

static bool has_stayed(void *arg)
{
    return atomic_load(&((struct removal *)arg)->is_in);
}

static bool has_more_committed(void *arg)
{
    struct server_status status;
    server_status_get(((struct node *)arg)->server, &status);
    return status.commit_index > status.applied_index;
}

static bool is_alone(void *arg)
{
    return atomic_load(&((struct node *)arg)->server->is_alone);
}

static bool is_with_others(void *arg)
{
    return !is_alone(arg);
}

static void begin_put(struct request *request, struct node *node, const char *key, size_t bytes)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    uint8_t *value = mem_new(bytes);
    put.key = pb_bytes(slice_str(key));
    put.value = pb_bytes(slice_of(value, bytes));
    request_begin(request, node, FIELD_PUT, &put.base);
    free(value);
}

/* What both committed, the other one acknowledged, and it is gone since. The one that is left may
 * not answer by itself before it has applied that too. */
static void test_reads_wait_for_what_who_is_gone_acknowledged(void **state)
{
    struct cluster *cluster = *state;
    struct node *left = cluster_leader(cluster);
    struct node *gone = cluster_follower(cluster);
    struct removal removal;
    struct door apply;
    struct request put;
    struct request read;
    assert_true(wait_until(node_is_at_rest, left) && wait_until(node_is_at_rest, gone));
    cluster_settle(cluster);
    door_stop_apply(&apply, left);
    begin_removal(&removal, left, gone->id);
    bool is_committed = wait_until(has_more_committed, left); /* alone, in a batch of its own */
    begin_put(&put, gone, "k", 1);
    struct err err = request_wait(&put);
    door_open(&apply);
    bool is_left_alone = wait_until(has_stayed, &removal) && wait_until(is_alone, left);
    request_begin_read(&read, left);
    bool is_answered = atomic_load(&read.dones) > 0;
    atomic_store(&removal.is_open, true); /* before anything can fail, or all would hang */
    struct err read_err = request_wait(&read);
    (void)err_is(request_wait(&removal.request));
    request_fini(&read);
    request_fini(&put);
    request_fini(&removal.request);
    assert_true(is_committed && is_left_alone);
    assert_false(err_is(err) || err_is(read_err));
    assert_false(is_answered);
    node_crash(gone);
    cluster_settle(cluster);
    assert_true(server_can_read_now(left->server));
}

/* One that learns is promoted by an entry that it may apply first; from then on it takes writes. */
static void test_who_has_a_learner_is_not_alone(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->nodes[0];
    const char *urls[] = {"http://10.0.0.9:2380"};
    struct member extra = {
        .id = 99, .name = "", .peer_urls = urls, .peer_urls_count = 1, .is_learner = true};
    cluster_put(cluster, "k", "1");
    assert_true(server_can_read_now(node->server));
    change_member(node, RAFT_ADD_LEARNER_NODE, extra.id, &extra, false);
    assert_true(wait_until(is_with_others, node));
    assert_false(server_can_read_now(node->server));
    cluster_put(cluster, "k", "2");
    assert_reads(node, "k", "2");
    node_crash(node);
    node_start(node);
    cluster_put(cluster, "k", "3");
    assert_false(server_can_read_now(node->server));
    change_member(node, RAFT_REMOVE_NODE, extra.id, NULL, false);
    assert_true(wait_until(is_alone, node));
    cluster_put(cluster, "k", "4");
    assert_reads(node, "k", "4");
}

/* More than raft lets be applied at a time: it gives out the rest when it hears of the first. */
static void test_a_burst_is_applied_without_a_tick(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->nodes[0];
    struct request puts[BIG_PUTS];
    struct door core;
    door_stop_core(&core, node); /* it campaigns when it goes on */
    door_open(&core);
    cluster_put(cluster, "first", "1");
    door_stop_core(&core, node);
    for (size_t i = 0; i < BIG_PUTS; i++) {
        begin_put(&puts[i], node, "k", BIG);
    }
    door_open(&core);
    for (size_t i = 0; i < BIG_PUTS; i++) {
        struct err err = request_wait(&puts[i]);
        request_fini(&puts[i]);
        assert_int_equal(err.code, ERR_OK);
    }
}

#define ALONE_TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE_TEST(test_reads_wait_for_what_who_is_gone_acknowledged, setup_two),
        ALONE_TEST(test_who_has_a_learner_is_not_alone, setup_one),
        ALONE_TEST(test_a_burst_is_applied_without_a_tick, setup_one_that_never_ticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
