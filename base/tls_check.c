/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls.h"
#include "base/tls_pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

static time_t moment(int64_t now_s)
{
    return now_s ? (time_t)now_s : time(NULL);
}

static void time_text(const ASN1_TIME *at, char *out, size_t size)
{
    struct tm tm = {0};
    ASN1_TIME_to_tm(at, &tm);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static struct err check_validity(X509 *cert, const char *path, time_t now, struct why *why)
{
    char text[40];
    if (X509_cmp_time(X509_get0_notAfter(cert), &now) < 0) {
        time_text(X509_get0_notAfter(cert), text, sizeof(text));
        return why_set(why, ERR(BAD_TLS), "%s holds a certificate that expired at %s", path, text);
    }
    if (X509_cmp_time(X509_get0_notBefore(cert), &now) > 0) {
        time_text(X509_get0_notBefore(cert), text, sizeof(text));
        return why_set(
            why, ERR(BAD_TLS), "%s holds a certificate that is not valid before %s", path, text);
    }
    return OK;
}

static struct err check_match(
    X509 *cert, const char *cert_file, const char *key_file, struct why *why)
{
    EVP_PKEY *key = NULL;
    struct buf bytes;
    buf_init(&bytes, TLS_FILE_BYTES_MAX);
    struct err e = tls_read_file(key_file, &bytes, why);
    if (!err_is(e)) {
        e = tls_parse_key(buf_slice(&bytes), key_file, &key, why);
    }
    if (!err_is(e) && X509_check_private_key(cert, key) != 1) {
        e = why_set(why, ERR(BAD_TLS), "the private key %s does not belong to the certificate %s",
            key_file, cert_file);
    }
    ERR_clear_error();
    EVP_PKEY_free(key);
    if (bytes.data) {
        OPENSSL_cleanse(bytes.data, bytes.len);
    }
    buf_fini(&bytes);
    return e;
}

struct err tls_check_pair(
    const char *cert_file, const char *key_file, int64_t now_s, struct why *why)
{
    STACK_OF(X509) *certs = NULL;
    if (!tls_is_given(cert_file) || !tls_is_given(key_file)) {
        return why_set(why, ERR(BAD_TLS),
            "certificate and key must both be given [cert: %s, key: %s]",
            cert_file ? cert_file : "", key_file ? key_file : "");
    }
    TRY(tls_load_certs(cert_file, &certs, why));
    X509 *leaf = sk_X509_value(certs, 0);
    struct err e = check_match(leaf, cert_file, key_file, why);
    if (!err_is(e)) {
        e = check_validity(leaf, cert_file, moment(now_s), why);
    }
    tls_certs_free(certs);
    return e;
}

struct err tls_check_ca(const char *ca_file, int64_t now_s, struct why *why)
{
    STACK_OF(X509) *certs = NULL;
    struct why reason = {""};
    struct err out_of_time = OK;
    bool has_ca = false;
    bool has_valid = false;
    TRY(tls_load_certs(ca_file, &certs, why));
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        struct err e = check_validity(cert, ca_file, moment(now_s), &reason);
        has_ca = has_ca || X509_check_ca(cert) != 0;
        has_valid = has_valid || (!err_is(e) && X509_check_ca(cert) != 0);
        out_of_time = err_is(e) ? e : out_of_time;
    }
    tls_certs_free(certs);
    if (!has_ca) {
        return why_set(why, ERR(BAD_TLS), "%s holds no CA certificate", ca_file);
    }
    return has_valid ? OK : why_set(why, out_of_time, "%s", reason.text);
}

static struct err verify(
    STACK_OF(X509) * certs, STACK_OF(X509) * roots, time_t now, int *out_reason)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    check(store && ctx);
    for (int i = 0; i < sk_X509_num(roots); i++) {
        X509_STORE_add_cert(store, sk_X509_value(roots, i));
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), now);
    check(X509_STORE_CTX_init(ctx, store, sk_X509_value(certs, 0), certs) == 1);
    bool is_good = X509_verify_cert(ctx) == 1;
    *out_reason = X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return is_good ? OK : ERR(BAD_TLS);
}

struct err tls_check_chain(
    const char *cert_file, const char *ca_file, int64_t now_s, struct why *why)
{
    STACK_OF(X509) *certs = NULL;
    STACK_OF(X509) *roots = NULL;
    int reason = 0;
    struct err e = tls_load_certs(cert_file, &certs, why);
    if (err_is(e)) {
        goto out;
    }
    e = tls_load_certs(ca_file, &roots, why);
    if (err_is(e)) {
        goto out;
    }
    e = verify(certs, roots, moment(now_s), &reason);
    if (err_is(e)) {
        why_set(why, e, "%s does not verify against %s: %s", cert_file, ca_file,
            X509_verify_cert_error_string(reason));
    }
out:
    tls_certs_free(certs);
    tls_certs_free(roots);
    return e;
}

static struct err check_crl(const char *crl_file, struct why *why)
{
    struct tls_options only_crl = {.crl_file = crl_file};
    struct tls_rules *rules = tls_rules_new(&only_crl);
    X509 *nobody = X509_new();
    struct err e = tls_rules_allow(rules, nobody, NULL, why);
    X509_free(nobody);
    tls_rules_free(rules);
    return err_is(e) ? ERR(BAD_TLS) : OK;
}

struct err tls_check(const struct tls_options *options, int64_t now_s, struct why *why)
{
    if (tls_is_given(options->cert_file) || tls_is_given(options->key_file)) {
        TRY(tls_check_pair(options->cert_file, options->key_file, now_s, why));
    }
    if (tls_is_given(options->trusted_ca_file)) {
        TRY(tls_check_ca(options->trusted_ca_file, now_s, why));
    }
    if (tls_is_given(options->crl_file)) {
        TRY(check_crl(options->crl_file, why));
    }
    for (size_t i = 0; options->cipher_suites && options->cipher_suites[i]; i++) {
        if (!tls_cipher_suite_exists(options->cipher_suites[i])) {
            return why_set(
                why, ERR(BAD_TLS), "unexpected TLS cipher suite \"%s\"", options->cipher_suites[i]);
        }
    }
    return OK;
}
