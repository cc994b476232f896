/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of --cacert, --cert and --key as channel credentials. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "ctl/lib/client_impl.h"

#include <errno.h>
#include <grpc/grpc_security.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { PEM_BYTES_MAX = 16 << 20 };

static struct err read_file(const char *path, struct buf *out, struct why *why)
{
    char chunk[4096], words[TEXT_ERRNO_SIZE];
    size_t got;
    FILE *file = fopen(path, "re");

    if (!file) {
        return why_set(why, ERR(BAD_CONFIG), "open %s: %s", path, text_errno(errno, words));
    }
    while ((got = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buf_add(out, chunk, got);
    }
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed) {
        return why_set(why, ERR(BAD_CONFIG), "read %s: %s", path, text_errno(failed, words));
    }
    if (out->is_full) {
        return why_set(why, ERR(BAD_CONFIG), "read %s: file too large", path);
    }
    return OK;
}

/* Go's tls.X509KeyPair refuses a pair that does not belong together before anything is dialed. */
static struct err check_pair(struct buf *cert, struct buf *key, struct why *why)
{
    BIO *cert_bio = BIO_new_mem_buf(cert->data, (int)cert->len);
    BIO *key_bio = BIO_new_mem_buf(key->data, (int)key->len);
    X509 *x509 = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    struct err err = OK;

    if (!x509) {
        err =
            why_set(why, ERR(BAD_CONFIG), "tls: failed to find any PEM data in certificate input");
    } else if (!pkey) {
        err = why_set(why, ERR(BAD_CONFIG), "tls: failed to find any PEM data in key input");
    } else if (X509_check_private_key(x509, pkey) != 1) {
        err = why_set(why, ERR(BAD_CONFIG), "tls: private key does not match public key");
    }
    X509_free(x509);
    EVP_PKEY_free(pkey);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    ERR_clear_error();
    return err;
}

static struct err load_pair(
    const struct client_config *config, struct buf *cert, struct buf *key, struct why *why)
{
    if (!*config->cert && !*config->key) {
        return OK;
    }
    if (!*config->cert || !*config->key) {
        return why_set(why, ERR(BAD_CONFIG),
            "KeyFile and CertFile must both be present[key: %s, cert: %s]", config->key,
            config->cert);
    }
    TRY(read_file(config->cert, cert, why));
    TRY(read_file(config->key, key, why));
    return check_pair(cert, key, why);
}

/* The system's roots, where Debian and Go have them. */
static void load_system_roots(struct buf *roots)
{
    const char *file = getenv("SSL_CERT_FILE");
    struct why why;

    if (err_is(
            read_file(file && *file ? file : "/etc/ssl/certs/ca-certificates.crt", roots, &why))) {
        buf_reset(roots);
    }
}

/* Without any root gRPC ends the process, even where nothing is to be verified, and a small system
 * has none: a certificate that nobody else has, whose key is forgotten at once. */
static void load_no_roots(struct buf *roots)
{
    char *pem = NULL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());

    if (key && x509 && bio && X509_set_version(x509, X509_VERSION_3) == 1 &&
        X509_gmtime_adj(X509_getm_notBefore(x509), 0) &&
        X509_gmtime_adj(X509_getm_notAfter(x509), 1) && X509_set_pubkey(x509, key) == 1 &&
        X509_sign(x509, key, EVP_sha256()) > 0 && PEM_write_bio_X509(bio, x509) == 1) {
        long len = BIO_get_mem_data(bio, &pem);
        buf_reset(roots);
        buf_add(roots, pem, (size_t)len);
    }
    BIO_free(bio);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static struct err load_roots(const struct client_config *config, struct buf *roots, struct why *why)
{
    if (!*config->cacert) {
        load_system_roots(roots);
        if (roots->len == 0) {
            load_no_roots(roots);
        }
        return OK;
    }
    TRY(read_file(config->cacert, roots, why));
    BIO *bio = BIO_new_mem_buf(roots->data, (int)roots->len);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    if (!x509) {
        return why_set(why, ERR(BAD_CONFIG), "failed to parse certificate");
    }
    X509_free(x509);
    return OK;
}

static grpc_channel_credentials *make(
    const struct client_config *config, struct buf *roots, struct buf *cert, struct buf *key)
{
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_identity_pairs *pairs = NULL;
    grpc_tls_certificate_verifier *verifier =
        config->skips_verify ? grpc_tls_certificate_verifier_no_op_create()
                             : grpc_tls_certificate_verifier_host_name_create();

    if (cert->len > 0) {
        pairs = grpc_tls_identity_pairs_create();
        grpc_tls_identity_pairs_add_pair(pairs, buf_text(key), buf_text(cert));
    }
    grpc_tls_certificate_provider *provider = grpc_tls_certificate_provider_static_data_create(
        roots->len ? buf_text(roots) : NULL, pairs);
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    if (roots->len > 0) {
        grpc_tls_credentials_options_watch_root_certs(options);
    }
    if (cert->len > 0) {
        grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    }
    if (config->skips_verify) {
        grpc_tls_credentials_options_set_verify_server_cert(options, 0);
        grpc_tls_credentials_options_set_check_call_host(options, 0);
    }
    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_channel_credentials *creds = grpc_tls_credentials_create(options);
    grpc_tls_certificate_verifier_release(verifier);
    grpc_tls_certificate_provider_release(provider);
    return creds;
}

struct err client_creds_load(const struct client_config *config, enum client_creds needed,
    grpc_channel_credentials **out_creds, struct why *why)
{
    bool has_files = *config->cert || *config->key || *config->cacert || *config->server_name;
    bool is_tls = has_files || config->skips_verify || !config->is_insecure;
    struct buf roots, cert, key;
    struct err err = OK;

    buf_init(&roots, PEM_BYTES_MAX);
    buf_init(&cert, PEM_BYTES_MAX);
    buf_init(&key, PEM_BYTES_MAX);
    err = load_pair(config, &cert, &key, why);
    if (err_is(err)) {
        goto out;
    }
    err = load_roots(config, &roots, why);
    if (err_is(err)) {
        goto out;
    }
    if (needed == CLIENT_CREDS_NEVER || (needed == CLIENT_CREDS_OPTIONAL && !is_tls)) {
        *out_creds = grpc_insecure_credentials_create();
    } else {
        *out_creds = make(config, &roots, &cert, &key);
    }
out:
    buf_fini(&roots);
    buf_fini(&cert);
    buf_fini(&key);
    return err;
}
