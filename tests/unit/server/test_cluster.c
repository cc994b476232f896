/* SPDX-License-Identifier: Apache-2.0
 * What a cluster promises: one order of writes that every member comes to, nothing acknowledged is
 * lost, nothing old is read. */
#include "cluster_case.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <unistd.h>

/* Until it is answered: what was lost with a leader may have been written all the same. */
static void put_at(struct node *node, const char *key)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (err_is(node_put(node, key, key, 0))) {
        assert_true(clock_mono_ms() < deadline_ms);
    }
}

static void test_every_member_takes_writes_and_reads(void **state)
{
    struct cluster *cluster = *state;
    char key[16];
    cluster_leader(cluster);
    for (size_t i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "k%zu", i);
        put_at(&cluster->nodes[i % 3], key);
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

/* What a follower is asked while its leader is gone and nobody knows yet waits for the next leader:
 * it neither goes to the dead one nor fails. */
static void test_a_put_right_after_a_kill_is_kept_for_the_next_leader(void **state)
{
    struct cluster *cluster = *state;
    bool is_kept = false;
    for (int round = 0; round < 5 && !is_kept; round++) { /* an election may take long */
        cluster_put(cluster, "a", "1");
        struct node *follower = cluster_follower(cluster);
        struct node *old = cluster_leader(cluster);
        node_crash(old);
        is_kept = !err_is(node_put(follower, "b", "2", 0));
        node_start(old);
        cluster_settle(cluster);
    }
    assert_true(is_kept);
    assert_true(cluster_agrees(cluster));
}

/* A put that was lost on its way to a leader that died: who waits hears of it when the next leader
 * has settled, not only at the deadline. */
static void test_a_put_lost_with_its_leader_is_given_up_early(void **state)
{
    struct cluster *cluster = *state;
    bool is_early = false;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = (ProtobufCBinaryData){1, (uint8_t *)"z"};
    for (int round = 0; round < 5 && !is_early; round++) { /* an election may take long */
        struct request lost;
        cluster_put(cluster, "a", "1");
        struct node *follower = cluster_follower(cluster);
        struct node *old = cluster_leader(cluster);
        net_spoil(cluster, 100, 0);
        request_begin(&lost, follower, 4, &put.base);
        usleep(20000);
        node_crash(old);
        net_spoil(cluster, 0, 0);
        struct err err = request_wait(&lost);
        is_early =
            IS(err, TIMEOUT_DUE_TO_LEADER_FAIL) && clock_mono_ms() < lost.proposal.deadline_ms;
        request_fini(&lost);
        node_start(old);
        cluster_settle(cluster);
    }
    assert_true(is_early);
    assert_true(cluster_agrees(cluster));
}

struct turn {
    struct server_ask ask;
    atomic_bool is_done;
};

static void note_turn(struct server_ask *ask, struct raft *raft)
{
    (void)raft;
    atomic_store(&CONTAINER_OF(ask, struct turn, ask)->is_done, true);
}

static bool has_turned(void *arg)
{
    return atomic_load(&((struct turn *)arg)->is_done);
}

/* What was given to core before is with raft. */
static void turn_twice(struct node *node)
{
    for (int i = 0; i < 2; i++) {
        struct turn turn = {.ask.run = note_turn};
        assert_true(server_on_core(node->server, &turn.ask));
        assert_true(wait_until(has_turned, &turn));
    }
}

static void reconnect(struct cluster *cluster, const struct node *node)
{
    pthread_mutex_lock(&cluster->net.mutex);
    cluster->net.since_ms[node->place] = clock_mono_ms() + 1;
    pthread_mutex_unlock(&cluster->net.mutex);
}

/* A put that was lost on its way to a leader that stays: the connection is younger than the put. */
static void test_a_put_lost_with_its_connection_is_told_so(void **state)
{
    struct cluster *cluster = *state;
    bool is_told = false;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = (ProtobufCBinaryData){1, (uint8_t *)"z"};
    for (int round = 0; round < 10 && !is_told; round++) { /* another election may come between */
        struct request lost;
        cluster_put(cluster, "a", "1");
        struct node *follower = cluster_follower(cluster);
        struct node *leader = cluster_leader(cluster);
        net_spoil(cluster, 0, 100);
        request_begin(&lost, follower, 4, &put.base);
        turn_twice(follower);
        net_spoil(cluster, 0, 0);
        reconnect(cluster, leader);
        is_told = IS(request_wait(&lost), TIMEOUT_DUE_TO_CONNECTION_LOST);
        request_fini(&lost);
    }
    assert_true(is_told);
    assert_true(cluster_agrees(cluster));
}

static void transferred(struct server_transfer *transfer)
{
    atomic_store((atomic_bool *)transfer->arg, true);
}

static bool is_set(void *arg)
{
    return atomic_load((atomic_bool *)arg);
}

/* Raft takes no proposals while leadership is on its way, here to a member that does not answer:
 * what a follower passes on meanwhile waits until that is over. */
static void test_a_put_passed_on_during_a_transfer_is_kept(void **state)
{
    struct cluster *cluster = *state;
    bool is_kept = false;
    for (int round = 0; round < 3 && !is_kept; round++) { /* another election may come between */
        atomic_bool is_over = false;
        cluster_put(cluster, "a", "1");
        struct node *leader = cluster_leader(cluster);
        struct node *asked = &cluster->nodes[(leader->place + 1) % 3];
        struct node *target = &cluster->nodes[(leader->place + 2) % 3];
        struct server_transfer transfer = {.target = target->id,
            .deadline_ms = clock_mono_ms() + WAIT_MS / 10,
            .done = transferred,
            .arg = &is_over};
        net_cut(cluster, leader->place, target->place, true);
        server_transfer_leader(leader->server, &transfer);
        usleep(TICK_MS * 1000 / 2);
        is_kept = !err_is(node_put(asked, "b", "2", 0));
        assert_true(wait_until(is_set, &is_over));
        net_cut(cluster, leader->place, target->place, false);
        cluster_settle(cluster);
    }
    assert_true(is_kept);
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

static void set(void *arg)
{
    atomic_store((atomic_bool *)arg, true);
}

static void test_a_member_that_is_cut_off_for_long_is_told(void **state)
{
    static atomic_bool is_told;
    struct cluster *cluster = *state;
    cluster_put(cluster, "a", "1");
    struct node *cut = cluster_follower(cluster);
    server_on_leaderless(cut->server, set, &is_told);
    net_isolate(cluster, cut->place, true);
    assert_true(wait_until(is_set, &is_told));
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

static struct err renew(struct node *node, int64_t id)
{
    int64_t ttl_s;
    return lease_renew(node->storage.leases, id, clock_mono_ms(), &ttl_s);
}

/* Renews it at the leader ten times in its time, until that is over twice. Whether it was never
 * late, and the leader stayed: only then the lease has to be there. */
static bool keep_lease(
    struct cluster *cluster, struct node *leader, struct node *back, int64_t ttl_ms)
{
    int64_t renewed_ms = clock_mono_ms();
    for (int i = 0; i < 20; i++) {
        usleep((useconds_t)ttl_ms * 100);
        int64_t before_ms = clock_mono_ms();
        struct err err = renew(leader, 6);
        if (clock_mono_ms() - renewed_ms >= ttl_ms * 9 / 10 || IS(err, NOT_LEADER)) {
            return false;
        }
        assert_int_equal(err.code, ERR_OK);
        renewed_ms = before_ms;
        if (i == 7) {
            net_isolate(cluster, back->place, false);
        }
    }
    return true;
}

static bool has_no_leases(void *arg)
{
    struct node *leader = cluster_leader(arg);
    return !lease_exists(leader->storage.leases, 5) && !lease_exists(leader->storage.leases, 6);
}

static struct node *next_leader(struct cluster *cluster, const struct node *old)
{
    struct node *leader = cluster_leader(cluster);
    while (leader == old) { /* until it knows */
        leader = cluster_leader(cluster);
    }
    return leader;
}

static bool is_no_leader(void *arg)
{
    return IS(renew(cluster_follower(arg), 6), NOT_LEADER);
}

/* The new leader gives each lease its whole time again; when that is over it goes, everywhere. A
 * leader that was cut off meanwhile revokes nothing when it comes back. */
static void test_leases_live_on_under_the_next_leader_and_end_there(void **state)
{
    struct cluster *cluster = *state;
    bool is_in_time = false;
    for (int64_t ttl_s = 1; ttl_s <= 32 && !is_in_time; ttl_s *= 2) { /* until it is fast enough */
        struct node *old = cluster_leader(cluster);
        int64_t ttl_ms = ttl_s * 1000;
        int64_t granted_ms = clock_mono_ms();
        node_grant(old, 5, ttl_s);
        node_grant(old, 6, ttl_s);
        bool is_put = !err_is(node_put(old, "short", "x", 5));
        net_isolate(cluster, old->place, true);
        int64_t isolated_ms = clock_mono_ms();
        struct node *leader = next_leader(cluster, old);
        struct err err = renew(leader, 6);
        is_in_time = is_put && isolated_ms - granted_ms < ttl_ms * 9 / 10 &&
                     clock_mono_ms() - isolated_ms < ttl_ms && !IS(err, NOT_LEADER);
        if (is_in_time) {
            assert_int_equal(err.code, ERR_OK);
            is_in_time = keep_lease(cluster, leader, old, ttl_ms);
        }
        net_isolate(cluster, old->place, false);
        assert_true(wait_until(is_no_leader, cluster));
        struct seen seen = {old, "short"};
        assert_true(wait_until(is_gone, &seen));
        assert_true(wait_until(has_no_leases, cluster));
    }
    assert_true(is_in_time);
    assert_true(cluster_agrees(cluster));
}

/* What the answer is once there is one: a leader may change meanwhile. */
static struct err ask_lease(struct node *node, int64_t id, bool is_look, struct server_lease *lease)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    struct err err = node_ask_lease(node, id, is_look, lease);
    while ((IS(err, TIMEOUT) || IS(err, NO_LEADER)) && clock_mono_ms() < deadline_ms) {
        err = node_ask_lease(node, id, is_look, lease);
    }
    return err;
}

static void test_followers_ask_the_leader_about_leases(void **state)
{
    struct cluster *cluster = *state;
    struct server_lease lease;
    struct node *follower = cluster_follower(cluster);
    node_grant(follower, 5, 1000);
    /* The leader may be the last to apply it; the network here asks its table as it is. */
    assert_reads(cluster_leader(cluster), "a", "");
    assert_int_equal(ask_lease(follower, 5, false, &lease).code, ERR_OK);
    assert_int_equal(lease.ttl_s, 1000);
    assert_int_equal(ask_lease(follower, 5, true, &lease).code, ERR_OK);
    assert_int_equal(lease.granted_s, 1000);
    assert_true(lease.ttl_s >= 900 && lease.ttl_s <= 1000);
    struct node *leader = cluster_leader(cluster);
    assert_int_equal(ask_lease(leader, 5, true, &lease).code, ERR_OK);
    assert_true(IS(ask_lease(follower, 6, false, &lease), LEASE_NOT_FOUND));
    /* A leader that cannot know that it still leads renews nothing. */
    net_isolate(cluster, leader->place, true);
    struct err err = node_ask_lease(leader, 5, false, &lease);
    assert_true(IS(err, TIMEOUT) || IS(err, NO_LEADER));
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

/* What members pass on to their leader, by the message. */

enum { FIELD_PUT = 4, LARGE = 1 << 20, LARGE_PUTS = 20, PASSED_MAX = 8 << 20 };

static struct {
    void (*send)(void *arg, struct raft_message *messages, size_t count);
    atomic_size_t most;
    atomic_size_t all;
} passed;

static void measure(const struct raft_message *message)
{
    size_t bytes = 0;
    for (size_t i = 0; message->type == RAFT_MSG_PROP && i < message->entries_count; i++) {
        bytes += message->entries[i].data->len;
    }
    atomic_fetch_add(&passed.all, bytes);
    size_t most = atomic_load(&passed.most);
    while (bytes > most && !atomic_compare_exchange_weak(&passed.most, &most, bytes)) {
    }
}

static void send_measured(void *arg, struct raft_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        measure(&messages[i]);
    }
    passed.send(arg, messages, count);
}

static void takes_large_puts(struct server_options *options)
{
    options->request_ms = WAIT_MS;
    options->max_request_bytes = 2 * LARGE;
    passed.send = options->transport.send;
    options->transport.send = send_measured;
}

static int setup_large(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 3);
    cluster->tune = takes_large_puts;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

static bool has_lost_leader(void *arg)
{
    struct server_status status;
    server_status_get(((struct node *)arg)->server, &status);
    return status.leader == 0;
}

/* They wait for a leader, and one appears. */
static void put_large_at(struct node *follower)
{
    static struct request puts[LARGE_PUTS]; /* they outlive a case that fails */
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = (ProtobufCBinaryData){1, (uint8_t *)"k"};
    put.value = (ProtobufCBinaryData){LARGE, mem_new(LARGE)};
    net_isolate(follower->cluster, follower->place, true);
    assert_true(wait_until(has_lost_leader, follower));
    atomic_store(&passed.most, 0);
    atomic_store(&passed.all, 0);
    for (size_t i = 0; i < LARGE_PUTS; i++) {
        request_begin(&puts[i], follower, FIELD_PUT, &put.base);
    }
    free(put.value.data);
    net_isolate(follower->cluster, follower->place, false);
    for (size_t i = 0; i < LARGE_PUTS; i++) {
        struct err err = request_wait(&puts[i]);
        assert_true(!err_is(err) || IS(err, TIMEOUT_DUE_TO_LEADER_FAIL));
        request_fini(&puts[i]);
    }
}

/* A message that is too large for its reader would break the connection and be lost with all that
 * is in it. */
static void test_what_waited_is_passed_on_in_messages_that_readers_take(void **state)
{
    struct cluster *cluster = *state;
    bool is_passed_on = false;
    for (int round = 0; round < 5 && !is_passed_on; round++) { /* it may come to lead itself */
        cluster_settle(cluster);
        put_large_at(cluster_follower(cluster));
        is_passed_on = atomic_load(&passed.all) >= (size_t)LARGE_PUTS * LARGE;
        assert_true(atomic_load(&passed.most) <= PASSED_MAX + 2 * LARGE);
    }
    assert_true(is_passed_on);
}

static uint64_t term_of(const struct node *node)
{
    struct server_status status;
    server_status_get(node->server, &status);
    return status.term;
}

static void test_a_leader_that_stops_hands_over(void **state)
{
    struct cluster *cluster = *state;
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    bool is_smooth = false; /* no election failed on the way */
    while (!is_smooth && clock_mono_ms() < deadline_ms) {
        cluster_put(cluster, "a", "1");
        struct node *old = cluster_leader(cluster);
        uint64_t term = term_of(old);
        node_stop(old);
        struct node *leader = cluster_leader(cluster);
        is_smooth = term_of(leader) == term + 1;
        assert_reads(leader, "a", "1");
        node_start(old);
    }
    assert_true(is_smooth);
}

/* A tenth of all messages is lost, and every message late: what is acknowledged is there for
 * whoever asks next, wherever. */
static void test_a_bad_network_loses_no_write(void **state)
{
    struct cluster *cluster = *state;
    char value[16] = "none";
    char found[64];
    cluster_leader(cluster);
    net_spoil(cluster, 2, 10);
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    for (size_t i = 0; i < 12 || (value[0] == 'n' && clock_mono_ms() < deadline_ms); i++) {
        struct node *writer = &cluster->nodes[i % 3];
        struct node *reader = &cluster->nodes[(i + 1) % 3];
        char next[16];
        snprintf(next, sizeof(next), "%zu", i);
        if (err_is(node_put(writer, "a", next, 0))) {
            continue; /* may have happened or not: not looked at */
        }
        snprintf(value, sizeof(value), "%s", next);
        if (!err_is(node_get(reader, "a", found))) {
            assert_true(strtol(found, NULL, 10) >= strtol(value, NULL, 10));
        }
    }
    assert_string_not_equal(value, "none");
    net_spoil(cluster, 0, 0);
    assert_true(cluster_agrees(cluster));
}

enum { SLOW_TICKS = 1250 };

static uint64_t ticks_of(const struct node *node)
{
    struct server_status status;
    server_status_get(node->server, &status);
    return status.ticks;
}

static bool has_advanced(void *arg)
{
    return ticks_of(arg) >= SLOW_TICKS - 2;
}

static bool has_leader(void *arg)
{
    const struct node *node = arg;
    struct server_status status;
    server_status_get(node->server, &status);
    return status.leader != 0;
}

static bool has_ticked(void *arg)
{
    return ticks_of(arg) >= 10;
}

/* Without it nothing would happen for 50 s. */
static void test_the_first_wait_is_cut_short_once_others_are_there(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    (void)state;
    cluster_init_slow(cluster, 3, SLOW_TICKS);
    cluster->initial_tick_advance = true;
    node_start(&cluster->nodes[0]);
    node_start(&cluster->nodes[1]);
    assert_true(wait_until(has_ticked, &cluster->nodes[0]));
    assert_false(has_advanced(&cluster->nodes[0])); /* one other is there: not yet */
    node_start(&cluster->nodes[2]);
    bool any_has = false;
    for (size_t i = 0; i < 3; i++) {
        assert_true(wait_until(has_leader, &cluster->nodes[i]));
    }
    for (size_t i = 0; i < 3; i++) { /* who came when there was a leader need not */
        any_has = any_has || has_advanced(&cluster->nodes[i]);
    }
    assert_true(any_has);
    cluster_fini(cluster);
    free(cluster);
}

static void test_the_first_wait_is_kept_when_told_so(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    (void)state;
    cluster_init_slow(cluster, 3, SLOW_TICKS);
    cluster_start(cluster);
    for (size_t i = 0; i < 3; i++) {
        assert_true(wait_until(has_ticked, &cluster->nodes[i]));
        assert_false(has_advanced(&cluster->nodes[i]));
    }
    cluster_fini(cluster);
    free(cluster);
}

/* What members decide on their own tells nobody but the log. */
static atomic_int gone_noted;

void __real_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);

void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields)
{
    if (strcmp(message, "the leader's process is gone; not waiting for its heartbeats") == 0) {
        atomic_fetch_add(&gone_noted, 1);
    }
    __real_log_write(level, file, line, message, fields);
}

struct after {
    struct cluster *cluster;
    uint64_t lead; /* who it was */
};

static bool is_noted_or_over(void *arg)
{
    const struct after *after = arg;
    bool is_over = false;
    for (size_t i = 0; i < after->cluster->count; i++) {
        struct node *node = &after->cluster->nodes[i];
        struct server_status status = {0};
        if (node->server) {
            server_status_get(node->server, &status);
        }
        is_over = is_over || (status.leader && status.leader != after->lead);
    }
    return is_over || atomic_load(&gone_noted) > 0;
}

static void refuse(struct cluster *cluster, const struct node *node, int64_t since_ms)
{
    pthread_mutex_lock(&cluster->net.mutex);
    cluster->net.refused_ms[node->place] = since_ms;
    pthread_mutex_unlock(&cluster->net.mutex);
}

static bool is_end_noted(struct cluster *cluster)
{
    struct node *old = cluster_leader(cluster);
    struct after after = {cluster, old->id};
    node_crash(old);
    refuse(cluster, old, clock_mono_ms());
    assert_true(wait_until(is_noted_or_over, &after));
    cluster_put(cluster, "b", "2");
    refuse(cluster, old, 0);
    node_start(old);
    assert_reads(old, "b", "2");
    assert_true(cluster_agrees(cluster));
    return atomic_load(&gone_noted) > 0;
}

/* On a machine where all stood still a while, the others may have given it up before. */
static void test_nobody_waits_for_a_leader_whose_process_is_gone(void **state)
{
    struct cluster *cluster = *state;
    bool is_noted = false;
    atomic_store(&gone_noted, 0);
    cluster_put(cluster, "a", "1");
    for (int i = 0; i < 10 && !is_noted; i++) {
        is_noted = is_end_noted(cluster);
    }
    assert_true(is_noted);
}

/* Whoever was heard since is there, whatever its host says; who is silent may be slow. */
static void test_a_leader_that_is_heard_or_only_silent_is_waited_for(void **state)
{
    struct cluster *cluster = *state;
    atomic_store(&gone_noted, 0);
    struct node *old = cluster_leader(cluster);
    int64_t since_ms = clock_mono_ms();
    cluster_put(cluster, "a", "1");
    cluster_settle(cluster);
    refuse(cluster, old, since_ms);
    for (int i = 0; i < 20; i++) {
        cluster_put(cluster, "b", "2");
    }
    refuse(cluster, old, 0);
    node_crash(cluster_leader(cluster));
    cluster_put(cluster, "c", "3");
    assert_int_equal(atomic_load(&gone_noted), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(test_every_member_takes_writes_and_reads),
        CLUSTER_TEST(test_a_killed_leader_takes_nothing_with_it),
        CLUSTER_TEST(test_nobody_waits_for_a_leader_whose_process_is_gone),
        CLUSTER_TEST(test_a_leader_that_is_heard_or_only_silent_is_waited_for),
        PATIENT_TEST(test_a_put_right_after_a_kill_is_kept_for_the_next_leader),
        PATIENT_TEST(test_a_put_lost_with_its_leader_is_given_up_early),
        CLUSTER_TEST(test_a_put_lost_with_its_connection_is_told_so),
        PATIENT_TEST(test_a_put_passed_on_during_a_transfer_is_kept),
        CLUSTER_TEST(test_a_cut_off_leader_serves_nothing),
        CLUSTER_TEST(test_a_member_that_is_cut_off_for_long_is_told),
        CLUSTER_TEST(test_two_of_three_down_means_no_service_until_one_is_back),
        CLUSTER_TEST(test_leases_live_on_under_the_next_leader_and_end_there),
        CLUSTER_TEST(test_followers_ask_the_leader_about_leases),
        cmocka_unit_test(test_the_cluster_version_is_what_all_members_can),
        cmocka_unit_test_setup_teardown(test_what_waited_is_passed_on_in_messages_that_readers_take,
            setup_large, cluster_teardown),
        CLUSTER_TEST(test_a_leader_that_stops_hands_over),
        CLUSTER_TEST(test_a_bad_network_loses_no_write),
        cmocka_unit_test(test_the_first_wait_is_cut_short_once_others_are_there),
        cmocka_unit_test(test_the_first_wait_is_kept_when_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
