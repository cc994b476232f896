/* SPDX-License-Identifier: Apache-2.0
 * Sorting the rows of a store by key, for the bulk build at open. */
#ifndef MVCC_SORT_H
#define MVCC_SORT_H

#include "base/slice.h"

struct sort_item {
    uint64_t chunk; /* scratch: eight bytes of the key, as a number */
    const uint8_t *key;
    uint32_t len;
    uint32_t order; /* among equal keys */
};

/* By key, then by order. Returns how often it looked at an item, give or take: n log n at worst. */
size_t sort_items(struct sort_item *items, size_t count);

#endif
