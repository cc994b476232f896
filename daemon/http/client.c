/* SPDX-License-Identifier: Apache-2.0
 *
 *   CLOSED -> DIALING -> (HANDSHAKE ->) HEAD -> BODY -> IDLE -> HEAD …, or from anywhere -> CLOSED
 *
 * A call that finds a kept connection dead before a byte of the answer came is sent once more on a
 * new one: the other side may close what is idle at any time.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/tls.h"
#include "http/body.h"
#include "http/dial.h"
#include "http/fault.h"
#include "http/head.h"
#include "http/http.h"
#include "http/slurp.h"
#include "http/socket.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/x509v3.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_BYTES_MAX = 64 << 10,
    HEAD_FIELDS_MAX = 100,
    INPUT_MAX = 256 << 10,
    PRODUCE_BYTES = 64 << 10,
    OUTPUT_LOW = 128 << 10,
    DIAL_MS = 5000,
};

enum client_state {
    CLIENT_CLOSED,
    CLIENT_DIALING,
    CLIENT_HANDSHAKE,
    CLIENT_HEAD,
    CLIENT_BODY,
    CLIENT_IDLE
};

struct http_client {
    struct event_base *base;
    struct http_dialing dialing;
    enum client_state state;
    struct dial *dial;
    struct bufferevent *bev;
    struct event *timer;
    char *authority; /* of the connection */
    bool is_tls;
    bool is_kept; /* the connection served a call before */
    bool has_call;
    bool has_ended; /* the other side */
    struct http_call call;
    uint64_t produced;
    bool has_produced;        /* all chunks */
    int64_t deadline_ms;      /* of the call; INT64_MAX: none */
    int64_t dial_deadline_ms; /* of dialing and the handshake */
    int64_t heard_ms;
    struct head_reader reader;
    struct head head;
    int status;
    struct body body;
    bool is_streamed;
    bool is_until_close;
    struct buf gathered;
};

static SSL_CTX *system_roots(void *arg)
{
    SSL_CTX *context = NULL;
    struct tls_options options = {0};
    (void)arg;
    return err_is(tls_context_new(&options, TLS_CLIENT, &context, NULL)) ? NULL : context;
}

static void on_timer(evutil_socket_t fd, short what, void *arg);

struct http_client *http_client_new(struct event_base *base, const struct http_dialing *dialing)
{
    struct http_client *client = mem_new(sizeof(*client));
    client->base = base;
    client->dialing = *dialing;
    client->dialing.tls = dialing->tls ? dialing->tls : system_roots;
    client->dialing.dial_ms = dialing->dial_ms ? dialing->dial_ms : DIAL_MS;
    client->timer = evtimer_new(base, on_timer, client);
    check(client->timer);
    head_reader_init(&client->reader, HEAD_BYTES_MAX);
    buf_init(&client->gathered, 0);
    return client;
}

/* Ends. */

static void close_connection(struct http_client *client)
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
    close_connection(client);
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

/* The call is over; whoever calls this returns at once: done may have started the next. */
static void finish(struct http_client *client, struct err err, const char *why)
{
    struct http_call call = client->call;
    struct buf body = client->gathered;
    struct buf head_bytes = client->reader.bytes;
    struct head head = client->head;
    struct http_answer answer = {err, why, client->status, {0}, &head};
    if (!err_is(err)) {
        answer.body = buf_slice(&body);
    } else {
        close_connection(client);
        event_del(client->timer);
    }
    buf_init(&client->gathered, 0);
    head_reader_init(&client->reader, HEAD_BYTES_MAX);
    client->head = (struct head){0};
    client->has_call = false;
    call.done(call.arg, &answer);
    head_fini(&head);
    buf_fini(&head_bytes);
    buf_fini(&body);
}

static void fail(struct http_client *client, struct err err, const char *why)
{
    struct why text;
    snprintf(text.text, sizeof(text.text), "%s", why);
    finish(client, err, text.text);
}

/* Time. */

static void arm(struct http_client *client)
{
    int64_t now = clock_mono_ms();
    int64_t at = client->deadline_ms;
    if (client->state == CLIENT_DIALING || client->state == CLIENT_HANDSHAKE) {
        at = client->dial_deadline_ms < at ? client->dial_deadline_ms : at;
    } else if (client->call.idle_ms && client->heard_ms + client->call.idle_ms < at) {
        at = client->heard_ms + client->call.idle_ms;
    }
    if (at == INT64_MAX) {
        event_del(client->timer);
        return;
    }
    int64_t ms = at > now ? at - now : 0;
    struct timeval after = {ms / 1000, ms % 1000 * 1000};
    event_add(client->timer, &after);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *client = arg;
    int64_t now = clock_mono_ms();
    (void)fd;
    (void)what;
    if (!client->has_call) {
        return;
    }
    bool is_dialing = client->state == CLIENT_DIALING || client->state == CLIENT_HANDSHAKE;
    int64_t idle_ms = client->call.idle_ms;
    bool is_silent = !is_dialing && idle_ms && now - client->heard_ms >= idle_ms;
    if (now >= client->deadline_ms || is_silent ||
        (is_dialing && now >= client->dial_deadline_ms)) {
        fail(client, ERR(TIMEDOUT), "i/o timeout");
    } else {
        arm(client);
    }
}

/* Asking. */

enum { CHUNK_HEAD = 10, CHUNK_TAIL = 2 };

/* Room for the chunk's length in front, which is known afterwards. */
static bool produce_chunk(struct http_client *client, struct evbuffer *output)
{
    struct evbuffer_iovec room;
    struct why why = {""};
    size_t got = 0;
    char head[CHUNK_HEAD + 1];
    check(evbuffer_reserve_space(output, PRODUCE_BYTES + CHUNK_HEAD + CHUNK_TAIL, &room, 1) == 1);
    uint8_t *at = room.iov_base;
    struct err err =
        client->call.produce(client->call.arg, at + CHUNK_HEAD, PRODUCE_BYTES, &got, &why);
    if (err_is(err)) {
        fail(client, err, why.text[0] ? why.text : err_text(err));
        return false;
    }
    snprintf(head, sizeof(head), "%08zx\r\n", got);
    memcpy(at, head, CHUNK_HEAD);
    memcpy(at + CHUNK_HEAD + got, "\r\n", CHUNK_TAIL);
    room.iov_len = CHUNK_HEAD + got + CHUNK_TAIL;
    evbuffer_commit_space(output, &room, 1);
    client->produced += got;
    client->has_produced = got == 0;
    return got > 0;
}

static void produce(struct http_client *client)
{
    struct evbuffer *output = bufferevent_get_output(client->bev);
    if (client->call.is_chunked) {
        while (!client->has_produced && evbuffer_get_length(output) < OUTPUT_LOW &&
               produce_chunk(client, output)) {
        }
        return;
    }
    while (client->call.produce && client->produced < client->call.body_bytes &&
           evbuffer_get_length(output) < OUTPUT_LOW) {
        struct evbuffer_iovec room;
        struct why why = {""};
        uint64_t left = client->call.body_bytes - client->produced;
        size_t size = left < PRODUCE_BYTES ? (size_t)left : PRODUCE_BYTES;
        size_t got = 0;
        check(evbuffer_reserve_space(output, (ev_ssize_t)size, &room, 1) == 1);
        struct err err = client->call.produce(client->call.arg, room.iov_base, size, &got, &why);
        if (err_is(err) || got == 0) {
            fail(client, err_is(err) ? err : ERR(TORN),
                why.text[0] ? why.text : "the body ended before its length");
            return;
        }
        room.iov_len = got;
        evbuffer_commit_space(output, &room, 1);
        client->produced += got;
    }
}

static void send_request(struct http_client *client)
{
    const struct http_call *call = &client->call;
    struct evbuffer *output = bufferevent_get_output(client->bev);
    uint64_t length = call->produce ? call->body_bytes : call->body.len;
    struct timeval write_timeout = {call->write_ms / 1000, call->write_ms % 1000 * 1000};
    bufferevent_set_timeouts(client->bev, NULL, call->write_ms ? &write_timeout : NULL);
    evbuffer_add_printf(output, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: ketcd\r\n", call->method,
        call->path, call->target.authority);
    if (call->is_chunked) {
        evbuffer_add_printf(output, "Transfer-Encoding: chunked\r\n");
    } else if (length || strcmp(call->method, "GET") != 0) {
        evbuffer_add_printf(output, "Content-Length: %llu\r\n", (unsigned long long)length);
    }
    evbuffer_add_printf(output, "%s\r\n", call->fields ? call->fields : "");
    evbuffer_add(output, call->body.data, call->body.len);
    client->state = CLIENT_HEAD;
    client->heard_ms = clock_mono_ms();
    arm(client);
    produce(client);
}

/* The answer. */

/* The body is whole. */
static void complete(struct http_client *client)
{
    bool is_whole_request =
        !client->call.produce || client->has_produced ||
        (!client->call.is_chunked && client->produced == client->call.body_bytes);
    bool stays = client->head.is_keep_alive && !client->is_until_close && !client->has_ended &&
                 is_whole_request && evbuffer_get_length(bufferevent_get_input(client->bev)) == 0;
    bool is_streamed = client->is_streamed;
    event_del(client->timer);
    if (stays) {
        client->state = CLIENT_IDLE;
        client->is_kept = true;
    } else {
        close_connection(client);
    }
    if (is_streamed) {
        fail(client, ERR(CLOSED), "EOF");
    } else {
        finish(client, OK, "");
    }
}

static void begin_body(struct http_client *client)
{
    client->is_until_close = !client->head.is_chunked && client->head.content_length < 0 &&
                             !head_has_no_body(client->status);
    int64_t length = head_has_no_body(client->status) ? 0
                     : client->is_until_close         ? INT64_MAX
                                                      : client->head.content_length;
    body_init(&client->body, client->head.is_chunked, length);
    buf_fini(&client->gathered);
    buf_init(&client->gathered, client->call.answer_max);
    client->state = CLIENT_BODY;
    client->is_streamed = client->status == 200 && client->call.piece;
    struct http_answer answer = {OK, "", client->status, {0}, &client->head};
    if (client->is_streamed && client->call.started &&
        !client->call.started(client->call.arg, &answer)) {
        fail(client, ERR(UNSUPPORTED), "refused");
    }
}

/* False: wait for more, or the call is over. */
static bool read_head(struct http_client *client, struct slice data, size_t *out_taken)
{
    enum head_state state = head_read(&client->reader, data, out_taken);
    if (state == HEAD_TOO_BIG) {
        fail(client, ERR(TOO_BIG), "the answer's head is too large");
        return false;
    }
    if (state == HEAD_MORE) {
        return true;
    }
    head_fini(&client->head);
    if (!head_parse_answer(
            buf_slice(&client->reader.bytes), HEAD_FIELDS_MAX, &client->head, &client->status)) {
        fail(client, ERR(BAD_FORMAT), "malformed HTTP response");
        return false;
    }
    if (client->status < 200) { /* another head follows */
        head_fini(&client->head);
        head_reader_fini(&client->reader);
        head_reader_init(&client->reader, HEAD_BYTES_MAX);
        return true;
    }
    begin_body(client);
    return client->has_call && client->state == CLIENT_BODY;
}

static bool read_body(struct http_client *client, struct slice data, size_t *out_taken)
{
    struct slice piece;
    *out_taken = body_take(&client->body, data, &piece);
    if (piece.len && client->is_streamed) {
        client->call.piece(client->call.arg, piece);
    } else if (piece.len) {
        buf_add_slice(&client->gathered, piece);
    }
    if (!client->has_call || client->state != CLIENT_BODY) {
        return false;
    }
    if (client->gathered.is_full && !client->is_streamed) {
        fail(client, ERR(TOO_BIG), "the answer is too large");
        return false;
    }
    if (client->body.state == BODY_BROKEN) {
        fail(client, ERR(BAD_FORMAT), client->body.broken);
        return false;
    }
    return true;
}

static void advance(struct http_client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->bev);
    bool is_body = client->state == CLIENT_BODY;
    for (;;) {
        if (is_body && body_is_done(&client->body)) {
            complete(client);
            return;
        }
        size_t len = evbuffer_get_contiguous_space(input);
        size_t taken = 0;
        if (len == 0) {
            return;
        }
        struct slice data = slice_of(evbuffer_pullup(input, (ev_ssize_t)len), len);
        bool goes_on = is_body ? read_body(client, data, &taken) : read_head(client, data, &taken);
        if (!goes_on) {
            return; /* over; the connection, and with it the input, may be gone */
        }
        evbuffer_drain(input, taken);
        is_body = client->state == CLIENT_BODY;
    }
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
        advance(client);
    } else if (client->state == CLIENT_IDLE) {
        close_connection(client); /* an answer nobody asked for */
    }
}

static void on_write(struct bufferevent *bev, void *arg)
{
    struct http_client *client = arg;
    (void)bev;
    if (client->has_call && client->state == CLIENT_HEAD) {
        client->heard_ms = clock_mono_ms(); /* that some of the request was taken */
        produce(client);
    }
}

static void dial_now(struct http_client *client);

/* The connection ended or broke under the call. */
static void lose(struct http_client *client, struct err err, const char *why)
{
    bool is_stale = client->is_kept && client->state == CLIENT_HEAD &&
                    client->reader.bytes.len == 0 && !client->call.produce;
    if (is_stale) {
        close_connection(client);
        dial_now(client);
        return;
    }
    fail(client, err, why);
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
        fail(client, ERR(BAD_TLS), handshake_why(tls, &why));
    } else if (what & BEV_EVENT_TIMEOUT) {
        fail(client, ERR(TIMEDOUT), "write: i/o timeout");
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
        advance(client);
    }
    if (!client->has_call || !client->has_ended) {
        return;
    }
    if (client->state == CLIENT_BODY && client->is_until_close) {
        client->body.state = BODY_DONE;
        complete(client);
    } else if (client->state == CLIENT_HANDSHAKE) {
        fail(client, ERR(BAD_TLS), "tls: EOF");
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
        fail(client, ERR(BAD_TLS), why.text);
        return;
    }
    send_request(client);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_client *client = arg;
    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        on_connected(client);
    } else if (!client->has_call) {
        close_connection(client);
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
        fail(client, err, why);
        return;
    }
    socket_tune(fd);
    client->bev = client->is_tls ? wrap_tls(client, fd)
                                 : bufferevent_socket_new(client->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!client->bev) {
        close(fd);
        fail(client, ERR(BAD_TLS), "tls: no usable certificate");
        return;
    }
    client->state = client->is_tls ? CLIENT_HANDSHAKE : CLIENT_HEAD;
    bufferevent_setcb(client->bev, on_read, on_write, on_event, client);
    bufferevent_setwatermark(client->bev, EV_READ, 0, INPUT_MAX);
    bufferevent_setwatermark(client->bev, EV_WRITE, OUTPUT_LOW / 2, 0);
    bufferevent_set_max_single_read(client->bev, INPUT_MAX);
    bufferevent_enable(client->bev, EV_READ | EV_WRITE);
    if (client->is_tls) {
        arm(client);
    } else {
        send_request(client);
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
    arm(client);
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
        send_request(client);
        return;
    }
    close_connection(client);
    dial_now(client);
}

struct slice http_answer_header(const struct http_answer *answer, const char *name)
{
    return head_field_get(answer->head, name);
}
