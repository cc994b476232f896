/* SPDX-License-Identifier: Apache-2.0
 *
 * From one configuration to the next (Raft thesis §4.3, joint consensus): each function takes the
 * membership in force and gives a new one, or an error and why; nothing is changed in place.
 */
#ifndef RAFT_CONFCHANGE_H
#define RAFT_CONFCHANGE_H

#include "raft/tracker.h"

struct changer {
    const struct tracker *tracker;
    uint64_t last_index; /* where probing a new member begins */
};

/* At most one voter may change. Errors of all: BAD_INPUT. */
MUST struct err confchange_simple(const struct changer *changer,
    const struct raft_conf_change_single *changes, size_t count, struct membership *out,
    struct why *why);
/* changes of a conf change with its auto leave flag. */
MUST struct err confchange_enter_joint(const struct changer *changer, bool auto_leave,
    const struct raft_conf_change *change, struct membership *out, struct why *why);
MUST struct err confchange_leave_joint(
    const struct changer *changer, struct membership *out, struct why *why);
/* Whichever of the three the change asks for. */
MUST struct err confchange_apply(const struct changer *changer,
    const struct raft_conf_change *change, struct membership *out, struct why *why);
/* The membership that conf describes, from nothing. */
MUST struct err confchange_restore(const struct changer *changer,
    const struct raft_conf_state *conf, struct membership *out, struct why *why);

#endif
