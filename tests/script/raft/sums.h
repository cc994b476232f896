/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands about quorums (committed, vote) and about configurations (simple, enter-joint,
 * leave-joint), which need no group of members.
 */
#ifndef SUMS_H
#define SUMS_H

#include "raft/tracker.h"
#include "script.h"

/* False when the command is another's. */
bool quorum_handle(const struct script_case *c, struct buf *out);

struct conf_world {
    struct tracker tracker;
    uint64_t last_index; /* one more a command */
};

void conf_world_init(struct conf_world *world);
bool conf_handle(struct conf_world *world, const struct script_case *c, struct buf *out);

/* "v1 l2 r3 u4" as changes; dies on anything else. */
void parse_changes(const struct script_case *c, struct raft_conf_change *out);

#endif
