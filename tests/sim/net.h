/* SPDX-License-Identifier: Apache-2.0
 *
 * What peer is to a member, over a network that delays, loses, reorders, doubles and cuts: raft's
 * messages in peer's own encoding, snapshots, and the questions that members ask each other.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim.h"

struct server_transport net_transport(struct process *process);
struct server_asking net_asking(struct process *process);
struct api_peers net_peers(struct process *process);
/* Takes in what comes for a member whose server runs. */
void net_start(struct process *process);

/* One way. */
void net_cut(int from, int to, bool is_cut);
/* Messages on that link take so much longer. */
void net_slow(int from, int to, int64_t extra_ns);
void net_heal(void);
bool net_is_reachable(const struct machine *from, const struct machine *to);
/* A message's way. */
int64_t net_delay(void);

#endif
