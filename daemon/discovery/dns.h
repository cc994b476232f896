/* SPDX-License-Identifier: Apache-2.0
 *
 * What SRV records say of a cluster's members.
 */
#ifndef DISCOVERY_DNS_H
#define DISCOVERY_DNS_H

#include "base/srv.h"
#include "base/url.h"

/* Who asks, and for which scheme. */
struct dns_self {
    const char *name;
    const struct url_list *peer_urls; /* advertised */
    const char *service;              /* "etcd-server-ssl" */
    const char *scheme;               /* "https" */
};

/* "name=scheme://host:port" of each record, behind the ones already in *list. The record whose
 * address is that of a peer URL of the asker is the asker, provided that the scheme is the same.
 * Resolves host names. Errors: BAD_CONFIG, when nothing is added. */
MUST struct err dns_members(struct arena *arena, const struct dns_self *self,
    const struct srv_records *records, struct text_list *list, struct why *why);

#endif
