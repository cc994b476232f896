/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of a member without data, completed with what a discovery of its cluster says. Main
 * thread; blocks.
 */
#ifndef BOOT_DISCOVER_H
#define BOOT_DISCOVER_H

#include "config/config.h"

/* *config with initial_cluster, members and token set, where they come from discovery: from DNS all
 * members; before v3 discovery this one alone. In the arena. Errors: BAD_CONFIG. */
MUST struct err discover_members(
    const struct config *config, struct arena *arena, struct config *out, struct why *why);
/* v3 discovery, if there is one: waits until the cluster is complete; config->members are then all
 * of them. A signal to stop ends the process. Errors: BAD_CONFIG in etcd's words. */
MUST struct err discover_join(
    struct config *config, uint64_t member_id, struct arena *arena, struct why *why);
/* Said where a discovery is asked for and there is data already. */
void discover_ignored(const struct config *config, const char *wal_dir);

#endif
