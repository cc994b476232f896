/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening over TCP as Go's programs do. 0.0.0.0 and "::" are one address: both families, or IPv4
 * where the machine knows no other. Any thread.
 */
#ifndef BASE_TCP_H
#define BASE_TCP_H

#include <stdbool.h>
#include <sys/socket.h>

/* The address as Go reads it: one that is mapped into IPv6 is of IPv4, and "::" is 0.0.0.0. */
void tcp_listen_address(struct sockaddr_storage *address);

/* A listening socket, non-blocking and close-on-exec; what it accepts has keep-alive and no delay.
 * -1: errno, and in out_call the name of the call that failed. */
int tcp_listen(const struct sockaddr_storage *address, bool reuse_port, const char **out_call);

#endif
