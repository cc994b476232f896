/* SPDX-License-Identifier: Apache-2.0 */
#include "api/worker.h"

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
    (void)state;
    struct worker *worker = worker_new();
    assert_true(worker_push(worker, &job));
    worker_stop(worker);
    assert_int_equal(ran, 1);
    assert_false(worker_push(worker, &job));
    worker_stop(worker);
    worker_free(worker);
    worker = worker_new(); /* without a thread yet */
    worker_stop(worker);
    assert_false(worker_push(worker, &job));
    worker_free(worker);
    assert_int_equal(ran, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_push_after_the_end_is_refused)};
    return cmocka_run_group_tests_name("api: worker", tests, NULL, NULL);
}
