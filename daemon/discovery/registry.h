/* SPDX-License-Identifier: Apache-2.0
 *
 * The members that a discovery service has for one token. Pure: what keys mean, not how they are
 * fetched.
 *
 *   /_etcd/registry/TOKEN/_config/size     "3", put by whoever starts the cluster
 *   /_etcd/registry/TOKEN/members/ID       "name=url,name=url"; ID as etcd prints it, in hex
 */
#ifndef DISCOVERY_REGISTRY_H
#define DISCOVERY_REGISTRY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

struct registry_member {
    const char *key;
    const char *urls;         /* "name=url,name=url" */
    int64_t created_revision; /* those that came first are in the cluster */
};

struct registry {
    struct arena *arena;
    const char *size_key;
    const char *members_prefix; /* without a '/' at the end, as etcd asks for it */
    const char *self_key;
    size_t size;
    struct registry_member *items; /* by created_revision */
    size_t count;
};

struct registry *registry_new(struct arena *arena, const char *token, uint64_t member_id);
/* Errors: BAD_CONFIG in etcd's words. */
MUST struct err registry_set_size(struct registry *registry, struct slice value, struct why *why);
void registry_clear(struct registry *registry);
/* NULL, or why it is not one of the members. */
const char *registry_add(
    struct registry *registry, struct slice key, struct slice value, int64_t created_revision);
/* Whether there is, or would be, no place for this member. */
bool registry_excludes_self(const struct registry *registry);
/* The first members in the words of --initial-cluster. Errors: BAD_CONFIG. */
MUST struct err registry_cluster(
    const struct registry *registry, const char **out_cluster, struct why *why);

#endif
