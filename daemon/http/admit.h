/* SPDX-License-Identifier: Apache-2.0
 *
 * Who comes in, before there is a request: the limits, the TLS handshake, what the site asks of the
 * peer. Whoever does not is told to the site.
 */
#ifndef HTTP_ADMIT_H
#define HTTP_ADMIT_H

#include "http/conn.h"

/* What conn_open builds upon. Takes fd. NULL: over the limits, or the site has no certificate. */
struct bufferevent *admit_socket(
    struct http_server *server, const struct http_site *site, int fd, const char *peer);
/* The handshake is done: the first request may come, now or when the site has vouched; or the
 * connection is gone. */
void admit_peer(struct conn *conn);
/* The handshake broke. failure: errno as the event found it. The connection is gone. */
void admit_broken(struct conn *conn, int failure);
/* Closes a connection that did not get as far as a request. */
void admit_turn_away(struct conn *conn, struct err err, const char *why);

#endif
