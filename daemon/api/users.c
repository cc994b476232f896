/* SPDX-License-Identifier: Apache-2.0
 *
 * The Auth service. Passwords are hashed and compared on a thread of their own: they cost tens of
 * milliseconds each, on purpose. In the log there are only hashes.
 */
#include "api/identity.h"
#include "api/worker.h"

#include "base/base64.h"
#include "base/log.h"
#include "base/rand.h"

#include <openssl/crypto.h>

enum {
    FIELD_AUTH_ENABLE = 1000,
    FIELD_AUTH_DISABLE = 1011,
    FIELD_AUTHENTICATE = 1012,
    FIELD_AUTH_STATUS = 1013,
    FIELD_USER_ADD = 1100,
    FIELD_USER_DELETE = 1101,
    FIELD_USER_GET = 1102,
    FIELD_USER_CHANGE_PASSWORD = 1103,
    FIELD_USER_GRANT_ROLE = 1104,
    FIELD_USER_REVOKE_ROLE = 1105,
    FIELD_USER_LIST = 1106,
    FIELD_ROLE_LIST = 1107,
    FIELD_ROLE_ADD = 1200,
    FIELD_ROLE_DELETE = 1201,
    FIELD_ROLE_GET = 1202,
    FIELD_ROLE_GRANT_PERMISSION = 1203,
    FIELD_ROLE_REVOKE_PERMISSION = 1204,
};

/* Names are keys in etcd's database, where one may be so long and no longer: a member of the
 * reference ends at a longer one, and no snapshot could be made of a store that has it. */
enum { NAME_BYTES_MAX = 32768 };

/* Requests that go into the log as they came. */
#define PLAIN(name, field)                                                                         \
    static void name##_start(struct api *api, struct call_state *state)                            \
    {                                                                                              \
        api_propose(api, state, field, state->call->request);                                      \
    }                                                                                              \
    const struct api_ops api_auth_##name = {.start = name##_start};

PLAIN(enable, FIELD_AUTH_ENABLE)
PLAIN(disable, FIELD_AUTH_DISABLE)
PLAIN(status, FIELD_AUTH_STATUS)
PLAIN(user_delete, FIELD_USER_DELETE)
PLAIN(user_get, FIELD_USER_GET)
PLAIN(user_grant_role, FIELD_USER_GRANT_ROLE)
PLAIN(user_revoke_role, FIELD_USER_REVOKE_ROLE)
PLAIN(user_list, FIELD_USER_LIST)
PLAIN(role_list, FIELD_ROLE_LIST)
PLAIN(role_delete, FIELD_ROLE_DELETE)
PLAIN(role_get, FIELD_ROLE_GET)
PLAIN(role_grant_permission, FIELD_ROLE_GRANT_PERMISSION)
PLAIN(role_revoke_permission, FIELD_ROLE_REVOKE_PERMISSION)

static struct call_state *state_of(struct server_job *job)
{
    return CONTAINER_OF(job, struct call_state, job);
}

static void work(struct server_job *job)
{
    struct call_state *state = state_of(job);
    if (atomic_load(&state->call->api->is_stopping)) {
        api_done(state, ERR(STOPPED));
    } else {
        state->work(state);
    }
}

/* On the passwords' thread, or the call ends. */
static void run(struct call_state *state, void (*fn)(struct call_state *state))
{
    state->work = fn;
    state->job.run = work;
    if (!worker_push(state->call->api->passwords, &state->job)) {
        api_done(state, ERR(REQUEST_TOO_MANY_REQUESTS));
    }
}

/* The hash in base 64, in the call's arena. */
static struct err hash(struct call_state *state, char *password, char **out)
{
    uint8_t salt[AUTH_SALT_BYTES];
    char hashed[AUTH_HASH_SIZE];
    struct buf text;
    rand_secret(salt, sizeof(salt));
    TRY(auth_password_hash(password, state->call->api->options.bcrypt_cost, salt, hashed));
    OPENSSL_cleanse(password, strlen(password));
    buf_init(&text, 2 * sizeof(hashed));
    base64_add(&text, slice_str(hashed));
    *out = arena_strdup(state->call->arena, buf_text(&text));
    buf_fini(&text);
    return OK;
}

static char empty[] = "";

static void user_add_run(struct call_state *state)
{
    Etcdserverpb__AuthUserAddRequest *request = (void *)state->request;
    struct err err = hash(state, request->password, &request->hashedpassword);
    request->password = empty;
    if (err_is(err)) {
        api_done(state, err);
        return;
    }
    api_propose(
        state->call->api, state, FIELD_USER_ADD, pb_pack_arena(request, state->call->arena));
}

static void user_add_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__AuthUserAddRequest *request = (const void *)state->request;
    if (strlen(request->name) > NAME_BYTES_MAX) {
        api_done(state, ERR(REQUEST_TOO_LARGE));
    } else if (request->options && request->options->no_password) {
        api_propose(api, state, FIELD_USER_ADD, state->call->request);
    } else {
        run(state, user_add_run);
    }
}

const struct api_ops api_auth_user_add = {.start = user_add_start};

static void role_add_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__AuthRoleAddRequest *request = (const void *)state->request;
    if (strlen(request->name) > NAME_BYTES_MAX) {
        api_done(state, ERR(REQUEST_TOO_LARGE));
    } else {
        api_propose(api, state, FIELD_ROLE_ADD, state->call->request);
    }
}

const struct api_ops api_auth_role_add = {.start = role_add_start};

static void change_password_run(struct call_state *state)
{
    Etcdserverpb__AuthUserChangePasswordRequest *request = (void *)state->request;
    struct err err = hash(state, request->password, &request->hashedpassword);
    request->password = empty;
    if (err_is(err)) {
        api_done(state, err);
        return;
    }
    api_propose(state->call->api, state, FIELD_USER_CHANGE_PASSWORD,
        pb_pack_arena(request, state->call->arena));
}

static void change_password_start(struct api *api, struct call_state *state)
{
    const Etcdserverpb__AuthUserChangePasswordRequest *request = (const void *)state->request;
    if (request->password[0]) {
        run(state, change_password_run);
    } else {
        api_propose(api, state, FIELD_USER_CHANGE_PASSWORD, state->call->request);
    }
}

const struct api_ops api_auth_user_change_password = {.start = change_password_start};

/* Authenticate: check the password against what is applied now, then ask all members to remember
 * the token; when users changed in between, once more. */

static void check_password(struct call_state *state);

static void authenticated(struct server_proposal *proposal)
{
    struct call_state *state = CONTAINER_OF(proposal, struct call_state, proposal);
    struct api *api = state->call->api;
    if (!err_is(proposal->result.err) && state->checked_revision != auth_revision(api->auth)) {
        LOG_INFO("revision when password checked became stale; retrying");
        run(state, check_password);
        return;
    }
    state->response = proposal->result.response;
    api_done(state, proposal->result.err);
}

static void propose_token(struct call_state *state, const char *name)
{
    struct api *api = state->call->api;
    char prefix[AUTH_PREFIX_SIZE];
    Etcdserverpb__InternalAuthenticateRequest request =
        ETCDSERVERPB__INTERNAL_AUTHENTICATE_REQUEST__INIT;
    auth_token_prefix(api->tokens, prefix);
    request.name = (char *)(uintptr_t)name;
    request.simple_token = prefix;
    state->proposal.done = authenticated;
    api_propose_anonymous(
        api, state, FIELD_AUTHENTICATE, pb_pack_arena(&request, state->call->arena));
}

static void check_password(struct call_state *state)
{
    const Etcdserverpb__AuthenticateRequest *request = (const void *)state->request;
    const char *hashed;
    struct err err = auth_password(state->call->api->auth, request->name, state->call->arena,
        &hashed, &state->checked_revision);
    if (!err_is(err) && !auth_password_matches(hashed, request->password)) {
        err = ERR(AUTH_FAILED);
    }
    if (!err_is(err)) {
        propose_token(state, request->name);
        return;
    }
    if (!IS(err, AUTH_NOT_ENABLED)) {
        LOG_WARN("invalid authentication was requested", LOG_STR("user", request->name),
            LOG_ERR(err_text(err)));
    }
    api_done(state, err);
}

static void authenticate_read(struct server_read *read)
{
    struct call_state *state = CONTAINER_OF(read, struct call_state, read);
    if (err_is(read->err)) {
        api_done(state, read->err);
    } else {
        run(state, check_password);
    }
}

static void authenticate_start(struct api *api, struct call_state *state)
{
    state->read.done = authenticate_read;
    server_read_index(api->server, &state->read);
}

const struct api_ops api_auth_authenticate = {.start = authenticate_start};
