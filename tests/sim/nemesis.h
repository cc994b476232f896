/* SPDX-License-Identifier: Apache-2.0
 *
 * Who does harm: machines die, stand still and lose power, links are cut, clocks jump, disks fail,
 * members come and go. One thing after another, several at a time; never so much that the cluster
 * could not recover once it ends.
 */
#ifndef SIM_NEMESIS_H
#define SIM_NEMESIS_H

#include "sim.h"

/* A fiber that goes on until run.is_healing. */
void nemesis_start(void);
/* Ends what is still wrong, and starts who is down. */
void nemesis_heal(void);
/* Whether every member that is not gone serves. */
bool nemesis_is_healed(void);

#endif
