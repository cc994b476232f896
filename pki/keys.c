/* SPDX-License-Identifier: Apache-2.0 */
#include "pki/keys.h"

#include "base/mem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

struct key_type {
    const char *name;
    unsigned rsa_bits;
    const char *curve;
};

static const struct key_type key_types[] = {
    {"rsa:2048", 2048, NULL},
    {"rsa:3072", 3072, NULL},
    {"rsa:4096", 4096, NULL},
    {"ecdsa:p256", 0, "P-256"},
    {"ecdsa:p384", 0, "P-384"},
};

static const struct key_type *key_type_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(key_types); i++) {
        if (strcmp(key_types[i].name, name) == 0) {
            return &key_types[i];
        }
    }
    return NULL;
}

const char *pki_openssl_text(void)
{
    static _Thread_local char text[256];
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(text, sizeof(text), "%s", reason ? reason : "unknown error");
    ERR_clear_error();
    return text;
}

struct err pki_key_type_check(const char *type, struct why *why)
{
    if (key_type_find(type) == NULL) {
        return why_set(why, ERR(BAD_INPUT),
            "key type \"%s\" is none of rsa:2048, rsa:3072, rsa:4096, ecdsa:p256, ecdsa:p384",
            type);
    }
    return OK;
}

struct err pki_key_new(const char *type, EVP_PKEY **out_key, struct why *why)
{
    TRY(pki_key_type_check(type, why));
    const struct key_type *found = key_type_find(type);
    EVP_PKEY *key = found->curve ? EVP_EC_gen(found->curve) : EVP_RSA_gen(found->rsa_bits);
    if (key == NULL) {
        return why_set(why, ERR(BAD_TLS), "make a %s key: %s", type, pki_openssl_text());
    }
    *out_key = key;
    return OK;
}

/* An encrypted key must fail, not ask at the terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

struct err pki_key_read(const char *path, EVP_PKEY **out_key, mode_t *out_mode, struct why *why)
{
    struct slice bytes;
    mode_t mode;
    TRY(pki_file_read(path, &bytes, &mode, why));
    BIO *bio = BIO_new_mem_buf(bytes.data, (int)bytes.len);
    check(bio != NULL);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    OPENSSL_cleanse((void *)(uintptr_t)bytes.data, bytes.len);
    free((void *)(uintptr_t)bytes.data);
    if (key == NULL) {
        return why_set(
            why, ERR(BAD_TLS), "%s holds no usable private key: %s", path, pki_openssl_text());
    }
    *out_key = key;
    *out_mode = mode;
    return OK;
}

struct err pki_cert_read(const char *path, X509 **out_cert, mode_t *out_mode, struct why *why)
{
    struct slice bytes;
    mode_t mode;
    TRY(pki_file_read(path, &bytes, &mode, why));
    BIO *bio = BIO_new_mem_buf(bytes.data, (int)bytes.len);
    check(bio != NULL);
    X509 *cert = PEM_read_bio_X509(bio, NULL, no_password, NULL);
    BIO_free(bio);
    free((void *)(uintptr_t)bytes.data);
    if (cert == NULL) {
        return why_set(why, ERR(BAD_TLS), "%s holds no certificate: %s", path, pki_openssl_text());
    }
    *out_cert = cert;
    *out_mode = mode;
    return OK;
}

static struct err write_bio(
    const char *path, BIO *bio, mode_t mode, struct pki_owner owner, struct why *why)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    return pki_file_write(path, slice_of(data, (size_t)len), mode, owner, why);
}

struct err pki_key_write(const char *path, EVP_PKEY *key, struct pki_owner owner, struct why *why)
{
    struct err e;
    BIO *bio = BIO_new(BIO_s_secmem());
    check(bio != NULL);
    if (PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
        e = why_set(why, ERR(BAD_TLS), "encode %s: %s", path, pki_openssl_text());
    } else {
        e = write_bio(path, bio, 0600, owner, why);
    }
    BIO_free(bio);
    return e;
}

struct err pki_cert_write(const char *path, X509 *cert, struct pki_owner owner, struct why *why)
{
    struct err e;
    BIO *bio = BIO_new(BIO_s_mem());
    check(bio != NULL);
    if (PEM_write_bio_X509(bio, cert) != 1) {
        e = why_set(why, ERR(BAD_TLS), "encode %s: %s", path, pki_openssl_text());
    } else {
        e = write_bio(path, bio, 0644, owner, why);
    }
    BIO_free(bio);
    return e;
}
