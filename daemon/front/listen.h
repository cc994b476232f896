/* SPDX-License-Identifier: Apache-2.0
 *
 * One listening socket. Private to front.
 */
#ifndef FRONT_LISTEN_H
#define FRONT_LISTEN_H

#include "front/front.h"

struct listen_result {
    int fd;
    char *address;   /* as bound; free() */
    char *unix_path; /* to be removed at the end; NULL for TCP; free() */
};

/* Errors: as front_open. */
MUST struct err listen_open(
    const struct url *url, bool reuse_port, struct listen_result *out, struct why *why);

#endif
