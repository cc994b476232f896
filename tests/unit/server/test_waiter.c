/* SPDX-License-Identifier: Apache-2.0
 * What a request that timed out is told: the leader failed, it cannot be reached, or neither; and
 * how many revokes it may have to share the log with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/parts.h"

enum { SELF = 1, OTHER = 2, REQUEST_MS = 7000 };

static struct server *server;
static int64_t active_ms; /* since when the other one is reached; 0: it is not */

static int64_t active_since_ms(void *arg, uint64_t id)
{
    assert_null(arg);
    assert_int_equal(id, OTHER);
    return active_ms;
}

static int setup(void **state)
{
    (void)state;
    server = mem_new(sizeof(*server));
    server->member_id = SELF;
    server->options.tick_ms = 100;
    server->options.election_ticks = 10;
    server->options.request_ms = REQUEST_MS;
    server->options.transport.active_since_ms = active_since_ms;
    active_ms = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(server);
    return 0;
}

/* For a request that came at that time. */
static const char *told(int64_t start_ms)
{
    struct server_proposal proposal = {.deadline_ms = start_ms + REQUEST_MS};
    return err_text(waiter_timeout(server, &proposal));
}

/* Elected at 100 s, after at most two election times without a leader. */
static void test_a_request_from_between_two_leaders(void **state)
{
    static const char wanted[] =
        "etcdserver: request timed out, possibly due to previous leader failure";
    (void)state;
    atomic_store(&server->leader, OTHER);
    server->elected_ms = 100000;
    active_ms = 1;
    assert_string_equal(told(98001), wanted);
    assert_string_equal(told(99999), wanted);
    assert_string_equal(told(98000), "etcdserver: request timed out");
    assert_string_equal(told(100000), "etcdserver: request timed out");
}

static void test_a_leader_that_is_not_reached(void **state)
{
    static const char wanted[] = "etcdserver: request timed out, possibly due to connection lost";
    (void)state;
    atomic_store(&server->leader, OTHER);
    server->elected_ms = 1000;
    assert_string_equal(told(50000), wanted);
    active_ms = 60000; /* only after the request came */
    assert_string_equal(told(50000), wanted);
    active_ms = 40000;
    assert_string_equal(told(50000), "etcdserver: request timed out");
}

static void test_no_leader_at_all(void **state)
{
    (void)state;
    server->elected_ms = 1000;
    assert_string_equal(told(50000), "etcdserver: request timed out");
}

static void test_other_waits_have_their_own_words(void **state)
{
    (void)state;
    assert_string_equal(err_text(ERR(TIMEOUT_WAIT_APPLIED_INDEX)),
        "etcdserver: request timed out, waiting for the applied index took too long");
    assert_string_equal(err_text(ERR(TIMEOUT_LEADER_TRANSFER)),
        "etcdserver: request timed out, leader transfer took too long");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Leases that expire at once: many at a time where they are through within a tick, fewer and fewer
 * where they are not, never none for long. */
static void test_revokes_make_way_for_writes(void **state)
{
    size_t batch = 0;
    size_t last = 0;
    (void)state;
    for (int i = 0; i < 10; i++) {
        size_t now = leader_revokes(&batch, 0);
        assert_true(now >= last && now > 0);
        last = now;
    }
    assert_int_equal(last, 500);
    assert_int_equal(leader_revokes(&batch, 500), 0);
    assert_int_equal(leader_revokes(&batch, 100), 25);
    for (int i = 0; i < 10; i++) {
        assert_true(leader_revokes(&batch, 4) <= 121);
    }
    assert_int_equal(leader_revokes(&batch, 4), 12);
    assert_int_equal(leader_revokes(&batch, 1000), 0);
    assert_int_equal(leader_revokes(&batch, 0), 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_revokes_make_way_for_writes),
        TEST(test_a_request_from_between_two_leaders),
        TEST(test_a_leader_that_is_not_reached),
        TEST(test_no_leader_at_all),
        TEST(test_other_waits_have_their_own_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
