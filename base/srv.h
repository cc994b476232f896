/* SPDX-License-Identifier: Apache-2.0
 *
 * SRV records (RFC 2782): where a service of a domain is to be found. Asked through libresolv, so
 * that /etc/resolv.conf says whom. Blocks.
 */
#ifndef BASE_SRV_H
#define BASE_SRV_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/text.h"

#include <stdint.h>

struct srv_record {
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    const char *host; /* without the last dot */
};

struct srv_records {
    const struct srv_record *items; /* by priority, then the heavier before */
    size_t count;
};

/* The records of a name server's answer; those whose host is no host name are left out. In the
 * arena. Errors: BAD_FORMAT. */
MUST struct err srv_parse(struct arena *arena, struct slice answer, struct srv_records *out);
/* Records of _service._tcp.domain. Errors: ABSENT in Go's words. */
MUST struct err srv_look_up(struct arena *arena, const char *service, const char *domain,
    struct srv_records *out, struct why *why);
/* Endpoints for clients of domain: _etcd-client-ssl._tcp as https://, then _etcd-client._tcp as
 * http://; name, when it is not "", is put behind the service with a "-". In the arena,
 * NULL-terminated; out_records, the record of each, may be NULL. Errors: ABSENT, when there are
 * neither. */
MUST struct err srv_clients(struct arena *arena, const char *domain, const char *name,
    struct text_list *out_list, struct srv_records *out_records, struct why *why);

#endif
