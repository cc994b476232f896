/* SPDX-License-Identifier: Apache-2.0
 * Clocks of each member's own, by which all of its threads go, and what waits in them. The linker
 * leads clock_gettime and the like here. */
#ifndef TEST_SERVER_CLUSTER_CLOCK_H
#define TEST_SERVER_CLUSTER_CLOCK_H

#include "cluster.h"

/* Before any member starts; all clocks are right again. */
void clock_begin(struct cluster *cluster);
/* At once. The monotonic one goes forward only. */
void clock_jump_wall(struct node *node, int64_t by_s);
void clock_jump_mono(struct node *node, int64_t by_s);

/* A member whose core stands still, as all of it does when it is stopped by SIGSTOP. */
struct standstill {
    struct server_ask ask;
    atomic_bool is_there;
    atomic_bool is_over;
    atomic_bool is_gone;
};

void standstill_begin(struct standstill *still, struct node *node);
void standstill_end(struct standstill *still);

#endif
