/* SPDX-License-Identifier: Apache-2.0 */
#include "http/vouch.h"

#include "base/address.h"

#include <openssl/x509.h>
#include <sys/prctl.h>

struct vouch {
    struct http_task task;
    struct http_server *server;
    const struct http_site *site;
    struct conn *conn; /* NULL: forgotten; the server's thread */
    vouched_fn *done;
    X509 *cert;
    char ip[INET6_ADDRSTRLEN];
    struct err err;
    struct why why;
};

/* "": no address, as on a unix socket. */
static void write_ip(int fd, char out[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof(from);
    out[0] = 0;
    if (getpeername(fd, (struct sockaddr *)&from, &len) == 0) {
        address_ip(&from, out);
    }
}

static void finish(struct http_task *task)
{
    struct vouch *vouch = CONTAINER_OF(task, struct vouch, task);
    if (vouch->conn) {
        vouch->done(vouch->conn, vouch->err, vouch->why.text);
    }
    X509_free(vouch->cert);
    free(vouch);
}

static void *run(void *arg)
{
    struct vouch *vouch = arg;
    struct http_server *server = vouch->server;
    prctl(PR_SET_NAME, "vouch");
    vouch->err = vouch->site->vouch(vouch->cert, vouch->ip, vouch->site->tls_arg, &vouch->why);
    http_run(server, &vouch->task);
    atomic_fetch_sub(&server->vouch_count, 1);
    return NULL;
}

struct vouch *vouch_start(struct conn *conn, X509 *cert, vouched_fn *done)
{
    struct vouch *vouch = mem_new(sizeof(*vouch));
    pthread_attr_t attr;
    pthread_t thread;
    vouch->task.run = finish;
    vouch->server = conn->server;
    vouch->site = conn->site;
    vouch->conn = conn;
    vouch->done = done;
    vouch->cert = cert;
    X509_up_ref(cert);
    write_ip(bufferevent_getfd(conn->bev), vouch->ip);
    atomic_fetch_add(&conn->server->vouch_count, 1);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int failure = pthread_create(&thread, &attr, run, vouch);
    pthread_attr_destroy(&attr);
    if (failure) {
        atomic_fetch_sub(&conn->server->vouch_count, 1);
        X509_free(cert);
        free(vouch);
        return NULL;
    }
    return vouch;
}

void vouch_forget(struct vouch *vouch)
{
    if (vouch) {
        vouch->conn = NULL;
    }
}
