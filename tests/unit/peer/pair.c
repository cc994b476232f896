/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include "base/clock.h"
#include "base/mem.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

struct node one;
struct node two;

static int set_up(bool is_tls)
{
    signal(SIGPIPE, SIG_IGN);
    node_init(&one, ONE, is_tls);
    node_init(&two, TWO, is_tls);
    return 0;
}

int pair_setup(void **state)
{
    (void)state;
    return set_up(false);
}

int pair_setup_https(void **state)
{
    (void)state;
    return set_up(true);
}

int pair_teardown(void **state)
{
    (void)state;
    node_stop(&one);
    node_stop(&two);
    return 0;
}

void pair_meet(void)
{
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&two, &one);
    node_knows(&one, &two);
}

void pair_start(void)
{
    pair_meet();
    assert_true(node_await_streams(&one, TWO));
    assert_true(node_await_streams(&two, ONE));
}

struct raft_message pair_heartbeat(uint64_t to, uint64_t from, uint64_t commit)
{
    return (struct raft_message){
        .type = RAFT_MSG_HEARTBEAT, .to = to, .from = from, .term = 1, .commit = commit};
}

struct raft_message pair_append(uint64_t index, size_t entries_count, size_t bytes)
{
    struct raft_message message = {.type = RAFT_MSG_APP,
        .to = TWO,
        .from = ONE,
        .term = 2,
        .log_term = index > 1 ? 2 : 1,
        .index = index,
        .commit = index};
    message.entries = mem_new(entries_count * sizeof(*message.entries));
    message.entries_count = entries_count;
    for (size_t i = 0; i < entries_count; i++) {
        struct blob *data = blob_new_size(bytes);
        memset(data->data, (int)(index + i), bytes);
        message.entries[i] = (struct raft_entry){.term = 2, .index = index + 1 + i, .data = data};
    }
    return message;
}

void pair_send_snapshot(uint64_t index)
{
    struct raft_snapshot_meta meta = {.index = index, .term = 1};
    struct raft_message message = {.type = RAFT_MSG_SNAP, .to = TWO, .from = ONE, .term = 1};
    meta.conf.voters.ids[0] = ONE;
    meta.conf.voters.count = 1;
    message.snapshot = raft_snapshot_new(&meta, NULL);
    peer_send(one.peer, &message, 1);
}

/* Whether it arrived or failed once more. */
static bool has_ended(void *arg)
{
    const size_t *failed = arg;
    pthread_mutex_lock(&one.mutex);
    bool has = one.snapshots_ok > 0 || one.snapshots_failed > *failed;
    pthread_mutex_unlock(&one.mutex);
    return has;
}

void pair_deliver_snapshot(uint64_t index)
{
    int64_t deadline_ms = clock_mono_ms() + NODE_WAIT_MS;
    do {
        pthread_mutex_lock(&one.mutex);
        size_t failed = one.snapshots_failed;
        pthread_mutex_unlock(&one.mutex);
        pair_send_snapshot(index);
        assert_true(node_await_until(has_ended, &failed));
    } while (one.snapshots_ok == 0 && clock_mono_ms() < deadline_ms);
    assert_int_equal(one.snapshots_ok, 1);
}
