/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/tls_hook.h"

#include "base/buf.h"
#include "base/mem.h"

#include <pthread.h>

struct rpc_tls_hook {
    int min_version;
    int max_version;
    struct buf ciphers;
};

static _Thread_local const struct rpc_tls_hook *current;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void on_ssl_new(
    void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
    SSL *ssl = parent;
    (void)ptr;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (!current) {
        return;
    }
    SSL_set_min_proto_version(ssl, current->min_version);
    SSL_set_max_proto_version(ssl, current->max_version);
    if (current->ciphers.len) {
        SSL_set_cipher_list(ssl, (const char *)current->ciphers.data);
    }
    /* A resumed session would not be verified anew. */
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 0);
    /* What is in the CA file is trusted, a root or not, as in Go. */
    X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl), X509_V_FLAG_PARTIAL_CHAIN);
}

static void install(void)
{
    check(SSL_get_ex_new_index(0, NULL, on_ssl_new, NULL, NULL) >= 0);
}

struct rpc_tls_hook *rpc_tls_hook_new(const struct tls_options *options)
{
    struct rpc_tls_hook *hook = mem_new(sizeof(*hook));
    pthread_once(&once, install);
    hook->min_version = tls_lowest_version(options);
    hook->max_version = options->max_version ? (int)options->max_version : TLS1_3_VERSION;
    buf_init(&hook->ciphers, 1 << 16);
    tls_cipher_list(options->cipher_suites, &hook->ciphers);
    buf_text(&hook->ciphers);
    return hook;
}

void rpc_tls_hook_free(struct rpc_tls_hook *hook)
{
    if (hook) {
        buf_fini(&hook->ciphers);
        free(hook);
    }
}

void rpc_tls_hook_enter(const struct rpc_tls_hook *hook)
{
    current = hook;
}
