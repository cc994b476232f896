/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd compares serial numbers only, for every certificate that was shown, and reads the CRL at
 * each handshake. Here it is parsed once a change; like there, a CRL that cannot be read keeps
 * everybody out.
 */
#include "base/mem.h"
#include "base/tls.h"
#include "base/tls_pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <sys/stat.h>

struct tls_rules {
    char *crl_file;
    char **cns;
    char **hostnames;
    pthread_mutex_t mutex; /* over what follows */
    struct stat crl_stat;
    X509_CRL *crl;
};

static char **list_dup(const char *const *list)
{
    size_t count = 0;
    while (list && list[count]) {
        count++;
    }
    if (count == 0) {
        return NULL;
    }
    char **out = mem_new((count + 1) * sizeof(*out));
    for (size_t i = 0; i < count; i++) {
        out[i] = mem_strdup(list[i]);
    }
    return out;
}

static void list_free(char **list)
{
    for (size_t i = 0; list && list[i]; i++) {
        free(list[i]);
    }
    free(list);
}

struct tls_rules *tls_rules_new(const struct tls_options *options)
{
    struct tls_rules *rules = mem_new(sizeof(*rules));
    rules->crl_file = tls_is_given(options->crl_file) ? mem_strdup(options->crl_file) : NULL;
    rules->cns = list_dup(options->allowed_cns);
    rules->hostnames = list_dup(options->allowed_hostnames);
    pthread_mutex_init(&rules->mutex, NULL);
    return rules;
}

void tls_rules_free(struct tls_rules *rules)
{
    if (!rules) {
        return;
    }
    X509_CRL_free(rules->crl);
    pthread_mutex_destroy(&rules->mutex);
    list_free(rules->cns);
    list_free(rules->hostnames);
    free(rules->crl_file);
    free(rules);
}

bool tls_rules_any(const struct tls_rules *rules)
{
    return rules->crl_file || rules->cns || rules->hostnames;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static X509_CRL *crl_parse(struct slice bytes)
{
    BIO *bio = BIO_new_mem_buf(bytes.data ? (const void *)bytes.data : "", (int)bytes.len);
    check(bio);
    X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, (char *)(uintptr_t) "");
    BIO_free(bio);
    if (!crl) {
        const unsigned char *at = bytes.data;
        crl = d2i_X509_CRL(NULL, &at, (long)bytes.len);
    }
    ERR_clear_error();
    return crl;
}

static struct err crl_refresh(struct tls_rules *rules, struct why *why)
{
    struct stat st;
    if (stat(rules->crl_file, &st) != 0) {
        why_errno(why, errno, "open %s", rules->crl_file);
        return ERR(DENIED);
    }
    if (rules->crl && is_same_file(&st, &rules->crl_stat)) {
        return OK;
    }
    struct buf bytes;
    buf_init(&bytes, TLS_FILE_BYTES_MAX);
    struct err e = tls_read_file(rules->crl_file, &bytes, why);
    X509_CRL *crl = err_is(e) ? NULL : crl_parse(buf_slice(&bytes));
    buf_fini(&bytes);
    if (err_is(e)) {
        return ERR(DENIED);
    }
    X509_CRL_free(rules->crl);
    rules->crl = crl;
    rules->crl_stat = st;
    return crl ? OK : why_set(why, ERR(DENIED), "%s is no revocation list", rules->crl_file);
}

static bool is_revoked(X509_CRL *crl, const X509 *cert)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    for (int i = 0; i < sk_X509_REVOKED_num(revoked); i++) {
        const X509_REVOKED *entry = sk_X509_REVOKED_value(revoked, i);
        if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(entry), serial) == 0) {
            return true;
        }
    }
    return false;
}

static struct err deny_revoked(const X509 *cert, struct why *why)
{
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = serial ? BN_bn2hex(serial) : NULL;
    struct err e =
        why_set(why, ERR(DENIED), "transport: certificate serial %s revoked", hex ? hex : "?");
    OPENSSL_free(hex);
    BN_free(serial);
    return e;
}

static struct err check_crl(
    struct tls_rules *rules, X509 *leaf, STACK_OF(X509) * chain, struct why *why)
{
    pthread_mutex_lock(&rules->mutex);
    struct err e = crl_refresh(rules, why);
    if (!err_is(e) && is_revoked(rules->crl, leaf)) {
        e = deny_revoked(leaf, why);
    }
    for (int i = 0; chain && i < sk_X509_num(chain) && !err_is(e); i++) {
        if (is_revoked(rules->crl, sk_X509_value(chain, i))) {
            e = deny_revoked(sk_X509_value(chain, i), why);
        }
    }
    pthread_mutex_unlock(&rules->mutex);
    return e;
}

static bool is_listed(const struct tls_rules *rules, X509 *leaf)
{
    char *cn = tls_cert_cn(leaf);
    bool is_in = false;
    for (size_t i = 0; rules->cns && rules->cns[i] && !is_in; i++) {
        is_in = strcmp(rules->cns[i], cn ? cn : "") == 0;
    }
    for (size_t i = 0; rules->hostnames && rules->hostnames[i] && !is_in; i++) {
        is_in = tls_cert_is_for(leaf, rules->hostnames[i]);
    }
    free(cn);
    return is_in;
}

struct err tls_rules_allow(
    struct tls_rules *rules, X509 *leaf, STACK_OF(X509) * chain, struct why *why)
{
    bool has_list = rules->cns || rules->hostnames;
    if (leaf && rules->crl_file) {
        TRY(check_crl(rules, leaf, chain, why));
    }
    if (has_list && (!leaf || !is_listed(rules, leaf))) {
        return why_set(why, ERR(DENIED), "client certificate authentication failed");
    }
    return OK;
}

struct err tls_rules_admit(struct tls_rules *rules, SSL *ssl, struct why *why)
{
    return tls_rules_allow(
        rules, SSL_get0_peer_certificate(ssl), SSL_get_peer_cert_chain(ssl), why);
}
