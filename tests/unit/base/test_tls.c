/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/tls.h"
#include "pki.h"

#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct pki pki;

static int setup(void **state)
{
    (void)state;
    pki_init(&pki);
    pki_make(&pki, &(struct pki_spec){.name = "server",
                       .cn = "etcd",
                       .serial = 10,
                       .sans = "DNS:localhost,DNS:*.example.com,IP:127.0.0.1,IP:::1"});
    pki_make(&pki, &(struct pki_spec){.name = "client", .cn = "root", .serial = 11});
    pki_make(
        &pki, &(struct pki_spec){
                  .name = "old", .cn = "old", .serial = 12, .from_s = -7200, .until_s = -3600});
    pki_make(
        &pki, &(struct pki_spec){
                  .name = "early", .cn = "early", .serial = 13, .from_s = 3600, .until_s = 7200});
    pki_make(
        &pki, &(struct pki_spec){.name = "self", .cn = "self", .serial = 14, .is_self_signed = 1});
    pki_write(&pki, "words.crt", "not a certificate\n");
    pki_write(&pki, "broken.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pki_fini(&pki);
    return 0;
}

static void assert_says(struct why *why, const char *part)
{
    if (!strstr(why->text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", why->text, part);
    }
}

static void test_pair_is_accepted(void **state)
{
    (void)state;
    struct why why = {0};
    assert_int_equal(
        tls_check_pair(pki_path(&pki, "server.crt"), pki_path(&pki, "server.key"), 0, &why).code,
        0);
}

static void test_pair_errors_name_file_and_fault(void **state)
{
    (void)state;
    static const struct {
        const char *cert;
        const char *key;
        const char *says[2];
        enum err_code code;
    } cases[] = {
        {"absent.crt", "server.key", {"absent.crt", "No such file"}, ERR_ABSENT},
        {"server.crt", "absent.key", {"absent.key", "No such file"}, ERR_ABSENT},
        {"server.crt", "client.key", {"client.key", "does not belong"}, ERR_BAD_TLS},
        {"words.crt", "server.key", {"words.crt", "no PEM certificate"}, ERR_BAD_TLS},
        {"broken.crt", "server.key", {"broken.crt", "cannot be parsed"}, ERR_BAD_TLS},
        {"server.crt", "server.crt", {"server.crt", "no PEM private key"}, ERR_BAD_TLS},
        {"old.crt", "old.key", {"old.crt", "expired at 20"}, ERR_BAD_TLS},
        {"early.crt", "early.key", {"early.crt", "not valid before 20"}, ERR_BAD_TLS},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct why why = {0};
        struct err e =
            tls_check_pair(pki_path(&pki, cases[i].cert), pki_path(&pki, cases[i].key), 0, &why);
        assert_int_equal(e.code, cases[i].code);
        assert_says(&why, cases[i].says[0]);
        assert_says(&why, cases[i].says[1]);
    }
    struct why why = {0};
    assert_true(err_is(tls_check_pair(pki_path(&pki, "server.crt"), "", 0, &why)));
    assert_says(&why, "must both be given");
}

static void test_chain_is_verified(void **state)
{
    (void)state;
    struct why why = {0};
    const char *ca = pki_path(&pki, "ca.crt");
    assert_false(err_is(tls_check_ca(ca, 0, &why)));
    assert_false(err_is(tls_check_chain(pki_path(&pki, "server.crt"), ca, 0, &why)));
    assert_int_equal(tls_check_chain(pki_path(&pki, "self.crt"), ca, 0, &why).code, ERR_BAD_TLS);
    assert_says(&why, "self.crt does not verify against");
    assert_int_equal(tls_check_ca(pki_path(&pki, "client.crt"), 0, &why).code, ERR_BAD_TLS);
    assert_says(&why, "holds no CA certificate");
}

/* After a change of CAs both stand in the file, until the old one is out of date and after. */
static void test_one_valid_ca_is_enough(void **state)
{
    (void)state;
    enum { SIZE = 16384, YEARS_3_S = 3 * 366 * 86400 };
    struct why why = {0};
    char both[SIZE];
    struct pki_spec old = {.name = "old",
        .cn = "old",
        .serial = 22,
        .from_s = -100,
        .until_s = -50,
        .is_self_signed = 1};
    pki_make(&pki, &old);
    size_t len = 0;
    static const char *const names[] = {"old.crt", "ca.crt"};
    for (size_t i = 0; i < 2; i++) {
        FILE *file = fopen(pki_path(&pki, names[i]), "re");
        assert_non_null(file);
        len += fread(both + len, 1, SIZE - 1 - len, file);
        fclose(file);
    }
    both[len] = 0;
    pki_write(&pki, "both.crt", both);
    assert_false(err_is(tls_check_ca(pki_path(&pki, "both.crt"), 0, &why)));
    int64_t later = (int64_t)time(NULL) + YEARS_3_S;
    assert_int_equal(tls_check_ca(pki_path(&pki, "both.crt"), later, &why).code, ERR_BAD_TLS);
    assert_says(&why, "both.crt");
}

static void test_context_needs_a_whole_matching_pair(void **state)
{
    (void)state;
    struct why why = {0};
    SSL_CTX *ctx = NULL;
    struct tls_options options = {.cert_file = pki_path(&pki, "server.crt")};
    assert_int_equal(tls_context_new(&options, TLS_SERVER, &ctx, &why).code, ERR_BAD_TLS);
    assert_says(&why, "must both be present");
    options.key_file = pki_path(&pki, "client.key");
    assert_int_equal(tls_context_new(&options, TLS_SERVER, &ctx, &why).code, ERR_BAD_TLS);
    assert_null(ctx);
    options.key_file = pki_path(&pki, "server.key");
    assert_false(err_is(tls_context_new(&options, TLS_SERVER, &ctx, &why)));
    SSL_CTX_free(ctx);
    ctx = NULL;
    assert_false(err_is(tls_context_new(&(struct tls_options){0}, TLS_CLIENT, &ctx, &why)));
    SSL_CTX_free(ctx);
}

static void test_cipher_suites_have_gos_names(void **state)
{
    (void)state;
    assert_true(tls_cipher_suite_exists("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"));
    assert_true(tls_cipher_suite_exists("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305"));
    assert_true(tls_cipher_suite_exists("TLS_AES_128_GCM_SHA256"));
    assert_true(tls_cipher_suite_exists("ECDHE-RSA-AES256-GCM-SHA384"));
    assert_false(tls_cipher_suite_exists("TLS_NOT_A_SUITE"));
    assert_false(tls_cipher_suite_exists(""));
    assert_false(tls_cipher_suite_exists("NULL"));
    assert_false(tls_cipher_suite_exists("ALL"));
    assert_false(tls_cipher_suite_exists("HIGH"));
    assert_false(tls_cipher_suite_exists("AESGCM"));
    assert_false(tls_cipher_suite_exists("DEFAULT"));
    assert_false(tls_cipher_suite_exists("-ALL"));
}

/* Runs a handshake between two contexts in memory; true when both ends are content. */
static bool shake(SSL_CTX *server_ctx, SSL_CTX *client_ctx, SSL **out_server, SSL **out_client)
{
    BIO *left;
    BIO *right;
    SSL *server = SSL_new(server_ctx);
    SSL *client = SSL_new(client_ctx);
    int server_rc = 0;
    int client_rc = 0;
    BIO_new_bio_pair(&left, 0, &right, 0);
    SSL_set_bio(server, left, left);
    SSL_set_bio(client, right, right);
    tls_client_expect(client, "localhost");
    for (int i = 0; i < 20 && (server_rc != 1 || client_rc != 1); i++) {
        client_rc = client_rc == 1 ? 1 : SSL_connect(client);
        server_rc = server_rc == 1 ? 1 : SSL_accept(server);
    }
    *out_server = server;
    *out_client = client;
    return server_rc == 1 && client_rc == 1;
}

struct ends {
    struct tls_options server;
    struct tls_options client;
};

/* The TLS version that both settle on; 0: none. */
static int settle(const struct ends *ends)
{
    SSL_CTX *server_ctx = NULL;
    SSL_CTX *client_ctx = NULL;
    SSL *server;
    SSL *client;
    struct why why = {0};
    assert_false(err_is(tls_context_new(&ends->server, TLS_SERVER, &server_ctx, &why)));
    assert_false(err_is(tls_context_new(&ends->client, TLS_CLIENT, &client_ctx, &why)));
    int version = shake(server_ctx, client_ctx, &server, &client) ? SSL_version(server) : 0;
    SSL_free(server);
    SSL_free(client);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return version;
}

static struct ends plain_ends(void)
{
    return (struct ends){
        .server = {.cert_file = pki_path(&pki, "server.crt"),
            .key_file = pki_path(&pki, "server.key")},
        .client = {.trusted_ca_file = pki_path(&pki, "ca.crt")},
    };
}

static void test_handshake_versions_hold(void **state)
{
    (void)state;
    struct ends ends = plain_ends();
    assert_int_equal(settle(&ends), TLS1_3_VERSION);
    ends.server.max_version = TLS_VERSION_1_2;
    assert_int_equal(settle(&ends), TLS1_2_VERSION);
    ends.client.min_version = TLS_VERSION_1_3;
    assert_int_equal(settle(&ends), 0);
}

static void test_handshake_without_suites_of_tls12(void **state)
{
    static const char *const only_13[] = {"TLS_AES_128_GCM_SHA256", NULL};
    static const char *const both[] = {
        "TLS_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", NULL};
    (void)state;
    struct ends ends = plain_ends();
    ends.server.cipher_suites = only_13;
    assert_int_equal(settle(&ends), TLS1_3_VERSION);
    ends.client.max_version = TLS_VERSION_1_2;
    assert_int_equal(settle(&ends), 0);
    ends.server.max_version = TLS_VERSION_1_2;
    assert_int_equal(settle(&ends), 0);
    ends.server.cipher_suites = both;
    assert_int_equal(settle(&ends), TLS1_2_VERSION);
}

static void test_handshake_verifies_the_server(void **state)
{
    (void)state;
    struct ends ends = plain_ends();
    ends.client.trusted_ca_file = pki_path(&pki, "self.crt");
    assert_int_equal(settle(&ends), 0);
    ends.client.skip_verify = true;
    assert_int_equal(settle(&ends), TLS1_3_VERSION);
}

static void test_handshake_requires_client_certificate(void **state)
{
    (void)state;
    struct ends ends = plain_ends();
    ends.server.trusted_ca_file = pki_path(&pki, "ca.crt");
    ends.server.max_version = TLS_VERSION_1_2; /* so that the client hears of it in the handshake */
    assert_int_equal(settle(&ends), 0);
    ends.client.cert_file = pki_path(&pki, "client.crt");
    ends.client.key_file = pki_path(&pki, "client.key");
    assert_int_equal(settle(&ends), TLS1_2_VERSION);
    ends.client.cert_file = pki_path(&pki, "self.crt");
    ends.client.key_file = pki_path(&pki, "self.key");
    assert_int_equal(settle(&ends), 0);
}

static X509 *load(const char *file)
{
    FILE *in = fopen(pki_path(&pki, file), "r");
    char text[8192] = {0};
    assert_non_null(in);
    assert_true(fread(text, 1, sizeof(text) - 1, in) > 0);
    fclose(in);
    X509 *cert = tls_cert_parse(text);
    assert_non_null(cert);
    return cert;
}

static void test_certificate_tells_names(void **state)
{
    (void)state;
    X509 *cert = load("server.crt");
    char *cn = tls_cert_cn(cert);
    char **sans = tls_cert_sans(cert);
    assert_string_equal(cn, "etcd");
    assert_string_equal(sans[0], "localhost");
    assert_string_equal(sans[1], "*.example.com");
    assert_string_equal(sans[2], "127.0.0.1");
    assert_string_equal(sans[3], "::1");
    assert_null(sans[4]);
    assert_true(tls_cert_is_for(cert, "localhost"));
    assert_true(tls_cert_is_for(cert, "a.example.com"));
    assert_true(tls_cert_is_for(cert, "127.0.0.1"));
    assert_false(tls_cert_is_for(cert, "etcd"));
    assert_false(tls_cert_is_for(cert, "a.b.example.com"));
    assert_false(tls_cert_is_for(cert, "127.0.0.2"));
    free(cn);
    free(sans);
    X509_free(cert);
    assert_null(tls_cert_parse("no"));
}

static void test_certificate_says_where_it_comes_from(void **state)
{
    (void)state;
    pki_make(&pki, &(struct pki_spec){.name = "ip", .serial = 40, .sans = "IP:10.1.2.3"});
    pki_make(&pki, &(struct pki_spec){.name = "dns", .serial = 41, .sans = "DNS:localhost"});
    X509 *none = load("client.crt");
    X509 *ip = load("ip.crt");
    X509 *dns = load("dns.crt");
    assert_true(tls_cert_is_from(none, "192.0.2.1"));
    assert_true(tls_cert_is_from(ip, "10.1.2.3"));
    assert_false(tls_cert_is_from(ip, "10.1.2.4"));
    assert_true(tls_cert_is_from(dns, "127.0.0.1"));
    assert_false(tls_cert_is_from(dns, "192.0.2.1"));
    X509_free(none);
    X509_free(ip);
    X509_free(dns);
}

static enum err_code allowed(const struct tls_options *options, X509 *cert, struct why *why)
{
    struct tls_rules *rules = tls_rules_new(options);
    enum err_code code = tls_rules_allow(rules, cert, NULL, why).code;
    tls_rules_free(rules);
    return code;
}

static void test_rules_keep_lists(void **state)
{
    (void)state;
    struct why why = {0};
    X509 *client = load("client.crt");
    X509 *server = load("server.crt");
    const char *const cns[] = {"other", "root", NULL};
    const char *const hosts[] = {"localhost", NULL};
    assert_int_equal(allowed(&(struct tls_options){0}, NULL, &why), ERR_OK);
    assert_int_equal(allowed(&(struct tls_options){.allowed_cns = cns}, client, &why), ERR_OK);
    assert_int_equal(allowed(&(struct tls_options){.allowed_cns = cns}, server, &why), ERR_DENIED);
    assert_int_equal(allowed(&(struct tls_options){.allowed_cns = cns}, NULL, &why), ERR_DENIED);
    assert_int_equal(
        allowed(&(struct tls_options){.allowed_hostnames = hosts}, server, &why), ERR_OK);
    assert_int_equal(
        allowed(&(struct tls_options){.allowed_hostnames = hosts}, client, &why), ERR_DENIED);
    assert_says(&why, "client certificate authentication failed");
    X509_free(client);
    X509_free(server);
}

static void test_rules_keep_crl(void **state)
{
    (void)state;
    struct why why = {0};
    X509 *client = load("client.crt");
    struct tls_options options = {.crl_file = pki_path(&pki, "crl")};
    assert_int_equal(allowed(&options, client, &why), ERR_DENIED); /* there is no file */
    pki_write(&pki, "crl", "rubbish");
    assert_int_equal(allowed(&options, client, &why), ERR_DENIED);
    assert_true(err_is(tls_check(&options, 0, &why)));
    pki_make_crl(&pki, "crl", 99, 1);
    assert_int_equal(allowed(&options, client, &why), ERR_OK);
    assert_false(err_is(tls_check(&options, 0, &why)));
    pki_make_crl(&pki, "crl", 11, 0);
    assert_int_equal(allowed(&options, client, &why), ERR_DENIED);
    assert_says(&why, "transport: certificate serial 0B revoked");
    pki_make_crl(&pki, "crl", 11, 1);
    assert_int_equal(allowed(&options, client, &why), ERR_DENIED);
    X509_free(client);
}

static void test_rules_see_a_crl_change(void **state)
{
    (void)state;
    struct why why = {0};
    X509 *client = load("client.crt");
    pki_make_crl(&pki, "crl2", 99, 1);
    struct tls_options options = {.crl_file = pki_path(&pki, "crl2")};
    struct tls_rules *rules = tls_rules_new(&options);
    assert_false(err_is(tls_rules_allow(rules, client, NULL, &why)));
    pki_make_crl(&pki, "crl2", 11, 1);
    assert_true(err_is(tls_rules_allow(rules, client, NULL, &why)));
    tls_rules_free(rules);
    X509_free(client);
}

static enum tls_news poll_later(struct tls_source *source, struct why *why)
{
    usleep(260 * 1000);
    return tls_source_poll(source, why);
}

static void test_source_reloads_and_keeps_the_old(void **state)
{
    (void)state;
    struct why why = {0};
    struct tls_source *source = NULL;
    struct pki_spec spec = {.name = "turn", .cn = "one", .serial = 20};
    pki_make(&pki, &spec);
    struct tls_options options = {
        .cert_file = pki_path(&pki, "turn.crt"), .key_file = pki_path(&pki, "turn.key")};
    assert_false(err_is(tls_source_new(&options, TLS_SERVER, &source, &why)));
    SSL_CTX *first = tls_source_context(source);
    assert_int_equal(poll_later(source, &why), TLS_NEWS_NONE);
    pki_write(&pki, "turn.key", "half written");
    assert_int_equal(poll_later(source, &why), TLS_NEWS_BROKEN);
    assert_says(&why, "turn.key");
    assert_int_equal(poll_later(source, &why), TLS_NEWS_NONE);
    SSL_CTX *same = tls_source_context(source);
    assert_ptr_equal(first, same);
    spec.cn = "two";
    pki_make(&pki, &spec);
    assert_int_equal(poll_later(source, &why), TLS_NEWS_RELOADED);
    SSL_CTX *second = tls_source_context(source);
    char *cn = tls_cert_cn(SSL_CTX_get0_certificate(second));
    assert_string_equal(cn, "two");
    free(cn);
    SSL_CTX_free(first);
    SSL_CTX_free(same);
    SSL_CTX_free(second);
    tls_source_free(source);
}

/* Nothing in the files changes when what kept them from being read is gone. */
static void test_source_tries_again_what_it_could_not_read(void **state)
{
    (void)state;
    struct why why = {0};
    struct rlimit files;
    struct tls_source *source = NULL;
    struct pki_spec spec = {.name = "again", .cn = "one", .serial = 21};
    pki_make(&pki, &spec);
    struct tls_options options = {
        .cert_file = pki_path(&pki, "again.crt"), .key_file = pki_path(&pki, "again.key")};
    assert_false(err_is(tls_source_new(&options, TLS_SERVER, &source, &why)));
    spec.cn = "two";
    pki_make(&pki, &spec);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = files.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(poll_later(source, &why), TLS_NEWS_BROKEN);
    assert_int_equal(poll_later(source, &why), TLS_NEWS_NONE); /* told once */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    assert_int_equal(poll_later(source, &why), TLS_NEWS_RELOADED);
    assert_int_equal(poll_later(source, &why), TLS_NEWS_NONE);
    tls_source_free(source);
}

static void test_source_lends_pem(void **state)
{
    (void)state;
    struct why why = {0};
    struct tls_source *source = NULL;
    struct tls_options options = {.cert_file = pki_path(&pki, "server.crt"),
        .key_file = pki_path(&pki, "server.key"),
        .trusted_ca_file = pki_path(&pki, "ca.crt")};
    assert_false(err_is(tls_source_new(&options, TLS_SERVER, &source, &why)));
    char *pair;
    char *ca;
    uint64_t count = 0;
    tls_source_pem(source, &pair, &ca, &count);
    assert_int_equal(count, 1);
    assert_non_null(strstr(pair, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(pair, "PRIVATE KEY"));
    assert_non_null(strstr(ca, "BEGIN CERTIFICATE"));
    free(pair);
    free(ca);
    tls_source_free(source);
}

static X509 *cert_in(const char *path)
{
    char text[8192] = {0};
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
    (void)fclose(file);
    X509 *cert = tls_cert_parse(text);
    assert_non_null(cert);
    return cert;
}

static void test_self_signed_pair_is_made_once(void **state)
{
    (void)state;
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1", NULL};
    char dir[256];
    (void)snprintf(dir, sizeof(dir), "%s", pki_path(&pki, "made"));
    struct tls_self wanted = {dir, hosts, 1, true};
    struct tls_self_files files = {0};
    struct tls_self_files again = {0};
    struct stat info;
    struct why why = {0};
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(tls_self_make(&wanted, &files, &why).code, 0);
    assert_true(files.is_new);
    assert_int_equal(tls_check_pair(files.cert, files.key, 0, &why).code, 0);
    assert_int_equal(tls_check_chain(files.cert, files.cert, 0, &why).code, 0);
    assert_int_equal(tls_check_ca(files.cert, 0, &why).code, 0);
    assert_int_equal(stat(files.key, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    X509 *cert = cert_in(files.cert);
    assert_true(tls_cert_is_for(cert, "localhost"));
    assert_true(tls_cert_is_for(cert, "127.0.0.1"));
    assert_true(tls_cert_is_for(cert, "::1"));
    assert_false(tls_cert_is_for(cert, "example.com"));
    assert_true((X509_get_extended_key_usage(cert) & XKU_SSL_CLIENT) != 0);
    assert_int_equal(tls_self_make(&wanted, &again, &why).code, 0);
    assert_false(again.is_new);
    X509 *same = cert_in(again.cert);
    assert_int_equal(X509_cmp(cert, same), 0);
    X509_free(same);
    X509_free(cert);
    assert_int_equal(unlink(files.cert) | unlink(files.key) | rmdir(dir), 0);
}

static void test_self_signed_pair_without_a_place(void **state)
{
    (void)state;
    static const char *const hosts[] = {NULL};
    struct tls_self_files files = {0};
    struct why why = {0};
    struct tls_self wanted = {"/nowhere/at/all", hosts, 1, false};
    assert_int_equal(tls_self_make(&wanted, &files, &why).code, ERR_ABSENT);
    assert_says(&why, "create /nowhere/at/all/key.pem.new: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pair_is_accepted),
        cmocka_unit_test(test_pair_errors_name_file_and_fault),
        cmocka_unit_test(test_chain_is_verified),
        cmocka_unit_test(test_one_valid_ca_is_enough),
        cmocka_unit_test(test_context_needs_a_whole_matching_pair),
        cmocka_unit_test(test_cipher_suites_have_gos_names),
        cmocka_unit_test(test_handshake_versions_hold),
        cmocka_unit_test(test_handshake_without_suites_of_tls12),
        cmocka_unit_test(test_handshake_verifies_the_server),
        cmocka_unit_test(test_handshake_requires_client_certificate),
        cmocka_unit_test(test_certificate_tells_names),
        cmocka_unit_test(test_certificate_says_where_it_comes_from),
        cmocka_unit_test(test_rules_keep_lists),
        cmocka_unit_test(test_rules_keep_crl),
        cmocka_unit_test(test_rules_see_a_crl_change),
        cmocka_unit_test(test_source_reloads_and_keeps_the_old),
        cmocka_unit_test(test_source_tries_again_what_it_could_not_read),
        cmocka_unit_test(test_source_lends_pem),
        cmocka_unit_test(test_self_signed_pair_is_made_once),
        cmocka_unit_test(test_self_signed_pair_without_a_place),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
