/* SPDX-License-Identifier: Apache-2.0
 * How much of others' waits, and how much goes out at once. Here raft answers what it is told to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/parts.h"

enum { KEPT = 1024, SENDING = 16 };

static struct {
    struct err says; /* to what came from others */
    size_t received;
    size_t failed; /* snapshots that it was told of */
    uint64_t failed_to;
    size_t sent;
} raft;

struct err __wrap_raft_step(struct raft *machine, const struct raft_event *event);

struct err __wrap_raft_step(struct raft *machine, const struct raft_event *event)
{
    (void)machine;
    if (event->type == RAFT_RECEIVE) {
        raft.received++;
        return raft.says;
    }
    assert_int_equal(event->type, RAFT_SNAPSHOT_STATUS);
    raft.failed += !event->is_ok;
    raft.failed_to = event->peer;
    return OK;
}

static void count_sent(void *arg, struct raft_message *messages, size_t count)
{
    (void)arg;
    raft.sent += count;
    for (size_t i = 0; i < count; i++) {
        raft_message_fini(&messages[i]);
    }
}

static int setup(void **state)
{
    struct server *server = mem_new(sizeof(*server));
    memset(&raft, 0, sizeof(raft));
    server->options.transport.send = count_sent;
    server->options.request_ms = 600000;
    list_init(&server->kept);
    *state = server;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void take(struct server *server, enum raft_message_type type)
{
    struct core_message *item = mem_new(sizeof(*item));
    item->message.type = type;
    transport_message(server, item);
}

static void test_few_proposals_of_others_wait(void **state)
{
    struct server *server = *state;
    raft.says = ERR(PROPOSAL_DROPPED);
    take(server, RAFT_MSG_APP); /* no proposal */
    assert_int_equal(server->kept_count, 0);
    for (size_t i = 0; i < KEPT + 2; i++) {
        take(server, RAFT_MSG_PROP);
    }
    assert_int_equal(server->kept_count, KEPT);
    raft.received = 0;
    transport_retry(server, 0);
    assert_int_equal(raft.received, KEPT);
    assert_int_equal(server->kept_count, KEPT);
    raft.says = OK;
    transport_retry(server, 0);
    assert_int_equal(raft.received, 2 * KEPT);
    assert_int_equal(server->kept_count, 0);
    assert_true(list_is_empty(&server->kept));
}

static void send_snapshot(struct server *server, uint64_t to)
{
    struct raft_message message = {.type = RAFT_MSG_SNAP, .to = to};
    transport_send(server, &message, 1);
}

static void report(struct server *server, uint64_t peer)
{
    struct core_report *report = mem_new(sizeof(*report));
    report->type = RAFT_SNAPSHOT_STATUS;
    report->peer = peer;
    report->is_ok = true;
    transport_report(server, report);
}

/* Raft is told at once of one too many, and tries again later. */
static void test_few_snapshots_are_sent_at_once(void **state)
{
    struct server *server = *state;
    for (uint64_t to = 1; to <= SENDING; to++) {
        send_snapshot(server, to);
    }
    assert_int_equal(raft.sent, SENDING);
    assert_int_equal(raft.failed, 0);
    send_snapshot(server, 99);
    assert_int_equal(raft.sent, SENDING);
    assert_int_equal(raft.failed, 1);
    assert_int_equal(raft.failed_to, 99);
    report(server, 1);
    send_snapshot(server, 99);
    assert_int_equal(raft.sent, SENDING + 1);
    assert_int_equal(raft.failed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_few_proposals_of_others_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_few_snapshots_are_sent_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
