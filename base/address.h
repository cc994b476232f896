/* SPDX-License-Identifier: Apache-2.0
 *
 * The addresses of sockets as Go writes them. An IPv4 peer of a listener on "::" has the address
 * ::ffff:1.2.3.4; it is 1.2.3.4 wherever it is shown, logged or held against a certificate. Pure.
 */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>

/* Makes an IPv4 address of one that is mapped into IPv6; leaves all others. */
void address_unmap(struct sockaddr_storage *address);

/* "1.2.3.4", "::1"; "": no IP address, as on a unix socket. */
void address_ip(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN]);

/* "1.2.3.4:5", "[::1]:5"; "@" for a unix socket. out: ADDRESS_TEXT_MAX bytes. */
enum { ADDRESS_TEXT_MAX = 64 };
void address_text(const struct sockaddr_storage *address, char *out);

#endif
