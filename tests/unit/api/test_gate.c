/* SPDX-License-Identifier: Apache-2.0
 * Who is let in while answers are under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/gate.h"
#include "base/mem.h"

#include <semaphore.h>
#include <unistd.h>

static struct gate_pass *told[64];
static size_t told_count;
static struct err told_err;
static sem_t telling;

static void on_done(struct gate_pass *pass, struct err err)
{
    told[told_count++] = pass;
    told_err = err;
    sem_post(&telling);
}

static void enter(struct gate *gate, struct gate_pass *pass, size_t bytes)
{
    *pass = (struct gate_pass){.bytes = bytes, .done = on_done};
    gate_enter(gate, pass);
}

static int setup(void **state)
{
    (void)state;
    told_count = 0;
    told_err = OK;
    return sem_init(&telling, 0, 0);
}

static void test_gate_lets_in_up_to_its_bound(void **state)
{
    (void)state;
    struct gate gate;
    struct gate_pass a, b, c, d;
    gate_init(&gate, 100);
    enter(&gate, &a, 60);
    enter(&gate, &b, 40);
    enter(&gate, &c, 30);
    enter(&gate, &d, 1); /* waits behind c though it would fit sooner */
    assert_int_equal(told_count, 2);
    assert_int_equal(gate.bytes, 100);
    gate_leave(&gate, 10);
    assert_int_equal(told_count, 2);
    gate_leave(&gate, 30);
    assert_int_equal(told_count, 4);
    assert_ptr_equal(told[2], &c);
    assert_ptr_equal(told[3], &d);
    assert_false(err_is(told_err));
    gate_leave(&gate, 91);
    assert_int_equal(gate.bytes, 0);
    gate_fini(&gate);
}

static void test_gate_lets_one_in_that_is_larger(void **state)
{
    (void)state;
    struct gate gate;
    struct gate_pass a, b, c;
    gate_init(&gate, 100);
    enter(&gate, &a, 1);
    enter(&gate, &b, SIZE_MAX / 2);
    enter(&gate, &c, 1);
    assert_int_equal(told_count, 1);
    gate_leave(&gate, 1);
    assert_int_equal(told_count, 2);
    assert_ptr_equal(told[1], &b);
    gate_leave(&gate, SIZE_MAX / 2);
    assert_int_equal(told_count, 3);
    gate_leave(&gate, 1);
    gate_fini(&gate);
}

static void test_gate_refuses_who_waited_too_long(void **state)
{
    (void)state;
    struct gate gate;
    struct gate_pass a, b, c;
    gate_init(&gate, 100);
    enter(&gate, &a, 100);
    enter(&gate, &b, 1);
    pthread_mutex_lock(&gate.mutex);
    b.since_ms -= 2 * GATE_WAIT_MS;
    pthread_mutex_unlock(&gate.mutex);
    enter(&gate, &c, 1);
    for (int i = 0; i < 2; i++) { /* by this thread, or by the one that looks at the time */
        assert_int_equal(sem_wait(&telling), 0);
    }
    assert_int_equal(told_count, 2);
    assert_ptr_equal(told[1], &b);
    assert_true(IS(told_err, REQUEST_TOO_MANY_REQUESTS));
    gate_leave(&gate, 100);
    assert_ptr_equal(told[2], &c);
    gate_leave(&gate, 1);
    gate_fini(&gate);
}

static int sent[2];

static void on_done_elsewhere(struct gate_pass *pass, struct err err)
{
    int code = IS(err, REQUEST_TOO_MANY_REQUESTS) ? 1 : 2;
    (void)pass;
    assert_int_equal(write(sent[1], &code, sizeof(code)), sizeof(code));
}

/* Nobody else comes or goes. */
static void test_gate_looks_at_the_time_by_itself(void **state)
{
    (void)state;
    struct gate gate;
    struct gate_pass a, b = {.bytes = 1, .done = on_done_elsewhere};
    int code = 0;
    assert_int_equal(pipe(sent), 0);
    gate_init(&gate, 100);
    gate.wait_ms = 20;
    enter(&gate, &a, 100);
    for (int i = 0; i < 3; i++) {
        gate_enter(&gate, &b);
        assert_int_equal(read(sent[0], &code, sizeof(code)), sizeof(code));
        assert_int_equal(code, 1);
    }
    gate_leave(&gate, 100);
    gate_fini(&gate);
    close(sent[0]);
    close(sent[1]);
}

static void test_gate_learns_what_keys_take(void **state)
{
    (void)state;
    struct gate gate;
    gate_init(&gate, 0);
    size_t first = gate_guess(&gate, 100, false);
    assert_true(gate_guess(&gate, 100, true) < first);
    assert_int_equal(gate_guess(&gate, UINT64_MAX, false), SIZE_MAX / 2);
    for (int i = 0; i < 100; i++) {
        gate_learn(&gate, 100, 100 * 8192);
    }
    assert_true(gate_guess(&gate, 100, false) > 100 * 8000);
    gate_learn(&gate, 1, SIZE_MAX); /* one key tells nothing */
    assert_true(gate_guess(&gate, 100, false) < 100 * 9000);
    gate_fini(&gate);
}

static void count_refused(struct gate_pass *pass, struct err err)
{
    (void)pass;
    told_count += IS(err, REQUEST_TOO_MANY_REQUESTS);
}

static void test_gate_refuses_at_once_when_too_many_wait(void **state)
{
    (void)state;
    struct gate gate;
    struct gate_pass first = {.bytes = 100, .done = count_refused};
    struct gate_pass *more = mem_new((GATE_WAITING_MAX + 1) * sizeof(*more));
    gate_init(&gate, 100);
    gate.wait_ms = INT32_MAX;
    gate_enter(&gate, &first);
    for (size_t i = 0; i <= GATE_WAITING_MAX; i++) {
        assert_int_equal(told_count, 0);
        more[i] = (struct gate_pass){.bytes = 1, .done = count_refused};
        gate_enter(&gate, &more[i]);
    }
    assert_int_equal(told_count, 1);
    assert_int_equal(gate.waiting_count, GATE_WAITING_MAX);
    for (size_t left = GATE_WAITING_MAX + 100; left > 0; left--) {
        gate_leave(&gate, 1);
    }
    assert_int_equal(told_count, 1); /* all others came in */
    assert_int_equal(gate.bytes, 0);
    gate_fini(&gate);
    free(more);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_gate_lets_in_up_to_its_bound),
        T(test_gate_lets_one_in_that_is_larger),
        T(test_gate_refuses_who_waited_too_long),
        T(test_gate_refuses_at_once_when_too_many_wait),
        T(test_gate_looks_at_the_time_by_itself),
        T(test_gate_learns_what_keys_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
