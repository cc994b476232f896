/* SPDX-License-Identifier: Apache-2.0
 * Clients whose certificate has a common name, while access control is on. */
#include "../base/pki.h"
#include "base/metric.h"
#include "base/tls.h"
#include "fake_api.h"
#include "gateway/gateway.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define REFUSED                                                                                    \
    "\r\n\r\nCommonName of client sending a request against gateway will be ignored and not used " \
    "as expected\n"

static struct pki pki;
static SSL_CTX *server_context;
static struct http_server *server;
static struct gateway *gateway;
static char answer[1 << 14];

static SSL_CTX *context_of(const char *name, enum tls_role role)
{
    char cert[32];
    char key[32];
    SSL_CTX *context = NULL;
    struct why why = {""};
    snprintf(cert, sizeof(cert), "%s.crt", name);
    snprintf(key, sizeof(key), "%s.key", name);
    struct tls_options options = {.cert_file = pki_path(&pki, cert),
        .key_file = pki_path(&pki, key),
        .trusted_ca_file = pki_path(&pki, "ca.crt"),
        .client_cert_auth = role == TLS_SERVER};
    if (err_is(tls_context_new(&options, role, &context, &why))) {
        fail_msg("%s", why.text);
    }
    return context;
}

static SSL_CTX *context_ref(void *arg)
{
    (void)arg;
    SSL_CTX_up_ref(server_context);
    return server_context;
}

static struct http_site *start(bool is_cert_required, unsigned serves)
{
    server = http_server_new(NULL);
    gateway = gateway_new(
        &(struct gateway_options){.request_bytes_max = 1000, .is_cert_required = is_cert_required});
    struct http_site *site = gateway_site(gateway, serves);
    site->tls = context_ref;
    assert_false(err_is(http_server_start(server, NULL)));
    return site;
}

static void stop(void)
{
    http_server_stop(server);
    http_server_free(server);
    gateway_free(gateway);
    metric_reset();
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    fake_reset();
    metric_reset();
    pki_init(&pki);
    pki_make(&pki, &(struct pki_spec){.name = "server", .sans = "IP:127.0.0.1", .serial = 2});
    pki_make(&pki, &(struct pki_spec){.name = "alice", .cn = "alice", .serial = 3});
    pki_make(&pki, &(struct pki_spec){.name = "nobody", .sans = "DNS:nobody", .serial = 4});
    server_context = context_of("server", TLS_SERVER);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    SSL_CTX_free(server_context);
    pki_fini(&pki);
    return 0;
}

/* What that client is answered. */
static const char *ask(const struct http_site *site, const char *name, const char *path)
{
    int fds[2];
    struct timeval timeout = {60, 0};
    char request[200];
    int len = snprintf(request, sizeof(request),
        "POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", path);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    http_adopt(server, site, fds[1], "127.0.0.1:5");
    SSL_CTX *context = context_of(name, TLS_CLIENT);
    SSL *ssl = SSL_new(context);
    tls_client_expect(ssl, "127.0.0.1");
    SSL_set_fd(ssl, fds[0]);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, request, len), len);
    int got;
    int total = 0;
    while ((got = SSL_read(ssl, answer + total, (int)sizeof(answer) - total - 1)) > 0) {
        total += got;
    }
    answer[total] = 0;
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fds[0]);
    return answer;
}

static void assert_refused(const char *heard)
{
    assert_non_null(strstr(heard, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; "));
    assert_non_null(strstr(heard, REFUSED));
}

/* The gateway would call in its own name; who thinks that the certificate's counts is told so. */
static void test_names_are_refused_while_auth_is_on(void **state)
{
    (void)state;
    struct http_site *site = start(true, GATEWAY_CLIENT);
    assert_non_null(strstr(ask(site, "alice", "/v3/kv/put"), "200 OK"));
    atomic_store(&fake.is_auth_enabled, true);
    assert_refused(ask(site, "alice", "/v3/kv/put"));
    assert_refused(ask(site, "alice", "/v3beta/kv/put"));
    assert_refused(ask(site, "alice", "/v3/none"));
    assert_non_null(strstr(ask(site, "alice", "/metrics"), "200 OK"));
    assert_non_null(strstr(ask(site, "nobody", "/v3/kv/put"), "200 OK"));
    stop();
}

static void test_names_do_not_matter_elsewhere(void **state)
{
    (void)state;
    atomic_store(&fake.is_auth_enabled, true);
    struct http_site *site = start(false, GATEWAY_CLIENT);
    assert_non_null(strstr(ask(site, "alice", "/v3/kv/put"), "200 OK"));
    stop();
    site = start(true, GATEWAY_CLIENT & ~(unsigned)GATEWAY_JSON);
    assert_non_null(strstr(ask(site, "alice", "/v3/kv/put"), "404 Not Found"));
    stop();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_names_are_refused_while_auth_is_on),
        TEST(test_names_do_not_matter_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
