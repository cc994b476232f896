/* SPDX-License-Identifier: Apache-2.0 */
#include "words.h"

#include "base/err.h"
#include "base/pb.h"

#include <rpc.pb-c.h>

static char *text(struct arena *arena, struct slice name)
{
    return arena_printf(arena, "%.*s", (int)name.len, (const char *)name.data);
}

static void *user_add_of(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__AuthUserAddRequest *add =
        words_make(arena, &etcdserverpb__auth_user_add_request__descriptor);
    add->name = text(arena, op->user);
    if (slice_eq(op->user, SLICE("root"))) {
        add->options = words_make(arena, &authpb__user_add_options__descriptor);
        add->options->no_password = true;
    } else {
        add->password = text(arena, op->user);
    }
    return add;
}

static void *role_grant_of(const struct history_op *op, struct arena *arena)
{
    static const Authpb__Permission__Type types[] = {
        [HISTORY_READ] = AUTHPB__PERMISSION__TYPE__READ,
        [HISTORY_WRITE] = AUTHPB__PERMISSION__TYPE__WRITE,
        [HISTORY_READWRITE] = AUTHPB__PERMISSION__TYPE__READWRITE};
    Etcdserverpb__AuthRoleGrantPermissionRequest *grant =
        words_make(arena, &etcdserverpb__auth_role_grant_permission_request__descriptor);
    grant->name = text(arena, op->role);
    grant->perm = words_make(arena, &authpb__permission__descriptor);
    grant->perm->key = pb_bytes(op->key);
    grant->perm->range_end = pb_bytes(op->end);
    grant->perm->permtype = types[op->permission];
    return grant;
}

static void *role_revoke_of(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__AuthRoleRevokePermissionRequest *revoke =
        words_make(arena, &etcdserverpb__auth_role_revoke_permission_request__descriptor);
    revoke->role = text(arena, op->role);
    revoke->key = pb_bytes(op->key);
    revoke->range_end = pb_bytes(op->end);
    return revoke;
}

/* Those of one name, and of two. */
static void *named(struct arena *arena, const ProtobufCMessageDescriptor *type, struct slice first)
{
    struct {
        ProtobufCMessage base;
        char *name;
    } *message = words_make(arena, type);
    message->name = text(arena, first);
    return message;
}

static void *linked(const struct history_op *op, struct arena *arena)
{
    Etcdserverpb__AuthUserGrantRoleRequest *grant;
    Etcdserverpb__AuthUserRevokeRoleRequest *revoke;
    if (op->kind == HISTORY_USER_GRANT) {
        grant = words_make(arena, &etcdserverpb__auth_user_grant_role_request__descriptor);
        grant->user = text(arena, op->user);
        grant->role = text(arena, op->role);
        return grant;
    }
    revoke = words_make(arena, &etcdserverpb__auth_user_revoke_role_request__descriptor);
    revoke->name = text(arena, op->user);
    revoke->role = text(arena, op->role);
    return revoke;
}

static void *request_of(const struct history_op *op, struct arena *arena)
{
    switch ((int)op->kind) {
    case HISTORY_AUTH_ENABLE:
        return words_make(arena, &etcdserverpb__auth_enable_request__descriptor);
    case HISTORY_AUTH_DISABLE:
        return words_make(arena, &etcdserverpb__auth_disable_request__descriptor);
    case HISTORY_AUTH_STATUS:
        return words_make(arena, &etcdserverpb__auth_status_request__descriptor);
    case HISTORY_USER_ADD:
        return user_add_of(op, arena);
    case HISTORY_USER_DELETE:
        return named(arena, &etcdserverpb__auth_user_delete_request__descriptor, op->user);
    case HISTORY_USER_LOOK:
        return named(arena, &etcdserverpb__auth_user_get_request__descriptor, op->user);
    case HISTORY_ROLE_ADD:
        return named(arena, &etcdserverpb__auth_role_add_request__descriptor, op->role);
    case HISTORY_ROLE_DELETE:
        return named(arena, &etcdserverpb__auth_role_delete_request__descriptor, op->role);
    case HISTORY_ROLE_LOOK:
        return named(arena, &etcdserverpb__auth_role_get_request__descriptor, op->role);
    case HISTORY_ROLE_GRANT:
        return role_grant_of(op, arena);
    case HISTORY_ROLE_REVOKE:
        return role_revoke_of(op, arena);
    default:
        return linked(op, arena);
    }
}

const char *words_auth_request(const struct history_op *op, struct arena *arena, void **out_request)
{
    static const char *const methods[HISTORY_KINDS] = {[HISTORY_AUTH_ENABLE] = "AuthEnable",
        [HISTORY_AUTH_DISABLE] = "AuthDisable",
        [HISTORY_AUTH_STATUS] = "AuthStatus",
        [HISTORY_USER_ADD] = "UserAdd",
        [HISTORY_USER_DELETE] = "UserDelete",
        [HISTORY_USER_GRANT] = "UserGrantRole",
        [HISTORY_USER_REVOKE] = "UserRevokeRole",
        [HISTORY_USER_LOOK] = "UserGet",
        [HISTORY_ROLE_ADD] = "RoleAdd",
        [HISTORY_ROLE_DELETE] = "RoleDelete",
        [HISTORY_ROLE_GRANT] = "RoleGrantPermission",
        [HISTORY_ROLE_REVOKE] = "RoleRevokePermission",
        [HISTORY_ROLE_LOOK] = "RoleGet"};
    *out_request = request_of(op, arena);
    return arena_printf(arena, "/etcdserverpb.Auth/%s", methods[op->kind]);
}

static int64_t revision_of(const void *response)
{
    const Etcdserverpb__AuthEnableResponse *any = response; /* each begins with its header */
    return any->header ? any->header->revision : 0;
}

static void user_result(
    const Etcdserverpb__AuthUserGetResponse *from, struct arena *arena, struct history_result *out)
{
    struct slice *names = arena_alloc(arena, (from->n_roles + 1) * sizeof(*names));
    for (size_t i = 0; i < from->n_roles; i++) {
        names[i] = slice_str(from->roles[i]);
    }
    out->names = names;
    out->names_count = from->n_roles;
}

static void role_result(
    const Etcdserverpb__AuthRoleGetResponse *from, struct arena *arena, struct history_result *out)
{
    static const enum history_permission permissions[] = {
        [AUTHPB__PERMISSION__TYPE__READ] = HISTORY_READ,
        [AUTHPB__PERMISSION__TYPE__WRITE] = HISTORY_WRITE,
        [AUTHPB__PERMISSION__TYPE__READWRITE] = HISTORY_READWRITE};
    struct history_grant *grants = arena_alloc(arena, (from->n_perm + 1) * sizeof(*grants));
    for (size_t i = 0; i < from->n_perm; i++) {
        const Authpb__Permission *permission = from->perm[i];
        grants[i] = (struct history_grant){pb_slice(permission->key),
            pb_slice(permission->range_end), permissions[permission->permtype]};
    }
    out->grants = grants;
    out->grants_count = from->n_perm;
}

void words_auth_result(const struct history_op *op, const void *response, struct arena *arena,
    struct history_result *out)
{
    out->revision = revision_of(response);
    if (op->kind == HISTORY_USER_LOOK) {
        user_result(response, arena, out);
    } else if (op->kind == HISTORY_ROLE_LOOK) {
        role_result(response, arena, out);
    } else if (op->kind == HISTORY_AUTH_STATUS) {
        const Etcdserverpb__AuthStatusResponse *status = response;
        out->is_enabled = status->enabled;
        out->auth_revision = (int64_t)status->authrevision;
    }
}
