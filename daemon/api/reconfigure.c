/* SPDX-License-Identifier: Apache-2.0
 *
 * MemberAdd, MemberRemove, MemberUpdate: etcd's strict checks here, the rest where the change is
 * applied.
 */
#include "api/identity.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "base/url.h"

#include <time.h>

enum { HEALTHY_MS = 5000 };

static struct member_table *members_of(struct api *api)
{
    return server_options_get(api->server)->members;
}

/* Voters this member has been connected to for etcd's health interval, itself included. */
static size_t count_connected(struct api *api, struct arena *arena, size_t *out_voters)
{
    const struct api_peers *peers = &api->options.peers;
    struct member *list;
    size_t count = member_list(members_of(api), arena, &list);
    size_t connected = 0;
    int64_t since_ms = clock_mono_ms() - HEALTHY_MS;
    *out_voters = 0;
    for (size_t i = 0; i < count; i++) {
        if (list[i].is_learner) {
            continue;
        }
        int64_t active_ms = list[i].id != api->member_id && peers->active_since_ms
                                ? peers->active_since_ms(peers->arg, list[i].id)
                                : 0;
        ++*out_voters;
        connected += list[i].id == api->member_id || (active_ms && active_ms < since_ms);
    }
    return connected;
}

static struct err reject(struct api *api, const char *what, uint64_t id, struct err err)
{
    LOG_WARN(what, LOG_HEX("local-member-id", api->member_id), LOG_HEX("requested-member", id),
        LOG_ERR(err_text(err)));
    return err;
}

static struct err may_add(struct api *api, struct arena *arena, const struct member *member)
{
    size_t voters;
    struct member *list;
    if (member_list(members_of(api), arena, &list) >= RAFT_MEMBERS_MAX) {
        return reject(api, "rejecting member add request; no more members can be counted",
            member->id, ERR(TOO_BIG));
    }
    if (!api->options.strict_reconfig_check) {
        return OK;
    }
    if (!member->is_learner && !member_can_add_voter(members_of(api))) {
        return reject(api, "rejecting member add request; not enough healthy members", member->id,
            ERR(MEMBER_NOT_ENOUGH_STARTED));
    }
    size_t connected = count_connected(api, arena, &voters);
    /* The new one counts, and counts as down. */
    if (voters != 1 && connected < (voters + 1) / 2 + 1) {
        return reject(api,
            "rejecting member add request; local member has not been connected to majority peers, "
            "reconfigure breaks active quorum",
            member->id, ERR(UNHEALTHY));
    }
    return OK;
}

static struct err may_remove(struct api *api, struct arena *arena, uint64_t id)
{
    const struct api_peers *peers = &api->options.peers;
    struct member member;
    size_t voters;
    if (!api->options.strict_reconfig_check ||
        (member_find(members_of(api), id, arena, &member) && member.is_learner)) {
        return OK;
    }
    if (!member_can_remove_voter(members_of(api), id)) {
        return reject(api, "rejecting member remove request; not enough healthy members", id,
            ERR(MEMBER_NOT_ENOUGH_STARTED));
    }
    bool is_down = id != api->member_id &&
                   (!peers->active_since_ms || peers->active_since_ms(peers->arg, id) == 0);
    if (is_down) {
        return OK; /* not part of the quorum that is active */
    }
    size_t connected = count_connected(api, arena, &voters);
    if (connected < 2 + (voters - 1) / 2) {
        return reject(api,
            "rejecting member remove request; local member has not been connected to all peers, "
            "reconfigure breaks active quorum",
            id, ERR(UNHEALTHY));
    }
    return OK;
}

static void conf_done(struct server_proposal *proposal)
{
    api_done(CONTAINER_OF(proposal, struct call_state, proposal), proposal->result.err);
}

static void propose(struct api *api, struct call_state *state, enum raft_conf_change_type type,
    uint64_t id, struct slice context)
{
    struct raft_conf_change conf = {
        .changes = {{type, id}}, .changes_count = 1, .context = context};
    state->proposal.conf = &conf;
    state->proposal.result.arena = state->call->arena;
    state->proposal.done = conf_done;
    server_propose(api->server, &state->proposal);
}

/* etcd's types.NewURLs over the list: sorted, each checked. */
static struct err take_urls(struct arena *arena, char **texts, size_t count, struct member *out)
{
    struct url_list list;
    const char *const *items = (const char *const *)texts;
    struct text_list given = {items, count};
    for (size_t i = 0; i < count; i++) {
        if (strchr(texts[i], ',')) {
            return ERR(MEMBER_BAD_URLS);
        }
    }
    if (count == 0 ||
        err_is(url_list_parse(arena, text_list_join(arena, &given, ","), &list, NULL))) {
        return ERR(MEMBER_BAD_URLS);
    }
    out->peer_urls = url_list_texts(arena, &list);
    out->peer_urls_count = list.count;
    return OK;
}

/* As with etcd, what the URLs are is looked at before who asks. */
static void add_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__MemberAddRequest *request = (const void *)state->request;
    struct arena *arena = state->call->arena;
    struct member *member = arena_zalloc(arena, sizeof(*member));
    check(member);
    member->name = "";
    member->is_learner = request->islearner;
    struct err err = take_urls(arena, request->peerurls, request->n_peerurls, member);
    if (!err_is(err)) {
        err = api_admit(api, &state->call->caller, arena, API_RIGHT_ADMIN);
    }
    if (!err_is(err)) {
        member->id =
            member_id_hash(member->peer_urls, member->peer_urls_count, "", (int64_t)time(NULL));
        err = may_add(api, arena, member);
    }
    if (err_is(err)) {
        api_done(state, err);
        return;
    }
    state->own = member;
    propose(api, state, member->is_learner ? RAFT_ADD_LEARNER_NODE : RAFT_ADD_NODE, member->id,
        member_to_json(member, arena));
}

static struct err add_execute(struct api *api, struct call_state *state)
{
    struct arena *arena = state->call->arena;
    const struct apply_result *result = &state->proposal.result;
    Etcdserverpb__MemberAddResponse *response =
        api_new(arena, &etcdserverpb__member_add_response__descriptor);
    Etcdserverpb__Member **added = api_members(arena, state->own, 1);
    response->header = api_new_header(api, arena);
    response->members = api_members(arena, result->members, result->members_count);
    if (!added || !response->members) {
        return ERR(TOO_BIG);
    }
    response->member = added[0];
    response->n_members = result->members_count;
    state->response = &response->base;
    return OK;
}

const struct api_ops api_cluster_member_add = {.is_without_revision = true,
    .right = API_RIGHT_OPEN,
    .start = add_start,
    .execute = add_execute};

static void remove_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__MemberRemoveRequest *request = (const void *)state->request;
    struct err err = may_remove(api, state->call->arena, request->id);
    if (err_is(err)) {
        api_done(state, err);
        return;
    }
    propose(api, state, RAFT_REMOVE_NODE, request->id, (struct slice){0});
}

static struct err remove_execute(struct api *api, struct call_state *state)
{
    struct arena *arena = state->call->arena;
    const struct apply_result *result = &state->proposal.result;
    Etcdserverpb__MemberRemoveResponse *response =
        api_new(arena, &etcdserverpb__member_remove_response__descriptor);
    response->header = api_new_header(api, arena);
    response->members = api_members(arena, result->members, result->members_count);
    response->n_members = result->members_count;
    state->response = &response->base;
    return response->members ? OK : ERR(TOO_BIG);
}

const struct api_ops api_cluster_member_remove = {.is_without_revision = true,
    .right = API_RIGHT_ADMIN,
    .start = remove_start,
    .execute = remove_execute};

/* The cluster's health is not looked at. URLs that cannot be parsed are refused, since etcd's own
 * members panic when they come to dial them. */
static void update_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__MemberUpdateRequest *request = (const void *)state->request;
    struct arena *arena = state->call->arena;
    struct member member = {.id = request->id, .name = ""};
    struct err err = take_urls(arena, request->peerurls, request->n_peerurls, &member);
    if (err_is(err)) {
        struct member known;
        struct member_table *members = server_options_get(api->server)->members;
        api_done(
            state, member_find(members, request->id, arena, &known) ? err : ERR(MEMBER_NOT_FOUND));
        return;
    }
    propose(api, state, RAFT_UPDATE_NODE, request->id, member_to_json(&member, arena));
}

static struct err update_execute(struct api *api, struct call_state *state)
{
    struct arena *arena = state->call->arena;
    const struct apply_result *result = &state->proposal.result;
    Etcdserverpb__MemberUpdateResponse *response =
        api_new(arena, &etcdserverpb__member_update_response__descriptor);
    response->header = api_new_header(api, arena);
    response->members = api_members(arena, result->members, result->members_count);
    response->n_members = result->members_count;
    state->response = &response->base;
    return response->members ? OK : ERR(TOO_BIG);
}

const struct api_ops api_cluster_member_update = {.is_without_revision = true,
    .right = API_RIGHT_ADMIN,
    .start = update_start,
    .execute = update_execute};
