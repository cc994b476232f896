/* SPDX-License-Identifier: Apache-2.0 */
#include "api/identity.h"

enum { FIELD_LEASE_GRANT = 8, FIELD_LEASE_REVOKE = 9 };

static struct lease_table *leases_of(struct api *api)
{
    return server_options_get(api->server)->leases;
}

static void grant_start(struct api *api, struct call_state *state)
{
    Etcdserverpb__LeaseGrantRequest *request = (void *)state->request;
    struct slice packed = state->call->request;
    if (!api_has_space(api, state)) {
        return;
    }
    if (request->id == 0) {
        request->id = (int64_t)(server_next_id(api->server) & INT64_MAX);
        packed = pb_pack_arena(request, state->call->arena);
    }
    api_propose(api, state, FIELD_LEASE_GRANT, packed);
}

const struct api_ops api_lease_grant = {.right = API_RIGHT_KNOWN, .start = grant_start};

static void revoke_start(struct api *api, struct call_state *state)
{
    api_propose(api, state, FIELD_LEASE_REVOKE, state->call->request);
}

const struct api_ops api_lease_revoke = {.right = API_RIGHT_KNOWN, .start = revoke_start};

static void looked(struct server_lease_ask *ask)
{
    struct call_state *state = CONTAINER_OF(ask, struct call_state, lease);
    api_done(state, IS(ask->err, LEASE_NOT_FOUND) ? OK : ask->err);
}

/* What the leader knows once it has applied what was committed. */
static void look_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__LeaseTimeToLiveRequest *request = (const void *)state->request;
    state->lease = (struct server_lease_ask){.id = request->id,
        .is_look = true,
        .with_keys = request->keys,
        .arena = state->call->arena,
        .done = looked};
    server_lease_ask(api->server, &state->lease);
}

/* The keys that this member has on the lease, and those that the leader has named, who may be
 * ahead of it. */
static struct err may_see(const struct apply_guard *guard, const struct server_lease_ask *ask)
{
    TRY(apply_may_read_lease(guard, ask->id));
    for (size_t i = 0; !err_is(ask->err) && i < ask->lease.keys_count; i++) {
        TRY(auth_may_read(guard->auth, &guard->caller, ask->lease.keys[i], (struct slice){0}));
    }
    return OK;
}

static struct err time_to_live_execute(struct api *api, struct call_state *state)
{
    const Etcdserverpb__LeaseTimeToLiveRequest *request = (const void *)state->request;
    const struct server_lease_ask *ask = &state->lease;
    struct arena *arena = state->call->arena;
    Etcdserverpb__LeaseTimeToLiveResponse *response =
        api_new(arena, &etcdserverpb__lease_time_to_live_response__descriptor);
    if (request->keys) {
        TRY(api_guard(api, &state->call->caller, arena, &state->guard));
        TRY(may_see(&state->guard, ask));
    }
    response->header = api_new_header(api, arena);
    response->id = ask->id;
    response->ttl = err_is(ask->err) ? -1 : ask->lease.ttl_s;
    response->grantedttl = err_is(ask->err) ? 0 : ask->lease.granted_s;
    response->n_keys = err_is(ask->err) ? 0 : ask->lease.keys_count;
    response->keys = arena_alloc(arena, response->n_keys * sizeof(*response->keys));
    if (!response->keys) {
        return ERR(TOO_BIG);
    }
    for (size_t i = 0; i < response->n_keys; i++) {
        response->keys[i] = pb_bytes(ask->lease.keys[i]);
    }
    state->response = &response->base;
    return api_still(api, &state->guard);
}

const struct api_ops api_lease_time_to_live = {
    .right = API_RIGHT_KNOWN, .start = look_start, .execute = time_to_live_execute};

static void leases_start(struct api *api, struct call_state *state)
{
    (void)api;
    api_done(state, OK);
}

/* Whoever sees the list sees leases whose keys they must be allowed to read. */
static struct err may_list(
    struct api *api, struct call_state *state, const struct lease_info *infos, size_t count)
{
    TRY(api_guard(api, &state->call->caller, state->call->arena, &state->guard));
    if (auth_is_enabled(api->auth) && !state->guard.caller.username) {
        return ERR(USER_EMPTY);
    }
    for (size_t i = 0; auth_is_enabled(api->auth) && i < count; i++) {
        TRY(apply_may_read_lease(&state->guard, infos[i].id));
    }
    return api_still(api, &state->guard);
}

static struct err leases_execute(struct api *api, struct call_state *state)
{
    struct arena *arena = state->call->arena;
    struct lease_info *infos;
    size_t count = lease_list(leases_of(api), arena, &infos);
    Etcdserverpb__LeaseLeasesResponse *response =
        api_new(arena, &etcdserverpb__lease_leases_response__descriptor);
    response->header = api_new_header(api, arena);
    response->leases = arena_alloc(arena, count * sizeof(*response->leases));
    if (!response->leases || !infos) {
        return ERR(TOO_BIG);
    }
    TRY(may_list(api, state, infos, count));
    for (size_t i = 0; i < count; i++) {
        response->leases[i] = api_new(arena, &etcdserverpb__lease_status__descriptor);
        response->leases[i]->id = infos[i].id;
    }
    response->n_leases = count;
    state->response = &response->base;
    return OK;
}

const struct api_ops api_lease_leases = {.start = leases_start, .execute = leases_execute};
