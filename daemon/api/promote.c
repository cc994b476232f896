/* SPDX-License-Identifier: Apache-2.0
 *
 * MemberPromote: only the leader knows whether a learner has caught up, so the others forward to
 * it, through the peers' port.
 */
#include "api/state.h"

#include "base/clock.h"
#include "base/log.h"

/* One promotion on the leader: a look at raft, then the change. */
struct promotion {
    struct server_ask ask;
    struct server_proposal proposal;
    struct api *api;
    struct arena *arena;
    uint64_t learner;
    void (*done)(struct promotion *promotion, struct err err);
    /* forwarded by another member */
    void (*answer)(void *arg, struct err err, struct slice json);
    void *arg;
    /* a client's call */
    struct call_state *state;
    struct server_read read;
    int64_t deadline_ms;
};

static void count_failure(struct api *api, struct err err)
{
    if (!IS(err, NOT_LEADER)) {
        metric_inc(
            metric_with(api->metrics.promote_failed, (const char *const[]){err_text(err), NULL}));
    }
}

static void proposed(struct server_proposal *proposal)
{
    struct promotion *promotion = CONTAINER_OF(proposal, struct promotion, proposal);
    if (err_is(proposal->result.err)) {
        count_failure(promotion->api, proposal->result.err);
    } else {
        metric_inc(promotion->api->metrics.promoted);
    }
    promotion->done(promotion, proposal->result.err);
}

/* An addition that says it is a promotion: etcd's form. */
static void propose(struct promotion *promotion)
{
    const char *json =
        arena_printf(promotion->arena, "{\"id\":%llu,\"peerURLs\":null,\"isPromote\":true}",
            (unsigned long long)promotion->learner);
    struct raft_conf_change conf = {.changes = {{RAFT_ADD_NODE, promotion->learner}},
        .changes_count = 1,
        .context = slice_str(json)};
    promotion->proposal.conf = &conf;
    promotion->proposal.result.arena = promotion->arena;
    promotion->proposal.done = proposed;
    server_propose(promotion->api->server, &promotion->proposal);
}

/* etcd's threshold: nine tenths of what the leader has. */
static struct err look(const struct raft_status *status, uint64_t learner)
{
    const struct raft_peer_status *found = NULL;
    uint64_t leader_match = 0;
    if (status->soft_state.role != RAFT_LEADER) {
        return ERR(NOT_LEADER);
    }
    for (size_t i = 0; i < status->peers_count; i++) {
        found = status->peers[i].id == learner ? &status->peers[i] : found;
        leader_match = status->peers[i].id == status->id ? status->peers[i].match : leader_match;
    }
    if (!found) {
        return ERR(MEMBER_NOT_FOUND);
    }
    if ((double)found->match / (double)leader_match < 0.9) {
        LOG_ERROR("rejecting promote learner: learner is not ready",
            LOG_UINT("learner-match", found->match), LOG_UINT("leader-match", leader_match));
        return ERR(LEARNER_NOT_READY);
    }
    return OK;
}

static void on_core(struct server_ask *ask, struct raft *raft)
{
    struct promotion *promotion = CONTAINER_OF(ask, struct promotion, ask);
    struct api *api = promotion->api;
    struct raft_status status;
    raft_status_get(raft, &status);
    struct err err = look(&status, promotion->learner);
    if (!err_is(err) && api->options.strict_reconfig_check &&
        !member_can_promote(server_options_get(api->server)->members)) {
        LOG_WARN("rejecting member promote request; not enough healthy members",
            LOG_HEX("local-member-id", api->member_id),
            LOG_HEX("requested-member", promotion->learner));
        err = ERR(MEMBER_NOT_ENOUGH_STARTED);
    }
    if (err_is(err)) {
        count_failure(api, err);
        promotion->done(promotion, err);
        return;
    }
    propose(promotion);
}

static void promote_here(struct promotion *promotion)
{
    promotion->ask.run = on_core;
    if (!server_on_core(promotion->api->server, &promotion->ask)) {
        promotion->done(promotion, ERR(STOPPED));
    }
}

static struct slice members_json(const struct apply_result *result, struct arena *arena)
{
    struct buf json;
    buf_init(&json, SIZE_MAX);
    buf_add_str(&json, "[");
    for (size_t i = 0; i < result->members_count; i++) {
        struct slice member = member_to_json(&result->members[i], arena);
        buf_add_str(&json, i ? "," : "");
        buf_add(&json, member.data, member.len);
    }
    buf_add_str(&json, "]");
    struct slice bytes = arena_dup(arena, buf_slice(&json));
    buf_fini(&json);
    return bytes;
}

static void answer(struct promotion *promotion, struct err err)
{
    struct arena *arena = promotion->arena;
    struct slice json = {0};
    if (!err_is(err)) {
        json = members_json(&promotion->proposal.result, arena);
    }
    promotion->answer(promotion->arg, err, json);
    arena_free(arena);
}

static struct promotion *promotion_new(struct api *api, struct arena *arena, uint64_t learner)
{
    struct promotion *promotion = arena_zalloc(arena, sizeof(*promotion));
    check(promotion);
    promotion->api = api;
    promotion->arena = arena;
    promotion->learner = learner;
    return promotion;
}

void api_promote(struct api *api, uint64_t learner,
    void (*done)(void *arg, struct err err, struct slice json), void *arg)
{
    struct promotion *promotion = promotion_new(api, arena_new(0), learner);
    promotion->done = answer;
    promotion->answer = done;
    promotion->arg = arg;
    promote_here(promotion);
}

/* A client's call. */

static void forward(struct promotion *promotion);

static bool is_final(struct err err)
{
    return !err_is(err) || IS(err, MEMBER_NOT_FOUND) || IS(err, MEMBER_NOT_LEARNER) ||
           IS(err, LEARNER_NOT_READY);
}

static struct err take_members(struct promotion *promotion, struct slice json)
{
    struct apply_result *result = &promotion->proposal.result;
    return member_list_from_json(json, promotion->arena, &result->members, &result->members_count);
}

static void forwarded(void *arg, struct err err, struct slice json)
{
    struct promotion *promotion = arg;
    if (is_final(err)) {
        api_done(promotion->state, err_is(err) ? err : take_members(promotion, json));
        return;
    }
    LOG_WARN("failed to forward a promotion to the leader", LOG_ERR(err_text(err)));
    if (clock_mono_ms() >= promotion->deadline_ms) {
        api_done(promotion->state, ERR(TIMEOUT));
        return;
    }
    forward(promotion);
}

static void leader_known(struct server_read *read)
{
    struct promotion *promotion = CONTAINER_OF(read, struct promotion, read);
    const struct api_peers *peers = &promotion->api->options.peers;
    struct server *server = promotion->api->server;
    struct server_status status;
    if (err_is(read->err)) {
        api_done(promotion->state, IS(read->err, TIMEOUT) ? server_timeout(server) : read->err);
        return;
    }
    server_status_get(server, &status);
    int64_t left_ms = promotion->deadline_ms - clock_mono_ms();
    if (status.is_leader || status.leader == 0) {
        promote_here(promotion); /* it moved here meanwhile, or is on its way */
    } else if (!peers->promote || left_ms <= 0) {
        api_done(promotion->state, ERR(TIMEOUT));
    } else {
        peers->promote(
            peers->arg, status.leader, promotion->learner, left_ms, forwarded, promotion);
    }
}

/* A read index waits for a leader and paces what is asked again. */
static void forward(struct promotion *promotion)
{
    promotion->read.done = leader_known;
    server_read_index(promotion->api->server, &promotion->read);
}

static void here_done(struct promotion *promotion, struct err err)
{
    if (IS(err, NOT_LEADER) && clock_mono_ms() < promotion->deadline_ms) {
        forward(promotion);
        return;
    }
    api_done(promotion->state, IS(err, NOT_LEADER) ? ERR(TIMEOUT) : err);
}

static void promote_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__MemberPromoteRequest *request = (const void *)state->request;
    const struct server_options *options = server_options_get(api->server);
    struct promotion *promotion = promotion_new(api, state->call->arena, request->id);
    promotion->done = here_done;
    promotion->state = state;
    promotion->deadline_ms =
        clock_mono_ms() + 5000 + 2 * options->tick_ms * options->election_ticks;
    state->own = promotion;
    promote_here(promotion);
}

static struct err promote_execute(struct api *api, struct call_state *state)
{
    struct arena *arena = state->call->arena;
    const struct promotion *promotion = state->own;
    const struct apply_result *result = &promotion->proposal.result;
    Etcdserverpb__MemberPromoteResponse *response =
        api_new(arena, &etcdserverpb__member_promote_response__descriptor);
    response->header = api_new_header(api, arena);
    response->members = api_members(arena, result->members, result->members_count);
    response->n_members = result->members_count;
    state->response = &response->base;
    return response->members ? OK : ERR(TOO_BIG);
}

const struct api_ops api_cluster_member_promote = {.is_without_revision = true,
    .right = API_RIGHT_ADMIN,
    .start = promote_start,
    .execute = promote_execute};
