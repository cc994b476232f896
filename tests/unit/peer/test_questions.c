/* SPDX-License-Identifier: Apache-2.0
 * Two members over real sockets: what they ask each other. */
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct {
    size_t answers;
    struct err err;
    int64_t ttl;
    struct peer_lease lease;
    struct peer_hash hash;
    int status;
    uint64_t cluster_id;
    char text[256];
} answered;

static void count_answer(void)
{
    pthread_mutex_lock(&one.mutex);
    answered.answers++;
    pthread_mutex_unlock(&one.mutex);
}

static void await_answer(void)
{
    static size_t awaited;
    assert_true(node_await(&answered.answers, &one, ++awaited));
}

static void on_ttl(void *arg, struct err err, int64_t ttl)
{
    (void)arg;
    answered.err = err;
    answered.ttl = ttl;
    count_answer();
}

static void on_lease(void *arg, struct err err, const struct peer_lease *lease)
{
    (void)arg;
    answered.err = err;
    answered.lease = lease ? *lease : (struct peer_lease){0};
    if (lease && lease->keys_count == 2) {
        assert_true(slice_eq(lease->keys[1], SLICE("bc")));
    }
    count_answer();
}

static void on_json(void *arg, struct err err, struct slice json)
{
    (void)arg;
    answered.err = err;
    snprintf(answered.text, sizeof(answered.text), "%.*s", (int)json.len,
        json.len ? (const char *)json.data : "");
    count_answer();
}

static void on_hash(void *arg, struct err err, const struct peer_hash *hash)
{
    (void)arg;
    answered.err = err;
    answered.hash = hash ? *hash : (struct peer_hash){0};
    count_answer();
}

static void on_answer(void *arg, const struct peer_answer *answer)
{
    (void)arg;
    answered.err = answer->err;
    answered.status = answer->status;
    answered.cluster_id = answer->cluster_id;
    snprintf(answered.text, sizeof(answered.text), "%.*s", (int)answer->body.len,
        answer->body.len ? (const char *)answer->body.data : "");
    count_answer();
}

static enum err_code renew(int64_t id)
{
    peer_ask_lease_renew(one.peer, TWO, id, NODE_WAIT_MS, on_ttl, NULL);
    await_answer();
    return answered.err.code;
}

static void test_leases_are_asked(void **state)
{
    (void)state;
    pair_start();
    assert_int_equal(renew(1), ERR_OK);
    assert_int_equal(answered.ttl, 60);
    assert_int_equal(renew(-5), ERR_OK);
    assert_int_equal(renew(404), ERR_LEASE_NOT_FOUND);
    assert_int_equal(renew(408), ERR_TIMEDOUT);
    assert_int_equal(renew(500), ERR_NOT_LEADER);
    peer_ask_lease_ttl(one.peer, TWO, 9, true, NODE_WAIT_MS, on_lease, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_OK);
    assert_int_equal(answered.lease.ttl, 30);
    assert_int_equal(answered.lease.granted_ttl, 60);
    assert_int_equal(answered.lease.keys_count, 2);
    peer_ask_lease_ttl(one.peer, TWO, 500, false, NODE_WAIT_MS, on_lease, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_NOT_LEADER);
}

static void test_the_others_are_asked(void **state)
{
    (void)state;
    pair_start();
    peer_ask_promote(one.peer, TWO, UINT64_MAX, NODE_WAIT_MS, on_json, NULL);
    await_answer();
    assert_string_equal(answered.text, "[{\"id\":2}]\n");
    const enum err_code codes[] = {
        ERR_MEMBER_NOT_FOUND, ERR_LEARNER_NOT_READY, ERR_MEMBER_NOT_LEARNER};
    const uint64_t ids[] = {404, 412, 413};
    for (size_t i = 0; i < 3; i++) {
        peer_ask_promote(one.peer, TWO, ids[i], NODE_WAIT_MS, on_json, NULL);
        await_answer();
        assert_int_equal(answered.err.code, codes[i]);
    }
    peer_ask_hash(one.peer, TWO, 5, NODE_WAIT_MS, on_hash, NULL);
    await_answer();
    assert_int_equal(answered.hash.revision, 7);
    assert_int_equal(answered.hash.hash, 0xfedcba98);
    assert_int_equal(answered.hash.compact_revision, -1);
    assert_int_equal(answered.hash.hash_revision, 5);
    peer_ask_hash(one.peer, TWO, 1, NODE_WAIT_MS, on_hash, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_COMPACTED);
    peer_ask_hash(one.peer, TWO, 99, NODE_WAIT_MS, on_hash, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_FUTURE_REV);
}

static void test_questions_to_nobody_are_answered(void **state)
{
    struct peer_question question = {"GET", "/members", {0}, NULL, 1024, NODE_WAIT_MS};
    (void)state;
    pair_start();
    peer_ask(one.peer, TWO, &question, on_answer, NULL);
    await_answer();
    assert_int_equal(answered.status, 200);
    assert_int_equal(answered.cluster_id, CLUSTER);
    peer_ask(one.peer, 0x33, &question, on_answer, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_PEER_UNKNOWN);
    question.bytes_max = 3;
    peer_ask(one.peer, TWO, &question, on_answer, NULL);
    await_answer();
    assert_int_equal(answered.err.code, ERR_TOO_BIG);
}

static void test_fetch_blocks_for_an_answer(void **state)
{
    struct peer_question question = {"GET", "/version", {0}, NULL, 1024, NODE_WAIT_MS};
    struct peer_fetched got;
    struct why why;
    (void)state;
    node_start(&two, CLUSTER);
    assert_false(err_is(peer_fetch(two.url, &question, NULL, &got, &why)));
    assert_int_equal(got.status, 200);
    assert_string_equal(buf_text(&got.body),
        "{\"etcdserver\":\"3.6.14\",\"etcdcluster\":\"3.6.0\",\"storage\":\"unknown\"}");
    buf_fini(&got.body);
    question.path = "/members";
    assert_false(err_is(peer_fetch(two.url, &question, NULL, &got, &why)));
    assert_int_equal(got.cluster_id, CLUSTER);
    buf_fini(&got.body);
    assert_true(err_is(peer_fetch("http://127.0.0.1:1", &question, NULL, &got, &why)));
    assert_non_null(strstr(why.text, "Connection refused"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_leases_are_asked),
        TEST(test_the_others_are_asked),
        TEST(test_questions_to_nobody_are_answered),
        TEST(test_fetch_blocks_for_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
