/* SPDX-License-Identifier: Apache-2.0
 *
 * --discovery-srv of the gateway. Blocks, before anything is served.
 */
#ifndef TCPPROXY_FOUND_H
#define TCPPROXY_FOUND_H

#include "base/srv.h"

struct found_ask {
    const char *domain;
    const char *service; /* --discovery-srv-name, or "" */
    const char *ca;      /* --trusted-ca-file, or "" */
    bool is_insecure;    /* --insecure-discovery: all of them, as they are */
};

struct found {
    struct srv_record *records;
    size_t count; /* 0: none that may be used */
};

/* In the arena. Errors: ABSENT, there are no such records. */
MUST struct err found_ask(
    struct arena *arena, const struct found_ask *ask, struct found *out, struct why *why);

#endif
