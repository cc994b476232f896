/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane: which calls it has asked core for, and what its threads do with what core gives them. */
#include "rpc/lane.h"
#include "rpc/answers.h"

enum {
    UNARY_WAITING = 16, /* calls of one method asked for ahead, a lane */
    LOOKS_SKIPPED = 16,
};

void rpc_lane_init(struct rpc *rpc, unsigned index)
{
    struct rpc_lane *lane = &rpc->lanes[index];
    lane->rpc = rpc;
    /* Thread t is of lane t % lanes. */
    rpc_poll_init(
        &lane->poll, (rpc->threads_count - index + rpc->lanes_count - 1) / rpc->lanes_count);
    rpc_unary_lane_init(lane);
    rpc_streams_init(lane);
    lane->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(rpc->server, lane->cq, NULL);
}

void rpc_lane_fini(struct rpc_lane *lane)
{
    grpc_completion_queue_destroy(lane->cq);
    rpc_poll_fini(&lane->poll);
}

void rpc_lane_ask(struct rpc_lane *lane)
{
    for (size_t i = 0; i < lane->rpc->methods_count; i++) {
        const struct rpc_method *method = &lane->rpc->methods[i];
        if (method->method->kind != API_UNARY) {
            rpc_stream_request(lane, method);
            continue;
        }
        for (int n = 0; n < UNARY_WAITING; n++) {
            rpc_unary_request(lane, method);
        }
    }
    rpc_unknown_request(lane);
}

/* Answers may wait for what is there already, not for what may come. Looking costs a turn of
 * core's poller; where one answer finds no other, it is not looked for again for a while. */
static bool may_wait(const struct rpc_answers *answers, unsigned *skips)
{
    if (answers->count == 0 || answers->count >= ANSWERS_MAX) {
        return false;
    }
    *skips -= *skips > 0;
    return *skips == 0;
}

void *rpc_lane_main(void *arg)
{
    struct rpc_lane *lane = arg;
    struct rpc_answers *answers = rpc_unary_answers();
    unsigned skips = 0;
    for (;;) {
        if (!rpc_poll_stays(&lane->poll)) {
            rpc_unary_answer(lane, answers);
            if (!rpc_poll_wait(&lane->poll)) {
                return NULL;
            }
        }
        gpr_timespec until = answers->count ? gpr_inf_past(GPR_CLOCK_MONOTONIC)
                                            : gpr_inf_future(GPR_CLOCK_MONOTONIC);
        grpc_event event = grpc_completion_queue_next(lane->cq, until, NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            struct rpc_tag *tag = event.tag;
            tag->fn(tag, event.success != 0);
        } else if (answers->count == 1) {
            skips = LOOKS_SKIPPED;
        }
        if (event.type != GRPC_OP_COMPLETE || !may_wait(answers, &skips)) {
            rpc_unary_answer(lane, answers);
        }
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            rpc_poll_end(&lane->poll);
            return NULL;
        }
    }
}
