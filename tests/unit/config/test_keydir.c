/* SPDX-License-Identifier: Apache-2.0 */
#include "../base/pki.h"
#include "base/mem.h"
#include "load_util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct pki pki;
static struct loaded loaded;

static int setup(void **state)
{
    (void)state;
    pki_init(&pki);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unload(&loaded);
    pki_fini(&pki);
    return 0;
}

static void make(const char *name)
{
    pki_make(
        &pki, &(struct pki_spec){.name = name, .cn = name, .sans = "DNS:localhost", .serial = 2});
}

static void without(const char *file)
{
    assert_int_equal(unlink(pki_path(&pki, file)), 0);
}

static void load(const char *args)
{
    load_it(&loaded, &(struct load_spec){.args = args, .key_dir = pki.dir});
}

/* Refused with words that name the file. */
static void expect_refused(const char *file)
{
    load("");
    assert_true(IS(loaded.err, BAD_TLS));
    if (!strstr(loaded.why.text, file)) {
        fail_msg("%s does not name %s", loaded.why.text, file);
    }
}

static const char *urls(const struct url_list *list)
{
    return url_list_text(loaded.config.arena, list);
}

static void test_keydir_kubeadms_five_files_are_mutual_tls(void **state)
{
    (void)state;
    make("server");
    make("peer");
    load("--name=n1");
    struct config *config = &loaded.config;
    assert_string_equal(loaded.why.text, "");
    assert_true(config->client.is_detected && config->client.client_cert_auth);
    assert_string_equal(config->client.cert_file, pki_path(&pki, "server.crt"));
    assert_string_equal(config->client.key_file, pki_path(&pki, "server.key"));
    assert_string_equal(config->client.ca_file, pki_path(&pki, "ca.crt"));
    assert_true(config->peer.is_detected && config->peer.client_cert_auth);
    assert_string_equal(config->peer.ca_file, pki_path(&pki, "ca.crt"));
    assert_string_equal(urls(&config->listen_client), "https://localhost:2379");
    assert_string_equal(urls(&config->advertise_client), "https://localhost:2379");
    assert_string_equal(urls(&config->listen_peer), "https://localhost:2380");
    assert_string_equal(config->initial_cluster, "n1=https://localhost:2380");
    assert_non_null(strstr(config->detected, "client certificates required; peer.crt"));
    assert_false(err_is(config_verify_bootstrap(config, NULL)));
}

static void test_keydir_server_pair_alone_is_https(void **state)
{
    (void)state;
    make("server");
    without("ca.crt");
    without("ca.key");
    load("");
    assert_string_equal(loaded.why.text, "");
    assert_true(loaded.config.client.is_detected);
    assert_false(loaded.config.client.client_cert_auth);
    assert_string_equal(loaded.config.client.ca_file, "");
    assert_false(loaded.config.peer.is_detected);
    assert_string_equal(urls(&loaded.config.listen_client), "https://localhost:2379");
    assert_string_equal(urls(&loaded.config.listen_peer), "http://localhost:2380");
    assert_string_equal(loaded.config.initial_cluster, "default=http://localhost:2380");
}

static void test_keydir_peer_pair_alone_is_peer_tls(void **state)
{
    (void)state;
    make("peer");
    load("");
    assert_string_equal(loaded.why.text, "");
    assert_false(loaded.config.client.is_detected);
    assert_true(loaded.config.peer.is_detected);
    assert_string_equal(urls(&loaded.config.listen_client), "http://localhost:2379");
    assert_string_equal(loaded.config.initial_cluster, "default=https://localhost:2380");
}

/* A CA that was lost does not open the door: the peer side, given by flags, does not notice. */
static void test_keydir_ca_key_without_its_certificate_is_refused(void **state)
{
    (void)state;
    make("server");
    without("ca.crt");
    expect_refused("there is ca.key but no ca.crt");
    unload(&loaded);
    load("--peer-auto-tls");
    assert_true(IS(loaded.err, BAD_TLS));
    unload(&loaded);
    load("--client-cert-auth=false");
    assert_string_equal(loaded.why.text, "");
    assert_true(loaded.config.client.is_detected);
}

static void test_keydir_flags_win(void **state)
{
    (void)state;
    make("server");
    make("peer");
    load("--cert-file=a.crt --key-file=a.key --peer-auto-tls");
    assert_string_equal(loaded.why.text, "");
    assert_string_equal(loaded.config.client.cert_file, "a.crt");
    assert_string_equal(loaded.config.client.ca_file, "");
    assert_false(loaded.config.client.is_detected);
    assert_true(loaded.config.peer.is_auto);
    assert_string_equal(loaded.config.peer.cert_file, "");
    assert_non_null(strstr(loaded.config.detected, "client side left to the flags"));
}

static void test_keydir_client_auth_can_be_refused(void **state)
{
    (void)state;
    make("server");
    load("--client-cert-auth=false");
    assert_string_equal(loaded.why.text, "");
    assert_true(loaded.config.client.is_detected);
    assert_false(loaded.config.client.client_cert_auth);
    assert_string_equal(loaded.config.client.ca_file, "");
}

static void test_keydir_given_plain_urls_stay_and_are_warned_of(void **state)
{
    (void)state;
    make("server");
    load("--listen-client-urls=http://127.0.0.1:1,https://127.0.0.1:2 "
         "--advertise-client-urls=https://127.0.0.1:2");
    assert_string_equal(loaded.why.text, "");
    assert_string_equal(
        urls(&loaded.config.listen_client), "http://127.0.0.1:1,https://127.0.0.1:2");
    assert_string_equal(find_note(&loaded, "URL is served without TLS as given, although the key "
                                           "directory has certificates"),
        "http://127.0.0.1:1");
}

static void test_keydir_without_files_leaves_tls_off(void **state)
{
    (void)state;
    load("");
    assert_string_equal(loaded.why.text, "");
    assert_false(loaded.config.client.is_detected || loaded.config.peer.is_detected);
    assert_non_null(strstr(loaded.config.detected, "TLS stays off"));
}

static void test_keydir_can_be_switched_off(void **state)
{
    (void)state;
    make("server");
    load("--key-dir=");
    assert_string_equal(loaded.why.text, "");
    assert_false(loaded.config.client.is_detected);
    assert_string_equal(loaded.config.detected, "");
}

static void test_keydir_asked_for_must_be_there(void **state)
{
    static const char *const environ_[] = {"ETCD_KEY_DIR=/nonexistent/dir", NULL};
    (void)state;
    load_it(&loaded, &(struct load_spec){.environ = environ_});
    assert_true(IS(loaded.err, BAD_TLS));
    assert_string_equal(
        loaded.why.text, "key directory /nonexistent/dir: No such file or directory");
}

static void test_keydir_half_a_pair_is_refused(void **state)
{
    (void)state;
    make("server");
    without("server.key");
    expect_refused("there is server.crt but no server.key");
}

static void test_keydir_half_a_peer_pair_is_refused(void **state)
{
    (void)state;
    make("peer");
    without("peer.crt");
    expect_refused("there is peer.key but no peer.crt");
}

static void test_keydir_peer_pair_without_ca_is_refused(void **state)
{
    (void)state;
    make("peer");
    without("ca.crt");
    expect_refused("no ca.crt");
}

static void test_keydir_mismatched_key_is_refused(void **state)
{
    (void)state;
    make("server");
    make("other");
    assert_int_equal(rename(pki_path(&pki, "other.key"), pki_path(&pki, "server.key")), 0);
    expect_refused("server.key");
}

static void test_keydir_broken_key_is_refused(void **state)
{
    (void)state;
    make("server");
    pki_write(&pki, "server.key", "no key\n");
    expect_refused("server.key");
}

static void test_keydir_expired_certificate_is_refused(void **state)
{
    (void)state;
    pki_make(
        &pki, &(struct pki_spec){.name = "server", .cn = "s", .from_s = -7200, .until_s = -3600});
    expect_refused("server.crt");
}

static void test_keydir_foreign_chain_is_refused(void **state)
{
    (void)state;
    pki_make(&pki, &(struct pki_spec){.name = "server", .cn = "s", .is_self_signed = 1});
    expect_refused("server.crt");
}

static void test_keydir_is_a_key_of_the_file_too(void **state)
{
    char text[128];
    (void)state;
    make("server");
    snprintf(text, sizeof(text), "key-dir: %s\n", pki.dir);
    load_file(&loaded, "", text);
    assert_string_equal(loaded.why.text, "");
    assert_true(loaded.config.client.is_detected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_keydir_kubeadms_five_files_are_mutual_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_server_pair_alone_is_https, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_peer_pair_alone_is_peer_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_keydir_ca_key_without_its_certificate_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_flags_win, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_client_auth_can_be_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_keydir_given_plain_urls_stay_and_are_warned_of, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_without_files_leaves_tls_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_can_be_switched_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_asked_for_must_be_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_half_a_pair_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_half_a_peer_pair_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_keydir_peer_pair_without_ca_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_mismatched_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_broken_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_keydir_expired_certificate_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_foreign_chain_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keydir_is_a_key_of_the_file_too, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
