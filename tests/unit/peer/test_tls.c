/* SPDX-License-Identifier: Apache-2.0
 * Two members over mutual TLS: everything goes as it does without, and who may be dialed or come
 * in. */
#include "../base/pki.h"
#include "base/clock.h"
#include "base/mem.h"
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pki pki;

static SSL_CTX *make_context(const char *name, enum tls_role role)
{
    SSL_CTX *context = NULL;
    struct why why;
    char cert[32];
    char key[32];
    snprintf(cert, sizeof(cert), "%s.crt", name);
    snprintf(key, sizeof(key), "%s.key", name);
    struct tls_options options = {.cert_file = pki_path(&pki, cert),
        .key_file = pki_path(&pki, key),
        .trusted_ca_file = pki_path(&pki, "ca.crt"),
        .client_cert_auth = true};
    assert_false(err_is(tls_context_new(&options, role, &context, &why)));
    return context;
}

static int setup_tls(void **state)
{
    pki_init(&pki);
    pki_make(
        &pki, &(struct pki_spec){.name = "good", .cn = "m", .sans = "IP:127.0.0.1", .serial = 2});
    pki_make(&pki,
        &(struct pki_spec){.name = "elsewhere", .cn = "m", .sans = "IP:10.0.0.1", .serial = 3});
    pair_setup_https(state);
    one.server_context = make_context("good", TLS_SERVER);
    one.client_context = make_context("good", TLS_CLIENT);
    two.server_context = make_context("good", TLS_SERVER);
    two.client_context = make_context("good", TLS_CLIENT);
    return 0;
}

static int teardown_tls(void **state)
{
    SSL_CTX *contexts[] = {
        one.server_context, one.client_context, two.server_context, two.client_context};
    pair_teardown(state);
    for (size_t i = 0; i < COUNT_OF(contexts); i++) {
        SSL_CTX_free(contexts[i]);
    }
    pki_fini(&pki);
    return 0;
}

static struct {
    atomic_size_t count;
    struct err err;
} answers;

static void on_ttl(void *arg, struct err err, int64_t ttl)
{
    (void)arg;
    (void)ttl;
    answers.err = err;
    atomic_fetch_add(&answers.count, 1);
}

static void ask_renew(void)
{
    peer_ask_lease_renew(one.peer, TWO, 1, NODE_WAIT_MS, on_ttl, NULL);
}

/* The handshake of a new connection has five seconds. */
static void renew_until_answered(void)
{
    int64_t deadline_ms = clock_mono_ms() + NODE_WAIT_MS;
    do {
        size_t before = atomic_load(&answers.count);
        ask_renew();
        assert_true(node_await_atomic(&answers.count, before + 1));
    } while (err_is(answers.err) && clock_mono_ms() < deadline_ms);
    assert_int_equal(answers.err.code, ERR_OK);
}

static void test_tls_carries_everything(void **state)
{
    struct raft_message message = pair_append(1, 1, 3 << 20);
    (void)state;
    one.export_bytes = 5 << 20;
    pair_start();
    peer_send(one.peer, &message, 1);
    assert_true(node_await_heard(&two, 1));
    assert_int_equal(two.heard[0].entries[0].data->len, 3 << 20);
    renew_until_answered();
    pair_deliver_snapshot(9);
    assert_non_null(two.snapshot_path);
}

/* Each handshake asks anew, so that a certificate that was replaced is in use from then on. */
static void test_tls_contexts_are_asked_anew(void **state)
{
    (void)state;
    pair_start();
    size_t before = atomic_load(&one.contexts_asked);
    assert_true(before >= 2);
    peer_remove(one.peer, TWO);
    assert_true(node_await_active(&one, TWO, false));
    node_knows(&one, &two);
    assert_true(node_await_active(&one, TWO, true));
    assert_true(atomic_load(&one.contexts_asked) > before);
}

static void test_tls_server_for_another_host_is_refused(void **state)
{
    (void)state;
    SSL_CTX_free(two.server_context);
    two.server_context = make_context("elsewhere", TLS_SERVER);
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    assert_true(node_await_refusals(&one, TWO, "mismatch"));
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
    assert_int_equal(two.heard_count, 0);
}

static bool is_lost(void *arg)
{
    const int64_t *since_ms = arg;
    return peer_active_since_ms(one.peer, TWO) != *since_ms;
}

/* Who waits a short time for the next byte gives up on one that says something every 20 s. */
static void test_tls_a_silent_stream_is_given_up(void **state)
{
    (void)state;
    one.read_ms = 300;
    pair_meet();
    assert_true(node_await_active(&one, TWO, true));
    int64_t since_ms = peer_active_since_ms(one.peer, TWO);
    assert_true(node_await_until(is_lost, &since_ms));
}

static struct err deny(SSL *ssl, void *arg, struct why *why)
{
    (void)arg;
    assert_non_null(SSL_get0_peer_certificate(ssl));
    return why_set(why, ERR(DENIED), "not the one");
}

/* Whose certificate verifies may still be somebody else. */
static void test_tls_server_of_another_name_is_refused(void **state)
{
    struct peer_question question = {"GET", "/version", {0}, NULL, 1024, NODE_WAIT_MS};
    struct http_dialing dialing = {.tls = node_client_tls, .admit = deny, .arg = &two};
    struct peer_fetched got;
    struct why why;
    (void)state;
    one.admit = deny;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    assert_true(IS(peer_fetch(two.url, &question, &dialing, &got, &why), BAD_TLS));
    assert_non_null(strstr(why.text, "not the one"));
    assert_true(node_await_refusals(&one, TWO, "not the one"));
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
}

/* Looking up where somebody comes from takes its time on a thread of its own: others go on. */
static void test_tls_vouching_holds_nobody_up(void **state)
{
    (void)state;
    pair_start();
    atomic_store(&two.is_vouch_held, true);
    size_t vouching = atomic_load(&two.vouching);
    size_t before = atomic_load(&answers.count);
    ask_renew(); /* a new connection */
    assert_true(node_await_atomic(&two.vouching, vouching + 1));
    for (uint64_t i = 1; i <= 50; i++) {
        struct raft_message message = pair_heartbeat(TWO, ONE, i);
        peer_send(one.peer, &message, 1);
    }
    assert_true(node_await_heard(&two, 50));
    atomic_store(&two.is_vouch_held, false);
    assert_true(node_await_atomic(&answers.count, before + 1));
    renew_until_answered();
}

static void test_tls_nobody_comes_in_unvouched(void **state)
{
    (void)state;
    two.is_vouch_no = true;
    node_start(&one, CLUSTER);
    node_start(&two, CLUSTER);
    node_knows(&one, &two);
    assert_true(node_await_atomic(&two.vouching, 2));
    assert_true(node_await_refusals(&one, TWO, ""));
    assert_int_equal(peer_active_since_ms(one.peer, TWO), 0);
}

static void test_tls_plain_client_is_refused(void **state)
{
    struct peer_question question = {"GET", "/version", {0}, NULL, 1024, NODE_WAIT_MS};
    struct peer_fetched got;
    struct why why;
    (void)state;
    node_start(&two, CLUSTER);
    struct http_dialing dialing = {.tls = node_client_tls, .arg = &two};
    assert_false(err_is(peer_fetch(two.url, &question, &dialing, &got, &why)));
    buf_fini(&got.body);
    assert_int_equal(got.status, 200);
    char *plain = mem_printf("http%s", two.url + strlen("https"));
    assert_true(err_is(peer_fetch(plain, &question, NULL, &got, &why)));
    /* Who is late sees the connection broken, not the word that came before. */
    assert_true(err_is(peer_fetch(two.url, &question, NULL, &got, &why)));
    free(plain);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup_tls, teardown_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tls_carries_everything),
        TEST(test_tls_contexts_are_asked_anew),
        TEST(test_tls_server_for_another_host_is_refused),
        TEST(test_tls_a_silent_stream_is_given_up),
        TEST(test_tls_server_of_another_name_is_refused),
        TEST(test_tls_vouching_holds_nobody_up),
        TEST(test_tls_nobody_comes_in_unvouched),
        TEST(test_tls_plain_client_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
