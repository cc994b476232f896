/* SPDX-License-Identifier: Apache-2.0
 *
 * A unary call: arrives together with its request, runs in the api, is encoded and sent by a thread
 * of its lane.
 *
 *   STARTING -- api_call_start returned --> WAITING -- done --> posted to the lane -> finished
 * there
 *        \----- done came first ----------> DONE: the thread that started it finishes it, no
 * hand-off
 *
 * Posting is a batch of no operations: core's completion queue is a lock-free queue whose threads
 * are woken only when it was empty, so calls that end together cost one wake-up.
 */
#include "rpc/internal.h"
#include "rpc/message.h"

#include "base/mem.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

enum { STARTING, WAITING, DONE };

struct rpc_unary {
    struct rpc_head head;
    struct rpc_tag arrived;
    struct rpc_tag ended;
    struct rpc_tag sent;
    atomic_int state;
    struct rpc_message request;
    grpc_byte_buffer *response;
    int is_cancelled;
    struct api_call api;
};

static void on_arrived(struct rpc_tag *tag, bool is_ok);
static void on_ended(struct rpc_tag *tag, bool is_ok);
static void on_sent(struct rpc_tag *tag, bool is_ok);

void rpc_unary_request(struct rpc_lane *lane, const struct rpc_method *method)
{
    struct rpc_unary *unary = mem_new(sizeof(*unary));
    unary->head.lane = lane;
    unary->head.method = method;
    unary->arrived.fn = on_arrived;
    unary->ended.fn = on_ended;
    unary->sent.fn = on_sent;
    grpc_metadata_array_init(&unary->head.metadata);
    grpc_call_error rc = grpc_server_request_registered_call(lane->rpc->server, method->handle,
        &unary->head.call, &unary->head.deadline, &unary->head.metadata, &unary->head.first,
        lane->cq, lane->cq, &unary->arrived);
    check(rc == GRPC_CALL_OK);
}

static void unary_free(struct rpc_unary *unary)
{
    bool is_counted = unary->head.call != NULL;
    struct rpc *rpc = unary->head.lane->rpc;
    if (unary->response) {
        grpc_byte_buffer_destroy(unary->response);
    }
    grpc_slice_unref(unary->request.keep);
    rpc_head_fini(&unary->head);
    if (unary->api.arena) {
        arena_free(unary->api.arena);
    }
    free(unary);
    if (is_counted) {
        rpc_call_ended(rpc);
    }
}

/* Response and status in one batch; its end is the call's. */
static void send_reply(struct rpc_unary *unary, const struct api_status *status)
{
    grpc_op ops[4] = {0};
    const struct rpc_counters *counters = &unary->head.method->counters;
    size_t count = 0;
    grpc_slice text = grpc_slice_from_static_string(status->text ? status->text : "");
    ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
    if (unary->response) {
        rpc_count_sent(counters, grpc_byte_buffer_length(unary->response));
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = unary->response;
    }
    rpc_count_handled(counters, status->code);
    ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[count].data.send_status_from_server.status = (grpc_status_code)status->code;
    ops[count++].data.send_status_from_server.status_details =
        status->code == GRPC_CODE_OK ? NULL : &text;
    ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[count++].data.recv_close_on_server.cancelled = &unary->is_cancelled;
    grpc_call_error rc = grpc_call_start_batch(unary->head.call, ops, count, &unary->sent, NULL);
    check(rc == GRPC_CALL_OK);
}

static void finish(struct rpc_unary *unary)
{
    struct payload payload;
    struct api_status status = {0};
    payload_init(&payload);
    api_call_finish(&unary->api, &payload, &status);
    if (status.code == GRPC_CODE_OK) {
        unary->response = rpc_message_new(&payload);
    }
    payload_fini(&payload);
    send_reply(unary, &status);
}

/* From the api, any thread. */
static void on_done(struct api_call *call)
{
    struct rpc_unary *unary = call->edge;
    if (atomic_exchange(&unary->state, DONE) == WAITING) {
        grpc_call_error rc = grpc_call_start_batch(unary->head.call, NULL, 0, &unary->ended, NULL);
        check(rc == GRPC_CALL_OK);
    }
}

static void start(struct rpc_unary *unary)
{
    struct rpc *rpc = unary->head.lane->rpc;
    struct api_call *call = &unary->api;
    struct api_status refusal = {GRPC_CODE_INTERNAL, "unary request without a message"};
    call->arena = arena_new(0);
    if (!unary->head.first ||
        !rpc_message_take(rpc, unary->head.first, call->arena, &unary->request, &refusal)) {
        send_reply(unary, &refusal);
        return;
    }
    rpc_count_received(&unary->head.method->counters, unary->request.bytes.len);
    call->method = unary->head.method->method;
    call->request = unary->request.bytes;
    call->deadline_ns = rpc_head_deadline_ns(&unary->head);
    call->done = on_done;
    call->edge = unary;
    rpc_head_caller(&unary->head, call->arena, &call->caller);
    atomic_store(&unary->state, STARTING);
    api_call_start(rpc->api, call);
    if (atomic_exchange(&unary->state, WAITING) == DONE) {
        finish(unary);
    }
}

static void on_arrived(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_unary *unary = CONTAINER_OF(tag, struct rpc_unary, arrived);
    if (!is_ok) {
        unary_free(unary);
        return;
    }
    rpc_call_began(unary->head.lane->rpc);
    metric_inc(unary->head.method->counters.started);
    rpc_unary_request(unary->head.lane, unary->head.method);
    start(unary);
}

static void on_ended(struct rpc_tag *tag, bool is_ok)
{
    (void)is_ok;
    finish(CONTAINER_OF(tag, struct rpc_unary, ended));
}

static void on_sent(struct rpc_tag *tag, bool is_ok)
{
    (void)is_ok;
    unary_free(CONTAINER_OF(tag, struct rpc_unary, sent));
}
