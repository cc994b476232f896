/* SPDX-License-Identifier: Apache-2.0
 *
 * Unary calls that a thread of a lane answers together. Private to rpc.
 */
#ifndef RPC_ANSWERS_H
#define RPC_ANSWERS_H

#include "rpc/internal.h"

enum { ANSWERS_MAX = 64 }; /* sent together: no answer waits for more of them to be encoded */

/* Calls that a thread of a lane answers together. */
struct rpc_answers {
    struct rpc_unary *first;
    struct rpc_unary **last;
    unsigned count;
    bool is_long; /* one of them may be long in the making */
};

/* What the lane's threads gathered for themselves since; its own thread. */
struct rpc_answers *rpc_unary_answers(void);
void rpc_unary_answer(struct rpc_lane *lane, struct rpc_answers *answers);
void rpc_unary_lane_init(struct rpc_lane *lane);

#endif
