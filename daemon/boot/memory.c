/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of /proc/self/cgroup: "0::PATH" names the group of version 2, "N:...,memory,...:PATH" that
 * of version 1. In a container PATH may be the host's; then only the mount's root is there.
 */
#include "boot/memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, PATH_MAX_BYTES = 5000, SHARE = 4 };

static void limit_with(uint64_t *limit, const char *path)
{
    unsigned long long bytes = 0;
    FILE *file = fopen(path, "re");
    if (!file) {
        return;
    }
    if (fscanf(file, "%llu", &bytes) == 1 && bytes > 0 && (*limit == 0 || bytes < *limit)) {
        *limit = bytes; /* "max" is no number */
    }
    fclose(file);
}

/* group is cut off from its end. */
static void limit_upwards(uint64_t *limit, const char *folder, char *group, const char *name)
{
    char path[PATH_MAX_BYTES];
    char *slash;
    do {
        snprintf(path, sizeof(path), "%s%s/%s", folder, group, name);
        limit_with(limit, path);
        slash = strrchr(group, '/');
        if (slash) {
            *slash = 0;
        }
    } while (slash);
}

static bool names_memory(const char *controllers)
{
    char list[LINE_MAX_BYTES + 2];
    snprintf(list, sizeof(list), ",%s,", controllers);
    return strstr(list, ",memory,") != NULL;
}

static void limit_of_line(uint64_t *limit, char *line, const char *mount)
{
    char folder[PATH_MAX_BYTES];
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) {
        return;
    }
    *group++ = 0;
    group[strcspn(group, "\n")] = 0;
    if (controllers[1] == 0) {
        limit_upwards(limit, mount, group, "memory.max");
    } else if (names_memory(controllers + 1)) {
        snprintf(folder, sizeof(folder), "%s/memory", mount);
        limit_upwards(limit, folder, group, "memory.limit_in_bytes");
    }
}

uint64_t memory_group_limit(const char *groups_file, const char *mount)
{
    uint64_t limit = 0;
    char line[LINE_MAX_BYTES];
    FILE *file = fopen(groups_file, "re");
    while (file && fgets(line, sizeof(line), file)) {
        limit_of_line(&limit, line, mount);
    }
    if (file) {
        fclose(file);
    }
    return limit;
}

size_t memory_share(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t limit = memory_group_limit("/proc/self/cgroup", "/sys/fs/cgroup");
    return (size_t)((limit && limit < bytes ? limit : bytes) / SHARE);
}
