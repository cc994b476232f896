/* SPDX-License-Identifier: Apache-2.0
 *
 * How a member without data learns who starts the cluster with it, when --initial-cluster does not
 * say: from SRV records, or from a registry that another etcd cluster keeps (v3 discovery). Both
 * answer in the words of --initial-cluster. Main thread, before any other of the member's exists;
 * blocks.
 */
#ifndef DISCOVERY_DISCOVERY_H
#define DISCOVERY_DISCOVERY_H

#include "config/config.h"

/* --discovery-srv: the members that _etcd-server-ssl._tcp and _etcd-server._tcp of the domain name.
 * The one whose address is this member's gets its name, the others get numbers. In the arena.
 * Errors: ABSENT, BAD_CONFIG. */
MUST struct err discovery_from_dns(
    const struct config *config, struct arena *arena, const char **out_cluster, struct why *why);
/* --discovery-endpoints: puts "name=url,…" of this member under /_etcd/registry/TOKEN/members/ID
 * and waits, without end, until as many are there as the registry's size key says; the first of
 * them, in the order that they came. What fails on the way is tried again. In the arena. Errors:
 * BAD_CONFIG (no size, a bad one, a full cluster, malformed members, files of the client). */
MUST struct err discovery_join(const struct config *config, uint64_t member_id, struct arena *arena,
    const char **out_cluster, struct why *why);

#endif
