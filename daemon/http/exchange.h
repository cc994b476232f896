/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client is in the middle of, and one call over its connection: the request out, the answer
 * in, its time and its end. The connection itself is client.c's.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "base/buf.h"
#include "http/body.h"
#include "http/client.h"
#include "http/head.h"

#include <event2/util.h>

enum { HEAD_BYTES_MAX = 64 << 10, OUTPUT_LOW = 128 << 10 };

/* CLOSED -> DIALING -> (HANDSHAKE ->) HEAD -> BODY -> IDLE -> HEAD …; from anywhere -> CLOSED. */
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

/* Behind each but exchange_arm the call may be over, and done may have started the next. */

/* Sends the call's request; the connection is there. */
void exchange_send(struct http_client *client);
/* Asks for more of the request's body, if there is any, while little waits to be sent. */
void exchange_produce(struct http_client *client);
/* Takes what has come of the answer. */
void exchange_advance(struct http_client *client);
/* The answer's body is whole. */
void exchange_complete(struct http_client *client);
/* The call is over without a whole answer. */
void exchange_fail(struct http_client *client, struct err err, const char *why);
/* Sets the timer to the next deadline of the call, or of its dialing. */
void exchange_arm(struct http_client *client);
void exchange_on_timer(evutil_socket_t fd, short what, void *arg);

/* In client.c: the connection goes, or the dialing for it. */
void client_disconnect(struct http_client *client);

#endif
