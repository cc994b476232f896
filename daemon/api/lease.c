/* SPDX-License-Identifier: Apache-2.0 */
#include "api/state.h"

#include "base/clock.h"

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

const struct api_ops api_lease_grant = {.start = grant_start};

static void revoke_start(struct api *api, struct call_state *state)
{
    api_propose(api, state, FIELD_LEASE_REVOKE, state->call->request);
}

const struct api_ops api_lease_revoke = {.start = revoke_start};

/* What the leader knows once it has applied what was committed. */
static void look_start(struct api *api, struct call_state *state)
{
    api_read(api, state);
}

static struct err time_to_live_execute(struct api *api, struct call_state *state)
{
    const Etcdserverpb__LeaseTimeToLiveRequest *request = (const void *)state->request;
    struct arena *arena = state->call->arena;
    struct lease_info info;
    struct slice *keys = NULL;
    size_t count = 0;
    Etcdserverpb__LeaseTimeToLiveResponse *response =
        api_new(arena, &etcdserverpb__lease_time_to_live_response__descriptor);
    struct err err = lease_look(leases_of(api), request->id, clock_mono_ms(), arena, &info,
        request->keys ? &keys : NULL, &count);
    if (err_is(err) && !IS(err, LEASE_NOT_FOUND)) {
        return err;
    }
    response->header = api_new_header(api, arena);
    response->id = request->id;
    response->ttl = err_is(err) ? -1 : info.remaining_s;
    response->grantedttl = err_is(err) ? 0 : info.granted_s;
    response->n_keys = count;
    response->keys = arena_alloc(arena, count * sizeof(*response->keys));
    if (!response->keys) {
        return ERR(TOO_BIG);
    }
    for (size_t i = 0; i < count; i++) {
        response->keys[i] = pb_bytes(keys[i]);
    }
    state->response = &response->base;
    return OK;
}

const struct api_ops api_lease_time_to_live = {
    .start = look_start, .execute = time_to_live_execute};

static void leases_start(struct api *api, struct call_state *state)
{
    (void)api;
    api_done(state, OK);
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
    for (size_t i = 0; i < count; i++) {
        response->leases[i] = api_new(arena, &etcdserverpb__lease_status__descriptor);
        response->leases[i]->id = infos[i].id;
    }
    response->n_leases = count;
    state->response = &response->base;
    return OK;
}

const struct api_ops api_lease_leases = {.start = leases_start, .execute = leases_execute};
