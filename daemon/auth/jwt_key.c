/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token.h"

#include "base/mem.h"
#include "base/text.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

enum { KEY_FILE_MAX = 64 * 1024, TTL_DEFAULT_S = 300, SIGNATURE_MAX = 2048, DER_MAX = 160 };

static const struct jwt_method methods[] = {
    {"HS256", JWT_HMAC, "SHA256", 0},
    {"HS384", JWT_HMAC, "SHA384", 0},
    {"HS512", JWT_HMAC, "SHA512", 0},
    {"RS256", JWT_RSA, "SHA256", 0},
    {"RS384", JWT_RSA, "SHA384", 0},
    {"RS512", JWT_RSA, "SHA512", 0},
    {"PS256", JWT_RSA_PSS, "SHA256", 0},
    {"PS384", JWT_RSA_PSS, "SHA384", 0},
    {"PS512", JWT_RSA_PSS, "SHA512", 0},
    {"ES256", JWT_ECDSA, "SHA256", 32},
    {"ES384", JWT_ECDSA, "SHA384", 48},
    {"ES512", JWT_ECDSA, "SHA512", 66},
    {"EdDSA", JWT_EDDSA, NULL, 0},
};

static const struct jwt_method *method_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (strcmp(methods[i].name, name) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

struct options {
    const char *method;
    const char *public_file;
    const char *private_file;
    const char *ttl;
};

static struct err set_option(struct options *options, char *key, char *value, struct why *why)
{
    const char **place = strcmp(key, "sign-method") == 0 ? &options->method
                         : strcmp(key, "pub-key") == 0   ? &options->public_file
                         : strcmp(key, "priv-key") == 0  ? &options->private_file
                         : strcmp(key, "ttl") == 0       ? &options->ttl
                                                         : NULL;
    if (place && *place) {
        return why_set(why, ERR(BAD_CONFIG), "auth: invalid auth options: %s stands twice", key);
    }
    if (place) {
        *place = value;
    }
    return OK;
}

/* "key=value,key=value"; cuts text up. */
static struct err parse_options(char *text, struct options *options, struct why *why)
{
    char *rest = NULL;
    for (char *pair = strtok_r(text, ",", &rest); pair; pair = strtok_r(NULL, ",", &rest)) {
        char *equals = strchr(pair, '=');
        if (!equals || strchr(equals + 1, '=')) {
            return why_set(why, ERR(BAD_CONFIG), "auth: invalid auth options: %s", pair);
        }
        *equals = '\0';
        TRY(set_option(options, pair, equals + 1, why));
    }
    return OK;
}

static struct err read_file(const char *path, struct buf *out, struct why *why)
{
    uint8_t bytes[4096];
    size_t got;
    FILE *file = fopen(path, "rbe");
    if (!file) {
        return why_errno(why, errno, "open %s", path);
    }
    while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        buf_add(out, bytes, got);
    }
    bool is_bad = ferror(file) || out->is_full;
    fclose(file);
    return is_bad
               ? why_set(why, ERR(BAD_CONFIG), "%s cannot be read, or is too long for a key", path)
               : OK;
}

static EVP_PKEY *public_of(BIO *bio)
{
    EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    if (!key) {
        BIO_reset(bio);
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        key = cert ? X509_get_pubkey(cert) : NULL;
        X509_free(cert);
    }
    return key;
}

static struct err read_key(const char *path, bool is_private, EVP_PKEY **out, struct why *why)
{
    struct buf pem;
    buf_init(&pem, KEY_FILE_MAX);
    struct err err = read_file(path, &pem, why);
    if (!err_is(err)) {
        BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
        *out = is_private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : public_of(bio);
        BIO_free(bio);
        ERR_clear_error();
        if (!*out) {
            err = why_set(why, ERR(BAD_CONFIG), "%s holds no %s key in PEM", path,
                is_private ? "private" : "public");
        }
    }
    OPENSSL_cleanse(pem.data, pem.len);
    buf_fini(&pem);
    return err;
}

static bool fits_method(const struct jwt_method *method, EVP_PKEY *key)
{
    switch (method->family) {
    case JWT_RSA:
    case JWT_RSA_PSS:
        return EVP_PKEY_is_a(key, "RSA") == 1;
    case JWT_ECDSA:
        return EVP_PKEY_is_a(key, "EC") == 1 &&
               (size_t)(EVP_PKEY_get_bits(key) + 7) / 8 == method->number_bytes;
    case JWT_EDDSA:
        return EVP_PKEY_is_a(key, "ED25519") == 1;
    case JWT_HMAC:
        break;
    }
    return false;
}

/* The private key can also verify; a public one beside it must be its own. */
static struct err load_pair(struct jwt *jwt, const struct options *options, struct why *why)
{
    EVP_PKEY *public = NULL;
    EVP_PKEY *private = NULL;
    struct err err = OK;
    if (options->private_file) {
        err = read_key(options->private_file, true, &private, why);
    }
    if (!err_is(err) && options->public_file) {
        err = read_key(options->public_file, false, &public, why);
    }
    if (!err_is(err) && !private && !public) {
        err = why_set(why, ERR(BAD_CONFIG), "auth: missing key data");
    }
    if (!err_is(err) && private && public && EVP_PKEY_eq(private, public) != 1) {
        err = why_set(why, ERR(BAD_CONFIG), "auth: public and private keys don't match");
    }
    if (!err_is(err) && !fits_method(jwt->method, private ? private : public)) {
        err = why_set(why, ERR(BAD_CONFIG), "the key does not fit %s", jwt->method->name);
    }
    if (!err_is(err)) {
        jwt->can_sign = private != NULL;
        jwt->key = private ? private : public;
        EVP_PKEY_up_ref(jwt->key);
    }
    EVP_PKEY_free(private);
    EVP_PKEY_free(public);
    return err;
}

static struct err load_keys(struct jwt *jwt, const struct options *options, struct why *why)
{
    if (jwt->method->family != JWT_HMAC) {
        return load_pair(jwt, options, why);
    }
    if (!options->private_file) {
        return why_set(why, ERR(BAD_CONFIG), "auth: missing key data");
    }
    TRY(read_file(options->private_file, &jwt->secret, why));
    jwt->can_sign = true;
    return jwt->secret.len ? OK : why_set(why, ERR(BAD_CONFIG), "auth: missing key data");
}

static struct err apply_options(struct jwt *jwt, const struct options *options, struct why *why)
{
    int64_t ttl_ns = (int64_t)TTL_DEFAULT_S * 1000000000;
    if (options->ttl && options->ttl[0]) {
        TRY(text_parse_duration(options->ttl, &ttl_ns, why));
    }
    jwt->ttl_s = ttl_ns / 1000000000;
    jwt->method = method_find(options->method ? options->method : "");
    if (!jwt->method) {
        return why_set(why, ERR(BAD_CONFIG), "auth: invalid auth options: sign-method %s",
            options->method ? options->method : "is missing");
    }
    return load_keys(jwt, options, why);
}

struct err jwt_open(const char *text, struct jwt **out, struct why *why)
{
    struct options options = {0};
    char *copy = mem_strdup(text);
    struct jwt *jwt = mem_new(sizeof(*jwt));
    buf_init(&jwt->secret, KEY_FILE_MAX);
    struct err err = parse_options(copy, &options, why);
    if (!err_is(err)) {
        err = apply_options(jwt, &options, why);
    }
    free(copy);
    if (err_is(err)) {
        jwt_free(jwt);
        return err;
    }
    *out = jwt;
    return OK;
}

void jwt_free(struct jwt *jwt)
{
    if (!jwt) {
        return;
    }
    OPENSSL_cleanse(jwt->secret.data, jwt->secret.len);
    buf_fini(&jwt->secret);
    EVP_PKEY_free(jwt->key);
    free(jwt);
}

static bool set_padding(const struct jwt *jwt, EVP_PKEY_CTX *context, bool is_signing)
{
    if (jwt->method->family != JWT_RSA_PSS) {
        return true;
    }
    int salt = is_signing ? RSA_PSS_SALTLEN_DIGEST : RSA_PSS_SALTLEN_AUTO;
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) > 0;
}

static bool hmac(
    const struct jwt *jwt, struct slice text, uint8_t out[EVP_MAX_MD_SIZE], size_t *len)
{
    return EVP_Q_mac(NULL, "HMAC", NULL, jwt->method->digest, NULL, jwt->secret.data,
               jwt->secret.len, text.data, text.len, out, EVP_MAX_MD_SIZE, len) != NULL;
}

/* OpenSSL writes an ECDSA signature as DER, a token holds r and s side by side. */
static bool raw_of_der(const struct jwt *jwt, struct slice der, struct buf *out)
{
    uint8_t raw[DER_MAX] = {0};
    size_t size = jwt->method->number_bytes;
    const uint8_t *at = der.data;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    bool is_good = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, (int)size) == (int)size &&
                   BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + size, (int)size) == (int)size;
    if (is_good) {
        buf_add(out, raw, 2 * size);
    }
    ECDSA_SIG_free(pair);
    return is_good;
}

static size_t der_of_raw(const struct jwt *jwt, struct slice raw, uint8_t out[DER_MAX])
{
    size_t size = jwt->method->number_bytes;
    uint8_t *at = out;
    if (raw.len != 2 * size) {
        return 0;
    }
    ECDSA_SIG *pair = ECDSA_SIG_new();
    ECDSA_SIG_set0(
        pair, BN_bin2bn(raw.data, (int)size, NULL), BN_bin2bn(raw.data + size, (int)size, NULL));
    int len = i2d_ECDSA_SIG(pair, NULL) <= DER_MAX ? i2d_ECDSA_SIG(pair, &at) : 0;
    ECDSA_SIG_free(pair);
    return len > 0 ? (size_t)len : 0;
}

bool jwt_sign_bytes(const struct jwt *jwt, struct slice text, struct buf *out)
{
    uint8_t signature[SIGNATURE_MAX];
    size_t len = sizeof(signature);
    if (jwt->method->family == JWT_HMAC) {
        bool is_made = hmac(jwt, text, signature, &len);
        buf_add(out, signature, is_made ? len : 0);
        return is_made;
    }
    EVP_PKEY_CTX *context;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool is_good =
        EVP_DigestSignInit_ex(md, &context, jwt->method->digest, NULL, NULL, jwt->key, NULL) > 0 &&
        set_padding(jwt, context, true) &&
        EVP_DigestSign(md, signature, &len, text.data, text.len) > 0;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    if (is_good && jwt->method->family == JWT_ECDSA) {
        return raw_of_der(jwt, slice_of(signature, len), out);
    }
    buf_add(out, signature, is_good ? len : 0);
    return is_good;
}

bool jwt_verify_bytes(const struct jwt *jwt, struct slice text, struct slice signature)
{
    uint8_t bytes[EVP_MAX_MD_SIZE > DER_MAX ? EVP_MAX_MD_SIZE : DER_MAX];
    size_t len;
    if (jwt->method->family == JWT_HMAC) {
        return hmac(jwt, text, bytes, &len) && len == signature.len &&
               CRYPTO_memcmp(bytes, signature.data, len) == 0;
    }
    if (jwt->method->family == JWT_ECDSA) {
        signature = slice_of(bytes, der_of_raw(jwt, signature, bytes));
    }
    EVP_PKEY_CTX *context;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool is_good = signature.len > 0 &&
                   EVP_DigestVerifyInit_ex(
                       md, &context, jwt->method->digest, NULL, NULL, jwt->key, NULL) > 0 &&
                   set_padding(jwt, context, false) &&
                   EVP_DigestVerify(md, signature.data, signature.len, text.data, text.len) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return is_good;
}
