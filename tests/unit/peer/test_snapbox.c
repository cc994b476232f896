/* SPDX-License-Identifier: Apache-2.0
 *
 * The box between a snapshot's post and the thread that writes it. What it would run on the peer
 * thread is counted here.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "peer/snapbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

static struct snapbox box;
static size_t resumed;

static void resume(struct http_task *task)
{
    assert_ptr_equal(task, &box.resume);
    resumed++;
}

void __wrap_http_run(struct http_server *server, struct http_task *task);
void __wrap_http_run(struct http_server *server, struct http_task *task)
{
    assert_null(server);
    task->run(task);
}

static int setup(void **state)
{
    (void)state;
    resumed = 0;
    snapbox_init(&box, NULL, resume);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    snapbox_fini(&box);
    return 0;
}

static void push_bytes(size_t len)
{
    uint8_t *bytes = mem_new(len);
    snapbox_push(&box, slice_of(bytes, len));
    free(bytes);
}

struct taken {
    struct buf bytes;
    size_t pieces;
    size_t refused_from; /* of them */
};

static struct err take(void *arg, struct slice bytes, struct why *why)
{
    struct taken *taken = arg;
    if (taken->pieces++ >= taken->refused_from) {
        return why_set(why, ERR(NO_DISK), "no room");
    }
    buf_add(&taken->bytes, bytes.data, bytes.len);
    return OK;
}

static struct err drain(struct taken *taken, struct why *why)
{
    buf_init(&taken->bytes, SIZE_MAX / 2);
    return snapbox_drain(&box, take, taken, why);
}

static void test_what_comes_is_taken_in_order(void **state)
{
    struct taken taken = {.refused_from = SIZE_MAX};
    (void)state;
    snapbox_push(&box, SLICE("a who"));
    snapbox_push(&box, SLICE("le body"));
    snapbox_end(&box, true);
    assert_false(err_is(drain(&taken, NULL)));
    assert_true(slice_eq(buf_slice(&taken.bytes), SLICE("a whole body")));
    assert_int_equal(resumed, 0);
    buf_fini(&taken.bytes);
}

static void test_a_body_that_broke_off_is_torn(void **state)
{
    struct taken taken = {.refused_from = SIZE_MAX};
    struct why why = {""};
    (void)state;
    snapbox_push(&box, SLICE("half"));
    snapbox_end(&box, false);
    assert_true(IS(drain(&taken, &why), TORN));
    assert_string_equal(why.text, "unexpected EOF");
    buf_fini(&taken.bytes);
}

/* The rest is freed with the box, or was. */
static void test_nothing_is_taken_after_an_error(void **state)
{
    struct taken taken = {.refused_from = 1};
    struct why why = {""};
    (void)state;
    snapbox_push(&box, SLICE("a"));
    snapbox_push(&box, SLICE("b"));
    snapbox_push(&box, SLICE("c"));
    assert_true(IS(drain(&taken, &why), NO_DISK));
    assert_int_equal(taken.pieces, 2);
    snapbox_push(&box, SLICE("d"));
    buf_fini(&taken.bytes);
}

static void test_resume_is_run_once_there_is_room(void **state)
{
    struct taken taken = {.refused_from = SIZE_MAX};
    (void)state;
    push_bytes(4 * MIB);
    assert_false(snapbox_is_full(&box));
    push_bytes(1);
    assert_true(snapbox_is_full(&box));
    assert_false(snapbox_ask_resume(&box));
    snapbox_end(&box, true);
    assert_false(err_is(drain(&taken, NULL)));
    assert_int_equal(resumed, 1);
    buf_fini(&taken.bytes);

    push_bytes(1);
    snapbox_end(&box, true);
    assert_false(err_is(drain(&taken, NULL)));
    assert_int_equal(resumed, 1); /* nobody asked again */
    buf_fini(&taken.bytes);
}

/* The thread was faster than who asked. */
static void test_room_that_is_there_already_is_told_at_once(void **state)
{
    struct taken taken = {.refused_from = SIZE_MAX};
    (void)state;
    push_bytes(MIB - 1);
    assert_true(snapbox_ask_resume(&box));
    snapbox_end(&box, true);
    assert_false(err_is(drain(&taken, NULL)));
    assert_int_equal(resumed, 0);
    buf_fini(&taken.bytes);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_comes_is_taken_in_order),
        TEST(test_a_body_that_broke_off_is_torn),
        TEST(test_nothing_is_taken_after_an_error),
        TEST(test_resume_is_run_once_there_is_room),
        TEST(test_room_that_is_there_already_is_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
