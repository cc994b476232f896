/* SPDX-License-Identifier: Apache-2.0
 *
 * The requests of the Auth service. Their responses carry a header with the store's revision; only
 * who may administer gets at them, except that everyone may look at themselves.
 */
#include "apply/users.h"

#include "apply/view.h"
#include "base/base64.h"
#include "base/codec.h"
#include "base/pb.h"

enum { COST_LEGACY = 10, PASSWORD_MAX = 4096 };

typedef Etcdserverpb__InternalRaftRequest request_t;

#define RESPOND(a, name) respond(a, VIEW_NEW((a)->arena, name))

/* Every response of the service begins with its header. */
static void *respond(struct applying *a, void *message)
{
    ProtobufCMessage *response = message;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(response->descriptor, 1);
    *(Etcdserverpb__ResponseHeader **)(void *)((char *)message + field->offset) =
        view_header(a->arena, mvcc_revision(a->apply->options.mvcc));
    a->result->response = response;
    return message;
}

static struct auth_table *table_of(struct applying *a)
{
    return a->apply->options.auth;
}

static bool is_for_administrators(const request_t *r)
{
    return r->auth_enable || r->auth_disable || r->auth_status || r->auth_user_add ||
           r->auth_user_delete || r->auth_user_change_password || r->auth_user_grant_role ||
           r->auth_user_revoke_role || r->auth_user_list || r->auth_role_add ||
           r->auth_role_delete || r->auth_role_grant_permission || r->auth_role_revoke_permission ||
           r->auth_role_list;
}

bool apply_is_auth_request(const request_t *r)
{
    return is_for_administrators(r) || r->authenticate || r->auth_user_get || r->auth_role_get;
}

/* Members before 3.5 put the plain password into the log. The salt comes from the entry, so that
 * all members come to the same hash. */
static struct err hash_legacy(struct applying *a, const char *password, struct slice *out)
{
    uint8_t salt[AUTH_SALT_BYTES];
    char *hash = arena_alloc(a->arena, AUTH_HASH_SIZE);
    put_be64(salt, a->entry->index);
    put_be64(salt + 8, a->entry->term);
    TRY(auth_password_hash(password, COST_LEGACY, salt, hash));
    *out = slice_str(hash);
    return OK;
}

static struct err password_of(
    struct applying *a, const char *plain, const char *hashed, struct slice *out)
{
    struct buf bytes;
    if (plain[0] && !hashed[0]) {
        return hash_legacy(a, plain, out);
    }
    buf_init(&bytes, PASSWORD_MAX);
    bool is_good = base64_take(slice_str(hashed), &bytes) && !bytes.is_full;
    *out = is_good ? arena_dup(a->arena, buf_slice(&bytes)) : (struct slice){0};
    buf_fini(&bytes);
    return is_good ? OK : ERR(NO_PASSWORD_USER);
}

static struct err user_add(struct applying *a, const Etcdserverpb__AuthUserAddRequest *r)
{
    struct slice password = {0};
    bool is_no_password = r->options && r->options->no_password;
    bool is_good = !err_is(password_of(a, r->password, r->hashedpassword, &password));
    TRY(auth_user_add(
        table_of(a), r->name, is_good ? &password : NULL, is_no_password, a->apply->batch));
    RESPOND(a, etcdserverpb__auth_user_add_response);
    return OK;
}

static struct err user_delete(struct applying *a, const Etcdserverpb__AuthUserDeleteRequest *r)
{
    TRY(auth_user_delete(table_of(a), r->name, a->apply->batch));
    auth_tokens_forget(a->apply->options.tokens, r->name);
    RESPOND(a, etcdserverpb__auth_user_delete_response);
    return OK;
}

static struct err user_change_password(
    struct applying *a, const Etcdserverpb__AuthUserChangePasswordRequest *r)
{
    struct slice password = {0};
    bool is_good = !err_is(password_of(a, r->password, r->hashedpassword, &password));
    TRY(auth_user_change_password(
        table_of(a), r->name, is_good ? &password : NULL, a->apply->batch));
    auth_tokens_forget(a->apply->options.tokens, r->name);
    RESPOND(a, etcdserverpb__auth_user_change_password_response);
    return OK;
}

static struct err user_get(struct applying *a, const Etcdserverpb__AuthUserGetRequest *r)
{
    struct auth_names roles;
    struct err err = auth_may_administer(table_of(a), &a->guard.caller);
    const char *self = a->guard.caller.username;
    if (err_is(err) && strcmp(r->name, self ? self : "") != 0) {
        return err;
    }
    TRY(auth_user_roles(table_of(a), r->name, a->arena, &roles));
    Etcdserverpb__AuthUserGetResponse *response = RESPOND(a, etcdserverpb__auth_user_get_response);
    response->n_roles = roles.count;
    response->roles = roles.items;
    return OK;
}

static struct err user_list(struct applying *a)
{
    struct auth_names users;
    auth_users(table_of(a), a->arena, &users);
    Etcdserverpb__AuthUserListResponse *response =
        RESPOND(a, etcdserverpb__auth_user_list_response);
    response->n_users = users.count;
    response->users = users.items;
    return OK;
}

static struct err role_get(struct applying *a, const Etcdserverpb__AuthRoleGetRequest *r)
{
    Authpb__Permission **list;
    size_t count;
    struct err err = auth_may_administer(table_of(a), &a->guard.caller);
    const char *self = a->guard.caller.username;
    if (err_is(err) && !auth_has_role(table_of(a), self ? self : "", r->role)) {
        return err;
    }
    TRY(auth_role_permissions(table_of(a), r->role, a->arena, &list, &count));
    Etcdserverpb__AuthRoleGetResponse *response = RESPOND(a, etcdserverpb__auth_role_get_response);
    response->n_perm = count;
    response->perm = list;
    return OK;
}

static struct err role_list(struct applying *a)
{
    struct auth_names roles;
    auth_roles(table_of(a), a->arena, &roles);
    Etcdserverpb__AuthRoleListResponse *response =
        RESPOND(a, etcdserverpb__auth_role_list_response);
    response->n_roles = roles.count;
    response->roles = roles.items;
    return OK;
}

/* The password was checked before it was proposed. */
static struct err authenticate(
    struct applying *a, const Etcdserverpb__InternalAuthenticateRequest *r)
{
    const char *hash;
    const char *token;
    uint64_t rev;
    struct err err = auth_password(table_of(a), r->name, a->arena, &hash, &rev);
    if (err_is(err)) {
        return IS(err, NO_PASSWORD_USER) ? ERR(AUTH_FAILED) : err;
    }
    struct auth_grant grant = {
        .username = r->name,
        .prefix = r->simple_token,
        .index = a->entry->index,
        .revision = rev,
        .now_ms = a->apply->now_ms,
        .unix_s = a->apply->unix_s,
    };
    TRY(auth_token_assign(a->apply->options.tokens, &grant, a->arena, &token));
    Etcdserverpb__AuthenticateResponse *response = RESPOND(a, etcdserverpb__authenticate_response);
    response->token = (char *)(uintptr_t)token;
    return OK;
}

static struct err user_request(struct applying *a, const request_t *r)
{
    struct auth_table *table = table_of(a);
    struct backend_batch *batch = a->apply->batch;
    if (r->auth_user_add) {
        return user_add(a, r->auth_user_add);
    }
    if (r->auth_user_delete) {
        return user_delete(a, r->auth_user_delete);
    }
    if (r->auth_user_change_password) {
        return user_change_password(a, r->auth_user_change_password);
    }
    if (r->auth_user_grant_role) {
        const Etcdserverpb__AuthUserGrantRoleRequest *grant = r->auth_user_grant_role;
        TRY(auth_user_grant_role(table, grant->user, grant->role, batch));
        RESPOND(a, etcdserverpb__auth_user_grant_role_response);
        return OK;
    }
    if (r->auth_user_revoke_role) {
        const Etcdserverpb__AuthUserRevokeRoleRequest *revoke = r->auth_user_revoke_role;
        TRY(auth_user_revoke_role(table, revoke->name, revoke->role, batch));
        RESPOND(a, etcdserverpb__auth_user_revoke_role_response);
        return OK;
    }
    return r->auth_user_get ? user_get(a, r->auth_user_get) : user_list(a);
}

static struct err role_request(struct applying *a, const request_t *r)
{
    struct auth_table *table = table_of(a);
    struct backend_batch *batch = a->apply->batch;
    if (r->auth_role_add) {
        TRY(auth_role_add(table, r->auth_role_add->name, batch));
        RESPOND(a, etcdserverpb__auth_role_add_response);
        return OK;
    }
    if (r->auth_role_delete) {
        TRY(auth_role_delete(table, r->auth_role_delete->role, batch));
        RESPOND(a, etcdserverpb__auth_role_delete_response);
        return OK;
    }
    if (r->auth_role_grant_permission) {
        const Etcdserverpb__AuthRoleGrantPermissionRequest *grant = r->auth_role_grant_permission;
        TRY(auth_role_grant(table, grant->name, grant->perm, batch));
        RESPOND(a, etcdserverpb__auth_role_grant_permission_response);
        return OK;
    }
    if (r->auth_role_revoke_permission) {
        const Etcdserverpb__AuthRoleRevokePermissionRequest *revoke =
            r->auth_role_revoke_permission;
        TRY(auth_role_revoke(
            table, revoke->role, pb_slice(revoke->key), pb_slice(revoke->range_end), batch));
        RESPOND(a, etcdserverpb__auth_role_revoke_permission_response);
        return OK;
    }
    return r->auth_role_get ? role_get(a, r->auth_role_get) : role_list(a);
}

static struct err switch_request(struct applying *a, const request_t *r)
{
    if (r->auth_enable) {
        TRY(auth_enable(table_of(a), a->apply->batch));
        RESPOND(a, etcdserverpb__auth_enable_response);
    } else if (r->auth_disable) {
        auth_disable(table_of(a), a->apply->batch);
        auth_tokens_forget(a->apply->options.tokens, NULL);
        RESPOND(a, etcdserverpb__auth_disable_response);
    } else {
        Etcdserverpb__AuthStatusResponse *response = RESPOND(a, etcdserverpb__auth_status_response);
        response->enabled = auth_is_enabled(table_of(a));
        response->authrevision = auth_revision(table_of(a));
    }
    return OK;
}

struct err apply_auth_request(struct applying *a)
{
    const request_t *r = a->request;
    if (is_for_administrators(r)) {
        TRY(auth_may_administer(table_of(a), &a->guard.caller));
    }
    if (r->auth_enable || r->auth_disable || r->auth_status) {
        return switch_request(a, r);
    }
    if (r->authenticate) {
        return authenticate(a, r->authenticate);
    }
    bool is_role = r->auth_role_add || r->auth_role_delete || r->auth_role_get ||
                   r->auth_role_list || r->auth_role_grant_permission ||
                   r->auth_role_revoke_permission;
    return is_role ? role_request(a, r) : user_request(a, r);
}
