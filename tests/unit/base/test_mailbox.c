/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PUSHERS = 4, EACH = 5000 };

struct letter {
    struct list node;
    int pusher;
    int number;
};

static struct mailbox box;
static struct letter letters[PUSHERS][EACH];

static void test_mailbox_is_bounded_and_ordered(void **state)
{
    struct letter three[4] = {0};
    struct list out;
    (void)state;
    mailbox_init(&box, 2);
    list_init(&out);
    assert_true(mailbox_push(&box, &three[0].node));
    assert_true(mailbox_push(&box, &three[1].node));
    assert_false(mailbox_push(&box, &three[2].node));
    assert_true(mailbox_push_always(&box, &three[2].node));
    assert_int_equal(mailbox_count(&box), 3);
    assert_int_equal(mailbox_take(&box, &out, 0), 3);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(list_pop(&out), &three[i].node);
    }
    mailbox_close(&box);
    assert_true(mailbox_is_closed(&box));
    assert_false(mailbox_push(&box, &three[3].node));
    assert_false(mailbox_push_always(&box, &three[3].node));
    assert_int_equal(mailbox_take(&box, &out, -1), 0);
    mailbox_fini(&box);
}

static void test_mailbox_waits_as_long_as_told(void **state)
{
    struct list out;
    (void)state;
    mailbox_init(&box, 2);
    list_init(&out);
    int64_t began = clock_mono_ms();
    assert_int_equal(mailbox_take(&box, &out, 0), 0);
    assert_int_equal(mailbox_take(&box, &out, 30), 0);
    int64_t took = clock_mono_ms() - began;
    assert_true(took >= 29 && took < 60000);
    mailbox_fini(&box);
}

static void test_mailbox_remembers_a_wake(void **state)
{
    struct list out;
    (void)state;
    mailbox_init(&box, 2);
    list_init(&out);
    int64_t began = clock_mono_ms();
    mailbox_wake(&box);
    mailbox_wake(&box);
    assert_int_equal(mailbox_take(&box, &out, 120000), 0);
    assert_true(clock_mono_ms() - began < 60000);
    began = clock_mono_ms();
    assert_int_equal(mailbox_take(&box, &out, 20), 0); /* one wake, one take */
    assert_true(clock_mono_ms() - began >= 19);
    mailbox_fini(&box);
}

static void *push_all(void *arg)
{
    struct letter *mine = arg;
    for (int i = 0; i < EACH; i++) {
        while (!mailbox_push(&box, &mine[i].node)) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_mailbox_loses_nothing_between_threads(void **state)
{
    pthread_t threads[PUSHERS];
    int next[PUSHERS] = {0};
    size_t total = 0;
    struct list out;
    (void)state;
    mailbox_init(&box, 64);
    list_init(&out);
    for (int i = 0; i < PUSHERS; i++) {
        for (int j = 0; j < EACH; j++) {
            letters[i][j].pusher = i;
            letters[i][j].number = j;
        }
        assert_int_equal(pthread_create(&threads[i], NULL, push_all, letters[i]), 0);
    }
    while (total < PUSHERS * EACH) {
        total += mailbox_take(&box, &out, -1);
        while (!list_is_empty(&out)) {
            struct letter *letter = LIST_ITEM(list_pop(&out), struct letter, node);
            assert_int_equal(letter->number, next[letter->pusher]++);
        }
    }
    for (int i = 0; i < PUSHERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(mailbox_count(&box), 0);
    mailbox_fini(&box);
}

static void *close_it(void *arg)
{
    mailbox_close(arg);
    return NULL;
}

static void test_mailbox_close_ends_a_wait(void **state)
{
    pthread_t thread;
    struct list out;
    (void)state;
    mailbox_init(&box, 1);
    list_init(&out);
    assert_int_equal(pthread_create(&thread, NULL, close_it, &box), 0);
    assert_int_equal(mailbox_take(&box, &out, -1), 0);
    assert_true(mailbox_is_closed(&box));
    pthread_join(thread, NULL);
    mailbox_fini(&box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mailbox_is_bounded_and_ordered),
        cmocka_unit_test(test_mailbox_waits_as_long_as_told),
        cmocka_unit_test(test_mailbox_remembers_a_wake),
        cmocka_unit_test(test_mailbox_loses_nothing_between_threads),
        cmocka_unit_test(test_mailbox_close_ends_a_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
