/* SPDX-License-Identifier: Apache-2.0
 * A certificate that a client shows and a list of who is revoked, each DER or PEM: the certificate
 * says the same each time, whoever is on the list stays out, and so does everybody where the list
 * cannot be read.
 *
 * Input: be16 length, the certificate, then the list. */
#include "base/codec.h"
#include "base/mem.h"
#include "base/tls.h"
#include "base/tls_pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *take_certificate(struct slice bytes)
{
    const unsigned char *at = bytes.data;
    X509 *cert = d2i_X509(NULL, &at, (long)bytes.len);
    ERR_clear_error();
    if (!cert) {
        char *pem = mem_printf("%.*s", (int)bytes.len, (const char *)bytes.data);
        cert = tls_cert_parse(pem);
        free(pem);
    }
    return cert;
}

static void read_names(X509 *cert)
{
    char *cn = tls_cert_cn(cert);
    char *again = tls_cert_cn(cert);
    check(!cn == !again && (!cn || strcmp(cn, again) == 0));
    char **sans = tls_cert_sans(cert);
    for (size_t i = 0; sans[i]; i++) {
        (void)tls_cert_is_for(cert, sans[i]);
    }
    (void)tls_cert_is_for(cert, "a.example");
    (void)tls_cert_is_for(cert, "10.0.0.1");
    (void)tls_cert_is_for(cert, "::1");
    (void)tls_cert_is_for(cert, cn ? cn : "");
    free(sans);
    free(again);
    free(cn);
}

/* A bundle, as of a CA file. */
static void read_bundle(struct slice bytes)
{
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *key = NULL;
    struct why why = {""};
    if (!err_is(tls_parse_certs(bytes, "bundle", &certs, &why))) {
        check(sk_X509_num(certs) > 0);
        tls_certs_free(certs);
    } else {
        check(why.text[0]);
    }
    if (!err_is(tls_parse_key(bytes, "key", &key, &why))) {
        EVP_PKEY_free(key);
    }
}

static bool is_on(struct slice list, const X509 *cert)
{
    const unsigned char *at = list.data;
    X509_REVOKED *entry = NULL;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)list.len);
    bool is_on = crl && X509_CRL_get0_by_serial(crl, &entry, X509_get0_serialNumber(cert)) == 1;
    X509_CRL_free(crl);
    ERR_clear_error();
    return is_on;
}

static void hold_against(X509 *cert, struct slice list)
{
    static const char *const cns[] = {"client", "root", NULL};
    static const char *const hostnames[] = {"a.example", "10.0.0.1", NULL};
    char path[32];
    struct why why = {""};
    int fd = memfd_create("crl", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, list.data, list.len) == (ssize_t)list.len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct tls_options options = {.crl_file = path};
    struct tls_rules *rules = tls_rules_new(&options);
    struct err err = tls_rules_allow(rules, cert, NULL, &why);
    check(err_is(err) ? why.text[0] != '\0' : !is_on(list, cert));
    check(tls_rules_allow(rules, cert, NULL, &why).code == err.code);
    tls_rules_free(rules);
    options.allowed_cns = cns;
    options.allowed_hostnames = hostnames;
    rules = tls_rules_new(&options);
    check(!err_is(err) || err_is(tls_rules_allow(rules, cert, NULL, &why)));
    tls_rules_free(rules);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    size_t len = (size_t)data[0] << 8 | data[1];
    len = len < size - 2 ? len : size - 2;
    X509 *cert = take_certificate(slice_of(data + 2, len));
    read_bundle(slice_of(data + 2, len));
    if (cert) {
        read_names(cert);
        hold_against(cert, slice_of(data + 2 + len, size - 2 - len));
    }
    X509_free(cert);
    return 0;
}
