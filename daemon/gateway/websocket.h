/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection that became a WebSocket is in the middle of, and what goes over it.
 */
#ifndef GATEWAY_WEBSOCKET_H
#define GATEWAY_WEBSOCKET_H

#include "api/api.h"
#include "gateway/wsframe.h"
#include "http/http.h"

struct websocket {
    struct wsframe frame;
    bool owes_pong; /* of the latest ping, which came while much waited to be sent */
    uint8_t ping[FRAME_CONTROL_MAX];
    size_t ping_len;
};

/* What a handshake is refused with; 0: it is not. */
int websocket_refusal(const struct http_request *request);
/* The answer to one that was not refused. */
void websocket_greet(const struct http_request *request, struct buf *head);
void websocket_init(struct websocket *socket);
/* Takes frames out of a piece of the body; answers pings and closes. data is called with what
 * messages hold, a line feed behind each, until it says false. False: the connection ends, and its
 * last words are written. */
bool websocket_take(struct websocket *socket, struct http_request *request, struct slice bytes,
    bool (*data)(void *arg, struct slice bytes), void *arg);
/* The client has read: answers the ping that waited for it. */
void websocket_writable(struct websocket *socket, struct http_request *request);
/* Sends the line as a message, without its line feed. Takes the buffer's memory. */
void websocket_send(struct http_request *request, struct buf *line);
struct api_caller websocket_caller(const struct http_request *request, struct arena *arena);

#endif
