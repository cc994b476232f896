/* SPDX-License-Identifier: Apache-2.0
 * How much memory this process may use. */
#ifndef BOOT_MEMORY_H
#define BOOT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* A quarter of the machine's memory, or of what its control groups leave to this process. */
size_t memory_share(void);
/* The lowest limit on the way up from the group that the file (as /proc/self/cgroup) names, under
 * the folder where groups are mounted; 0: none. Both versions of cgroups. */
uint64_t memory_group_limit(const char *groups_file, const char *mount);

#endif
