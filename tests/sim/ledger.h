/* SPDX-License-Identifier: Apache-2.0
 *
 * What must be true of the members at every moment, seen where the rooms meet: what raft gives out
 * (raft_take_update), what the log keeps (wal_append), what is applied (apply_entry, apply_commit),
 * what is promised to others. A breach ends the run.
 *
 * One leader a term. Log matching: an entry's index and term say what it holds, and what came
 * before. What is committed once is committed for ever, by all alike; a leader has all of it; a
 * majority has it on disk, and it was counted in the term of its own leader. Votes and
 * acknowledgements are on disk before they are sent, and still there after a crash. Who asks for
 * votes was told before that it may. Entries are applied in order, once a life. Equal state at
 * equal index.
 */
#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "sim.h"

/* A message leaves the machine. */
void ledger_promise(const struct machine *machine, const struct raft_message *message);
void ledger_begin_life(int machine);
/* What a life begins with; is_synced: and made sure of. */
void ledger_opened(
    const struct machine *machine, uint64_t snapshot, const struct wal_log *log, bool is_synced);
/* The highest index that anybody knows to be committed. */
uint64_t ledger_committed(void);
/* Holds the state against that of the others at the same index. */
void ledger_state(const struct machine *machine, const struct apply *apply);

#endif
