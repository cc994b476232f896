/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a member without data comes from: a cluster that is new, as --initial-cluster or discovery
 * says, or one that runs and is asked over the peers' ports. Main thread, before any other exists;
 * blocks.
 */
#ifndef BOOT_FOUND_H
#define BOOT_FOUND_H

#include "config/config.h"
#include "http/http.h"
#include "member/member.h"

struct founding {
    struct arena *arena; /* owns the members; made when NULL, the caller's to free */
    uint64_t self_id;
    uint64_t cluster_id;
    bool is_join;
    struct member *members; /* ascending ids; of a new cluster its first, else all that run it */
    size_t members_count;
};

/* Asks the others, dialing so. Errors: BAD_CONFIG in etcd's words. */
MUST struct err found_cluster(const struct config *config, const struct http_dialing *dialing,
    struct founding *out, struct why *why);
/* The members of a new cluster alone, nobody asked. */
MUST struct err found_new(const struct config *config, struct founding *out, struct why *why);

#endif
