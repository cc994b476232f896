/* SPDX-License-Identifier: Apache-2.0
 *
 * One listening socket. Private to front.
 */
#ifndef FRONT_LISTEN_H
#define FRONT_LISTEN_H

#include "front/front.h"

#include <sys/socket.h>

struct listen_result {
    int fd;
    char *address;   /* as bound; free() */
    char *unix_path; /* to be removed at the end; NULL for TCP; free() */
};

/* Errors: as front_open. */
MUST struct err listen_open(
    const struct url *url, bool reuse_port, struct listen_result *out, struct why *why);

/* "1.2.3.4:5", "[::1]:5", "@". out: FRONT_ADDRESS_MAX bytes. */
enum { FRONT_ADDRESS_MAX = 64 };
void listen_address_text(const struct sockaddr_storage *address, char *out);

#endif
