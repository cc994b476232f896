/* SPDX-License-Identifier: Apache-2.0
 * What a member refuses and gives up, and what it compacts by itself. */
#include "cluster_case.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/pb.h"
#include "server/compactor.h"
#include "server/leaderless.h"
#include "server/parts.h"

#include <stdio.h>
#include <unistd.h>

enum {
    LONG_NAME = 5000,
    FIELD_PUT = 4,
    FIELD_COMPACTION = 7,
    FIELD_ALARM = 10,
    ENDLESS_MS = 600000,
    MINUTE_MS = 60000,
    SLICE_ROWS = 4,
    NEVER = -1, /* the compacted revision of who never did */
};

/* A put that came too late would count as one revision more. */
static void never_times_out(struct server_options *options)
{
    options->request_ms = ENDLESS_MS;
}

static void pauses_for_ever(struct server_options *options)
{
    never_times_out(options);
    options->compaction_rows = SLICE_ROWS;
    options->compaction_pause_ms = ENDLESS_MS;
}

/* A name fits that is longer than all that these tests put. */
static void takes_long_names(struct server_options *options)
{
    never_times_out(options);
    options->max_request_bytes = LONG_NAME + 1000;
}

static void compacts_soon(struct server_options *options)
{
    never_times_out(options);
    options->compaction_mode = SERVER_COMPACTION_PERIODIC;
    options->compaction_retention = 300;
}

static int setup_alone(void **state, void (*tune)(struct server_options *options))
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 1);
    cluster->tune = tune;
    cluster_start(cluster);
    cluster_put(cluster, "first", "1");
    *state = cluster;
    return 0;
}

static int setup_patient(void **state)
{
    return setup_alone(state, never_times_out);
}

static int setup_long_names(void **state)
{
    return setup_alone(state, takes_long_names);
}

static int setup_pausing(void **state)
{
    return setup_alone(state, pauses_for_ever);
}

static int setup_compacting(void **state)
{
    return setup_alone(state, compacts_soon);
}

static bool is_past_the_bound(void *arg)
{
    struct server_status status;
    server_status_get(arg, &status);
    return status.commit_index > status.applied_index + UNAPPLIED_MAX;
}

static void request_begin_put(struct request *request, struct node *node, const char *key)
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = pb_bytes(slice_str(key));
    request_begin(request, node, FIELD_PUT, &put.base);
}

static void begin_puts(struct request *requests, size_t count, struct node *node)
{
    for (size_t i = 0; i < count; i++) {
        request_begin_put(&requests[i], node, "k");
    }
}

static size_t count_done_well(struct request *requests, size_t count)
{
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        struct err err = request_wait(&requests[i]);
        assert_true(!err_is(err) || IS(err, REQUEST_TOO_MANY_REQUESTS));
        good += !err_is(err);
        request_fini(&requests[i]);
    }
    return good;
}

/* Committed and not applied: etcd's bound, past which nothing more is proposed. What was taken
 * before ends well, and once it is applied more is taken. */
static void test_too_many_requests_and_back(void **state)
{
    enum { FIRST = 4 * INLINE_ENTRIES_MAX, ALL = UNAPPLIED_MAX + 1 };
    struct cluster *cluster = *state;
    struct node *node = &cluster->nodes[0];
    struct door core;
    struct door apply;
    struct request *requests = mem_new(ALL * sizeof(*requests));
    struct request late;
    cluster_settle(cluster);
    door_stop_core(&core, node);
    door_stop_apply(&apply, node);
    begin_puts(requests, FIRST, node); /* too many for core to apply them itself */
    door_open(&core);
    begin_puts(requests + FIRST, ALL - FIRST, node);
    bool is_full = wait_until(is_past_the_bound, node->server);
    request_begin_put(&late, node, "refused");
    bool is_told_at_once = atomic_load(&late.dones) == 1;
    door_open(&apply); /* before anything can fail, or all would hang */
    struct err err = request_wait(&late);
    request_fini(&late);
    assert_true(is_full && is_told_at_once);
    assert_string_equal(err_text(err), "etcdserver: too many requests");
    assert_int_equal(err_grpc(err), GRPC_CODE_RESOURCE_EXHAUSTED);
    assert_true(count_done_well(requests, ALL) > UNAPPLIED_MAX - FIRST);
    free(requests);
    cluster_settle(cluster);
    assert_int_equal(node_put(node, "taken", "1", 0).code, ERR_OK);
    assert_reads(node, "refused", "");
    assert_reads(node, "taken", "1");
}

/* Who asks is in the log with what they ask for, whole, and counts in its length. */
static void test_a_long_user_name_is_logged_whole(void **state)
{
    struct cluster *cluster = *state;
    struct node *node = &cluster->nodes[0];
    char *name = mem_new(LONG_NAME + 1001);
    memset(name, 'u', LONG_NAME);
    cluster->username = name;
    assert_int_equal(node_put(node, "k", "long", 0).code, ERR_OK);
    node_crash(node);
    node_start(node);
    cluster_put(cluster, "after", "1");
    memset(name, 'u', LONG_NAME + 1000);
    struct err err = node_put(node, "k", "longer", 0);
    cluster->username = NULL;
    free(name);
    assert_string_equal(err_text(err), "etcdserver: request is too large");
    assert_reads(node, "k", "long");
}

static bool has_no_leader(void *arg)
{
    struct server_status status;
    server_status_get(((struct node *)arg)->server, &status);
    return status.leader == 0;
}

/* What a leader took fails as a write may that is in a log; what came when there was none was never
 * in any. */
static void test_without_a_quorum_requests_time_out(void **state)
{
    struct cluster *cluster = *state;
    char value[64];
    struct request taken;
    struct server_lease lease;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = (ProtobufCBinaryData){1, (uint8_t *)"z"};
    cluster_put(cluster, "a", "1");
    struct node *left = cluster_leader(cluster);
    net_isolate(cluster, left->place, true);
    request_begin(&taken, left, 4, &put.base);
    for (size_t i = 0; i < cluster->count; i++) {
        if (&cluster->nodes[i] != left) {
            node_crash(&cluster->nodes[i]);
        }
    }
    assert_true(wait_until(has_no_leader, left));
    net_isolate(cluster, left->place, false);
    struct err err = node_put(left, "a", "2", 0);
    assert_string_equal(err_text(err), "context deadline exceeded");
    assert_int_equal(err_grpc(err), GRPC_CODE_DEADLINE_EXCEEDED);
    err = request_wait(&taken);
    request_fini(&taken);
    assert_memory_equal(err_text(err), "etcdserver: request timed out", 29);
    assert_int_equal(err_grpc(err), GRPC_CODE_UNAVAILABLE);
    assert_true(IS(node_ask_lease(left, 5, false, &lease), NO_LEADER));
    err = node_get(left, "a", value);
    assert_string_equal(err_text(err), "etcdserver: request timed out");
    assert_int_equal(node_get_serializable(left, "a", value).code, ERR_OK);
    assert_string_equal(value, "1");
    for (size_t i = 0; i < cluster->count; i++) {
        if (&cluster->nodes[i] != left) {
            node_start(&cluster->nodes[i]);
        }
    }
    cluster_put(cluster, "a", "3");
    assert_true(cluster_agrees(cluster));
}

/* The compactor, with hours that pass at once. */

static void puts_up_to(struct cluster *cluster, revision rev)
{
    while (mvcc_revision(cluster->nodes[0].storage.mvcc) < rev) {
        cluster_put(cluster, "k", "v");
    }
    assert_int_equal(mvcc_revision(cluster->nodes[0].storage.mvcc), rev);
}

/* What it proposed before this put is applied before it. */
static void is_compacted_to(struct cluster *cluster, revision rev)
{
    cluster_put(cluster, "k", "v");
    assert_int_equal(mvcc_compact_revision(cluster->nodes[0].storage.mvcc), rev);
}

static void test_auto_compaction_by_revision(void **state)
{
    struct cluster *cluster = *state;
    struct server *server = cluster->nodes[0].server;
    struct server_options options = {
        .compaction_mode = SERVER_COMPACTION_REVISION, .compaction_retention = 10};
    int64_t before_ms = clock_mono_ms();
    struct compactor *compactor = compactor_new(&options);
    int64_t after_ms = clock_mono_ms();
    puts_up_to(cluster, 31);
    compactor_tick(server, compactor, before_ms + 5 * MINUTE_MS - 1);
    is_compacted_to(cluster, NEVER);
    compactor_tick(server, compactor, after_ms + 5 * MINUTE_MS);
    is_compacted_to(cluster, 32 - 10);
    puts_up_to(cluster, 40);
    compactor_tick(server, compactor, after_ms + 10 * MINUTE_MS - 1);
    is_compacted_to(cluster, 22);
    compactor_tick(server, compactor, after_ms + 10 * MINUTE_MS);
    is_compacted_to(cluster, 41 - 10);
    compactor_free(compactor);
}

static void test_auto_compaction_keeps_what_is_young(void **state)
{
    struct cluster *cluster = *state;
    struct server *server = cluster->nodes[0].server;
    struct server_options options = {
        .compaction_mode = SERVER_COMPACTION_REVISION, .compaction_retention = 100};
    struct compactor *compactor = compactor_new(&options);
    puts_up_to(cluster, 31);
    compactor_tick(server, compactor, clock_mono_ms() + 5 * MINUTE_MS);
    is_compacted_to(cluster, NEVER);
    compactor_free(compactor);
}

static void test_auto_compaction_by_time(void **state)
{
    struct cluster *cluster = *state;
    struct server *server = cluster->nodes[0].server;
    struct server_options options = {
        .compaction_mode = SERVER_COMPACTION_PERIODIC, .compaction_retention = 60 * MINUTE_MS};
    struct compactor *compactor = compactor_new(&options);
    int64_t began_ms = clock_mono_ms();
    puts_up_to(cluster, 6);
    compactor_tick(server, compactor, began_ms);
    puts_up_to(cluster, 11);
    compactor_tick(server, compactor, began_ms + 30 * MINUTE_MS);
    puts_up_to(cluster, 16);
    compactor_tick(server, compactor, began_ms + 59 * MINUTE_MS);
    is_compacted_to(cluster, NEVER);
    compactor_tick(server, compactor, began_ms + 60 * MINUTE_MS);
    is_compacted_to(cluster, 6);
    compactor_tick(server, compactor, began_ms + 95 * MINUTE_MS);
    is_compacted_to(cluster, 6);
    compactor_tick(server, compactor, began_ms + 120 * MINUTE_MS);
    is_compacted_to(cluster, 16); /* the newest sample that is an hour old: of minute 59 */
    compactor_free(compactor);
}

/* It looks more often than it compacts: the leader before it may not have. */
static void test_whoever_leads_next_compacts_soon(void **state)
{
    struct cluster *cluster = *state;
    struct server *server = cluster->nodes[0].server;
    struct server_options options = {
        .compaction_mode = SERVER_COMPACTION_PERIODIC, .compaction_retention = 60 * MINUTE_MS};
    struct compactor *compactor = compactor_new(&options);
    struct server *follower = mem_new(sizeof(*follower));
    follower->options = server->options;
    int64_t began_ms = clock_mono_ms();
    puts_up_to(cluster, 6);
    compactor_tick(follower, compactor, began_ms);
    compactor_tick(follower, compactor, began_ms + 60 * MINUTE_MS);
    compactor_tick(server, compactor, began_ms + 66 * MINUTE_MS - 1);
    is_compacted_to(cluster, NEVER);
    compactor_tick(server, compactor, began_ms + 66 * MINUTE_MS);
    is_compacted_to(cluster, 6);
    compactor_free(compactor);
    free(follower);
}

static bool is_compacted(void *arg)
{
    struct node *node = arg;
    return mvcc_compact_revision(node->storage.mvcc) >= 5;
}

static void test_a_short_retention_is_kept_by_the_member_itself(void **state)
{
    struct cluster *cluster = *state;
    puts_up_to(cluster, 5);
    assert_true(wait_until(is_compacted, &cluster->nodes[0]));
}

static void test_a_follower_compacts_nothing_by_itself(void **state)
{
    struct cluster *cluster = *state;
    struct server_options options = {
        .compaction_mode = SERVER_COMPACTION_REVISION, .compaction_retention = 1};
    struct compactor *compactor = compactor_new(&options);
    struct server *follower = mem_new(sizeof(*follower));
    follower->options = cluster->nodes[0].server->options;
    puts_up_to(cluster, 9);
    compactor_tick(follower, compactor, clock_mono_ms() + 5 * MINUTE_MS);
    assert_int_equal(atomic_load(&follower->next_id), 0); /* it asked for none */
    compactor_free(compactor);
    free(follower);
}

/* Reads whose time is over. */

struct late_read {
    struct server_ask ask;
    struct server_read read;
    struct server *server;
    atomic_bool is_over;
    bool is_free; /* the lock of those that wait, when it was over */
};

static void wait_again(struct server_read *read)
{
    struct late_read *late = CONTAINER_OF(read, struct late_read, read);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    late->is_free = pthread_mutex_timedlock(&late->server->reads_mutex, &until) == 0;
    if (late->is_free) {
        pthread_mutex_unlock(&late->server->reads_mutex);
    }
    atomic_store(&late->is_over, true);
}

static void wait_too_long(struct server_ask *ask, struct raft *raft)
{
    struct late_read *late = CONTAINER_OF(ask, struct late_read, ask);
    (void)raft;
    late->read.done = wait_again;
    server_wait_applied(late->server, &late->read, UINT64_MAX);
    read_expire(late->server, INT64_MAX, ERR(TIMEOUT));
}

static bool is_over(void *arg)
{
    return atomic_load(&((struct late_read *)arg)->is_over);
}

/* A keepalive asks for the next lease then, a call that waited for its token begins. */
static void test_a_read_that_is_too_late_may_be_followed_by_another(void **state)
{
    struct cluster *cluster = *state;
    struct late_read late = {.ask.run = wait_too_long, .server = cluster->nodes[0].server};
    assert_true(server_on_core(late.server, &late.ask));
    assert_true(wait_until(is_over, &late));
    assert_int_equal(late.read.err.code, ERR_TIMEOUT);
    assert_true(late.is_free);
}

/* Waits for an index, which whoever sends a token may name. */

enum { WAITS = 4096, FAR = 1000 };

struct waits {
    struct server_ask ask;
    struct server *server;
    struct server_read reads[WAITS];
    size_t taken;
    struct err refusal;
    bool is_due_done;
    bool is_far_done;
    bool has_room_after;
    atomic_bool is_over;
};

static void note_end(struct server_read *read)
{
    read->deadline_ms = -1; /* it is its own again */
}

/* Whether it waits. */
static bool waits_for(struct waits *waits, struct server_read *read, uint64_t index)
{
    *read = (struct server_read){.done = note_end};
    server_wait_applied(waits->server, read, index);
    return read->deadline_ms != -1;
}

/* On core, so that no time is over meanwhile. */
static void wait_for_many(struct server_ask *ask, struct raft *raft)
{
    struct waits *waits = CONTAINER_OF(ask, struct waits, ask);
    struct server_read *reads = waits->reads;
    struct server_read due;
    uint64_t applied = apply_index(waits->server->options.apply);
    (void)raft;
    waits_for(waits, &reads[0], UINT64_MAX);
    waits_for(waits, &reads[1], applied + FAR);
    waits->is_due_done = !waits_for(waits, &due, applied) && !err_is(due.err);
    waits->is_far_done = reads[0].deadline_ms == -1 || reads[1].deadline_ms == -1;
    waits->taken = 2;
    while (waits->taken < WAITS - 1 &&
           waits_for(waits, &reads[waits->taken], UINT64_MAX - waits->taken)) {
        waits->taken++;
    }
    waits->refusal = reads[waits->taken].err;
    read_expire(waits->server, INT64_MAX, ERR(TIMEOUT));
    waits->has_room_after = waits_for(waits, &due, UINT64_MAX);
    read_expire(waits->server, INT64_MAX, ERR(TIMEOUT));
    atomic_store(&waits->is_over, true);
}

static bool is_wait_over(void *arg)
{
    return atomic_load(&((struct waits *)arg)->is_over);
}

static void test_a_thousand_may_wait_for_an_index(void **state)
{
    struct cluster *cluster = *state;
    struct waits *waits = mem_new(sizeof(*waits));
    waits->ask.run = wait_for_many;
    waits->server = cluster->nodes[0].server;
    assert_true(server_on_core(waits->server, &waits->ask));
    assert_true(wait_until(is_wait_over, waits));
    assert_true(waits->is_due_done);
    assert_false(waits->is_far_done);
    assert_int_equal(waits->taken, 1000);
    assert_int_equal(waits->refusal.code, ERR_REQUEST_TOO_MANY_REQUESTS);
    assert_true(waits->has_room_after);
    free(waits);
}

/* A leader that is gone for long. */

static void count_loss(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_a_leader_is_missed_after_three_looks_in_a_row(void **state)
{
    struct leaderless leaderless = {0};
    atomic_int losses = 0;
    struct server *server = mem_new(sizeof(*server));
    (void)state;
    server->options.tick_ms = 100;
    server->options.election_ticks = 10;
    server_on_leaderless(server, count_loss, &losses);
    leaderless_tick(server, &leaderless, 0);
    leaderless_tick(server, &leaderless, 1000);
    leaderless_tick(server, &leaderless, 1999); /* not yet */
    assert_int_equal(losses, 0);
    atomic_store(&server->leader, 1);
    leaderless_tick(server, &leaderless, 2000);
    atomic_store(&server->leader, 0);
    leaderless_tick(server, &leaderless, 3000);
    leaderless_tick(server, &leaderless, 9000); /* it stood still: one look, however long */
    assert_int_equal(losses, 0);
    leaderless_tick(server, &leaderless, 10000);
    assert_int_equal(losses, 1);
    leaderless_tick(server, &leaderless, 11000);
    assert_int_equal(losses, 2);
    atomic_store(&server->leader, 2);
    leaderless_tick(server, &leaderless, 12000);
    assert_int_equal(losses, 2);
    free(server);
}

/* Slices of a compaction. */

struct errand {
    struct server_job job;
    atomic_int runs;
};

static void run_errand(struct server_job *job)
{
    atomic_fetch_add(&CONTAINER_OF(job, struct errand, job)->runs, 1);
}

static bool has_run(void *arg)
{
    return atomic_load(&((struct errand *)arg)->runs) > 0;
}

static void compact(struct node *node, revision rev)
{
    Etcdserverpb__CompactionRequest compaction = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct request request;
    compaction.revision = rev;
    request_begin(&request, node, FIELD_COMPACTION, &compaction.base);
    assert_int_equal(request_wait(&request).code, ERR_OK);
    request_fini(&request);
}

/* Between two slices the back thread does nothing about the compaction until the pause is over;
 * with one that never is, only another job wakes it, for one slice each. */
static void test_compaction_pauses_between_slices(void **state)
{
    enum { ROWS = 40, SLICES = ROWS / SLICE_ROWS };
    struct cluster *cluster = *state;
    struct node *node = &cluster->nodes[0];
    struct errand after = {.job.run = run_errand};
    int errands = 0;
    puts_up_to(cluster, ROWS + 1);
    compact(node, ROWS + 1);
    server_after_compaction(node->server, &after.job);
    while (!atomic_load(&after.runs)) {
        struct errand errand = {.job.run = run_errand};
        assert_true(errands++ <= 2 * SLICES);
        assert_true(server_run(node->server, &errand.job));
        assert_true(wait_until(has_run, &errand));
    }
    assert_true(errands >= SLICES / 2); /* without a pause it is over before the first */
}

/* Keeps the back thread. */
struct stay {
    struct server_job job;
    atomic_bool has_begun;
    atomic_bool is_over;
};

static void run_stay(struct server_job *job)
{
    struct stay *stay = CONTAINER_OF(job, struct stay, job);
    atomic_store(&stay->has_begun, true);
    while (!atomic_load(&stay->is_over)) {
        usleep(1000);
    }
}

static bool has_come(void *arg)
{
    return atomic_load(&((struct stay *)arg)->has_begun);
}

/* However many jobs come at once, a compaction goes on between them. */
static void test_compaction_goes_on_beside_many_jobs(void **state)
{
    enum { ROWS = 40, JOBS = 3 * ROWS / SLICE_ROWS };
    struct cluster *cluster = *state;
    struct node *node = &cluster->nodes[0];
    struct stay stay = {.job.run = run_stay};
    struct errand after = {.job.run = run_errand};
    struct errand errands[JOBS];
    puts_up_to(cluster, ROWS + 1);
    assert_true(server_run(node->server, &stay.job));
    assert_true(wait_until(has_come, &stay));
    compact(node, ROWS + 1);
    server_after_compaction(node->server, &after.job);
    for (size_t i = 0; i < JOBS; i++) {
        errands[i] = (struct errand){.job.run = run_errand};
        assert_true(server_run(node->server, &errands[i].job));
    }
    atomic_store(&stay.is_over, true);
    assert_true(wait_until(has_run, &errands[JOBS - 1]));
    assert_true(wait_until(has_run, &after)); /* the pause never ends */
}

static bool is_full(void *arg)
{
    return apply_is_out_of_space(((struct node *)arg)->storage.apply);
}

static void expect_alarm_of(struct node *at, const struct node *whose)
{
    struct apply_alarm alarms[APPLY_ALARMS_MAX];
    assert_int_equal(apply_alarms(at->storage.apply, alarms), 1);
    assert_int_equal(alarms[0].type, ETCDSERVERPB__ALARM_TYPE__NOSPACE);
    assert_true(alarms[0].member_id == whose->id);
}

/* Whoever wrote hears of it when the alarm is up. */
static void test_a_write_that_does_not_fit_when_applied_raises_the_alarm(void **state)
{
    struct node *node = &((struct cluster *)*state)->nodes[0];
    assert_true(IS(node_put(node, "a", "1", 0), NO_SPACE));
    expect_alarm_of(node, node);
    assert_true(IS(node_put(node, "a", "2", 0), NO_SPACE));
    char value[64];
    assert_false(err_is(node_get(node, "a", value)));
    assert_string_equal(value, "1"); /* that one was applied, as in etcd */
}

/* What was refused because the alarm was up is no news when it is not any more: both may be applied
 * in one go, as after a restart. */
static void test_a_disarmed_alarm_does_not_come_back(void **state)
{
    struct node *node = &((struct cluster *)*state)->nodes[0];
    struct request refused;
    struct request disarm;
    struct door core;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__AlarmRequest alarm = ETCDSERVERPB__ALARM_REQUEST__INIT;
    put.key = pb_bytes(SLICE("a"));
    alarm.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
    alarm.memberid = node->id;
    alarm.alarm = ETCDSERVERPB__ALARM_TYPE__NOSPACE;
    assert_true(IS(node_put(node, "a", "1", 0), NO_SPACE));
    expect_alarm_of(node, node);
    door_stop_core(&core, node);
    request_begin(&refused, node, FIELD_PUT, &put.base);
    request_begin(&disarm, node, FIELD_ALARM, &alarm.base);
    door_open(&core);
    assert_true(IS(request_wait(&refused), NO_SPACE));
    assert_false(err_is(request_wait(&disarm)));
    request_fini(&refused);
    request_fini(&disarm);
    assert_int_equal(atomic_load(&node->server->raising), 0);
    assert_false(apply_is_out_of_space(node->storage.apply));
}

static int setup_full(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 1);
    cluster->tune = never_times_out;
    cluster->nodes[0].config.quota_bytes = 1;
    cluster_start(cluster);
    *state = cluster;
    return 0;
}

/* Nobody writes at the member whose store is full. */
static void test_a_full_member_says_so_though_others_are_written_to(void **state)
{
    struct cluster cluster;
    (void)state;
    cluster_init(&cluster, 3);
    cluster.tune = never_times_out;
    cluster.nodes[2].config.quota_bytes = 1;
    cluster_start(&cluster);
    struct node *other = &cluster.nodes[0];
    struct err err;
    do {
        err = node_put(other, "a", "1", 0);
    } while (err_is(err) && !IS(err, NO_SPACE));
    assert_true(wait_until(is_full, other));
    assert_true(wait_until(is_full, &cluster.nodes[2]));
    expect_alarm_of(other, &cluster.nodes[2]);
    cluster_fini(&cluster);
}

#define ALONE_TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ALONE_TEST(test_a_read_that_is_too_late_may_be_followed_by_another, setup_patient),
        ALONE_TEST(test_a_thousand_may_wait_for_an_index, setup_patient),
        cmocka_unit_test(test_a_leader_is_missed_after_three_looks_in_a_row),
        ALONE_TEST(test_too_many_requests_and_back, setup_patient),
        ALONE_TEST(test_a_write_that_does_not_fit_when_applied_raises_the_alarm, setup_full),
        ALONE_TEST(test_a_disarmed_alarm_does_not_come_back, setup_full),
        cmocka_unit_test(test_a_full_member_says_so_though_others_are_written_to),
        ALONE_TEST(test_a_long_user_name_is_logged_whole, setup_long_names),
        CLUSTER_TEST(test_without_a_quorum_requests_time_out),
        ALONE_TEST(test_auto_compaction_by_revision, setup_patient),
        ALONE_TEST(test_auto_compaction_keeps_what_is_young, setup_patient),
        ALONE_TEST(test_auto_compaction_by_time, setup_patient),
        ALONE_TEST(test_whoever_leads_next_compacts_soon, setup_patient),
        ALONE_TEST(test_a_short_retention_is_kept_by_the_member_itself, setup_compacting),
        ALONE_TEST(test_a_follower_compacts_nothing_by_itself, setup_patient),
        ALONE_TEST(test_compaction_pauses_between_slices, setup_pausing),
        ALONE_TEST(test_compaction_goes_on_beside_many_jobs, setup_pausing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
