/* SPDX-License-Identifier: Apache-2.0
 * What happens between two steps of a thread, where other threads hardly ever come. */
#include "cluster_case.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/pb.h"
#include "mvcc/state.h"
#include "server/parts.h"

enum {
    FIELD_PUT = 4,
    FIELD_COMPACTION = 7,
    ENDLESS_MS = 600000,
    PUTS = 20,
    FIRST = 10,
    SECOND = 20,
};

enum moment { NEVER, STEP_DONE, END_LOGGED, PROPOSING };

static struct {
    _Atomic enum moment moment;
    struct node *node;
    struct request *requests;
    struct err err;
} planned;

static bool comes(enum moment moment)
{
    enum moment expected = moment;
    return atomic_compare_exchange_strong(&planned.moment, &expected, NEVER);
}

static struct err compact(struct node *node, revision rev)
{
    Etcdserverpb__CompactionRequest compaction = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    struct request request;
    compaction.revision = rev;
    request_begin(&request, node, FIELD_COMPACTION, &compaction.base);
    struct err err = request_wait(&request);
    request_fini(&request);
    return err;
}

void __real_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);
void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields);

void __wrap_log_write(enum log_level level, const char *file, int line, const char *message,
    const struct log_field *fields)
{
    if (strcmp(message, "finished scheduled compaction") == 0 && comes(END_LOGGED)) {
        planned.err = compact(planned.node, SECOND);
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
        planned.err = compact(planned.node, SECOND);
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
    return __real_raft_step(raft, event);
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

/* Whoever waits for the end of compactions waits for that of the second too. */
static void two_compactions(struct cluster *cluster, enum moment moment)
{
    struct errand errand = {.job.run = run_errand};
    planned.node = &cluster->nodes[0];
    planned.err = ERR(TIMEOUT);
    atomic_store(&planned.moment, moment);
    assert_false(err_is(compact(planned.node, FIRST)));
    assert_true(wait_until(has_come, NULL));
    while (mvcc_compact_revision(planned.node->storage.mvcc) != SECOND) {
        cluster_put(cluster, "k", "v"); /* it is on its way */
    }
    cluster_put(cluster, "k", "v"); /* begun before this was applied */
    server_after_compaction(planned.node->server, &errand.job);
    assert_true(wait_until(has_run, &errand));
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

#define MOMENT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, cluster_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MOMENT_TEST(test_a_compaction_that_begins_when_one_is_done_goes_on),
        MOMENT_TEST(test_a_compaction_that_begins_when_one_has_ended_is_begun),
        MOMENT_TEST(test_who_ended_a_proposal_owns_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
