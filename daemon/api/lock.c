/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock: who holds the oldest key under NAME/ holds the lock. The key goes with its lease, by
 * Unlock, or when the client gives up waiting.
 */
#include "api/methods.h"
#include "api/turn.h"

#include <v3lockpb.pb-c.h>

static void got(struct turn *turn)
{
    V3lockpb__LockResponse *response = turn_response(turn, &v3lockpb__lock_response__descriptor);
    response->key = pb_bytes(arena_dup(turn->walk.state->call->arena, turn->key));
    turn_end(turn);
}

static void left(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    (void)answer; /* else its lease ends it */
    walk_end(walk, turn->why_left, turn->why_left_text);
}

/* Leaves the queue. Not when the member stops: the client asks the next one with its lease, and has
 * kept its place. */
static void gave_up(struct turn *turn, struct err err, const char *text)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    if (IS(err, STOPPED)) {
        walk_end(&turn->walk, err, text);
        return;
    }
    turn->why_left = err;
    turn->why_left_text = arena_strdup(turn->walk.arena, text);
    request.key = pb_bytes(turn->key);
    walk_call(&turn->walk, "/etcdserverpb.KV/DeleteRange", &request, left);
}

/* The lease may have ended while it waited. */
static void still_there(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__RangeResponse *response = answer->message;
    if (!response) {
        gave_up(turn, ERR(INNER), answer->text);
    } else if (response->n_kvs == 0) {
        turn_fail(turn, "mutex: session is expired");
    } else {
        turn_keep_header(turn, response->header);
        got(turn);
    }
}

static void waited(struct turn *turn)
{
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    range.key = pb_bytes(turn->key);
    walk_call(&turn->walk, "/etcdserverpb.KV/Range", &range, still_there);
}

static void asked(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__TxnResponse *response = answer->message;
    if (!turn_goes_on(turn, answer)) {
        return;
    }
    const Etcdserverpb__RangeResponse *mine = response->responses[0]->response_range;
    const Etcdserverpb__RangeResponse *oldest = response->responses[1]->response_range;
    turn->rev = response->succeeded ? response->header->revision : mine->kvs[0]->create_revision;
    if (oldest->n_kvs == 0 || oldest->kvs[0]->create_revision == turn->rev) {
        turn_keep_header(turn, response->header);
        got(turn);
    } else {
        turn_wait(turn, waited, gave_up);
    }
}

static void ask(struct turn *turn)
{
    struct arena *arena = arena_new(0);
    struct turn_txn txn;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest mine = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeRequest oldest = turn_range_of(turn->prefix, true, arena);
    Etcdserverpb__RequestOp look_mine = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp look_oldest = ETCDSERVERPB__REQUEST_OP__INIT;
    turn_txn_init(&txn, turn->key, 0);
    put.key = mine.key = pb_bytes(turn->key);
    put.lease = turn->lease;
    txn.op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    txn.op.request_put = &put;
    look_mine.request_case = look_oldest.request_case =
        ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    look_mine.request_range = &mine;
    look_oldest.request_range = &oldest;
    Etcdserverpb__RequestOp *success[] = {&txn.op, &look_oldest};
    Etcdserverpb__RequestOp *failure[] = {&look_mine, &look_oldest};
    txn.request.success = success;
    txn.request.failure = failure;
    txn.request.n_success = txn.request.n_failure = COUNT_OF(success);
    walk_call(&turn->walk, "/etcdserverpb.KV/Txn", &txn.request, asked);
    arena_free(arena);
}

static void have_name(struct turn *turn)
{
    const V3lockpb__LockRequest *request = (const void *)turn->walk.state->request;
    turn_session(turn, request->lease, ask);
}

static void lock_start(struct api *api, struct call_state *state)
{
    const V3lockpb__LockRequest *request = (const void *)state->request;
    turn_start(api, state, pb_slice(request->name), have_name);
}

const struct api_ops api_lock_lock = {.is_patient = true, .start = lock_start};

static void deleted(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__DeleteRangeResponse *response = answer->message;
    if (turn_goes_on(turn, answer)) {
        turn_keep_header(turn, response->header);
        turn_response(turn, &v3lockpb__unlock_response__descriptor);
        turn_end(turn);
    }
}

static void unlock(struct turn *turn)
{
    const V3lockpb__UnlockRequest *request = (const void *)turn->walk.state->request;
    Etcdserverpb__DeleteRangeRequest delete = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    delete.key = request->key;
    walk_call(&turn->walk, "/etcdserverpb.KV/DeleteRange", &delete, deleted);
}

static void unlock_start(struct api *api, struct call_state *state)
{
    turn_start(api, state, SLICE(""), unlock);
}

const struct api_ops api_lock_unlock = {.start = unlock_start};
