/* SPDX-License-Identifier: Apache-2.0
 * What others are asked, and what becomes of their answers. The transport is this file's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "boot/questions.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { SELF = 1, OTHERS = 2, TIMEOUT_MS = 700 };

struct asked {
    uint64_t id;
    char path[32];
    size_t bytes_max;
    int64_t timeout_ms;
    void (*done)(void *arg, const struct peer_answer *answer);
    void *arg;
};

static struct {
    struct asked asked[OTHERS];
    size_t asked_count;
    uint64_t leader;
    int64_t lease;
    int64_t timeout_ms;
    bool with_keys;
    struct err lease_err;
    int64_t hash_rev;
    pthread_t threads[OTHERS];
    size_t threads_count;
} net;

void peer_ask(struct peer *peer, uint64_t id, const struct peer_question *question,
    void (*done)(void *arg, const struct peer_answer *answer), void *arg)
{
    (void)peer;
    struct asked *asked = &net.asked[net.asked_count++];
    *asked = (struct asked){.id = id,
        .bytes_max = question->bytes_max,
        .timeout_ms = question->timeout_ms,
        .done = done,
        .arg = arg};
    snprintf(asked->path, sizeof(asked->path), "%s %s", question->method, question->path);
}

void peer_ask_lease_renew(struct peer *peer, uint64_t id, int64_t lease, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, int64_t ttl), void *arg)
{
    (void)peer;
    net.leader = id;
    net.lease = lease;
    net.timeout_ms = timeout_ms;
    done(arg, net.lease_err, 41);
}

void peer_ask_lease_ttl(struct peer *peer, uint64_t id, int64_t id_asked, bool with_keys,
    int64_t timeout_ms, void (*done)(void *arg, struct err err, const struct peer_lease *lease),
    void *arg)
{
    static const struct slice keys[] = {{(const uint8_t *)"k", 1}};
    const struct peer_lease lease = {
        .id = id_asked, .ttl = 5, .granted_ttl = 60, .keys = keys, .keys_count = 1};
    (void)peer;
    net.leader = id;
    net.lease = id_asked;
    net.timeout_ms = timeout_ms;
    net.with_keys = with_keys;
    done(arg, net.lease_err, err_is(net.lease_err) ? NULL : &lease);
}

struct hashing {
    uint64_t id;
    void (*done)(void *arg, struct err err, const struct peer_hash *hash);
    void *arg;
};

/* The second is silent. */
static void *answer_hash(void *arg)
{
    struct hashing *hashing = arg;
    struct peer_hash hash = {.revision = 9, .hash = (uint32_t)hashing->id, .compact_revision = 3};
    usleep(2000);
    if (hashing->id == 2) {
        hashing->done(hashing->arg, OK, &hash);
    } else {
        hashing->done(hashing->arg, ERR(TIMEDOUT), NULL);
    }
    free(hashing);
    return NULL;
}

void peer_ask_hash(struct peer *peer, uint64_t id, int64_t rev, int64_t timeout_ms,
    void (*done)(void *arg, struct err err, const struct peer_hash *hash), void *arg)
{
    struct hashing *hashing = mem_new(sizeof(*hashing));
    (void)peer;
    *hashing = (struct hashing){id, done, arg};
    net.hash_rev = rev;
    net.timeout_ms = timeout_ms;
    pthread_t *thread = &net.threads[net.threads_count++];
    assert_int_equal(pthread_create(thread, NULL, answer_hash, hashing), 0);
}

struct place {
    struct member_table *members;
    struct questions questions;
    struct server_asking asking;
    /* What came back. */
    size_t calls;
    size_t count;
    char texts[OTHERS][32];
    struct err err;
    int64_t ttl;
    struct server_lease lease;
};

static void add_member(struct member_table *members, uint64_t id)
{
    char text[32];
    const char *url = text;
    struct member member = {.id = id, .peer_urls = &url, .peer_urls_count = 1};
    struct backend_batch *batch = backend_batch_new();
    snprintf(text, sizeof(text), "http://127.0.0.1:%d", (int)id);
    assert_false(err_is(member_add(members, &member, batch)));
    backend_batch_free(batch);
}

static int setup_with(void **state, uint64_t last)
{
    struct place *place = mem_new(sizeof(*place));
    memset(&net, 0, sizeof(net));
    place->members = member_table_new(77, SELF);
    for (uint64_t id = SELF; id <= last; id++) {
        add_member(place->members, id);
    }
    place->questions = (struct questions){.members = place->members, .timeout_ms = TIMEOUT_MS};
    place->asking = questions_asking(&place->questions);
    *state = place;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, SELF + OTHERS);
}

static int setup_alone(void **state)
{
    return setup_with(state, SELF);
}

static int teardown(void **state)
{
    struct place *place = *state;
    member_table_free(place->members);
    free(place);
    return 0;
}

static void keep_versions(void *arg, const char *const *versions, size_t count)
{
    struct place *place = arg;
    place->calls++;
    place->count = count;
    for (size_t i = 0; i < count; i++) {
        snprintf(place->texts[i], sizeof(place->texts[i]), "%s", versions[i] ? versions[i] : "-");
    }
}

static void answer(size_t at, struct err err, int status, const char *body)
{
    struct peer_answer said = {
        .err = err, .status = status, .body = slice_str(body), .why = "because"};
    net.asked[at].done(net.asked[at].arg, &said);
}

static void test_versions_of_all_others_at_once(void **state)
{
    struct place *place = *state;
    place->asking.versions(place->asking.arg, keep_versions, place);
    assert_int_equal(net.asked_count, OTHERS);
    assert_int_equal(net.asked[0].id + net.asked[1].id, 2 + 3);
    assert_string_equal(net.asked[0].path, "GET /version");
    assert_int_equal(net.asked[0].timeout_ms, TIMEOUT_MS);
    assert_int_equal(net.asked[0].bytes_max, 4096);
    answer(1, OK, 200, "{\"etcdserver\":\"3.5.30\",\"etcdcluster\":\"3.5.0\"}");
    assert_int_equal(place->calls, 0);
    answer(0, OK, 200, "{\"etcdserver\":\"3.6.1\"}");
    assert_int_equal(place->calls, 1);
    assert_int_equal(place->count, OTHERS);
    assert_string_equal(place->texts[0], "3.6.1");
    assert_string_equal(place->texts[1], "3.5.30");
}

/* Whoever does not answer, or not what was asked, has no version; the other one's counts. */
static void no_version(struct place *place, struct err err, int status, const char *body)
{
    memset(&net, 0, sizeof(net));
    place->calls = 0;
    place->asking.versions(place->asking.arg, keep_versions, place);
    answer(0, err, status, body);
    answer(1, OK, 200, "{\"etcdserver\":\"3.6.1\"}");
    assert_int_equal(place->calls, 1);
    assert_string_equal(place->texts[0], "-");
    assert_string_equal(place->texts[1], "3.6.1");
}

static void test_what_is_no_version_counts_as_none(void **state)
{
    no_version(*state, ERR(TIMEDOUT), 0, "");
    no_version(*state, OK, 500, "{\"etcdserver\":\"3.6.1\"}");
    no_version(*state, OK, 200, "");
    no_version(*state, OK, 200, "{\"etcdserver\":");
    no_version(*state, OK, 200, "[\"etcdserver\"]");
    no_version(*state, OK, 200, "{\"etcdserver\":3}");
    no_version(*state, OK, 200, "{\"version\":\"3.6.1\"}");
}

static void test_who_is_alone_asks_nobody(void **state)
{
    struct place *place = *state;
    struct peer_answered *answers;
    place->asking.versions(place->asking.arg, keep_versions, place);
    assert_int_equal(place->calls, 1);
    assert_int_equal(place->count, 0);
    assert_int_equal(questions_hashes(&place->questions, 9, &answers), 0);
    free(answers);
    assert_int_equal(net.asked_count + net.threads_count, 0);
}

static void keep_renewed(void *arg, struct err err, int64_t ttl)
{
    struct place *place = arg;
    place->err = err;
    place->ttl = ttl;
}

static void test_the_leader_is_asked_to_renew(void **state)
{
    struct place *place = *state;
    net.lease_err = ERR(LEASE_NOT_FOUND);
    place->asking.lease_renew(place->asking.arg, 3, 12, 250, keep_renewed, place);
    assert_int_equal(net.leader, 3);
    assert_int_equal(net.lease, 12);
    assert_int_equal(net.timeout_ms, 250);
    assert_int_equal(place->err.code, ERR_LEASE_NOT_FOUND);
    assert_int_equal(place->ttl, 41);
}

static void keep_lease(void *arg, struct err err, const struct server_lease *lease)
{
    struct place *place = arg;
    place->calls++;
    place->err = err;
    place->lease = *lease;
}

static void test_a_lease_is_looked_at(void **state)
{
    struct place *place = *state;
    place->asking.lease_look(place->asking.arg, 2, 12, true, 250, keep_lease, place);
    assert_int_equal(net.leader, 2);
    assert_true(net.with_keys);
    assert_int_equal(place->err.code, ERR_OK);
    assert_int_equal(place->lease.keys_count, 1);
    assert_true(slice_eq(place->lease.keys[0], SLICE("k")));
}

static void test_a_lease_that_is_not_there_has_nothing(void **state)
{
    struct place *place = *state;
    net.lease_err = ERR(LEASE_NOT_FOUND);
    place->asking.lease_look(place->asking.arg, 2, 12, false, 250, keep_lease, place);
    assert_int_equal(place->calls, 1);
    assert_false(net.with_keys);
    assert_int_equal(place->err.code, ERR_LEASE_NOT_FOUND);
    assert_int_equal(place->lease.keys_count, 0);
    assert_null(place->lease.keys);
}

static void test_hashes_are_waited_for(void **state)
{
    struct place *place = *state;
    struct peer_answered *answers;
    assert_int_equal(questions_hashes(&place->questions, 9, &answers), OTHERS);
    for (size_t i = 0; i < net.threads_count; i++) {
        pthread_join(net.threads[i], NULL);
    }
    assert_int_equal(net.hash_rev, 9);
    assert_int_equal(net.timeout_ms, TIMEOUT_MS);
    size_t answered = answers[0].id == 2 ? 0 : 1;
    assert_int_equal(answers[answered].err.code, ERR_OK);
    assert_int_equal(answers[answered].hash.hash, 2);
    assert_int_equal(answers[answered].hash.compact_revision, 3);
    assert_int_equal(answers[1 - answered].id, 3);
    assert_int_equal(answers[1 - answered].err.code, ERR_TIMEDOUT);
    free(answers);
}

#define PLACE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACE(test_versions_of_all_others_at_once),
        PLACE(test_what_is_no_version_counts_as_none),
        cmocka_unit_test_setup_teardown(test_who_is_alone_asks_nobody, setup_alone, teardown),
        PLACE(test_the_leader_is_asked_to_renew),
        PLACE(test_a_lease_is_looked_at),
        PLACE(test_a_lease_that_is_not_there_has_nothing),
        PLACE(test_hashes_are_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
