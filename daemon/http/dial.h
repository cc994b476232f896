/* SPDX-License-Identifier: Apache-2.0
 *
 * From a host and a port to a connected socket, without blocking the loop: a name is looked up on a
 * thread of its own, its addresses are tried one after the other, each for its share of the time.
 */
#ifndef HTTP_DIAL_H
#define HTTP_DIAL_H

#include "http/client.h"

struct dial;
struct lookup;

/* fd < 0: err and why say why not. The fd is the taker's. */
typedef void dial_fn(void *arg, int fd, struct err err, const char *why);

/* done is called once, never from inside; dial_cancel is the other end. Within dialing->dial_ms,
 * from dialing->local_address. */
struct dial *dial_start(struct event_base *base, const struct http_target *target,
    const struct http_dialing *dialing, dial_fn *done, void *arg);
void dial_cancel(struct dial *dial);

/* The addresses of a name (getaddrinfo, a thread for each). failure: its number, 0: found. The list
 * is lent. */
struct addrinfo;
typedef void lookup_fn(void *arg, int failure, const struct addrinfo *addresses);
/* NULL: no thread could be had. */
struct lookup *lookup_start(
    struct event_base *base, const char *host, const char *port, lookup_fn *done, void *arg);
/* After done too: frees the list. */
void lookup_end(struct lookup *lookup);

#endif
