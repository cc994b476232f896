/* SPDX-License-Identifier: Apache-2.0 */
#include "http/admit.h"

#include "http/fault.h"
#include "http/vouch.h"

#include "base/tls.h"

#include <event2/bufferevent_ssl.h>
#include <unistd.h>

/* Tells the site whom it does not serve. ssl: NULL where there was none. */
static void tell_refused(const struct http_site *site, const SSL *ssl, struct http_refused refused)
{
    const char *name = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    refused.server_name = name ? name : "";
    if (site->refused) {
        site->refused(&refused, site->tls_arg);
    }
}

void admit_turn_away(struct conn *conn, struct err err, const char *why)
{
    SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
    tell_refused(conn->site, ssl, (struct http_refused){conn->peer, NULL, err, why});
    conn_close(conn);
}

/* The socket. */

static struct bufferevent *wrap(struct http_server *server, const struct http_site *site, int fd)
{
    if (!site->tls) {
        return bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
    }
    SSL_CTX *context = site->tls(site->tls_arg);
    SSL *ssl = context ? SSL_new(context) : NULL;
    SSL_CTX_free(context);
    if (!ssl) {
        return NULL;
    }
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

/* New and silent connections make room by dropping the one that was silent longest: a crowd of them
 * cannot lock out a client that speaks at once. */
static void make_room(struct http_server *server)
{
    if (server->fresh_count >= server->options.handshakes_max) {
        admit_turn_away(LIST_ITEM(server->fresh.next, struct conn, fresh_node), ERR(DENIED),
            "too many connections that say nothing");
    }
}

static size_t connections_max(const struct http_server *server, const struct http_site *site)
{
    size_t max = server->options.connections_max;
    return site->is_vital ? max + max / 8 : max;
}

static void refuse_socket(const struct http_site *site, int fd, const char *peer, const char *why)
{
    close(fd);
    tell_refused(site, NULL, (struct http_refused){peer ? peer : "", NULL, ERR(DENIED), why});
}

struct bufferevent *admit_socket(
    struct http_server *server, const struct http_site *site, int fd, const char *peer)
{
    if (atomic_load(&server->conn_count) >= connections_max(server, site)) {
        refuse_socket(site, fd, peer, "too many open connections");
        return NULL;
    }
    make_room(server);
    struct bufferevent *bev =
        evutil_make_socket_nonblocking(fd) == 0 ? wrap(server, site, fd) : NULL;
    if (!bev) {
        refuse_socket(site, fd, peer, "tls: no usable certificate");
    }
    return bev;
}

/* The peer. */

static void welcome(struct conn *conn)
{
    conn->state = CONN_HEAD;
    conn_set_deadline(conn, conn->server->options.header_ms);
}

static void on_vouched(struct conn *conn, struct err err, const char *why)
{
    conn->vouch = NULL;
    if (err_is(err)) {
        admit_turn_away(conn, err, why);
        return;
    }
    welcome(conn);
    bufferevent_enable(conn->bev, EV_READ);
    conn_kick(conn);
}

/* The TLS handshake is done. Errors: the peer may not come in. */
static struct err greet(struct conn *conn, struct why *why)
{
    SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
    X509 *cert = SSL_get0_peer_certificate(ssl);
    if (cert && SSL_get_verify_result(ssl) == X509_V_OK) {
        conn->peer_cn = tls_cert_cn(cert);
    }
    if (conn->site->admit) {
        TRY(conn->site->admit(ssl, conn->site->tls_arg, why));
    }
    if (!conn->site->vouch || !cert) {
        welcome(conn);
        return OK;
    }
    bufferevent_disable(conn->bev, EV_READ); /* the handshake's deadline goes on */
    conn->vouch = vouch_start(conn, cert, on_vouched);
    return conn->vouch ? OK : why_set(why, ERR(INTERNAL), "no thread can be started");
}

void admit_peer(struct conn *conn)
{
    struct why why = {""};
    struct err err = greet(conn, &why);
    if (err_is(err)) {
        admit_turn_away(conn, err, why.text);
    }
}

void admit_broken(struct conn *conn, int failure)
{
    struct why why = {""};
    struct err err = fault_of_tls(conn->bev, &why);
    const char *otherwise = failure ? strerror(failure) : "tls: handshake failed";
    admit_turn_away(conn, err, why.text[0] ? why.text : otherwise);
}
