/* SPDX-License-Identifier: Apache-2.0
 * Members that come and go under load, as an operator does it: one thing at a time. */
#ifndef SIM_CHANGES_H
#define SIM_CHANGES_H

#include "sim.h"

/* Adds, adds and promotes, or removes a member; nothing while another change is under way. */
void change_begin(void);
bool change_is_under_way(void);
/* Once nothing is on its way any more: who never became a member is taken away, and who was taken
 * away is no member. */
void change_settle(void);

#endif
