/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/issue.h"

#include "pki/keys.h"

#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#define SKEW_SECONDS 300
#define SERIAL_BITS 127 /* positive, and far under RFC 5280's 20 octets */

static bool set_serial(X509 *cert)
{
    BIGNUM *number = BN_new();
    bool ok = number != NULL &&
              BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

static bool set_times(X509 *cert, int days, const X509 *ca)
{
    time_t now = time(NULL);
    time_t start = now - SKEW_SECONDS;
    if (X509_time_adj_ex(X509_getm_notBefore(cert), 0, 0, &start) == NULL ||
        X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, &now) == NULL) {
        return false;
    }
    if (ca == NULL) {
        return true;
    }
    if (ASN1_TIME_compare(X509_get0_notBefore(cert), X509_get0_notBefore(ca)) < 0 &&
        X509_set1_notBefore(cert, X509_get0_notBefore(ca)) != 1) {
        return false;
    }
    return ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(ca)) <= 0 ||
           X509_set1_notAfter(cert, X509_get0_notAfter(ca)) == 1;
}

static bool set_names(X509 *cert, const struct pki_issue *order)
{
    const char *cn = order->kind->cn ? order->kind->cn : order->names->node;
    X509_NAME *subject = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_txt(
               subject, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, order->ca ? X509_get_subject_name(order->ca) : subject) == 1;
}

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool push_san(GENERAL_NAMES *all, const struct pki_san *san)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text = san->is_ip ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    const void *data = san->is_ip ? (const void *)san->ip : (const void *)san->text;
    size_t len = san->is_ip ? san->ip_len : strlen(san->text);
    if (name == NULL || text == NULL || ASN1_STRING_set(text, data, (int)len) != 1) {
        ASN1_STRING_free(text);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, san->is_ip ? GEN_IPADD : GEN_DNS, text);
    if (sk_GENERAL_NAME_push(all, name) == 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool add_sans(X509 *cert, const struct pki_issue *order)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool ok = all != NULL;
    if (order->kind->uses & PKI_USE_CA) {
        struct pki_san own = {0};
        snprintf(own.text, sizeof(own.text), "%s", order->kind->cn);
        ok = ok && push_san(all, &own);
    }
    for (size_t i = 0; ok && (order->kind->uses & PKI_USE_SERVER) && i < order->names->count; i++) {
        ok = push_san(all, &order->names->sans[i]);
    }
    if (ok && sk_GENERAL_NAME_num(all) > 0) {
        ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, 0) == 1;
    }
    GENERAL_NAMES_free(all);
    return ok;
}

/* An EC key cannot encipher a key, so it does not say so. */
static const char *leaf_key_usage(EVP_PKEY *key)
{
    return EVP_PKEY_is_a(key, "RSA") ? "critical,digitalSignature,keyEncipherment"
                                     : "critical,digitalSignature";
}

static bool add_ca_exts(X509 *cert, EVP_PKEY *key)
{
    const char *usage = EVP_PKEY_is_a(key, "RSA")
                            ? "critical,digitalSignature,keyEncipherment,keyCertSign,cRLSign"
                            : "critical,digitalSignature,keyCertSign,cRLSign";
    return add_ext(cert, cert, NID_key_usage, usage) &&
           add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE") &&
           add_ext(cert, cert, NID_subject_key_identifier, "hash");
}

static bool add_leaf_exts(X509 *cert, const struct pki_issue *order)
{
    bool is_server = (order->kind->uses & PKI_USE_SERVER) != 0;
    const char *extended = is_server ? "serverAuth,clientAuth" : "clientAuth";
    return add_ext(cert, order->ca, NID_key_usage, leaf_key_usage(order->key)) &&
           add_ext(cert, order->ca, NID_ext_key_usage, extended) &&
           add_ext(cert, order->ca, NID_basic_constraints, "critical,CA:FALSE") &&
           add_ext(cert, order->ca, NID_authority_key_identifier, "keyid");
}

struct err pki_issue(const struct pki_issue *order, X509 **out_cert, struct why *why)
{
    X509 *cert = X509_new();
    bool ok = cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
              set_times(cert, order->days, order->ca) && set_names(cert, order) &&
              X509_set_pubkey(cert, order->key) == 1;
    ok = ok && (order->ca ? add_leaf_exts(cert, order) : add_ca_exts(cert, order->key));
    ok = ok && add_sans(cert, order);
    ok = ok && X509_sign(cert, order->ca ? order->ca_key : order->key, EVP_sha256()) > 0;
    if (!ok) {
        X509_free(cert);
        return why_set(
            why, ERR(BAD_TLS), "issue %s.crt: %s", order->kind->name, pki_openssl_text());
    }
    *out_cert = cert;
    return OK;
}
