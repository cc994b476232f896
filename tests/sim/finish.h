/* SPDX-License-Identifier: Apache-2.0
 * The end of a run: what was wrong is over, and the cluster has to be well again in bounded time.
 */
#ifndef SIM_FINISH_H
#define SIM_FINISH_H

#include "sim.h"

/* On a fiber outside, after run.is_healing was set; ends in run_fail or returns. */
void finish(void);

#endif
