/* SPDX-License-Identifier: Apache-2.0 */
#include "http/conn.h"
#include "http/fault.h"
#include "http/request.h"
#include "http/slurp.h"
#include "http/socket.h"
#include "http/vouch.h"

#include "base/tls.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Pieces of input that wait; more stays in the socket. What is drained of an unwanted body; Go's
 * number. */
enum { INPUT_MAX = 64 << 10, DRAIN_MAX = 256 << 10, LINGER_MS = 500 };

static void set_deadline(struct conn *conn, int64_t ms)
{
    struct timeval at = {ms / 1000, (ms % 1000) * 1000};
    event_add(conn->timer, &at);
}

static void no_longer_fresh(struct conn *conn)
{
    if (conn->is_fresh) {
        conn->is_fresh = false;
        conn->server->fresh_count--;
        list_remove(&conn->fresh_node);
    }
}

void conn_close(struct conn *conn)
{
    struct http_request *request = conn->request;
    no_longer_fresh(conn);
    vouch_forget(conn->vouch);
    list_remove(&conn->node);
    atomic_fetch_sub(&conn->server->conn_count, 1);
    if (request) {
        conn->request = NULL;
        request->conn = NULL;
    }
    if (conn->bev) {
        bufferevent_setcb(conn->bev, NULL, NULL, NULL, NULL);
        bufferevent_free(conn->bev);
    }
    event_free(conn->timer);
    head_reader_fini(&conn->reader);
    free(conn->peer);
    free(conn->peer_cn);
    free(conn);
    if (request) {
        request_lost(request);
    }
}

/* Tells the site whom it does not serve. ssl: NULL where there was none. */
static void tell_refused(const struct http_site *site, const SSL *ssl, struct http_refused refused)
{
    const char *name = ssl ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    refused.server_name = name ? name : "";
    if (site->refused) {
        site->refused(&refused, site->tls_arg);
    }
}

static void turn_away(struct conn *conn, struct err err, const char *why)
{
    SSL *ssl = bufferevent_openssl_get_ssl(conn->bev);
    tell_refused(conn->site, ssl, (struct http_refused){conn->peer, NULL, err, why});
    conn_close(conn);
}

/* Everything is out: says so, and gives the client a moment to stop, so that a reset does not eat
 * our last words. */
static void shut(struct conn *conn)
{
    SSL *ssl = conn->site->tls ? bufferevent_openssl_get_ssl(conn->bev) : NULL;
    if (ssl) {
        SSL_shutdown(ssl);
    }
    shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
    conn->is_shut = true;
    set_deadline(conn, LINGER_MS);
}

static bool is_flushed(const struct conn *conn)
{
    return evbuffer_get_length(bufferevent_get_output(conn->bev)) == 0;
}

static void hear(struct conn *conn)
{
    if (conn->is_deaf) {
        conn->is_deaf = false;
        bufferevent_enable(conn->bev, EV_READ);
    }
}

static void begin_closing(struct conn *conn)
{
    hear(conn);
    conn->state = CONN_CLOSING;
    event_del(conn->timer);
    bufferevent_setwatermark(conn->bev, EV_WRITE, 0, 0);
    bufferevent_trigger(conn->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_OPT_DEFER_CALLBACKS);
}

static void begin_idle(struct conn *conn)
{
    conn->state = CONN_IDLE;
    set_deadline(conn, conn->server->options.idle_ms);
}

/* Throws away what is left of a body; false: wait for more. */
static bool drain(struct conn *conn, struct evbuffer *input)
{
    while (!body_is_done(&conn->drained)) {
        size_t len = evbuffer_get_length(input);
        struct slice piece;
        size_t taken = body_take(&conn->drained, slice_of(evbuffer_pullup(input, -1), len), &piece);
        if (taken > conn->drain_left || conn->drained.state == BODY_BROKEN) {
            begin_closing(conn);
            return true;
        }
        if (taken == 0) {
            return false;
        }
        conn->drain_left -= taken;
        evbuffer_drain(input, taken);
    }
    begin_idle(conn);
    return true;
}

void conn_answered(struct conn *conn)
{
    struct http_request *request = conn->request;
    conn->request = NULL;
    request->conn = NULL;
    if (conn->closes) {
        begin_closing(conn);
        return;
    }
    if (body_is_done(&request->body)) {
        begin_idle(conn);
    } else {
        conn->state = CONN_DRAIN;
        conn->drained = request->body;
        conn->drain_left = DRAIN_MAX;
        set_deadline(conn, conn->server->options.body_ms);
    }
    conn_kick(conn);
}

void conn_drain(struct conn *conn)
{
    if (conn->state == CONN_SERVING) {
        conn->closes = true;
    } else if (conn->state != CONN_CLOSING && !is_flushed(conn)) {
        begin_closing(conn); /* an answer is being read */
    } else if (conn->state != CONN_CLOSING) {
        conn_close(conn);
    }
}

struct evbuffer *conn_output(struct conn *conn)
{
    if (conn->is_direct) {
        conn->is_direct = false;
        bufferevent_enable(conn->bev, EV_WRITE);
    }
    return bufferevent_get_output(conn->bev);
}

struct evbuffer *conn_write_begin(struct conn *conn)
{
    if (!conn->is_direct && !conn->site->tls && is_flushed(conn)) {
        conn->is_direct = true;
        bufferevent_disable(conn->bev, EV_WRITE);
    }
    return bufferevent_get_output(conn->bev);
}

void conn_write_end(struct conn *conn)
{
    struct evbuffer *output = bufferevent_get_output(conn->bev);
    if (!conn->is_direct) {
        return;
    }
    /* A bufferevent keeps the front of its output for itself but while it writes. What fails here
     * fails again in the loop, which tells. */
    evbuffer_unfreeze(output, 1);
    (void)evbuffer_write(output, bufferevent_getfd(conn->bev));
    evbuffer_freeze(output, 1);
    if (!is_flushed(conn)) {
        conn_output(conn);
    }
}

static void refuse(struct conn *conn, const struct head_refusal *refusal)
{
    refusal_add(conn_output(conn), refusal);
    begin_closing(conn);
}

static void serve(struct conn *conn)
{
    struct head_refusal refusal;
    struct http_request *request = request_new(conn, &conn->reader, &refusal);
    if (!request) {
        refuse(conn, &refusal);
        return;
    }
    no_longer_fresh(conn);
    event_del(conn->timer);
    conn->state = CONN_SERVING;
    conn->request = request;
    conn->closes = !request->head.is_keep_alive || conn->server->is_draining;
    conn->site->serve(request, conn->site->arg);
}

/* A client that sends requests and reads no answers gets this many bytes of them and one more; the
 * next request begins when it has read. */
static bool is_clogged(const struct conn *conn)
{
    return evbuffer_get_length(bufferevent_get_output(conn->bev)) >= HTTP_PENDING_HIGH;
}

/* False: wait for more, or for the client to read. */
static bool read_head(struct conn *conn, struct evbuffer *input)
{
    size_t len = evbuffer_get_length(input);
    if (len == 0 && conn->has_ended) {
        begin_closing(conn);
        return true;
    }
    conn->is_held_back = len > 0 && is_clogged(conn);
    if (len == 0 || conn->is_held_back) {
        return false;
    }
    if (conn->state == CONN_IDLE) {
        conn->state = CONN_HEAD;
        set_deadline(conn, conn->server->options.header_ms);
    }
    size_t taken = 0;
    enum head_state state =
        head_read(&conn->reader, slice_of(evbuffer_pullup(input, -1), len), &taken);
    if (state == HEAD_TOO_BIG) {
        refuse(conn, &(struct head_refusal){431, NULL});
        return true;
    }
    evbuffer_drain(input, taken);
    if (state == HEAD_WHOLE) {
        serve(conn);
    }
    return state == HEAD_WHOLE;
}

/* "100 Continue" goes out only when the handler asks for the body. */
static void say_continue(struct conn *conn)
{
    struct http_request *request = conn->request;
    if (request->head.expects_continue && !request->has_continued && !request_is_too_big(request)) {
        request->has_continued = true;
        evbuffer_add(conn_output(conn), "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
}

/* False: wait for more, or for the handler. */
static bool feed_body(struct conn *conn, struct evbuffer *input)
{
    struct http_request *request = conn->request;
    if (!request_wants_body(request)) {
        return false;
    }
    say_continue(conn);
    size_t len = evbuffer_get_contiguous_space(input);
    size_t taken = request_feed(request,
        slice_of(len ? evbuffer_pullup(input, (ev_ssize_t)len) : (const uint8_t *)"", len));
    evbuffer_drain(input, taken);
    if (request->mode == BODY_GATHERED && !request->is_told) {
        set_deadline(conn, conn->server->options.body_ms);
    } else {
        event_del(conn->timer);
    }
    return taken > 0;
}

static void advance(struct conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->bev);
    bool goes_on = true;
    while (goes_on) {
        switch (conn->state) {
        case CONN_IDLE:
        case CONN_HEAD:
            goes_on = read_head(conn, input);
            break;
        case CONN_SERVING:
            goes_on = feed_body(conn, input);
            break;
        case CONN_DRAIN:
            goes_on = drain(conn, input);
            break;
        case CONN_CLOSING:
            evbuffer_drain(input, evbuffer_get_length(input));
            goes_on = false;
            break;
        case CONN_HANDSHAKE:
            goes_on = false;
            break;
        }
    }
}

/* libevent calls on_read again and again while a reader's input is full. */
static void rest_if_full(struct conn *conn)
{
    if ((conn->state == CONN_SERVING || conn->is_held_back) && !conn->is_deaf &&
        evbuffer_get_length(bufferevent_get_input(conn->bev)) >= INPUT_MAX) {
        conn->is_deaf = true;
        bufferevent_disable(conn->bev, EV_READ);
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct conn *conn = arg;
    slurp(bev, INPUT_MAX);
    advance(conn);
    rest_if_full(conn);
}

void conn_kick(struct conn *conn)
{
    hear(conn);
    bufferevent_trigger(conn->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_OPT_DEFER_CALLBACKS);
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct conn *conn = arg;
    struct http_request *request = conn->request;
    (void)bev;
    if (conn->state == CONN_CLOSING) {
        if (is_flushed(conn) && !conn->is_shut) {
            shut(conn);
        }
        if (conn->is_shut && conn->has_ended) {
            conn_close(conn);
        }
        return;
    }
    if (conn->is_held_back) {
        conn_kick(conn);
    }
    bool is_served =
        request && request->mode == BODY_STREAMED && !atomic_load(&request->is_given_back);
    if (is_served && request->stream->writable) {
        request->stream->writable(request, request->arg);
    }
}

static void welcome(struct conn *conn)
{
    conn->state = CONN_HEAD;
    set_deadline(conn, conn->server->options.header_ms);
}

static void on_vouched(struct conn *conn, struct err err, const char *why)
{
    conn->vouch = NULL;
    if (err_is(err)) {
        turn_away(conn, err, why);
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

/* The client will send no more. Whoever waits for an answer that is whole still gets it; a stream
 * is over. */
static void end_input(struct conn *conn)
{
    conn->has_ended = true;
    if (conn->state == CONN_HANDSHAKE) {
        turn_away(conn, ERR(CLOSED), "EOF");
        return;
    }
    advance(conn);
    struct http_request *request = conn->request;
    if (conn->state == CONN_CLOSING) {
        on_write(conn->bev, conn);
    } else if (!request && !conn->is_held_back) {
        begin_closing(conn);
    } else if (!request) {
        return; /* more requests are there already, for when it has read */
    } else if (request->mode == BODY_STREAMED && !atomic_load(&request->is_given_back)) {
        conn_close(conn);
    } else if (request->mode == BODY_GATHERED) {
        request_cut_off(request);
    }
}

static void on_connected(struct conn *conn)
{
    struct why why = {""};
    struct err err = greet(conn, &why);
    if (err_is(err)) {
        turn_away(conn, err, why.text);
    }
}

/* failure: errno as the event found it. */
static void on_broken_handshake(struct conn *conn, int failure)
{
    struct why why = {""};
    struct err err = fault_of_tls(conn->bev, &why);
    const char *otherwise = failure ? strerror(failure) : "tls: handshake failed";
    turn_away(conn, err, why.text[0] ? why.text : otherwise);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct conn *conn = arg;
    int failure = EVUTIL_SOCKET_ERROR();
    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        on_connected(conn);
        return;
    }
    if (what & BEV_EVENT_EOF) {
        end_input(conn);
        return;
    }
    if (conn->state == CONN_HANDSHAKE) {
        on_broken_handshake(conn, failure);
        return;
    }
    conn_close(conn);
}

/* While an answer is being read the connection is not idle; who stops reading is cut off as one
 * that does not take its answer. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;
    (void)fd;
    (void)what;
    if (conn->state == CONN_IDLE && !is_flushed(conn)) {
        begin_idle(conn);
    } else if (conn->state == CONN_HANDSHAKE) {
        turn_away(conn, ERR(TIMEDOUT), "tls: handshake: i/o timeout");
    } else {
        conn_close(conn);
    }
}

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
        turn_away(LIST_ITEM(server->fresh.next, struct conn, fresh_node), ERR(DENIED),
            "too many connections that say nothing");
    }
}

static void file_conn(struct conn *conn)
{
    struct http_server *server = conn->server;
    list_push(&server->conns, &conn->node);
    list_push(&server->fresh, &conn->fresh_node);
    conn->is_fresh = true;
    server->fresh_count++;
    atomic_fetch_add(&server->conn_count, 1);
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

void conn_open(struct http_server *server, const struct http_site *site, int fd, const char *peer)
{
    if (server->is_stopping) {
        close(fd);
        return;
    }
    if (atomic_load(&server->conn_count) >= connections_max(server, site)) {
        refuse_socket(site, fd, peer, "too many open connections");
        return;
    }
    make_room(server);
    struct bufferevent *bev =
        evutil_make_socket_nonblocking(fd) == 0 ? wrap(server, site, fd) : NULL;
    if (!bev) {
        refuse_socket(site, fd, peer, "tls: no usable certificate");
        return;
    }
    socket_tune(fd);
    struct conn *conn = mem_new(sizeof(*conn));
    conn->server = server;
    conn->site = site;
    conn->bev = bev;
    conn->peer = mem_strdup(peer ? peer : "");
    conn->timer = evtimer_new(server->base, on_deadline, conn);
    check(conn->timer);
    head_reader_init(&conn->reader, server->options.header_bytes_max);
    conn->state = site->tls ? CONN_HANDSHAKE : CONN_HEAD;
    file_conn(conn);
    set_deadline(conn, site->tls ? server->options.handshake_ms : server->options.header_ms);
    struct timeval write_timeout = {
        server->options.write_ms / 1000, server->options.write_ms % 1000 * 1000};
    bufferevent_setcb(bev, on_read, on_write, on_event, conn);
    bufferevent_set_timeouts(bev, NULL, &write_timeout);
    bufferevent_setwatermark(bev, EV_READ, 0, INPUT_MAX);
    bufferevent_set_max_single_read(bev, INPUT_MAX);
    bufferevent_setwatermark(bev, EV_WRITE, HTTP_PENDING_LOW, 0);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}
