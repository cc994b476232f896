/* SPDX-License-Identifier: Apache-2.0
 *
 * A self-signed certificate where nobody brought one: DIR/cert.pem and DIR/key.pem, as etcd's
 * --auto-tls has them. */
#include "base/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define SERIAL_BITS 127
#define SKEW_SECONDS 300
#define DAYS_A_YEAR 365

static struct err openssl_failed(const char *what, struct why *why)
{
    char text[256];
    return why_set(why, ERR(BAD_TLS), "%s: %s", what, tls_error_text(text, sizeof(text)));
}

static bool set_serial(X509 *cert)
{
    BIGNUM *number = BN_new();
    bool ok = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return ok;
}

static bool set_times(X509 *cert, unsigned years)
{
    time_t now = time(NULL);
    time_t start = now - SKEW_SECONDS;
    return X509_time_adj_ex(X509_getm_notBefore(cert), 0, 0, &start) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), (int)years * DAYS_A_YEAR, 0, &now);
}

static bool add_text(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool push_name(GENERAL_NAMES *all, const char *host)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
    ASN1_IA5STRING *text = ip ? NULL : ASN1_IA5STRING_new();
    bool ok = name && (ip || (text && ASN1_STRING_set(text, host, -1) == 1));
    if (!ok) {
        ASN1_OCTET_STRING_free(ip);
        ASN1_IA5STRING_free(text);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_set0_value(name, ip ? GEN_IPADD : GEN_DNS, ip ? ip : text);
    if (sk_GENERAL_NAME_push(all, name) == 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool add_hosts(X509 *cert, const char *const *hosts)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    bool ok = all != NULL;
    for (; ok && hosts && *hosts; hosts++) {
        ok = push_name(all, *hosts);
    }
    if (ok && sk_GENERAL_NAME_num(all) > 0) {
        ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, all, 0, 0) == 1;
    }
    GENERAL_NAMES_free(all);
    return ok;
}

static X509 *issue(const struct tls_self *wanted, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    bool ok = cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
              set_times(cert, wanted->years) && X509_set_pubkey(cert, key) == 1 &&
              X509_NAME_add_entry_by_txt(
                  name, "O", MBSTRING_UTF8, (const unsigned char *)"etcd", -1, -1, 0) == 1 &&
              X509_set_issuer_name(cert, name) == 1 &&
              add_text(cert, NID_basic_constraints, "critical,CA:TRUE") &&
              add_text(cert, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") &&
              add_text(cert, NID_ext_key_usage,
                  wanted->is_client_too ? "serverAuth,clientAuth" : "serverAuth") &&
              add_text(cert, NID_subject_key_identifier, "hash") &&
              add_hosts(cert, wanted->hosts) && X509_sign(cert, key, EVP_sha256()) > 0;
    if (!ok) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* Beside, then renamed: a file that is there is whole. One of cert and key is NULL. */
static struct err write_pem(const char *path, X509 *cert, EVP_PKEY *key, struct why *why)
{
    struct err e = OK;
    char beside[TLS_SELF_PATH_MAX + sizeof(".new")];
    (void)snprintf(beside, sizeof(beside), "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, key ? 0600 : 0644);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return why_errno(why, errno, "create %s", beside);
    }
    bool ok = cert ? PEM_write_X509(file, cert) == 1
                   : PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    ok = ok && fflush(file) == 0 && fsync(fd) == 0;
    if (fclose(file) != 0 || !ok || rename(beside, path) != 0) {
        e = why_errno(why, errno, "write %s", path);
    }
    return e;
}

struct err tls_self_make(const struct tls_self *wanted, struct tls_self_files *out, struct why *why)
{
    struct err e;
    struct tls_self_files files = {.is_new = true};
    int len = snprintf(files.cert, sizeof(files.cert), "%s/cert.pem", wanted->dir);
    if (len < 0 || (size_t)len >= sizeof(files.cert)) {
        return why_set(why, ERR(BAD_TLS), "the path %s is too long", wanted->dir);
    }
    (void)snprintf(files.key, sizeof(files.key), "%s/key.pem", wanted->dir);
    if (access(files.cert, F_OK) == 0 && access(files.key, F_OK) == 0) {
        files.is_new = false;
        *out = files;
        return OK;
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? issue(wanted, key) : NULL;
    if (!cert) {
        e = openssl_failed("make a self-signed certificate", why);
        goto out;
    }
    e = write_pem(files.key, NULL, key, why);
    if (!err_is(e)) {
        e = write_pem(files.cert, cert, NULL, why);
    }
    if (!err_is(e)) {
        *out = files;
    }
out:
    X509_free(cert);
    EVP_PKEY_free(key);
    return e;
}
