/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges of keys as the API writes them. Pure.
 */
#ifndef CTL_PREFIX_H
#define CTL_PREFIX_H

#include "base/arena.h"

/* The first key that does not begin with prefix: the last byte below 0xff, raised, and what follows
 * cut. "\0" (to the end of all keys) when there is none. In the arena. */
struct slice prefix_range_end(struct arena *arena, struct slice prefix);

/* The end that means all keys from the first on. */
#define PREFIX_FROM_KEY ((struct slice){(const uint8_t *)"", 1})

#endif
