/* SPDX-License-Identifier: Apache-2.0 */
#include "http/exchange.h"

#include "base/clock.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

enum { HEAD_FIELDS_MAX = 100, PRODUCE_BYTES = 64 << 10 };

/* Ends. */

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
        client_disconnect(client);
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

void exchange_fail(struct http_client *client, struct err err, const char *why)
{
    struct why text;
    snprintf(text.text, sizeof(text.text), "%s", why);
    finish(client, err, text.text);
}

/* Time. */

void exchange_arm(struct http_client *client)
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

void exchange_on_timer(evutil_socket_t fd, short what, void *arg)
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
        exchange_fail(client, ERR(TIMEDOUT), "i/o timeout");
    } else {
        exchange_arm(client);
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
        exchange_fail(client, err, why.text[0] ? why.text : err_text(err));
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

void exchange_produce(struct http_client *client)
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
            exchange_fail(client, err_is(err) ? err : ERR(TORN),
                why.text[0] ? why.text : "the body ended before its length");
            return;
        }
        room.iov_len = got;
        evbuffer_commit_space(output, &room, 1);
        client->produced += got;
    }
}

void exchange_send(struct http_client *client)
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
    exchange_arm(client);
    exchange_produce(client);
}

/* The answer. */

void exchange_complete(struct http_client *client)
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
        client_disconnect(client);
    }
    if (is_streamed) {
        exchange_fail(client, ERR(CLOSED), "EOF");
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
        exchange_fail(client, ERR(UNSUPPORTED), "refused");
    }
}

/* False: wait for more, or the call is over. */
static bool read_head(struct http_client *client, struct slice data, size_t *out_taken)
{
    enum head_state state = head_read(&client->reader, data, out_taken);
    if (state == HEAD_TOO_BIG) {
        exchange_fail(client, ERR(TOO_BIG), "the answer's head is too large");
        return false;
    }
    if (state == HEAD_MORE) {
        return true;
    }
    head_fini(&client->head);
    if (!head_parse_answer(
            buf_slice(&client->reader.bytes), HEAD_FIELDS_MAX, &client->head, &client->status)) {
        exchange_fail(client, ERR(BAD_FORMAT), "malformed HTTP response");
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
        exchange_fail(client, ERR(TOO_BIG), "the answer is too large");
        return false;
    }
    if (client->body.state == BODY_BROKEN) {
        exchange_fail(client, ERR(BAD_FORMAT), client->body.broken);
        return false;
    }
    return true;
}

void exchange_advance(struct http_client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->bev);
    bool is_body = client->state == CLIENT_BODY;
    for (;;) {
        if (is_body && body_is_done(&client->body)) {
            exchange_complete(client);
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
