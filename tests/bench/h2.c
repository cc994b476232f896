/* SPDX-License-Identifier: Apache-2.0 */
#include "h2.h"

#include "base/err.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_WINDOW = 8,
    FLAG_END_STREAM = 1,
    FLAG_ACK = 1,
    FLAG_END_HEADERS = 4,
    SETTING_INITIAL_WINDOW = 4,
    HEAD = 9,
    GRPC_HEAD = 5,
    FRAME_MAX = 16384,
    WINDOW_DEFAULT = 65535,
    WINDOW_OURS = 0x7fffffff,
    WINDOW_RENEW = 1 << 29,
    IN_BYTES = 64 << 10,
    OUT_MAX = 1 << 30,
};

/* A message that the windows did not let out whole. */
struct waiting {
    uint32_t stream;
    int64_t window;
    bool is_last;
    struct buf bytes;
    struct waiting *next;
};

struct h2 {
    int fd;
    SSL *ssl;
    struct h2_handler handler;
    struct buf out;
    size_t out_at;
    uint8_t *in;
    size_t in_len;
    uint32_t next_stream;
    int64_t window;        /* what we may send on the connection */
    int64_t window_stream; /* and on a new stream */
    bool is_ready;         /* the peer has spoken */
    int64_t taken;         /* bytes of DATA not yet given back to the peer */
    struct waiting *waiting;
    char *method;
    char *authority;
};

static void add_be(struct buf *out, uint32_t number, int bytes)
{
    while (bytes--) {
        buf_add_byte(out, (uint8_t)(number >> (8 * bytes)));
    }
}

static void add_head(struct buf *out, size_t len, uint8_t type, uint8_t flags, uint32_t stream)
{
    add_be(out, (uint32_t)len, 3);
    buf_add_byte(out, type);
    buf_add_byte(out, flags);
    add_be(out, stream, 4);
}

static uint32_t get_be(const uint8_t *in, int bytes)
{
    uint32_t number = 0;
    while (bytes--) {
        number = number << 8 | *in++;
    }
    return number;
}

/* A literal that both sides remember; name: one of the static table (index), or text. */
static void add_literal(struct buf *out, uint8_t index, const char *name, const char *value)
{
    buf_add_byte(out, 0x40 | index);
    if (!index) {
        buf_add_byte(out, (uint8_t)strlen(name));
        buf_add_str(out, name);
    }
    check(strlen(value) < 127);
    buf_add_byte(out, (uint8_t)strlen(value));
    buf_add_str(out, value);
}

static void add_headers(struct h2 *h2, uint32_t stream)
{
    static const uint8_t indexed[] = {0xc2, 0xc1, 0xc0, 0xbf, 0xbe};
    struct buf block;
    buf_init(&block, FRAME_MAX);
    buf_add_byte(&block, 0x83);                  /* :method POST */
    buf_add_byte(&block, h2->ssl ? 0x87 : 0x86); /* :scheme */
    if (stream == 1) {
        add_literal(&block, 4, NULL, h2->method);
        add_literal(&block, 1, NULL, h2->authority);
        add_literal(&block, 31, NULL, "application/grpc");
        add_literal(&block, 0, "user-agent", "grpc-bench/1");
        add_literal(&block, 0, "te", "trailers");
    } else {
        buf_add(&block, indexed, sizeof(indexed));
    }
    add_head(&h2->out, block.len, FRAME_HEADERS, FLAG_END_HEADERS, stream);
    buf_add_slice(&h2->out, buf_slice(&block));
    buf_fini(&block);
}

/* Puts what the windows allow into frames; returns how much. */
static size_t add_data(
    struct h2 *h2, uint32_t stream, struct slice bytes, int64_t *window, bool is_last)
{
    size_t at = 0;
    while (at<bytes.len && * window> 0 && h2->window > 0) {
        size_t len = bytes.len - at;
        len = len > FRAME_MAX ? FRAME_MAX : len;
        len = (int64_t)len > *window ? (size_t)*window : len;
        len = (int64_t)len > h2->window ? (size_t)h2->window : len;
        bool is_end = is_last && at + len == bytes.len;
        add_head(&h2->out, len, FRAME_DATA, is_end ? FLAG_END_STREAM : 0, stream);
        buf_add(&h2->out, bytes.data + at, len);
        at += len;
        *window -= (int64_t)len;
        h2->window -= (int64_t)len;
    }
    return at;
}

static void wait_for_window(struct h2 *h2, struct waiting *waiting)
{
    struct waiting **at = &h2->waiting;
    while (*at) {
        at = &(*at)->next;
    }
    *at = waiting;
}

static void send_message(
    struct h2 *h2, uint32_t stream, struct slice message, bool is_last, int64_t window)
{
    size_t len = GRPC_HEAD + message.len;
    if (!h2->waiting && len <= FRAME_MAX && (int64_t)len <= window && (int64_t)len <= h2->window) {
        add_head(&h2->out, len, FRAME_DATA, is_last ? FLAG_END_STREAM : 0, stream);
        buf_add_byte(&h2->out, 0);
        add_be(&h2->out, (uint32_t)message.len, 4);
        buf_add_slice(&h2->out, message);
        h2->window -= (int64_t)len;
        return;
    }
    struct waiting *waiting = mem_new(sizeof(*waiting));
    *waiting = (struct waiting){.stream = stream, .window = window, .is_last = is_last};
    buf_init(&waiting->bytes, OUT_MAX);
    buf_add_byte(&waiting->bytes, 0);
    add_be(&waiting->bytes, (uint32_t)message.len, 4);
    buf_add_slice(&waiting->bytes, message);
    wait_for_window(h2, waiting);
}

uint32_t h2_call(struct h2 *h2, struct slice message, bool is_last)
{
    uint32_t stream = h2->next_stream;
    h2->next_stream += 2;
    add_headers(h2, stream);
    send_message(h2, stream, message, is_last, h2->window_stream);
    return stream;
}

void h2_send(struct h2 *h2, uint32_t stream, struct slice message)
{
    send_message(h2, stream, message, false, h2->window_stream);
}

static void send_waiting(struct h2 *h2)
{
    struct waiting **at = &h2->waiting;
    while (*at && h2->window > 0) {
        struct waiting *w = *at;
        size_t sent = add_data(h2, w->stream, buf_slice(&w->bytes), &w->window, w->is_last);
        buf_drop(&w->bytes, sent);
        if (w->bytes.len) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        buf_fini(&w->bytes);
        free(w);
    }
}

bool h2_flush(struct h2 *h2)
{
    send_waiting(h2);
    while (h2->out_at < h2->out.len) {
        const uint8_t *from = h2->out.data + h2->out_at;
        size_t len = h2->out.len - h2->out_at;
        ssize_t put;
        if (h2->ssl) {
            put = SSL_write(h2->ssl, from, len > INT32_MAX ? INT32_MAX : (int)len);
        } else {
            put = send(h2->fd, from, len, MSG_NOSIGNAL);
        }
        if (put <= 0) {
            return false;
        }
        h2->out_at += (size_t)put;
    }
    buf_reset(&h2->out);
    h2->out_at = 0;
    return true;
}

static void take_settings(struct h2 *h2, uint8_t flags, struct slice body)
{
    if (flags & FLAG_ACK) {
        return;
    }
    h2->is_ready = true;
    for (size_t at = 0; at + 6 <= body.len; at += 6) {
        int64_t value = get_be(body.data + at + 2, 4);
        if (get_be(body.data + at, 2) == SETTING_INITIAL_WINDOW) {
            for (struct waiting *w = h2->waiting; w; w = w->next) {
                w->window += value - h2->window_stream;
            }
            h2->window_stream = value;
        }
    }
    add_head(&h2->out, 0, FRAME_SETTINGS, FLAG_ACK, 0);
}

static void take_window(struct h2 *h2, uint32_t stream, struct slice body)
{
    int64_t more = body.len >= 4 ? get_be(body.data, 4) : 0;
    if (stream == 0) {
        h2->window += more;
        return;
    }
    for (struct waiting *w = h2->waiting; w; w = w->next) {
        w->window += w->stream == stream ? more : 0;
    }
}

static void take_data(struct h2 *h2, uint32_t stream, struct slice body)
{
    h2->taken += (int64_t)body.len;
    if (h2->taken > WINDOW_RENEW) {
        add_head(&h2->out, 4, FRAME_WINDOW, 0, 0);
        add_be(&h2->out, (uint32_t)h2->taken, 4);
        h2->taken = 0;
    }
    h2->handler.data(h2->handler.arg, stream, body);
}

static void take_frame(struct h2 *h2, const uint8_t *head, struct slice body)
{
    uint8_t type = head[3];
    uint8_t flags = head[4];
    uint32_t stream = get_be(head + 5, 4) & 0x7fffffff;
    bool is_end = type == FRAME_RST;
    if (type == FRAME_DATA) {
        take_data(h2, stream, body);
        is_end = flags & FLAG_END_STREAM;
    } else if (type == FRAME_HEADERS) {
        is_end = flags & FLAG_END_STREAM;
    } else if (type == FRAME_SETTINGS) {
        take_settings(h2, flags, body);
    } else if (type == FRAME_WINDOW) {
        take_window(h2, stream, body);
    } else if (type == FRAME_PING && !(flags & FLAG_ACK)) {
        add_head(&h2->out, body.len, FRAME_PING, FLAG_ACK, 0);
        buf_add_slice(&h2->out, body);
    }
    if (is_end) {
        h2->handler.end(h2->handler.arg, stream);
    }
}

static void take_frames(struct h2 *h2)
{
    size_t at = 0;
    while (h2->in_len - at >= HEAD) {
        const uint8_t *head = h2->in + at;
        size_t len = get_be(head, 3);
        if (h2->in_len - at < HEAD + len) {
            break;
        }
        take_frame(h2, head, slice_of(head + HEAD, len));
        at += HEAD + len;
    }
    memmove(h2->in, h2->in + at, h2->in_len - at);
    h2->in_len -= at;
}

bool h2_read(struct h2 *h2)
{
    for (;;) {
        size_t room = IN_BYTES - h2->in_len;
        ssize_t got = h2->ssl ? SSL_read(h2->ssl, h2->in + h2->in_len, (int)room)
                              : recv(h2->fd, h2->in + h2->in_len, room, 0);
        if (got <= 0) {
            int why = h2->ssl ? SSL_get_error(h2->ssl, (int)got) : 0;
            return h2->ssl ? why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE
                           : got < 0 && errno == EAGAIN;
        }
        h2->in_len += (size_t)got;
        take_frames(h2);
        if (!h2->ssl && (size_t)got < room) {
            return true; /* the socket is empty, or tells again */
        }
    }
}

static int connect_to(const char *endpoint)
{
    char host[64];
    const char *colon = strrchr(endpoint, ':');
    struct sockaddr_in to = {.sin_family = AF_INET};
    check(colon && (size_t)(colon - endpoint) < sizeof(host));
    snprintf(host, sizeof(host), "%.*s", (int)(colon - endpoint), endpoint);
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    check(inet_pton(AF_INET, host, &to.sin_addr) == 1);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        perror(endpoint);
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static SSL *shake_hands(SSL_CTX *tls, int fd)
{
    SSL *ssl = SSL_new(tls);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1) {
        fprintf(stderr, "the TLS handshake failed\n");
        exit(1);
    }
    return ssl;
}

struct h2 *h2_open(const struct h2_target *target, const struct h2_handler *handler)
{
    struct h2 *h2 = mem_new(sizeof(*h2));
    h2->handler = *handler;
    h2->method = mem_strdup(target->method);
    h2->authority = mem_strdup(target->endpoint);
    h2->in = mem_alloc(IN_BYTES);
    h2->next_stream = 1;
    h2->window = h2->window_stream = WINDOW_DEFAULT;
    buf_init(&h2->out, OUT_MAX);
    h2->fd = connect_to(target->endpoint);
    if (target->tls) {
        h2->ssl = shake_hands(target->tls, h2->fd);
    }
    fcntl(h2->fd, F_SETFL, O_NONBLOCK);
    buf_add_str(&h2->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    add_head(&h2->out, 6, FRAME_SETTINGS, 0, 0);
    add_be(&h2->out, SETTING_INITIAL_WINDOW, 2);
    add_be(&h2->out, WINDOW_OURS, 4);
    add_head(&h2->out, 4, FRAME_WINDOW, 0, 0);
    add_be(&h2->out, WINDOW_OURS - WINDOW_DEFAULT, 4);
    return h2;
}

void h2_close(struct h2 *h2)
{
    SSL_free(h2->ssl);
    close(h2->fd);
    while (h2->waiting) {
        struct waiting *w = h2->waiting;
        h2->waiting = w->next;
        buf_fini(&w->bytes);
        free(w);
    }
    buf_fini(&h2->out);
    free(h2->in);
    free(h2->method);
    free(h2->authority);
    free(h2);
}

bool h2_is_ready(const struct h2 *h2)
{
    return h2->is_ready;
}

int h2_fd(const struct h2 *h2)
{
    return h2->fd;
}

SSL_CTX *h2_tls_new(const char *ca, const char *cert, const char *key)
{
    static const uint8_t alpn[] = {2, 'h', '2'};
    if (!ca) {
        return NULL;
    }
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    check(tls);
    if (SSL_CTX_load_verify_locations(tls, ca, NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "cannot use %s, %s, %s\n", ca, cert, key);
        exit(1);
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(tls, alpn, sizeof(alpn));
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}
