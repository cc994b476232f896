/* SPDX-License-Identifier: Apache-2.0
 *
 * One binary for the room: each file gives a run_<part>() that returns its number of failures.
 */
#ifndef TEST_RAFT_H
#define TEST_RAFT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raft/raft.h"

int run_chaos(void);
int run_conf(void);
int run_hostile(void);
int run_log(void);
int run_peers(void);
int run_progress(void);
int run_single(void);

/* Options of an eager member: election after 10 ticks, heartbeat every tick, no limits. */
struct raft_options test_options(uint64_t id);
/* Voters 1..count. */
struct raft_snapshot_meta test_meta(uint64_t index, size_t count);
struct raft *test_new(const struct raft_options *options);
void test_step(struct raft *raft, struct raft_event event);
void test_propose(struct raft *raft, const char *text);
/* Takes an update, reports it persisted and applied at once. */
void test_turn(struct raft *raft, struct raft_update *update);

#endif
