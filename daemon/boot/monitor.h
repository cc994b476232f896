/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks against corruption: before a member serves (--initial-corrupt-check), and on the leader
 * now and then: --corrupt-check-time compares the newest state, --compact-hash-check-enabled what
 * the last compactions hashed to. A member that differs gets a CORRUPT alarm. Started and stopped
 * on the main thread; a thread of its own, which may block.
 */
#ifndef BOOT_MONITOR_H
#define BOOT_MONITOR_H

#include "boot/questions.h"
#include "boot/storage.h"

struct monitor;

/* NULL: nothing is to be checked. */
struct monitor *monitor_start(
    const struct config *config, struct storage *storage, struct questions *questions);
/* Once nobody waits for others any more: the server and the transport were stopped. NULL is fine.
 */
void monitor_stop(struct monitor *monitor);

/* Before the server runs: this member's state against the others'. Blocks. Errors: CORRUPT. */
MUST struct err monitor_initial(struct storage *storage, struct why *why);

/* The rules alone, for tests. What the leader makes of the others' hashes at one of its
 * compactions. */
struct monitor_verdict {
    uint64_t alarms[RAFT_MEMBERS_MAX]; /* who is to be alarmed of; 0: nobody knows who is wrong */
    size_t count;
    bool is_checked; /* everybody has answered for that compaction, or somebody differs */
};
void monitor_judge_compaction(const struct mvcc_hash *own, uint64_t self_id,
    const struct peer_answered *others, size_t count, struct monitor_verdict *out);
/* Of the newest state: before and after asking. 0: all is well. */
uint64_t monitor_judge_newest(const struct mvcc_hash *before, const struct mvcc_hash *after,
    uint64_t self_id, const struct peer_answered *others, size_t count);

#endif
