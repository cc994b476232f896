/* SPDX-License-Identifier: Apache-2.0
 * What stands behind the thread primitives (fiber.h), besides what pthread.h promises. */
#ifndef SIM_PRIMITIVES_H
#define SIM_PRIMITIVES_H

/* Waits for conditions that end for no reason, which POSIX allows; 0: none. */
void primitives_spurious(unsigned one_in);

#endif
