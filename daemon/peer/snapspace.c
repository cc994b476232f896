/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/snapspace.h"

enum { STEP_BYTES = 16 << 20 };

static bool is_told(const struct snapspace *space, uint64_t *out)
{
    return !err_is(disk_free_bytes(space->disk, space->dir, out, NULL));
}

static struct err is_full(
    const struct snapspace *space, uint64_t bytes, uint64_t free_bytes, struct why *why)
{
    return why_set(why, ERR(NO_DISK), "%s: no space for %llu bytes%s, %llu are free", space->dir,
        (unsigned long long)bytes, space->is_twice ? " twice" : "", (unsigned long long)free_bytes);
}

struct err snapspace_init(struct snapspace *space, uint64_t announced, struct why *why)
{
    uint64_t free_bytes = 0;
    space->kept = 0;
    space->next = STEP_BYTES;
    if (!is_told(space, &free_bytes)) {
        return OK;
    }
    space->kept = space->is_twice ? 0 : free_bytes / 8;
    uint64_t room = space->is_twice ? free_bytes / 2 : free_bytes - space->kept;
    return announced <= room ? OK : is_full(space, announced, free_bytes, why);
}

struct err snapspace_came(struct snapspace *space, uint64_t bytes, struct why *why)
{
    uint64_t free_bytes = 0;
    if (bytes < space->next) {
        return OK;
    }
    space->next = bytes + STEP_BYTES;
    uint64_t needed = space->is_twice ? bytes : space->kept;
    return !is_told(space, &free_bytes) || free_bytes >= needed
               ? OK
               : is_full(space, bytes, free_bytes, why);
}
