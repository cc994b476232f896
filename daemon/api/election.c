/* SPDX-License-Identifier: Apache-2.0
 *
 * Election: who holds the oldest key under NAME/ leads; its value is what the leader proclaims. A
 * leader is known by its key and the revision that made it.
 */
#include "api/methods.h"
#include "api/turn.h"

#include <v3electionpb.pb-c.h>

static const char not_leader[] = "election: not leader";
static const char missing_leader[] = "\"leader\" field must be provided";

static void run_txn(struct turn *turn, struct turn_txn *txn, walk_fn *then)
{
    walk_call(&turn->walk, "/etcdserverpb.KV/Txn", &txn->request, then);
}

/* If the key is still the one made at rev: value under it. */
static void put_if(struct turn *turn, ProtobufCBinaryData value, walk_fn *then)
{
    struct turn_txn txn;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    turn_txn_init(&txn, turn->key, turn->rev);
    put.key = pb_bytes(turn->key);
    put.value = value;
    put.lease = turn->lease;
    txn.op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    txn.op.request_put = &put;
    run_txn(turn, &txn, then);
}

static void delete_if(struct turn *turn, walk_fn *then)
{
    struct turn_txn txn;
    Etcdserverpb__DeleteRangeRequest delete = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    turn_txn_init(&txn, turn->key, turn->rev);
    delete.key = pb_bytes(turn->key);
    txn.op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    txn.op.request_delete_range = &delete;
    run_txn(turn, &txn, then);
}

/* Campaign. */

static const V3electionpb__CampaignRequest *campaign_of(const struct turn *turn)
{
    return (const void *)turn->walk.state->request;
}

static void resigned_after(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    (void)answer; /* else its lease ends it */
    walk_end(walk, turn->why_left, turn->why_left_text);
}

static void leave(struct turn *turn, struct err err, const char *text)
{
    turn->why_left = err;
    turn->why_left_text = arena_strdup(turn->walk.arena, text);
    delete_if(turn, resigned_after);
}

/* A client that is gone leaves the queue; after a failure it asks again with its lease. */
static void gave_up(struct turn *turn, struct err err, const char *text)
{
    if (IS(err, CANCELED) || IS(err, DEADLINE_EXCEEDED)) {
        leave(turn, err, text);
    } else {
        walk_end(&turn->walk, err, text);
    }
}

static void elected(struct turn *turn)
{
    struct arena *arena = turn->walk.state->call->arena;
    V3electionpb__CampaignResponse *response =
        turn_response(turn, &v3electionpb__campaign_response__descriptor);
    response->leader = api_new(arena, &v3electionpb__leader_key__descriptor);
    response->leader->name = campaign_of(turn)->name;
    response->leader->key = pb_bytes(arena_dup(arena, turn->key));
    response->leader->rev = turn->rev;
    response->leader->lease = turn->lease;
    turn_end(turn);
}

static void changed_value(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__TxnResponse *response = answer->message;
    if (!response) {
        leave(turn, ERR(INNER), answer->text);
    } else if (!response->succeeded) {
        turn_fail(turn, not_leader);
    } else {
        turn_wait(turn, elected, gave_up);
    }
}

static void stood(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__TxnResponse *response = answer->message;
    if (!turn_goes_on(turn, answer)) {
        return;
    }
    turn_keep_header(turn, response->header);
    turn->rev = response->header->revision;
    if (!response->succeeded) {
        const Mvccpb__KeyValue *kv = response->responses[0]->response_range->kvs[0];
        turn->rev = kv->create_revision;
        if (!slice_eq(pb_slice(kv->value), pb_slice(campaign_of(turn)->value))) {
            put_if(turn, campaign_of(turn)->value, changed_value);
            return;
        }
    }
    turn_wait(turn, elected, gave_up);
}

static void stand(struct turn *turn)
{
    struct turn_txn txn;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest mine = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp look = ETCDSERVERPB__REQUEST_OP__INIT;
    Etcdserverpb__RequestOp *failure[] = {&look};
    turn_txn_init(&txn, turn->key, 0);
    put.key = mine.key = pb_bytes(turn->key);
    put.value = campaign_of(turn)->value;
    put.lease = turn->lease;
    txn.op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    txn.op.request_put = &put;
    look.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    look.request_range = &mine;
    txn.request.failure = failure;
    txn.request.n_failure = 1;
    run_txn(turn, &txn, stood);
}

static void campaign(struct turn *turn)
{
    turn_session(turn, campaign_of(turn)->lease, stand);
}

static void campaign_start(struct api *api, struct call_state *state)
{
    const V3electionpb__CampaignRequest *request = (const void *)state->request;
    turn_start(api, state, pb_slice(request->name), campaign);
}

const struct api_ops api_election_campaign = {.is_patient = true, .start = campaign_start};

/* Proclaim, Resign: of the leader that the request names. */

static void resume(struct turn *turn, const V3electionpb__LeaderKey *leader)
{
    turn->key = arena_dup(turn->walk.arena, pb_slice(leader->key));
    turn->rev = leader->rev;
}

static void proclaimed(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__TxnResponse *response = answer->message;
    if (!turn_goes_on(turn, answer)) {
        return;
    }
    if (!response->succeeded) {
        turn_fail(turn, not_leader);
        return;
    }
    turn_keep_header(turn, response->header);
    turn_response(turn, &v3electionpb__proclaim_response__descriptor);
    turn_end(turn);
}

static void proclaim_now(struct turn *turn)
{
    const V3electionpb__ProclaimRequest *request = (const void *)turn->walk.state->request;
    resume(turn, request->leader);
    put_if(turn, request->value, proclaimed);
}

static void proclaim(struct turn *turn)
{
    const V3electionpb__ProclaimRequest *request = (const void *)turn->walk.state->request;
    if (request->leader) {
        turn_session(turn, request->leader->lease, proclaim_now);
    } else {
        turn_fail(turn, missing_leader);
    }
}

static void proclaim_start(struct api *api, struct call_state *state)
{
    turn_start(api, state, SLICE(""), proclaim);
}

const struct api_ops api_election_proclaim = {.start = proclaim_start};

static void resigned(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__TxnResponse *response = answer->message;
    if (turn_goes_on(turn, answer)) {
        turn_keep_header(turn, response->header);
        turn_response(turn, &v3electionpb__resign_response__descriptor);
        turn_end(turn);
    }
}

static void resign_now(struct turn *turn)
{
    const V3electionpb__ResignRequest *request = (const void *)turn->walk.state->request;
    resume(turn, request->leader);
    delete_if(turn, resigned);
}

static void resign(struct turn *turn)
{
    const V3electionpb__ResignRequest *request = (const void *)turn->walk.state->request;
    if (request->leader) {
        turn_session(turn, request->leader->lease, resign_now);
    } else {
        turn_fail(turn, missing_leader);
    }
}

static void resign_start(struct api *api, struct call_state *state)
{
    turn_start(api, state, SLICE(""), resign);
}

const struct api_ops api_election_resign = {.start = resign_start};

/* Leader. */

static void found(struct walk *walk, const struct walk_answer *answer)
{
    struct turn *turn = (struct turn *)walk;
    const Etcdserverpb__RangeResponse *range = answer->message;
    struct arena *arena = walk->state->call->arena;
    if (!turn_goes_on(turn, answer)) {
        return;
    }
    if (range->n_kvs == 0) {
        turn_fail(turn, "election: no leader");
        return;
    }
    turn_keep_header(turn, range->header);
    V3electionpb__LeaderResponse *response =
        turn_response(turn, &v3electionpb__leader_response__descriptor);
    struct err err = pb_unpack(&mvccpb__key_value__descriptor, arena,
        pb_pack_arena(range->kvs[0], arena), &response->kv); /* a copy that outlives the walk */
    walk_end(walk, err, err_text(err));
}

static void leader(struct turn *turn)
{
    struct arena *arena = arena_new(0);
    Etcdserverpb__RangeRequest range = turn_range_of(turn->prefix, true, arena);
    walk_call(&turn->walk, "/etcdserverpb.KV/Range", &range, found);
    arena_free(arena);
}

static void leader_start(struct api *api, struct call_state *state)
{
    const V3electionpb__LeaderRequest *request = (const void *)state->request;
    turn_start(api, state, pb_slice(request->name), leader);
}

const struct api_ops api_election_leader = {.start = leader_start};
