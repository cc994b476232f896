/* SPDX-License-Identifier: Apache-2.0
 *
 * core's own TLS, held to the same rules as ours. core reads certificates from files that it
 * watches; to give it only what has been checked to fit together, the files are memory of ours:
 * /proc/self/fd/N, whose N is pointed to new memory in one step when a source reloads. Certificate
 * and key share one file, so they cannot be read apart.
 */
#include "rpc/creds.h"
#include "base/log.h"
#include "base/mem.h"
#include "rpc/tls_hook.h"

#include <errno.h>
#include <fcntl.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>
#include <openssl/pem.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { REFRESH_S = 1 };

#define SYSTEM_ROOTS "/etc/ssl/certs/ca-certificates.crt"

struct rpc_creds {
    struct tls_source *source;
    struct tls_rules *rules;
    struct rpc_tls_hook *hook;
    atomic_int refs; /* rpc's and, once made, core's verifier's */
    bool requires_cert;
    int pair_fd;
    int ca_fd;                  /* -1: no CA */
    _Atomic uint64_t published; /* the source's count that core has */
    grpc_tls_certificate_verifier_external external;
};

static int memory_of(const char *text)
{
    int fd = memfd_create("tls", MFD_CLOEXEC);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* Points *fd at new memory that holds text. */
static struct err point(int *fd, const char *text, struct why *why)
{
    int fresh = memory_of(text);
    if (fresh < 0) {
        return why_errno(why, errno, "hold a certificate in memory");
    }
    if (*fd < 0) {
        *fd = fresh;
        return OK;
    }
    int rc = dup3(fresh, *fd, O_CLOEXEC);
    close(fresh);
    return rc < 0 ? why_errno(why, errno, "replace a certificate in memory") : OK;
}

static struct err publish(struct rpc_creds *creds, struct why *why)
{
    char *pair;
    char *ca;
    uint64_t count;
    tls_source_pem(creds->source, &pair, &ca, &count);
    struct err e = point(&creds->pair_fd, pair, why);
    if (!err_is(e) && ca) {
        e = point(&creds->ca_fd, ca, why);
    }
    if (!err_is(e)) {
        atomic_store(&creds->published, count);
    }
    explicit_bzero(pair, strlen(pair));
    free(pair);
    free(ca);
    return e;
}

/* What could not be handed on, for want of a descriptor, is handed on at a later look. */
static void poll_source(struct rpc_creds *creds)
{
    struct why why = {0};
    enum tls_news news = tls_source_poll(creds->source, &why);
    bool is_failed = news == TLS_NEWS_BROKEN;
    if (tls_source_count(creds->source) != atomic_load(&creds->published)) {
        is_failed = err_is(publish(creds, &why));
        if (!is_failed) {
            LOG_INFO("reloaded TLS certificate for gRPC");
        }
    }
    if (is_failed && news != TLS_NEWS_NONE) { /* told once */
        LOG_WARN("failed to reload TLS certificate; keeping the old one", LOG_ERR(why.text));
    }
}

static STACK_OF(X509) * chain_of(const char *pem)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert;
    check(chain && bio);
    while ((cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        check(sk_X509_push(chain, cert) > 0);
    }
    BIO_free(bio);
    return chain;
}

static struct err verify_peer(struct rpc_creds *creds,
    const grpc_tls_custom_verification_check_request *request, struct why *why)
{
    const char *pem = request->peer_info.peer_cert;
    const char *rest = request->peer_info.peer_cert_full_chain;
    X509 *leaf = pem && pem[0] ? tls_cert_parse(pem) : NULL;
    STACK_OF(X509) *chain = rest && rest[0] ? chain_of(rest) : NULL;
    struct err e = !leaf && creds->requires_cert
                       ? why_set(why, ERR(DENIED), "client didn't provide a certificate")
                       : tls_rules_allow(creds->rules, leaf, chain, why);
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    return e;
}

static int on_verify(void *arg, grpc_tls_custom_verification_check_request *request,
    grpc_tls_on_custom_verification_check_done_cb callback, void *callback_arg,
    grpc_status_code *sync_status, char **sync_error_details)
{
    struct why why = {0};
    (void)callback;
    (void)callback_arg;
    if (err_is(verify_peer(arg, request, &why))) {
        LOG_WARN("rejected connection on client endpoint", LOG_ERR(why.text));
        *sync_status = GRPC_STATUS_UNAUTHENTICATED;
        *sync_error_details = gpr_strdup(why.text);
    } else {
        *sync_status = GRPC_STATUS_OK;
    }
    return 1;
}

static void on_verify_cancel(void *arg, grpc_tls_custom_verification_check_request *request)
{
    (void)arg;
    (void)request;
}

static void creds_unref(void *arg)
{
    struct rpc_creds *creds = arg;
    if (atomic_fetch_sub(&creds->refs, 1) != 1) {
        return;
    }
    tls_source_free(creds->source);
    tls_rules_free(creds->rules);
    rpc_tls_hook_free(creds->hook);
    if (creds->pair_fd >= 0) {
        close(creds->pair_fd);
    }
    if (creds->ca_fd >= 0) {
        close(creds->ca_fd);
    }
    free(creds);
}

struct err rpc_creds_new(
    const struct tls_options *options, struct rpc_creds **out_creds, struct why *why)
{
    struct rpc_creds *creds = mem_new(sizeof(*creds));
    struct tls_options own = *options;
    if (tls_requires_client_cert(options) && !(own.trusted_ca_file && own.trusted_ca_file[0])) {
        own.trusted_ca_file = SYSTEM_ROOTS; /* core has no default on a server */
    }
    atomic_store(&creds->refs, 1);
    creds->pair_fd = creds->ca_fd = -1;
    creds->requires_cert = tls_requires_client_cert(options);
    creds->rules = tls_rules_new(options);
    creds->hook = rpc_tls_hook_new(options);
    creds->external =
        (grpc_tls_certificate_verifier_external){creds, on_verify, on_verify_cancel, creds_unref};
    struct err e = tls_source_new(&own, TLS_SERVER, &creds->source, why);
    if (!err_is(e)) {
        e = publish(creds, why);
    }
    if (err_is(e)) {
        creds_unref(creds);
        return e;
    }
    *out_creds = creds;
    return OK;
}

void rpc_creds_free(struct rpc_creds *creds)
{
    if (creds) {
        creds_unref(creds);
    }
}

grpc_server_credentials *rpc_creds_core(struct rpc_creds *creds)
{
    char pair[40];
    char ca[40];
    snprintf(pair, sizeof(pair), "/proc/self/fd/%d", creds->pair_fd);
    snprintf(ca, sizeof(ca), "/proc/self/fd/%d", creds->ca_fd);
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_certificate_provider *provider = grpc_tls_certificate_provider_file_watcher_create(
        pair, pair, creds->ca_fd >= 0 ? ca : NULL, REFRESH_S);
    atomic_fetch_add(&creds->refs, 1);
    grpc_tls_certificate_verifier *verifier =
        grpc_tls_certificate_verifier_external_create(&creds->external);
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    if (creds->requires_cert) {
        grpc_tls_credentials_options_watch_root_certs(options);
    }
    grpc_tls_credentials_options_set_cert_request_type(
        options, creds->requires_cert ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                      : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    grpc_tls_credentials_options_set_certificate_verifier(options, verifier);
    grpc_server_credentials *core = grpc_tls_server_credentials_create(options);
    grpc_tls_certificate_provider_release(provider);
    grpc_tls_certificate_verifier_release(verifier);
    return core;
}

void rpc_creds_enter(struct rpc_creds *creds)
{
    poll_source(creds);
    rpc_tls_hook_enter(creds->hook);
}

void rpc_creds_leave(void)
{
    rpc_tls_hook_enter(NULL);
}
