/* SPDX-License-Identifier: Apache-2.0 */
#include "http/conn.h"

#include "http/admit.h"
#include "http/input.h"
#include "http/request.h"
#include "http/slurp.h"
#include "http/socket.h"
#include "http/vouch.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Pieces of input that wait; more stays in the socket. What is drained of an unwanted body; Go's
 * number. */
enum { INPUT_MAX = 64 << 10, DRAIN_MAX = 256 << 10, LINGER_MS = 500 };

void conn_set_deadline(struct conn *conn, int64_t ms)
{
    struct timeval at = {ms / 1000, (ms % 1000) * 1000};
    event_add(conn->timer, &at);
}

void conn_no_longer_fresh(struct conn *conn)
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
    conn_no_longer_fresh(conn);
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
    conn_set_deadline(conn, LINGER_MS);
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

void conn_begin_closing(struct conn *conn)
{
    hear(conn);
    conn->state = CONN_CLOSING;
    event_del(conn->timer);
    bufferevent_setwatermark(conn->bev, EV_WRITE, 0, 0);
    bufferevent_trigger(conn->bev, EV_WRITE, BEV_TRIG_IGNORE_WATERMARKS | BEV_OPT_DEFER_CALLBACKS);
}

void conn_begin_idle(struct conn *conn)
{
    conn->state = CONN_IDLE;
    conn_set_deadline(conn, conn->server->options.idle_ms);
}

void conn_answered(struct conn *conn)
{
    struct http_request *request = conn->request;
    conn->request = NULL;
    request->conn = NULL;
    if (conn->closes) {
        conn_begin_closing(conn);
        return;
    }
    if (body_is_done(&request->body)) {
        conn_begin_idle(conn);
    } else {
        conn->state = CONN_DRAIN;
        conn->drained = request->body;
        conn->drain_left = DRAIN_MAX;
        conn_set_deadline(conn, conn->server->options.body_ms);
    }
    conn_kick(conn);
}

void conn_drain(struct conn *conn)
{
    if (conn->state == CONN_SERVING) {
        conn->closes = true;
    } else if (conn->state != CONN_CLOSING && !is_flushed(conn)) {
        conn_begin_closing(conn); /* an answer is being read */
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
    input_advance(conn);
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

/* The client will send no more. Whoever waits for an answer that is whole still gets it; a stream
 * is over. */
static void end_input(struct conn *conn)
{
    conn->has_ended = true;
    if (conn->state == CONN_HANDSHAKE) {
        admit_turn_away(conn, ERR(CLOSED), "EOF");
        return;
    }
    input_advance(conn);
    struct http_request *request = conn->request;
    if (conn->state == CONN_CLOSING) {
        on_write(conn->bev, conn);
    } else if (!request && !conn->is_held_back) {
        conn_begin_closing(conn);
    } else if (!request) {
        return; /* more requests are there already, for when it has read */
    } else if (request->mode == BODY_STREAMED && !atomic_load(&request->is_given_back)) {
        conn_close(conn);
    } else if (request->mode == BODY_GATHERED) {
        request_cut_off(request);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct conn *conn = arg;
    int failure = EVUTIL_SOCKET_ERROR();
    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        admit_peer(conn);
        return;
    }
    if (what & BEV_EVENT_EOF) {
        end_input(conn);
        return;
    }
    if (conn->state == CONN_HANDSHAKE) {
        admit_broken(conn, failure);
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
        conn_begin_idle(conn);
    } else if (conn->state == CONN_HANDSHAKE) {
        admit_turn_away(conn, ERR(TIMEDOUT), "tls: handshake: i/o timeout");
    } else {
        conn_close(conn);
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

void conn_open(struct http_server *server, const struct http_site *site, int fd, const char *peer)
{
    if (server->is_stopping) {
        close(fd);
        return;
    }
    struct bufferevent *bev = admit_socket(server, site, fd, peer);
    if (!bev) {
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
    conn_set_deadline(conn, site->tls ? server->options.handshake_ms : server->options.header_ms);
    struct timeval write_timeout = {
        server->options.write_ms / 1000, server->options.write_ms % 1000 * 1000};
    bufferevent_setcb(bev, on_read, on_write, on_event, conn);
    bufferevent_set_timeouts(bev, NULL, &write_timeout);
    bufferevent_setwatermark(bev, EV_READ, 0, INPUT_MAX);
    bufferevent_set_max_single_read(bev, INPUT_MAX);
    bufferevent_setwatermark(bev, EV_WRITE, HTTP_PENDING_LOW, 0);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}
