/* SPDX-License-Identifier: Apache-2.0
 *
 * Who calls: behind the token, else behind the client's certificate when those are required. While
 * access control is off nobody is asked.
 */
#include "api/identity.h"

#include "base/clock.h"
#include "base/log.h"

static const char *bare(const char *token)
{
    static const char prefix[] = "Bearer ";
    bool has_prefix = strncmp(token, prefix, sizeof(prefix) - 1) == 0;
    return has_prefix ? token + sizeof(prefix) - 1 : token;
}

bool api_knows_token(struct api *api, const struct api_caller *caller, uint64_t *out_index)
{
    uint64_t index;
    if (!auth_is_enabled(api->auth) || !caller->token ||
        !auth_token_index(api->tokens, bare(caller->token), &index) ||
        index <= apply_index(api->apply)) {
        return true;
    }
    *out_index = index;
    return false;
}

struct err api_identify(
    struct api *api, const struct api_caller *caller, struct arena *arena, struct auth_caller *out)
{
    uint64_t current = auth_revision(api->auth);
    *out = (struct auth_caller){0};
    if (!auth_is_enabled(api->auth)) {
        return OK;
    }
    if (caller->is_internal) {
        *out = (struct auth_caller){"root", current};
        return OK;
    }
    if (caller->token) {
        struct auth_now now = {current, clock_mono_ms(), clock_wall_ns() / 1000000000};
        struct err err = auth_token_caller(api->tokens, bare(caller->token), &now, arena, out);
        if (err_is(err)) {
            LOG_WARN("invalid auth token"); /* never the token itself */
        }
        return err;
    }
    if (api->options.is_cert_required && caller->cert_cn && caller->is_gateway) {
        LOG_WARN("ignoring common name in gRPC-gateway proxy request",
            LOG_STR("common-name", caller->cert_cn), LOG_STR("user-name", caller->cert_cn),
            LOG_UINT("revision", current));
    } else if (api->options.is_cert_required && caller->cert_cn &&
               pb_is_text(slice_str(caller->cert_cn))) { /* it goes into the log */
        *out = (struct auth_caller){caller->cert_cn, current};
    }
    return OK;
}

struct err api_admit(
    struct api *api, const struct api_caller *caller, struct arena *arena, enum api_right right)
{
    struct auth_caller who;
    if (right == API_RIGHT_OPEN || caller->is_internal || !auth_is_enabled(api->auth)) {
        return OK;
    }
    TRY(api_identify(api, caller, arena, &who));
    if (right == API_RIGHT_ADMIN) {
        return auth_may_administer(api->auth, &who);
    }
    return who.username ? OK : ERR(USER_EMPTY);
}

struct err api_guard(
    struct api *api, const struct api_caller *caller, struct arena *arena, struct apply_guard *out)
{
    *out =
        (struct apply_guard){.auth = api->auth, .leases = server_options_get(api->server)->leases};
    return api_identify(api, caller, arena, &out->caller);
}

struct err api_still(struct api *api, const struct apply_guard *guard)
{
    bool has_changed =
        guard->caller.revision != 0 && guard->caller.revision != auth_revision(api->auth);
    return has_changed ? ERR(AUTH_OLD_REVISION) : OK;
}
