/* SPDX-License-Identifier: Apache-2.0
 *
 * Two members that know each other, and what they send.
 */
#ifndef TESTS_PEER_PAIR_H
#define TESTS_PEER_PAIR_H

#include "node.h"

enum { CLUSTER = 0xc1, ONE = 0x11, TWO = 0x22 };

extern struct node one;
extern struct node two;

/* For cmocka: both are there and not yet started. Neither has a TLS context. */
int pair_setup(void **state);
int pair_setup_https(void **state);
int pair_teardown(void **state);
/* All four streams stand. */
void pair_start(void);
/* Each knows the other; two does first. */
void pair_meet(void);

struct raft_message pair_heartbeat(uint64_t to, uint64_t from, uint64_t commit);
/* From one to two, behind this index. */
struct raft_message pair_append(uint64_t index, size_t entries_count, size_t bytes);
/* From one to two. */
void pair_send_snapshot(uint64_t index);
/* Again and again, as raft does, until it has arrived. */
void pair_deliver_snapshot(uint64_t index);

#endif
