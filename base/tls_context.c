/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_context.h"
#include "base/buf.h"
#include "base/tls.h"
#include "base/tls_pem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* Go's names that are not IANA's. */
static const struct {
    const char *go;
    const char *openssl;
} legacy_names[] = {
    {"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"},
    {"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305"},
};

/* OpenSSL's name of a suite; OpenSSL's own names stay. */
static const char *suite_name(const char *name)
{
    for (size_t i = 0; i < sizeof(legacy_names) / sizeof(legacy_names[0]); i++) {
        if (strcmp(name, legacy_names[i].go) == 0) {
            return legacy_names[i].openssl;
        }
    }
    if (strncmp(name, "TLS_", 4) != 0) {
        return name;
    }
    const char *found = OPENSSL_cipher_name(name);
    return found && strcmp(found, "(NONE)") != 0 ? found : name;
}

static bool is_tls13_suite(const char *name)
{
    return strcmp(name, "TLS_AES_128_GCM_SHA256") == 0 ||
           strcmp(name, "TLS_AES_256_GCM_SHA384") == 0 ||
           strcmp(name, "TLS_CHACHA20_POLY1305_SHA256") == 0;
}

/* By its whole name: OpenSSL takes groups of suites, and none at all, for suites as well. */
static bool has_suite(const SSL_CTX *ctx, const char *name)
{
    const STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
        if (strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)), name) == 0) {
            return true;
        }
    }
    return false;
}

bool tls_cipher_suite_exists(const char *name)
{
    if (is_tls13_suite(name)) {
        return true;
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    check(ctx);
    const char *found = suite_name(name);
    bool is_known = !strpbrk(name, ":,! +@") && SSL_CTX_set_cipher_list(ctx, found) == 1 &&
                    has_suite(ctx, found);
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return is_known;
}

bool tls_cipher_suite_is_gone(const char *name)
{
    static const char *const gone[] = {"TLS_RSA_WITH_RC4_128_SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA", "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"};
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        if (strcmp(name, gone[i]) == 0) {
            return true;
        }
    }
    return false;
}

void tls_cipher_list(const char *const *suites, struct buf *out)
{
    for (size_t i = 0; suites && suites[i]; i++) {
        if (!is_tls13_suite(suites[i])) {
            buf_printf(out, "%s%s", out->len ? ":" : "", suite_name(suites[i]));
        }
    }
}

int tls_lowest_version(const struct tls_options *options)
{
    const char *const *suites = options->cipher_suites;
    bool is_only_13 = suites && *suites;
    for (size_t i = 0; is_only_13 && suites[i]; i++) {
        is_only_13 = is_tls13_suite(suites[i]);
    }
    if (is_only_13) {
        return TLS1_3_VERSION;
    }
    return options->min_version ? (int)options->min_version : TLS1_2_VERSION;
}

static struct err set_versions(SSL_CTX *ctx, const struct tls_options *options, struct why *why)
{
    int min = tls_lowest_version(options);
    struct buf list;
    bool is_set = SSL_CTX_set_min_proto_version(ctx, min) == 1 &&
                  SSL_CTX_set_max_proto_version(ctx, (int)options->max_version) == 1;
    buf_init(&list, 1 << 16);
    tls_cipher_list(options->cipher_suites, &list);
    if (list.len) {
        is_set = is_set && SSL_CTX_set_cipher_list(ctx, buf_text(&list)) == 1;
    }
    buf_fini(&list);
    ERR_clear_error();
    return is_set ? OK : why_set(why, ERR(BAD_TLS), "no such TLS version or cipher suite");
}

static struct err set_pair(SSL_CTX *ctx, const struct tls_material *material,
    const struct tls_options *options, struct why *why)
{
    STACK_OF(X509) *certs = NULL;
    EVP_PKEY *key = NULL;
    struct err e = tls_parse_certs(buf_slice(&material->cert), options->cert_file, &certs, why);
    if (err_is(e)) {
        goto out;
    }
    e = tls_parse_key(buf_slice(&material->key), options->key_file, &key, why);
    if (err_is(e)) {
        goto out;
    }
    X509 *leaf = sk_X509_shift(certs);
    bool is_set = SSL_CTX_use_certificate(ctx, leaf) == 1 &&
                  SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_set1_chain(ctx, certs) == 1;
    X509_free(leaf);
    if (!is_set) {
        e = why_set(why, ERR(BAD_TLS), "the private key %s does not belong to the certificate %s",
            options->key_file, options->cert_file);
    }
out:
    ERR_clear_error();
    EVP_PKEY_free(key);
    tls_certs_free(certs);
    return e;
}

static struct err set_roots(SSL_CTX *ctx, const struct tls_material *material,
    const struct tls_options *options, struct why *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    STACK_OF(X509) *certs = NULL;
    if (!tls_is_given(options->trusted_ca_file)) {
        SSL_CTX_set_default_verify_paths(ctx);
        ERR_clear_error();
        return OK;
    }
    TRY(tls_parse_certs(buf_slice(&material->ca), options->trusted_ca_file, &certs, why));
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509_STORE_add_cert(store, sk_X509_value(certs, i));
        SSL_CTX_add_client_CA(ctx, sk_X509_value(certs, i));
    }
    /* What is in the file is trusted, a root or not, as in Go. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    tls_certs_free(certs);
    ERR_clear_error();
    return OK;
}

static int verify_mode(const struct tls_options *options, enum tls_role role)
{
    if (role == TLS_CLIENT) {
        return options->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;
    }
    return tls_requires_client_cert(options) ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                             : SSL_VERIFY_NONE;
}

static struct err fill(SSL_CTX *ctx, const struct tls_material *material,
    const struct tls_options *options, struct why *why)
{
    TRY(set_versions(ctx, options, why));
    if (tls_is_given(options->cert_file)) {
        TRY(set_pair(ctx, material, options, why));
    }
    if (SSL_CTX_get_verify_mode(ctx) != SSL_VERIFY_NONE) {
        TRY(set_roots(ctx, material, options, why));
    }
    return OK;
}

struct err tls_context_make(const struct tls_material *material, const struct tls_options *options,
    enum tls_role role, SSL_CTX **out_context, struct why *why)
{
    SSL_CTX *ctx = SSL_CTX_new(role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
    check(ctx);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_ENABLE_PARTIAL_WRITE);
    /* A resumed session would skip the rules that a new handshake is held against. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (role == TLS_SERVER) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(ctx, 0);
    }
    SSL_CTX_set_verify(ctx, verify_mode(options, role), NULL);
    if (tls_is_given(options->server_name)) {
        X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        if (X509_VERIFY_PARAM_set1_ip_asc(param, options->server_name) != 1) {
            X509_VERIFY_PARAM_set1_host(param, options->server_name, 0);
        }
        ERR_clear_error();
    }
    struct err e = fill(ctx, material, options, why);
    if (err_is(e)) {
        SSL_CTX_free(ctx);
        return e;
    }
    *out_context = ctx;
    return OK;
}

bool tls_requires_client_cert(const struct tls_options *options)
{
    return tls_is_given(options->trusted_ca_file) || options->client_cert_auth;
}

void tls_material_init(struct tls_material *material)
{
    buf_init(&material->cert, TLS_FILE_BYTES_MAX);
    buf_init(&material->key, TLS_FILE_BYTES_MAX);
    buf_init(&material->ca, TLS_FILE_BYTES_MAX);
}

void tls_material_fini(struct tls_material *material)
{
    if (material->key.data) {
        OPENSSL_cleanse(material->key.data, material->key.cap);
    }
    buf_fini(&material->cert);
    buf_fini(&material->key);
    buf_fini(&material->ca);
}

struct err tls_material_read(
    struct tls_material *material, const struct tls_options *options, struct why *why)
{
    bool has_cert = tls_is_given(options->cert_file);
    if (has_cert != tls_is_given(options->key_file)) {
        return why_set(why, ERR(BAD_TLS),
            "KeyFile and CertFile must both be present[key: %s, cert: %s]",
            options->key_file ? options->key_file : "",
            options->cert_file ? options->cert_file : "");
    }
    if (has_cert) {
        TRY(tls_read_file(options->cert_file, &material->cert, why));
        TRY(tls_read_file(options->key_file, &material->key, why));
    }
    if (tls_is_given(options->trusted_ca_file)) {
        TRY(tls_read_file(options->trusted_ca_file, &material->ca, why));
    }
    return OK;
}

struct err tls_context_new(
    const struct tls_options *options, enum tls_role role, SSL_CTX **out_context, struct why *why)
{
    struct tls_material material;
    tls_material_init(&material);
    struct err e = tls_material_read(&material, options, why);
    if (!err_is(e) && role == TLS_SERVER && !tls_is_given(options->cert_file)) {
        e = why_set(why, ERR(BAD_TLS), "KeyFile and CertFile must both be present[key: , cert: ]");
    }
    if (!err_is(e)) {
        e = tls_context_make(&material, options, role, out_context, why);
    }
    tls_material_fini(&material);
    return e;
}

void tls_client_expect(SSL *ssl, const char *host)
{
    unsigned char address[16];
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        X509_VERIFY_PARAM_set1_ip_asc(param, host);
        return;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    X509_VERIFY_PARAM_set1_host(param, host, 0);
    SSL_set_tlsext_host_name(ssl, host);
}
