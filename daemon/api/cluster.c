/* SPDX-License-Identifier: Apache-2.0 */
#include "api/state.h"

static void member_list_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__MemberListRequest *request = (const void *)state->request;
    if (request->linearizable) {
        api_read(api, state);
    } else {
        api_done(state, OK);
    }
}

static char **texts(const char *const *list)
{
    return (char **)(uintptr_t)list; /* protobuf-c only reads them */
}

Etcdserverpb__Member **api_members(struct arena *arena, const struct member *members, size_t count)
{
    Etcdserverpb__Member **list = arena_alloc(arena, (count + 1) * sizeof(*list));
    for (size_t i = 0; list && i < count; i++) {
        Etcdserverpb__Member *member = api_new(arena, &etcdserverpb__member__descriptor);
        member->id = members[i].id;
        member->name = (char *)(uintptr_t)members[i].name;
        member->n_peerurls = members[i].peer_urls_count;
        member->peerurls = texts(members[i].peer_urls);
        member->n_clienturls = members[i].client_urls_count;
        member->clienturls = texts(members[i].client_urls);
        member->islearner = members[i].is_learner;
        list[i] = member;
    }
    return list;
}

static struct err member_list_execute(struct api *api, struct call_state *state)
{
    struct arena *arena = state->call->arena;
    struct member *members;
    size_t count = member_list(server_options_get(api->server)->members, arena, &members);
    Etcdserverpb__MemberListResponse *response =
        api_new(arena, &etcdserverpb__member_list_response__descriptor);
    response->header = api_new_header(api, arena);
    response->members = api_members(arena, members, count);
    if (!response->members) {
        return ERR(TOO_BIG);
    }
    response->n_members = count;
    state->response = &response->base;
    return OK;
}

const struct api_ops api_cluster_member_list = {.is_without_revision = true,
    .right = API_RIGHT_KNOWN,
    .start = member_list_start,
    .execute = member_list_execute};
