/* SPDX-License-Identifier: Apache-2.0
 *
 * A client and its connection: dialed, kept, lost.
 *
 * A call that finds a kept connection dead before a byte of the answer came is sent once more on a
 * new one: the other side may close what is idle at any time.
 */
#include "http/exchange.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/tls.h"
#include "http/dial.h"
#include "http/fault.h"
#include "http/slurp.h"
#include "http/socket.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_MAX = 256 << 10, DIAL_MS = 5000 };

static SSL_CTX *system_roots(void *arg)
{
    SSL_CTX *context = NULL;
    struct tls_options options = {0};
    (void)arg;
    return err_is(tls_context_new(&options, TLS_CLIENT, &context, NULL)) ? NULL : context;
}

struct http_client *http_client_new(struct event_base *base, const struct http_dialing *dialing)
{
    struct http_client *client = mem_new(sizeof(*client));
    client->base = base;
    client->dialing = *dialing;
    client->dialing.tls = dialing->tls ? dialing->tls : system_roots;
    client->dialing.dial_ms = dialing->dial_ms ? dialing->dial_ms : DIAL_MS;
    client->timer = evtimer_new(base, exchange_on_timer, client);
    check(client->timer);
    head_reader_init(&client->reader, HEAD_BYTES_MAX);
    buf_init(&client->gathered, 0);
    return client;
}

/* Ends. */

void client_disconnect(struct http_client *client)
{
    dial_cancel(client->dial);
    client->dial = NULL;
    if (client->bev) {
        bufferevent_setcb(client->bev, NULL, NULL, NULL, NULL);
        bufferevent_free(client->bev);
        client->bev = NULL;
    }
    free(client->authority);
    client->authority = NULL;
    client->state = CLIENT_CLOSED;
    client->is_kept = false;
    client->has_ended = false;
}

static void forget_answer(struct http_client *client)
{
    head_fini(&client->head);
    head_reader_fini(&client->reader);
    head_reader_init(&client->reader, HEAD_BYTES_MAX);
    buf_fini(&client->gathered);
}

void http_client_cancel(struct http_client *client)
{
    event_del(client->timer);
    client_disconnect(client);
    forget_answer(client);
    client->has_call = false;
}

void http_client_free(struct http_client *client)
{
    if (!client) {
        return;
    }
    http_client_cancel(client);
    event_free(client->timer);
    free(client);
}

/* Endless answers of small pieces, on which nothing goes back: one segment in two is acknowledged
 * instead of each. The kernel forgets it where the next is long in coming. */
static void acknowledge_less(struct http_client *client)
{
    int no = 0;
    (void)setsockopt(bufferevent_getfd(client->bev), IPPROTO_TCP, TCP_QUICKACK, &no, sizeof(no));
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct http_client *client = arg;
    slurp(bev, INPUT_MAX);
    if (client->call.piece) {
        acknowledge_less(client);
    }
    client->heard_ms = clock_mono_ms();
    if (client->state == CLIENT_HEAD || client->state == CLIENT_BODY) {
        exchange_advance(client);
    } else if (client->state == CLIENT_IDLE) {
        client_disconnect(client); /* an answer nobody asked for */
    }
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_client *client = arg;
    (void)bev;
    if (client->has_call && client->state == CLIENT_HEAD) {
        client->heard_ms = clock_mono_ms(); /* that some of the request was taken */
        exchange_produce(client);
    }
}

static void dial_now(struct http_client *client);

/* The connection ended or broke under the call. */
static void lose(struct http_client *client, struct err err, const char *why)
{
    bool is_stale = client->is_kept && client->state == CLIENT_HEAD &&
                    client->reader.bytes.len == 0 && !client->call.produce;
    if (is_stale) {
        client_disconnect(client);
        dial_now(client);
        return;
    }
    exchange_fail(client, err, why);
}

static const char *handshake_why(struct err err, const struct why *why)
{
    if (IS(err, CLOSED)) {
        return "tls: EOF";
    }
    return why->text[0] ? why->text : "tls: handshake failed";
}

static void on_failure(struct http_client *client, short what)
{
    struct why why = {""};
    int failure = EVUTIL_SOCKET_ERROR();
    struct err tls = client->is_tls ? fault_of_tls(client->bev, &why) : OK;
    if (client->state == CLIENT_HANDSHAKE) {
        exchange_fail(client, ERR(BAD_TLS), handshake_why(tls, &why));
    } else if (what & BEV_EVENT_TIMEOUT) {
        exchange_fail(client, ERR(TIMEDOUT), "write: i/o timeout");
    } else {
        /* With TLS 1.3 a certificate is refused after the handshake: the alert says why. */
        const char *otherwise = failure ? strerror(failure) : "connection lost";
        lose(client, ERR(CLOSED), why.text[0] ? why.text : otherwise);
    }
}

static void on_end(struct http_client *client)
{
    client->has_ended = true;
    if (client->state == CLIENT_HEAD || client->state == CLIENT_BODY) {
        exchange_advance(client);
    }
    if (!client->has_call || !client->has_ended) {
        return;
    }
    if (client->state == CLIENT_BODY && client->is_until_close) {
        client->body.state = BODY_DONE;
        exchange_complete(client);
    } else if (client->state == CLIENT_HANDSHAKE) {
        exchange_fail(client, ERR(BAD_TLS), "tls: EOF");
    } else {
        struct why why = {""};
        bool is_told = client->is_tls && err_is(fault_of_tls(client->bev, &why)) && why.text[0];
        lose(client, ERR(CLOSED), is_told ? why.text : "EOF");
    }
}

/* The handshake is done. */
static void on_connected(struct http_client *client)
{
    const struct http_dialing *dialing = &client->dialing;
    struct why why = {""};
    if (dialing->admit &&
        err_is(dialing->admit(bufferevent_openssl_get_ssl(client->bev), dialing->arg, &why))) {
        exchange_fail(client, ERR(BAD_TLS), why.text);
        return;
    }
    exchange_send(client);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_client *client = arg;
    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        on_connected(client);
    } else if (!client->has_call) {
        client_disconnect(client);
    } else if (what & BEV_EVENT_EOF) {
        on_end(client);
    } else {
        on_failure(client, what);
    }
}

/* The connection. */

static struct bufferevent *wrap_tls(struct http_client *client, int fd)
{
    SSL_CTX *context = client->dialing.tls(client->dialing.arg);
    SSL *ssl = context ? SSL_new(context) : NULL;
    SSL_CTX_free(context);
    if (!ssl) {
        return NULL;
    }
    const char *name = client->dialing.server_name;
    tls_client_expect(ssl, name && name[0] ? name : client->call.target.host);
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        client->base, fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

static void on_dialed(void *arg, int fd, struct err err, const char *why)
{
    struct http_client *client = arg;
    client->dial = NULL;
    if (err_is(err)) {
        exchange_fail(client, err, why);
        return;
    }
    socket_tune(fd);
    client->bev = client->is_tls ? wrap_tls(client, fd)
                                 : bufferevent_socket_new(client->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client->bev) {
        close(fd);
        exchange_fail(client, ERR(BAD_TLS), "tls: no usable certificate");
        return;
    }
    client->state = client->is_tls ? CLIENT_HANDSHAKE : CLIENT_HEAD;
    bufferevent_setcb(client->bev, on_read, on_write, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, INPUT_MAX);
    bufferevent_setwatermark(client->bev, EV_WRITE, OUTPUT_LOW / 2, 0);
    bufferevent_set_max_single_read(client->bev, INPUT_MAX);
    bufferevent_enable(client->bev, EV_READ | EV_WRITE);
    if (client->is_tls) {
        exchange_arm(client);
    } else {
        exchange_send(client);
    }
}

static void dial_now(struct http_client *client)
{
    const struct http_target *target = &client->call.target;
    client->authority = mem_strdup(target->unix_path ? target->unix_path : target->authority);
    client->is_tls = target->is_tls;
    client->state = CLIENT_DIALING;
    client->dial_deadline_ms = clock_mono_ms() + client->dialing.dial_ms;
    client->produced = 0;
    client->has_produced = false;
    exchange_arm(client);
    client->dial = dial_start(client->base, target, &client->dialing, on_dialed, client);
}

static bool leads_to(const struct http_client *client, const struct http_target *target)
{
    const char *authority = target->unix_path ? target->unix_path : target->authority;
    return client->state == CLIENT_IDLE && !client->has_ended && client->is_tls == target->is_tls &&
           strcmp(client->authority, authority) == 0;
}

void http_client_call(struct http_client *client, const struct http_call *call)
{
    check(!client->has_call);
    client->call = *call;
    client->has_call = true;
    client->produced = 0;
    client->has_produced = false;
    client->deadline_ms = call->timeout_ms ? clock_mono_ms() + call->timeout_ms : INT64_MAX;
    client->status = 0;
    if (leads_to(client, &call->target) && !call->produce) {
        exchange_send(client);
        return;
    }
    client_disconnect(client);
    dial_now(client);
}

struct slice http_answer_header(const struct http_answer *answer, const char *name)
{
    return head_field_get(answer->head, name);
}
