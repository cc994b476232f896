/* SPDX-License-Identifier: Apache-2.0
 * What happens between two steps of a thread, where other threads hardly ever come. */
#include "cluster_case.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pb.h"
#include "mvcc/state.h"
#include "server/compactor.h"
#include "server/parts.h"

enum {
    FIELD_PUT = 4,
    FIELD_COMPACTION = 7,
    ENDLESS_MS = 600000,
    SOON_MS = 300,
    HOUR_S = 3600,
    MINUTE_MS = 60000,
    LEASE = 7,
    TICKS = 20,
    PUTS = 20,
    FIRST = 10,
    SECOND = 20,
};

enum moment { NEVER, STEP_DONE, END_LOGGED, PROPOSING, PROPOSING_ONE };

static struct {
    _Atomic enum moment moment;
    struct node *node;
    struct request *requests;
    struct err err;
    atomic_bool is_over; /* err is what came of it */
    atomic_int refused;
    atomic_int checkpoints; /* asked for */
    atomic_int failures;    /* of the compactor's, told */
    atomic_int successes;
} planned;

static bool comes(enum moment moment)
{
    enum moment expected = moment;
    return atomic_compare_exchange_strong(&planned.moment, &expected, NEVER);
}

static bool is_done(void *arg)
{
    return atomic_load(&((struct request *)arg)->dones) > 0;
}

/* Also on a member's threads, which may not assert; what never ends stays the member's. */
static struct err compact(struct node *node, revision rev)
{
    Etcdserverpb__CompactionRequest compaction = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct request *request = mem_new(sizeof(*request));
    compaction.revision = rev;
    request_begin(request, node, FIELD_COMPACTION, &compaction.base);
    if (!wait_until(is_done, request)) {
        return ERR(TIMEOUT);
    }
    struct err err = request->proposal.result.err;
    request_fini(request);
    free(request);
    return err;
}

static void compact_second(void)
{
    planned.err = compact(planned.node, SECOND);
    atomic_store(&planned.is_over, true);
}

void __real_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);

void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields)
{
    if (strcmp(message, "finished scheduled compaction") == 0 && comes(END_LOGGED)) {
        compact_second();
    }
    if (strcmp(message, "failed auto periodic compaction") == 0) {
        atomic_fetch_add(&planned.failures, level == LOG_LEVEL_WARN);
    }
    if (strcmp(message, "completed auto periodic compaction") == 0) {
        atomic_fetch_add(&planned.successes, 1);
    }
    __real_log_write(level, file, line, message, fields);
}

struct err __real_mvcc_compact_step(
    struct mvcc *mvcc, size_t rows_max, bool *out_done, struct why *why);
struct err __wrap_mvcc_compact_step(
    struct mvcc *mvcc, size_t rows_max, bool *out_done, struct why *why);

struct err __wrap_mvcc_compact_step(
    struct mvcc *mvcc, size_t rows_max, bool *out_done, struct why *why)
{
    struct err err = __real_mvcc_compact_step(mvcc, rows_max, out_done, why);
    if (!err_is(err) && *out_done && mvcc_compact_revision(mvcc) == FIRST && comes(STEP_DONE)) {
        compact_second();
    }
    return err;
}

/* As if the first of two had been taken for another's answer, and its memory were used anew; and
 * raft takes neither. */
static struct err lose_first(struct server *server, struct request *requests)
{
    struct server_proposal *first = &requests[0].proposal;
    check(waiter_find(server, first->id) == &first->result);
    proposal_finish(server, first, ERR(TIMEOUT));
    first->id = requests[1].proposal.id;
    return ERR(PROPOSAL_DROPPED);
}

struct err __real_raft_step(struct raft *raft, const struct raft_event *event);
struct err __wrap_raft_step(struct raft *raft, const struct raft_event *event);

struct err __wrap_raft_step(struct raft *raft, const struct raft_event *event)
{
    if (event->type == RAFT_PROPOSE && event->entries_count == 2 && comes(PROPOSING)) {
        return lose_first(planned.node->server, planned.requests);
    }
    if (event->type == RAFT_PROPOSE && event->entries_count == 1 &&
        atomic_load(&planned.moment) == PROPOSING_ONE) {
        atomic_fetch_add(&planned.refused, 1);
        return ERR(PROPOSAL_DROPPED);
    }
    return __real_raft_step(raft, event);
}

size_t __real_lease_checkpoints_due(
    struct lease_table *table, int64_t now_ms, struct lease_remains *out, size_t max);
size_t __wrap_lease_checkpoints_due(
    struct lease_table *table, int64_t now_ms, struct lease_remains *out, size_t max);

size_t __wrap_lease_checkpoints_due(
    struct lease_table *table, int64_t now_ms, struct lease_remains *out, size_t max)
{
    atomic_fetch_add(&planned.checkpoints, 1);
    return __real_lease_checkpoints_due(table, now_ms, out, max);
}

static void is_patient(struct server_options *options)
{
    options->request_ms = ENDLESS_MS;
}

static int setup(void **state)
{
    struct cluster *cluster = mem_new(sizeof(*cluster));
    cluster_init(cluster, 1);
    cluster->tune = is_patient;
    cluster_start(cluster);
    put_many(cluster, "k", PUTS);
    assert_true(wait_until(node_is_at_rest, &cluster->nodes[0]));
    cluster_settle(cluster);
    *state = cluster;
    return 0;
}

struct errand {
    struct server_job job;
    revision finished;
    atomic_bool has_run;
};

static void run_errand(struct server_job *job)
{
    struct errand *errand = CONTAINER_OF(job, struct errand, job);
    errand->finished = atomic_load(&planned.node->storage.mvcc->finished);
    atomic_store(&errand->has_run, true);
}

static bool has_run(void *arg)
{
    return atomic_load(&((struct errand *)arg)->has_run);
}

static bool has_come(void *arg)
{
    (void)arg;
    return atomic_load(&planned.moment) == NEVER;
}

static bool is_over(void *arg)
{
    (void)arg;
    return atomic_load(&planned.is_over);
}

/* Whoever waits for the end of compactions waits for that of the second too. */
static void two_compactions(struct cluster *cluster, enum moment moment)
{
    struct errand errand = {.job.run = run_errand};
    planned.node = &cluster->nodes[0];
    planned.err = ERR(TIMEOUT);
    atomic_store(&planned.is_over, false);
    atomic_store(&planned.moment, moment);
    assert_false(err_is(compact(planned.node, FIRST)));
    assert_true(wait_until(has_come, NULL));
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (mvcc_compact_revision(planned.node->storage.mvcc) != SECOND) {
        assert_false(atomic_load(&planned.is_over) && err_is(planned.err));
        assert_true(clock_mono_ms() < deadline_ms);
        cluster_put(cluster, "k", "v"); /* it is on its way */
    }
    cluster_put(cluster, "k", "v"); /* begun before this was applied */
    server_after_compaction(planned.node->server, &errand.job);
    assert_true(wait_until(has_run, &errand));
    assert_true(wait_until(is_over, NULL));
    assert_false(err_is(planned.err));
    assert_int_equal(errand.finished, SECOND);
}

static void test_a_compaction_that_begins_when_one_is_done_goes_on(void **state)
{
    two_compactions(*state, STEP_DONE);
}

static void test_a_compaction_that_begins_when_one_has_ended_is_begun(void **state)
{
    two_compactions(*state, END_LOGGED);
}

/* Raft does not take two puts; meanwhile somebody else ended the first, whose memory may be gone.
 * The second is proposed again. */
static void test_who_ended_a_proposal_owns_it(void **state)
{
    struct cluster *cluster = *state;
    struct request requests[2];
    struct door core;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    put.key = pb_bytes(SLICE("twice"));
    planned.node = &cluster->nodes[0];
    planned.requests = requests;
    door_stop_core(&core, planned.node);
    request_begin(&requests[0], planned.node, FIELD_PUT, &put.base);
    request_begin(&requests[1], planned.node, FIELD_PUT, &put.base);
    atomic_store(&planned.moment, PROPOSING);
    door_open(&core);
    struct err second = request_wait(&requests[1]);
    struct err first = request_wait(&requests[0]);
    request_fini(&requests[0]);
    request_fini(&requests[1]);
    assert_int_equal(second.code, ERR_OK);
    assert_true(IS(first, TIMEOUT));
}

static bool was_refused(void *arg)
{
    (void)arg;
    return atomic_load(&planned.refused) > 0;
}

/* Raft does not take the first, but would take both. */
static void test_what_raft_does_not_take_yet_stays_ahead(void **state)
{
    struct cluster *cluster = *state;
    struct request requests[2];
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    planned.node = &cluster->nodes[0];
    atomic_store(&planned.refused, 0);
    atomic_store(&planned.moment, PROPOSING_ONE);
    put.key = pb_bytes(SLICE("ordered"));
    put.value = pb_bytes(SLICE("first"));
    request_begin(&requests[0], planned.node, FIELD_PUT, &put.base);
    assert_true(wait_until(was_refused, NULL));
    put.value = pb_bytes(SLICE("second"));
    request_begin(&requests[1], planned.node, FIELD_PUT, &put.base);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(request_wait(&requests[i]).code, ERR_OK);
        request_fini(&requests[i]);
    }
    atomic_store(&planned.moment, NEVER);
    assert_reads(planned.node, "ordered", "second");
}

/* A compactor whose hours pass at once. */
struct hours {
    struct compactor *compactor;
    int64_t began_ms;
    int64_t now_ms;
};

static void pass_to(struct hours *hours, int64_t ms)
{
    hours->now_ms = hours->began_ms + ms;
    compactor_tick(planned.node->server, hours->compactor, hours->now_ms);
}

static bool has_failed_once(void *arg)
{
    struct hours *hours = arg;
    compactor_tick(planned.node->server, hours->compactor, hours->now_ms);
    return atomic_load(&planned.failures) == 1;
}

static bool has_succeeded(void *arg)
{
    struct hours *hours = arg;
    compactor_tick(planned.node->server, hours->compactor, hours->now_ms);
    return atomic_load(&planned.successes) == 1;
}

/* What nobody commits takes too long; the next try is a tenth of the period later. */
static void test_a_compaction_that_failed_is_tried_again_soon(void **state)
{
    struct cluster *cluster = *state;
    struct server_options options = {
        .compaction_mode = SERVER_COMPACTION_PERIODIC, .compaction_retention = 60 * MINUTE_MS};
    struct hours hours = {compactor_new(&options), clock_mono_ms(), 0};
    planned.node = &cluster->nodes[0];
    planned.node->server->options.request_ms = SOON_MS;
    atomic_store(&planned.failures, 0);
    atomic_store(&planned.successes, 0);
    struct mvcc *mvcc = planned.node->storage.mvcc;
    revision rev = mvcc_revision(mvcc);
    pass_to(&hours, 0);
    atomic_store(&planned.moment, PROPOSING_ONE);
    pass_to(&hours, 60 * MINUTE_MS);
    bool is_told = wait_until(has_failed_once, &hours);
    atomic_store(&planned.moment, NEVER);
    assert_true(is_told);
    pass_to(&hours, 66 * MINUTE_MS - 1);
    cluster_put(cluster, "k", "v"); /* behind what it may have proposed */
    assert_true(mvcc_compact_revision(mvcc) < rev);
    planned.node->server->options.request_ms = ENDLESS_MS;
    pass_to(&hours, 66 * MINUTE_MS);
    assert_true(wait_until(has_succeeded, &hours));
    assert_int_equal(mvcc_compact_revision(mvcc), rev);
    pass_to(&hours, 125 * MINUTE_MS);
    cluster_put(cluster, "k", "v");
    assert_int_equal(mvcc_compact_revision(mvcc), rev);
    compactor_free(hours.compactor);
}

static void test_a_compaction_that_another_made_is_done(void **state)
{
    struct cluster *cluster = *state;
    struct server_options options = {
        .compaction_mode = SERVER_COMPACTION_PERIODIC, .compaction_retention = 60 * MINUTE_MS};
    struct hours hours = {compactor_new(&options), clock_mono_ms(), 0};
    planned.node = &cluster->nodes[0];
    atomic_store(&planned.failures, 0);
    atomic_store(&planned.successes, 0);
    pass_to(&hours, 0);
    assert_false(err_is(compact(planned.node, mvcc_revision(planned.node->storage.mvcc))));
    pass_to(&hours, 60 * MINUTE_MS);
    assert_true(wait_until(has_succeeded, &hours));
    assert_int_equal(atomic_load(&planned.failures), 0);
    compactor_free(hours.compactor);
}

static bool have_ticks_passed(void *arg)
{
    return atomic_load(&planned.node->server->ticks) > *(uint64_t *)arg + TICKS;
}

static int checkpoints_meanwhile(void)
{
    int before = atomic_load(&planned.checkpoints);
    uint64_t ticks = atomic_load(&planned.node->server->ticks);
    bool have_passed = wait_until(have_ticks_passed, &ticks);
    return have_passed ? atomic_load(&planned.checkpoints) - before : -1;
}

static bool is_checkpointed(void *arg)
{
    return atomic_load(&planned.checkpoints) > *(int *)arg;
}

static void assert_checkpoints_again(void)
{
    int before = atomic_load(&planned.checkpoints);
    assert_true(wait_until(is_checkpointed, &before));
}

/* A renewal that has to take a checkpoint back first, and cannot: nothing is applied, by the apply
 * thread. Another checkpoint is due. */
struct standing {
    struct door apply;
    struct request renewal;
};

static void standing_begin(struct standing *standing, struct cluster *cluster)
{
    struct backend_batch *batch = backend_batch_new();
    planned.node = &cluster->nodes[0];
    node_grant(planned.node, LEASE, HOUR_S);
    assert_checkpoints_again();
    door_stop_apply(&standing->apply, planned.node);
    atomic_fetch_add(&planned.node->server->apply_jobs, 1);
    lease_checkpoint(planned.node->storage.leases, LEASE, 1, batch);
    backend_batch_free(batch);
    request_begin_lease(&standing->renewal, planned.node, LEASE, false);
}

static void standing_end(struct standing *standing)
{
    door_open(&standing->apply);
    atomic_fetch_sub(&planned.node->server->apply_jobs, 1);
}

static void test_no_checkpoint_is_given_out_behind_one_that_takes_back(void **state)
{
    struct standing standing;
    standing_begin(&standing, *state);
    int given_out = checkpoints_meanwhile();
    standing_end(&standing);
    assert_int_equal(request_wait(&standing.renewal).code, ERR_OK);
    assert_int_equal(given_out, 0);
    assert_int_equal(standing.renewal.lease.lease.ttl_s, HOUR_S);
    request_fini(&standing.renewal);
    assert_checkpoints_again();
}

/* Whoever waited was told that it took too long; it is in the log all the same. */
static void test_no_checkpoint_is_given_out_behind_one_that_nobody_waits_for(void **state)
{
    struct standing standing;
    struct node *node = &((struct cluster *)*state)->nodes[0];
    node->server->options.request_ms = SOON_MS;
    standing_begin(&standing, *state);
    bool has_ended = wait_until(is_done, &standing.renewal);
    int given_out = checkpoints_meanwhile();
    standing_end(&standing);
    assert_true(has_ended && err_is(request_wait(&standing.renewal)));
    assert_int_equal(given_out, 0);
    request_fini(&standing.renewal);
    assert_checkpoints_again();
}

#define MOMENT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOMENT_TEST(test_a_compaction_that_begins_when_one_is_done_goes_on),
        MOMENT_TEST(test_a_compaction_that_begins_when_one_has_ended_is_begun),
        MOMENT_TEST(test_a_compaction_that_failed_is_tried_again_soon),
        MOMENT_TEST(test_a_compaction_that_another_made_is_done),
        MOMENT_TEST(test_who_ended_a_proposal_owns_it),
        MOMENT_TEST(test_what_raft_does_not_take_yet_stays_ahead),
        MOMENT_TEST(test_no_checkpoint_is_given_out_behind_one_that_takes_back),
        MOMENT_TEST(test_no_checkpoint_is_given_out_behind_one_that_nobody_waits_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
