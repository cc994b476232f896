/* SPDX-License-Identifier: Apache-2.0
 * What a seed decides ahead. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include "sim.h"

/* members 0, load_s 0: the seed's choice. */
void plan_draw(struct plan *plan, uint64_t seed, int members, int64_t load_s);
/* Then: an hour, unless load_s says another time, as days are. Little load, ticks as clusters have
 * them, a fault every minute or so, of which some last. */
void plan_stretch(struct plan *plan, int64_t load_s);
/* The world's part of it. */
struct world_options plan_world(const struct plan *plan);

#endif
