/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance.Downgrade: what may be asked for is one minor version below the cluster's, one at a
 * time; the leader does the rest.
 */
#include "api/state.h"

#include "base/log.h"

enum { FIELD_DOWNGRADE_INFO_SET = 1302 };

struct downgrade {
    struct member_version target;
    Etcdserverpb__DowngradeRequest__DowngradeAction action;
};

static struct member_table *members_of(struct api *api)
{
    return server_options_get(api->server)->members;
}

/* "3.5" or a whole semantic version: "3.5.1", "3.5.1-rc.0". */
static bool take_version(const char *text, struct member_version *out)
{
    int minor_end = 0;
    int end = 0;
    if (!member_version_parse(text, out)) {
        return false;
    }
    (void)sscanf(text, "%*u.%*u%n.%*9[0-9]%n", &minor_end, &end);
    return text[minor_end] == '\0' ||
           (end && (text[end] == '\0' || text[end] == '-' || text[end] == '+'));
}

static void finish(struct call_state *state, struct err err)
{
    if (err_is(err)) {
        LOG_WARN("reject downgrade request", LOG_ERR(err_text(err)));
    }
    api_done(state, err);
}

static void propose(struct api *api, struct call_state *state, const struct downgrade *downgrade)
{
    struct arena *arena = state->call->arena;
    Membershippb__DowngradeInfoSetRequest request = MEMBERSHIPPB__DOWNGRADE_INFO_SET_REQUEST__INIT;
    if (downgrade->action == ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE) {
        request.enabled = true;
        request.ver =
            arena_printf(arena, "%u.%u.0", downgrade->target.major, downgrade->target.minor);
    }
    api_propose(api, state, FIELD_DOWNGRADE_INFO_SET, pb_pack_arena(&request.base, arena));
}

/* What is known now is linearizable. */
static void known(struct server_read *read)
{
    struct call_state *state = CONTAINER_OF(read, struct call_state, read);
    struct api *api = state->call->api;
    const struct downgrade *downgrade = state->own;
    struct member_downgrade now;
    struct member_version cluster = {0, 0};
    member_downgrade_get(members_of(api), &now);
    if (err_is(read->err)) {
        finish(state, read->err);
        return;
    }
    if (downgrade->action == ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL) {
        if (now.is_enabled) {
            propose(api, state, downgrade);
        } else {
            /* As etcd does: told to the log alone. */
            LOG_WARN("failed to cancel downgrade", LOG_ERR(err_text(ERR(NO_INFLIGHT_DOWNGRADE))));
            api_done(state, OK);
        }
        return;
    }
    bool is_one_below = member_version_parse(member_cluster_version(members_of(api)), &cluster) &&
                        downgrade->target.major == cluster.major &&
                        downgrade->target.minor + 1 == cluster.minor;
    if (!is_one_below || now.is_enabled) {
        finish(state,
            is_one_below ? ERR(DOWNGRADE_IN_PROCESS) : ERR(INVALID_DOWNGRADE_TARGET_VERSION));
    } else if (downgrade->action == ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE) {
        propose(api, state, downgrade);
    } else {
        api_done(state, OK);
    }
}

static void downgrade_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__DowngradeRequest *request = (const void *)state->request;
    struct downgrade *downgrade = arena_zalloc(state->call->arena, sizeof(*downgrade));
    struct member_version any;
    check(downgrade);
    downgrade->action = request->action;
    state->own = downgrade;
    bool is_cancel = request->action == ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL;
    if (!is_cancel &&
        request->action != ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE &&
        request->action != ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE) {
        api_done(state, ERR(UNKNOWN_METHOD));
        return;
    }
    if (!is_cancel && !take_version(request->version, &downgrade->target)) {
        finish(state, ERR(WRONG_DOWNGRADE_VERSION_FORMAT));
        return;
    }
    if (!member_version_parse(member_cluster_version(members_of(api)), &any)) {
        finish(state, ERR(CLUSTER_VERSION_UNAVAILABLE));
        return;
    }
    state->read.done = known;
    server_read_index(api->server, &state->read);
}

static struct err downgrade_execute(struct api *api, struct call_state *state)
{
    struct arena *arena = state->call->arena;
    struct member_version cluster = {0, 0};
    Etcdserverpb__DowngradeResponse *response =
        api_new(arena, &etcdserverpb__downgrade_response__descriptor);
    (void)member_version_parse(member_cluster_version(members_of(api)), &cluster);
    response->header = api_new_header(api, arena);
    response->version = arena_printf(arena, "%u.%u", cluster.major, cluster.minor);
    state->response = &response->base;
    return OK;
}

const struct api_ops api_maintenance_downgrade = {
    .right = API_RIGHT_ADMIN, .start = downgrade_start, .execute = downgrade_execute};
