/* SPDX-License-Identifier: Apache-2.0
 * Clocks that jump: what is read is never old, and no lease ends before its time, whoever's clock
 * says what; and what takes long. Arguments: a bug to plant (base/mutation.h), and the cases to
 * run. */
#include "cluster_case.h"
#include "cluster_clock.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/mutation.h"

#include <stdio.h>

enum { HOUR_S = 3600, LONG_S = 1000, LEAST_S = 900 }; /* no test takes a hundred seconds */
enum { KEPT = 5, SHORT = 6 };

static int setup(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    clock_begin(cluster);
    cluster_start(cluster);
    *state = cluster;
    return 0;
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

static void assert_kept(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        assert_true(time_left_s(&cluster->nodes[i], KEPT) > LEAST_S);
        assert_reads(&cluster->nodes[i], "kept", "x");
    }
}

static void assert_serves(struct cluster *cluster, int turn)
{
    char value[16];
    snprintf(value, sizeof(value), "%d", turn);
    cluster_put(cluster, "a", value);
    for (size_t i = 0; i < cluster->count; i++) {
        assert_reads(&cluster->nodes[i], "a", value);
    }
}

/* One of a second, granted before the jump: it ends, for time goes on. */
static bool is_short_gone(void *arg)
{
    struct cluster *cluster = arg;
    return !lease_exists(cluster_leader(cluster)->storage.leases, SHORT);
}

static void test_jumps_of_the_wall_clock_change_nothing(void **state)
{
    struct cluster *cluster = *state;
    const int64_t jumps_s[] = {HOUR_S, -2 * HOUR_S};
    int turn = 0;
    node_grant(cluster_leader(cluster), KEPT, LONG_S);
    put_leased(cluster, "kept", KEPT);
    for (size_t i = 0; i < sizeof(jumps_s) / sizeof(jumps_s[0]); i++) {
        node_grant(cluster_leader(cluster), SHORT, 1);
        clock_jump_wall(cluster_leader(cluster), jumps_s[i]);
        assert_serves(cluster, turn++);
        assert_kept(cluster);
        assert_true(wait_until(is_short_gone, cluster));
        clock_jump_wall(cluster_follower(cluster), jumps_s[i]);
        assert_serves(cluster, turn++);
        assert_kept(cluster);
    }
    assert_true(cluster_agrees(cluster));
}

struct wanted {
    struct cluster *cluster;
    struct node * not ;
};

static bool has_other_leader(void *arg)
{
    const struct wanted *wanted = arg;
    return cluster_leader(wanted->cluster) != wanted->not ;
}

/* Whoever is elected is hours ahead of who led: the time that leases have left is no hour of a
 * clock. */
static void test_a_leader_whose_clock_is_ahead_ends_no_lease(void **state)
{
    struct cluster *cluster = *state;
    node_grant(cluster_leader(cluster), KEPT, LONG_S);
    put_leased(cluster, "kept", KEPT);
    for (int turn = 0; turn < 2; turn++) {
        struct node *old = cluster_leader(cluster);
        struct wanted other = {cluster, old};
        node_grant(old, SHORT, 1);
        for (size_t i = 0; i < cluster->count; i++) {
            struct node *node = &cluster->nodes[i];
            clock_jump_wall(node, turn ? -2 * HOUR_S : HOUR_S);
            if (node != old) {
                clock_jump_mono(node, (turn + 1) * HOUR_S);
            }
        }
        net_isolate(cluster, old->place, true);
        assert_true(wait_until(has_other_leader, &other));
        net_isolate(cluster, old->place, false);
        assert_serves(cluster, turn);
        assert_kept(cluster);
        assert_true(wait_until(is_short_gone, cluster));
    }
    assert_true(cluster_agrees(cluster));
}

/* A leader that stands still for an hour by its clock, while the others elect and write. */
struct sleep {
    struct standstill still;
    struct node *node;
    struct request read;
    struct request look;
    struct request renewal;
};

static void prepare(struct cluster *cluster)
{
    node_grant(cluster_leader(cluster), KEPT, LONG_S);
    put_leased(cluster, "kept", KEPT);
    cluster_put(cluster, "a", "old");
    cluster_settle(cluster);
}

static bool believes(const struct node *node)
{
    struct server_status status;
    server_status_get(node->server, &status);
    return status.is_leader;
}

/* It led until then, whatever the machine does meanwhile. */
static void stop_leader(struct sleep *sleep, struct cluster *cluster)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    for (;;) {
        prepare(cluster);
        sleep->node = cluster_leader(cluster);
        net_isolate(cluster, sleep->node->place, true);
        standstill_begin(&sleep->still, sleep->node);
        if (believes(sleep->node)) {
            return;
        }
        standstill_end(&sleep->still);
        net_isolate(cluster, sleep->node->place, false);
        assert_true(clock_mono_ms() < deadline_ms);
    }
}

static void fall_asleep(struct sleep *sleep, struct cluster *cluster)
{
    stop_leader(sleep, cluster);
    struct wanted other = {cluster, sleep->node};
    assert_true(wait_until(has_other_leader, &other));
    cluster_put(cluster, "a", "new");
    clock_jump_mono(sleep->node, HOUR_S);
    request_begin_read(&sleep->read, sleep->node);
    request_begin_lease(&sleep->look, sleep->node, KEPT, true);
    request_begin_lease(&sleep->renewal, sleep->node, KEPT, false);
}

static bool is_timeout(struct err err)
{
    return IS(err, TIMEOUT) || IS(err, NO_LEADER);
}

/* It may answer nothing; but nothing old, nor that the lease has ended. */
static void check_answers(struct sleep *sleep)
{
    char found[64];
    if (!err_is(request_wait(&sleep->read))) {
        assert_int_equal(node_get_serializable(sleep->node, "a", found).code, ERR_OK);
        assert_string_equal(found, "new");
    }
    struct err err = request_wait(&sleep->look);
    assert_true(is_timeout(err) || (!err_is(err) && sleep->look.lease.lease.ttl_s > LEAST_S));
    err = request_wait(&sleep->renewal);
    assert_true(is_timeout(err) || (!err_is(err) && sleep->renewal.lease.lease.ttl_s == LONG_S));
    request_fini(&sleep->read);
    request_fini(&sleep->look);
    request_fini(&sleep->renewal);
}

static void finish(struct cluster *cluster, struct node *woken)
{
    assert_reads(woken, "a", "new");
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (err_is(node_put(woken, "b", "behind whatever it had begun", 0))) {
        assert_true(clock_mono_ms() < deadline_ms);
    }
    cluster_settle(cluster);
    assert_kept(cluster);
    assert_true(cluster_agrees(cluster));
}

/* It wakes alone, in the belief that it leads and that all leases have ended. */
static void test_a_leader_that_wakes_cut_off_answers_nothing_old(void **state)
{
    struct cluster *cluster = *state;
    struct sleep sleep;
    fall_asleep(&sleep, cluster);
    standstill_end(&sleep.still);
    check_answers(&sleep);
    net_isolate(cluster, sleep.node->place, false);
    finish(cluster, sleep.node);
}

struct heard {
    struct node *node;
    uint64_t before;
};

static bool has_heard(void *arg)
{
    const struct heard *heard = arg;
    return net_delivered(heard->node) > heard->before;
}

/* It wakes with the next leader's word in its box, and looks at its clock first. */
static void test_a_leader_that_wakes_deposed_revokes_nothing(void **state)
{
    struct cluster *cluster = *state;
    struct sleep sleep;
    fall_asleep(&sleep, cluster);
    struct heard heard = {sleep.node, net_delivered(sleep.node)};
    net_isolate(cluster, sleep.node->place, false);
    assert_true(wait_until(has_heard, &heard));
    standstill_end(&sleep.still);
    check_answers(&sleep);
    finish(cluster, sleep.node);
}

/* A network that loses what a follower asks its leader, and nothing else. */

enum { TRIES = 20, NEVER_MS = 600000 };

static struct {
    atomic_bool is_losing;
    atomic_int lost;
    void (*send)(void *arg, struct raft_message *messages, size_t count);
} asked;

static void send_but_questions(void *arg, struct raft_message *messages, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct raft_message message = messages[i];
        messages[i] = (struct raft_message){0};
        if (message.type == RAFT_MSG_READ_INDEX && atomic_load(&asked.is_losing)) {
            raft_message_fini(&message);
            atomic_fetch_add(&asked.lost, 1);
        } else {
            messages[kept++] = message;
        }
    }
    asked.send(arg, messages, kept);
}

static void loses_questions(struct server_options *options)
{
    options->request_ms = NEVER_MS;
    asked.send = options->transport.send;
    options->transport.send = send_but_questions;
}

static int setup_losing(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    atomic_store(&asked.is_losing, false);
    atomic_store(&asked.lost, 0);
    cluster_init(cluster, 3);
    clock_begin(cluster);
    cluster->tune = loses_questions;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

struct ticks {
    struct node *node;
    uint64_t until;
};

static bool have_passed(void *arg)
{
    const struct ticks *ticks = arg;
    struct server_status status;
    server_status_get(ticks->node->server, &status);
    return status.ticks >= ticks->until;
}

/* Whatever has to be done in a second is done. */
static void pass_a_second(struct node *node)
{
    struct server_status status;
    clock_jump_mono(node, 1);
    server_status_get(node->server, &status);
    struct ticks ticks = {node, status.ticks + 2};
    assert_true(wait_until(have_passed, &ticks));
}

static bool has_lost(void *arg)
{
    return atomic_load(&asked.lost) >= *(int *)arg;
}

/* Two read indexes are asked for at a time, and neither is answered for as long as a request may
 * take where an election may take ten seconds. */
static void test_reads_are_asked_for_until_they_are_answered(void **state)
{
    struct cluster *cluster = *state;
    static struct request reads[3]; /* they outlive a case that fails */
    cluster_put(cluster, "a", "1");
    cluster_settle(cluster);
    struct node *follower = cluster_follower(cluster);
    atomic_store(&asked.is_losing, true);
    for (int i = 0; i < 2; i++) {
        int lost = i + 1;
        request_begin_read(&reads[i], follower);
        assert_true(wait_until(has_lost, &lost));
    }
    for (int i = 0; i < TRIES; i++) {
        pass_a_second(follower);
    }
    atomic_store(&asked.is_losing, false);
    request_begin_read(&reads[2], follower);
    for (int i = 0; i < 3; i++) {
        struct err err = request_wait(&reads[i]);
        assert_true(!err_is(err) || IS(err, LEADER_CHANGED));
        request_fini(&reads[i]);
    }
    assert_reads(follower, "a", "1");
}

#define CLOCK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, cluster_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        CLOCK_TEST(test_jumps_of_the_wall_clock_change_nothing),
        CLOCK_TEST(test_a_leader_whose_clock_is_ahead_ends_no_lease),
        CLOCK_TEST(test_a_leader_that_wakes_cut_off_answers_nothing_old),
        CLOCK_TEST(test_a_leader_that_wakes_deposed_revokes_nothing),
        cmocka_unit_test_setup_teardown(
            test_reads_are_asked_for_until_they_are_answered, setup_losing, cluster_teardown),
    };
    mutation_choose(argc > 1 ? argv[1] : NULL);
    cmocka_set_test_filter(argc > 2 ? argv[2] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
