/* SPDX-License-Identifier: Apache-2.0
 *
 * A unary call: arrives together with its request, runs in the api, is encoded and sent by a thread
 * of its lane.
 *
 *   STARTING -- api_call_start returned --> WAITING -- done --> put on the lane's list
 *        \----- done came first ----------> DONE: the thread that started it answers it
 *
 * Who puts the first call on an empty list wakes a thread of the lane with a batch of no
 * operations; that thread takes all there are. A thread answers what it has together, so that the
 * answers of a connection go out in one write.
 */
#include "rpc/answers.h"
#include "rpc/internal.h"
#include "rpc/message.h"
#include "rpc/shim.h"

#include "base/clock.h"
#include "base/mem.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

enum { STARTING, WAITING, DONE };

struct rpc_unary {
    struct rpc_head head;
    struct rpc_tag arrived;
    struct rpc_closure sent;
    atomic_int state;
    int64_t began_ns; /* where calls are timed */
    struct rpc_unary *next;
    struct rpc_message request;
    grpc_byte_buffer *response;
    struct rpc_tag closed; /* of a patient call: its client is gone, or has its answer */
    int is_cancelled;
    bool is_patient;
    atomic_uint refs; /* operations that will come back */
    bool is_refused;  /* before the api saw it */
    struct api_status refusal;
    struct api_call api;
};

static void on_arrived(struct rpc_tag *tag, bool is_ok);
static void on_sent(struct rpc_closure *closure);
static void on_closed(struct rpc_tag *tag, bool is_ok);

static _Thread_local struct rpc_answers answers_here;

void rpc_unary_request(struct rpc_lane *lane, const struct rpc_method *method)
{
    struct rpc_unary *unary = mem_new(sizeof(*unary));
    unary->head.lane = lane;
    unary->head.method = method;
    unary->arrived.fn = on_arrived;
    unary->sent.fn = on_sent;
    unary->closed.fn = on_closed;
    atomic_store(&unary->refs, 1);
    grpc_metadata_array_init(&unary->head.metadata);
    grpc_call_error rc = grpc_server_request_registered_call(lane->rpc->server, method->handle,
        &unary->head.call, &unary->head.deadline, &unary->head.metadata, &unary->head.first,
        lane->cq, lane->cq, &unary->arrived);
    check(rc == GRPC_CALL_OK);
}

static void unary_unref(struct rpc_unary *unary)
{
    if (atomic_fetch_sub(&unary->refs, 1) != 1) {
        return;
    }
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
    rpc_count_handled(counters, status->code, unary->began_ns);
    ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[count].data.send_status_from_server.status = (grpc_status_code)status->code;
    ops[count++].data.send_status_from_server.status_details =
        status->code == GRPC_CODE_OK ? NULL : &text;
    if (!unary->is_patient) {
        ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[count++].data.recv_close_on_server.cancelled = &unary->is_cancelled;
    }
    grpc_call_error rc = rpc_shim_batch(unary->head.call, ops, count, &unary->sent);
    check(rc == GRPC_CALL_OK);
}

static void finish(struct rpc_unary *unary)
{
    struct payload payload;
    struct api_status status = {0};
    payload_init(&payload);
    if (unary->is_refused) {
        send_reply(unary, &unary->refusal);
        return;
    }
    api_call_finish(&unary->api, &payload, &status);
    if (status.code == GRPC_CODE_OK) {
        unary->response = rpc_message_new(&payload);
    }
    payload_fini(&payload);
    send_reply(unary, &status);
}

static void answers_add(struct rpc_answers *answers, struct rpc_unary *unary)
{
    unary->next = NULL;
    *answers->last = unary;
    answers->last = &unary->next;
    answers->count++;
    answers->is_long |= !unary->is_refused && !unary->api.is_quick;
}

struct rpc_answers *rpc_unary_answers(void)
{
    answers_here.last = &answers_here.first;
    return &answers_here;
}

static void finish_all(void *arg)
{
    struct rpc_unary *unary = arg;
    while (unary) {
        struct rpc_unary *next = unary->next; /* it may be gone when finish returns */
        finish(unary);
        unary = next;
    }
}

void rpc_unary_answer(struct rpc_lane *lane, struct rpc_answers *answers)
{
    struct rpc_unary *first = answers->first;
    bool is_long = answers->is_long;
    *answers = (struct rpc_answers){.last = &answers->first};
    if (!first) {
        return;
    }
    if (is_long) {
        rpc_poll_leave(&lane->poll);
    }
    int64_t began_ns = clock_mono_ns();
    rpc_shim_together(finish_all, first);
    rpc_poll_worked(clock_mono_ns() - began_ns);
}

static void finish_one(void *arg)
{
    finish(arg);
}

/* From the api, any thread. A large answer is sent at once, by the thread that made it: those that
 * wait for a lane wait for no other's megabytes. Else the call may be answered and gone as soon as
 * it is on the list; who wakes the lane by it holds on to it. */
static void on_done(struct api_call *call)
{
    struct rpc_unary *unary = call->edge;
    struct rpc_lane *lane = unary->head.lane;
    grpc_call *waker = NULL;
    if (atomic_exchange(&unary->state, DONE) != WAITING) {
        return;
    }
    if (call->is_made) {
        rpc_shim_together(finish_one, unary);
        return;
    }
    struct rpc_unary *last = atomic_load(&lane->ended);
    do {
        if (!last && !waker) {
            waker = unary->head.call;
            grpc_call_ref(waker);
        }
        unary->next = last;
    } while (!atomic_compare_exchange_weak(&lane->ended, &last, unary));
    if (!last) {
        check(grpc_call_start_batch(waker, NULL, 0, &lane->ended_tag, NULL) == GRPC_CALL_OK);
    }
    if (waker) {
        grpc_call_unref(waker);
    }
}

static void on_ended(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_lane *lane = CONTAINER_OF(tag, struct rpc_lane, ended_tag);
    struct rpc_unary *last = atomic_exchange(&lane->ended, NULL);
    struct rpc_unary *first = NULL;
    (void)is_ok;
    while (last) { /* in the order in which they ended */
        struct rpc_unary *before = last->next;
        last->next = first;
        first = last;
        last = before;
    }
    while (first) {
        struct rpc_unary *next = first->next;
        answers_add(&answers_here, first);
        if (answers_here.count == ANSWERS_MAX) {
            rpc_unary_answer(lane, &answers_here);
        }
        first = next;
    }
    rpc_unary_answer(lane, &answers_here);
}

void rpc_unary_lane_init(struct rpc_lane *lane)
{
    lane->ended_tag.fn = on_ended;
}

/* A call that may wait for long hears of its client's end while it waits. */
static void await_close(struct rpc_unary *unary)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &unary->is_cancelled;
    atomic_fetch_add(&unary->refs, 1);
    grpc_call_error rc = grpc_call_start_batch(unary->head.call, &op, 1, &unary->closed, NULL);
    check(rc == GRPC_CALL_OK);
}

static void start(struct rpc_unary *unary)
{
    struct rpc *rpc = unary->head.lane->rpc;
    struct api_call *call = &unary->api;
    struct api_status refusal = {GRPC_CODE_INTERNAL, "unary request without a message"};
    call->arena = arena_new(0);
    if (!unary->head.first ||
        !rpc_message_take(rpc, unary->head.first, call->arena, &unary->request, &refusal)) {
        unary->is_refused = true;
        unary->refusal = refusal;
        answers_add(&answers_here, unary);
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
    unary->is_patient = api_call_is_patient(call->method);
    api_call_start(rpc->api, call);
    if (unary->is_patient) {
        await_close(unary);
    }
    if (atomic_exchange(&unary->state, WAITING) == DONE) {
        answers_add(&answers_here, unary);
    }
}

static void on_arrived(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_unary *unary = CONTAINER_OF(tag, struct rpc_unary, arrived);
    if (!is_ok) {
        unary_unref(unary);
        return;
    }
    rpc_call_began(unary->head.lane->rpc);
    metric_inc(unary->head.method->counters.started);
    unary->began_ns = rpc_began_ns(&unary->head.method->counters);
    rpc_unary_request(unary->head.lane, unary->head.method);
    start(unary);
}

/* On a thread of core's. */
static void on_sent(struct rpc_closure *closure)
{
    unary_unref(CONTAINER_OF(closure, struct rpc_unary, sent));
}

static void on_closed(struct rpc_tag *tag, bool is_ok)
{
    struct rpc_unary *unary = CONTAINER_OF(tag, struct rpc_unary, closed);
    if (is_ok && unary->is_cancelled) {
        api_call_cancel(&unary->api);
    }
    unary_unref(unary);
}
