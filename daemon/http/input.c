/* SPDX-License-Identifier: Apache-2.0 */
#include "http/input.h"

#include "http/request.h"

#include <event2/buffer.h>

/* Throws away what is left of a body; false: wait for more. */
static bool drain(struct conn *conn, struct evbuffer *input)
{
    while (!body_is_done(&conn->drained)) {
        size_t len = evbuffer_get_length(input);
        struct slice piece;
        size_t taken = body_take(&conn->drained, slice_of(evbuffer_pullup(input, -1), len), &piece);
        if (taken > conn->drain_left || conn->drained.state == BODY_BROKEN) {
            conn_begin_closing(conn);
            return true;
        }
        if (taken == 0) {
            return false;
        }
        conn->drain_left -= taken;
        evbuffer_drain(input, taken);
    }
    conn_begin_idle(conn);
    return true;
}

static void refuse(struct conn *conn, const struct head_refusal *refusal)
{
    refusal_add(conn_output(conn), refusal);
    conn_begin_closing(conn);
}

static void serve(struct conn *conn)
{
    struct head_refusal refusal;
    struct http_request *request = request_new(conn, &conn->reader, &refusal);
    if (!request) {
        refuse(conn, &refusal);
        return;
    }
    conn_no_longer_fresh(conn);
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
        conn_begin_closing(conn);
        return true;
    }
    conn->is_held_back = len > 0 && is_clogged(conn);
    if (len == 0 || conn->is_held_back) {
        return false;
    }
    if (conn->state == CONN_IDLE) {
        conn->state = CONN_HEAD;
        conn_set_deadline(conn, conn->server->options.header_ms);
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
        conn_set_deadline(conn, conn->server->options.body_ms);
    } else {
        event_del(conn->timer);
    }
    return taken > 0;
}

void input_advance(struct conn *conn)
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
