/* SPDX-License-Identifier: Apache-2.0 */
#include "api/worker.h"

#include <pthread.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int ran;

static void run(struct server_job *job)
{
    (void)job;
    ran++;
}

/* Calls that are still under way push after the end: they must hear of it, and the job stays
 * theirs. */
static void test_a_push_after_the_end_is_refused(void **state)
{
    struct server_job job = {.run = run};
    struct worker_options options = {"some", 1, 0};
    (void)state;
    struct worker *worker = worker_new(&options);
    assert_true(worker_push(worker, &job));
    worker_stop(worker);
    assert_int_equal(ran, 1);
    assert_false(worker_push(worker, &job));
    worker_stop(worker);
    worker_free(worker);
    worker = worker_new(&options); /* without a thread yet */
    worker_stop(worker);
    assert_false(worker_push(worker, &job));
    worker_free(worker);
    assert_int_equal(ran, 1);
}

/* Holds its thread until the other runs too. */
static pthread_barrier_t both;

static void meet(struct server_job *job)
{
    (void)job;
    pthread_barrier_wait(&both);
}

static void test_jobs_run_beside_one_another(void **state)
{
    struct worker_options options = {"some", 2, 1};
    struct server_job jobs[4];
    (void)state;
    pthread_barrier_init(&both, NULL, 2);
    struct worker *worker = worker_new(&options);
    for (int i = 0; i < 4; i++) {
        jobs[i].run = meet;
        assert_true(worker_push(worker, &jobs[i]));
    }
    worker_free(worker);
    pthread_barrier_destroy(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_push_after_the_end_is_refused),
        cmocka_unit_test(test_jobs_run_beside_one_another),
    };
    return cmocka_run_group_tests_name("api: worker", tests, NULL, NULL);
}
