/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a lane. Private to rpc.
 */
#ifndef RPC_LANE_H
#define RPC_LANE_H

#include "rpc/internal.h"

/* rpc->lanes[index], whose queue rpc->server is told of. */
void rpc_lane_init(struct rpc *rpc, unsigned index);
/* Its queue is shut down, and nothing is left in it. */
void rpc_lane_fini(struct rpc_lane *lane);
/* Asks core for calls of each kind, once its server is started. */
void rpc_lane_ask(struct rpc_lane *lane);
/* A thread of the lane, given as arg; ends when the queue is shut down. */
void *rpc_lane_main(void *arg);

#endif
