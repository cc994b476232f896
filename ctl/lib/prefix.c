/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/prefix.h"

struct slice prefix_range_end(struct arena *arena, struct slice prefix)
{
    while (prefix.len > 0 && prefix.data[prefix.len - 1] == 0xff) {
        prefix.len--;
    }
    if (prefix.len == 0) {
        return PREFIX_FROM_KEY;
    }
    uint8_t *end = arena_alloc(arena, prefix.len);
    memcpy(end, prefix.data, prefix.len);
    end[prefix.len - 1]++;
    return slice_of(end, prefix.len);
}
