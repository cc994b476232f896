/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether URLs written in two ways name the same places. Asks the resolver when the texts differ,
 * and waits for it.
 */
#ifndef BASE_URL_MATCH_H
#define BASE_URL_MATCH_H

#include "base/url.h"

struct addrinfo;

/* The address that Go takes for a name: the first of IPv4, else the first. NULL for NULL. */
const struct addrinfo *url_choose_address(const struct addrinfo *list);

/* How long a host that the resolver does not know is asked for, a second between two times. */
enum { URL_RESOLVE_MS = 30000 };

/* Whether both lists name the same places, host names resolved; localhost is one that is not, as in
 * etcd. until_ms (clock_mono_ms): what cannot be resolved is asked for again until then.
 * Errors: BAD_CONFIG, and in why what differs or could not be resolved. */
MUST struct err url_list_same(struct arena *arena, const struct url_list *a,
    const struct url_list *b, int64_t until_ms, struct why *why);
/* Texts of a that b does not have, each behind prefix, joined; "" when there are none. */
const char *url_list_missing(
    struct arena *arena, const struct url_list *a, const struct url_list *b, const char *prefix);
/* That a member of --initial-cluster stands there with the URLs of --initial-advertise-peer-urls;
 * may take URL_RESOLVE_MS.
 * Errors: BAD_CONFIG in etcd's words. */
MUST struct err url_check_advertised(struct arena *arena, const struct url_member *self,
    const struct url_list *advertised, struct why *why);

#endif
