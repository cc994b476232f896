/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

X509 *tls_cert_parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    check(bio);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, (char *)(uintptr_t) "");
    BIO_free(bio);
    ERR_clear_error();
    return cert;
}

char *tls_cert_cn(X509 *cert)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    /* The last one, as Go's pkix.Name keeps it. */
    int last = -1;
    int at;
    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, last)) >= 0) {
        last = at;
    }
    if (last < 0) {
        return NULL;
    }
    unsigned char *text = NULL;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    char *out = NULL;
    if (len >= 0 && !memchr(text, 0, (size_t)len)) {
        out = mem_alloc((size_t)len + 1);
        memcpy(out, text, (size_t)len);
        out[len] = 0;
    }
    OPENSSL_free(text);
    ERR_clear_error();
    return out;
}

bool tls_cert_is_for(X509 *cert, const char *host)
{
    unsigned char address[16];
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    bool is_match;
    if (is_address) {
        is_match = X509_check_ip_asc(cert, host, 0) == 1;
    } else {
        unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
        is_match = X509_check_host(cert, host, strlen(host), flags, NULL) == 1;
    }
    ERR_clear_error();
    return is_match;
}

/* The text of one SAN in out, or false when it is of no kind that is asked for. */
static bool san_text(const GENERAL_NAME *name, char *out, size_t size)
{
    int kind;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
    if (kind == GEN_DNS) {
        const unsigned char *data = ASN1_STRING_get0_data(value);
        size_t len = (size_t)ASN1_STRING_length(value);
        if (len >= size || memchr(data, 0, len)) {
            return false;
        }
        memcpy(out, data, len);
        out[len] = 0;
        return true;
    }
    if (kind == GEN_IPADD) {
        int len = ASN1_STRING_length(value);
        int family = len == 4 ? AF_INET : AF_INET6;
        return (len == 4 || len == 16) &&
               inet_ntop(family, ASN1_STRING_get0_data(value), out, (socklen_t)size);
    }
    return false;
}

char **tls_cert_sans(X509 *cert)
{
    char text[256];
    size_t bytes = 0;
    size_t kept = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    for (int i = 0; i < count; i++) {
        if (san_text(sk_GENERAL_NAME_value(names, i), text, sizeof(text))) {
            bytes += strlen(text) + 1;
            kept++;
        }
    }
    char **out = mem_new((kept + 1) * sizeof(*out) + bytes);
    char *at = (char *)(out + kept + 1);
    kept = 0;
    for (int i = 0; i < count; i++) {
        if (san_text(sk_GENERAL_NAME_value(names, i), text, sizeof(text))) {
            size_t size = strlen(text) + 1;
            out[kept++] = memcpy(at, text, size);
            at += size;
        }
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return out;
}
