/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

static int needs_name(const struct cmd_run *run, const char *command)
{
    return run->args_count == 1
               ? CMD_EXIT_OK
               : cmd_fail(CMD_EXIT_BAD_ARGS, "role %s command requires role name as its argument",
                     command);
}

static int add(struct cmd_run *run)
{
    const Etcdserverpb__AuthRoleAddResponse *response;
    struct ctl_session session;

    REQUEST(AuthRoleAddRequest, auth_role_add_request, request);
    int code = needs_name(run, "add");
    if (code == CMD_EXIT_OK) {
        request.name = run->args[0];
        code = ctl_connect_call(run, &client_role_add, &request, &session, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_done(
            &session.printer, response, response->header, "Role %s created\n", run->args[0]);
        client_close(session.client);
    }
    return code;
}

static int delete_role(struct cmd_run *run)
{
    const Etcdserverpb__AuthRoleDeleteResponse *response;
    struct ctl_session session;

    REQUEST(AuthRoleDeleteRequest, auth_role_delete_request, request);
    int code = needs_name(run, "delete");
    if (code == CMD_EXIT_OK) {
        request.role = run->args[0];
        code = ctl_connect_call(run, &client_role_delete, &request, &session, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_done(
            &session.printer, response, response->header, "Role %s deleted\n", run->args[0]);
        client_close(session.client);
    }
    return code;
}

static int get(struct cmd_run *run)
{
    const Etcdserverpb__AuthRoleGetResponse *response;
    struct ctl_session session;

    REQUEST(AuthRoleGetRequest, auth_role_get_request, request);
    int code = needs_name(run, "get");
    if (code == CMD_EXIT_OK) {
        request.role = run->args[0];
        code = ctl_connect_call(run, &client_role_get, &request, &session, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_role(&session.printer, run->args[0], response);
        client_close(session.client);
    }
    return code;
}

static int list(struct cmd_run *run)
{
    const Etcdserverpb__AuthRoleListResponse *response;
    struct ctl_session session;

    REQUEST(AuthRoleListRequest, auth_role_list_request, request);
    if (run->args_count != 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "role list command requires no arguments");
    }
    int code = ctl_connect_call(run, &client_role_list, &request, &session, &response);
    if (code == CMD_EXIT_OK) {
        code = print_roles(&session.printer, response);
        client_close(session.client);
    }
    return code;
}

struct permission_range {
    struct slice key;
    struct slice end;
};

/* KEY [END], with --prefix or --from-key instead of END; an empty key stands for the first one. */
static int read_range(const struct cmd_run *run, size_t first, struct permission_range *out)
{
    bool is_prefix = cmd_bool(run, "prefix"), is_from_key = cmd_bool(run, "from-key");
    bool has_end = run->args_count > first + 1;

    out->key = slice_str(run->args[first]);
    out->end = slice_str("");
    if (out->key.len == 0) {
        out->key = PREFIX_FROM_KEY;
        out->end = is_prefix || is_from_key ? PREFIX_FROM_KEY : out->end;
        has_end = false;
    } else if (has_end && (is_prefix || is_from_key)) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "unexpected endkey argument with --%s flag",
            is_prefix ? "prefix" : "from-key");
    }
    if (is_prefix && is_from_key) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "--from-key and --prefix flags are mutually exclusive");
    }
    if (has_end) {
        out->end = slice_str(run->args[first + 1]);
    } else if (is_from_key) {
        out->end = PREFIX_FROM_KEY;
    } else if (is_prefix && out->end.len == 0) {
        out->end = prefix_range_end(run->arena, out->key);
    }
    return CMD_EXIT_OK;
}

static int permission_type(const struct cmd_run *run, Authpb__Permission__Type *out)
{
    static const char *const names[] = {"READ", "WRITE", "READWRITE"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcasecmp(run->args[1], names[i]) == 0) {
            *out = (Authpb__Permission__Type)i;
            return CMD_EXIT_OK;
        }
    }
    return cmd_fail(CMD_EXIT_BAD_ARGS, "invalid permission type: %s", run->args[1]);
}

static int grant(struct cmd_run *run)
{
    const Etcdserverpb__AuthRoleGrantPermissionResponse *response;
    Authpb__Permission permission = AUTHPB__PERMISSION__INIT;
    struct permission_range range;
    struct ctl_session session;

    REQUEST(AuthRoleGrantPermissionRequest, auth_role_grant_permission_request, request);
    if (run->args_count < 3) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "role grant command requires role name, permission "
                                           "type, and key [endkey] as its argument");
    }
    int code = permission_type(run, &permission.permtype);
    if (code == CMD_EXIT_OK) {
        code = read_range(run, 2, &range);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    permission.key = pb_bytes(range.key);
    permission.range_end = pb_bytes(range.end);
    request.name = run->args[0];
    request.perm = &permission;
    code = ctl_connect_call(run, &client_role_grant_permission, &request, &session, &response);
    if (code == CMD_EXIT_OK) {
        code = print_done(
            &session.printer, response, response->header, "Role %s updated\n", run->args[0]);
        client_close(session.client);
    }
    return code;
}

static int print_revoked(const struct cmd_run *run, const struct printer *p, struct slice end,
    const Etcdserverpb__AuthRoleRevokePermissionResponse *r)
{
    const char *role = run->args[0], *key = run->args[1];

    if (end.len == 0) {
        return print_done(
            p, r, r->header, "Permission of key %s is revoked from role %s\n", key, role);
    }
    if (slice_eq(end, PREFIX_FROM_KEY)) {
        return print_done(p, r, r->header,
            "Permission of range [%s, <open ended> is revoked from role %s\n", key, role);
    }
    return print_done(p, r, r->header, "Permission of range [%s, %.*s) is revoked from role %s\n",
        key, (int)end.len, (const char *)end.data, role);
}

static int revoke(struct cmd_run *run)
{
    const Etcdserverpb__AuthRoleRevokePermissionResponse *response;
    struct permission_range range;
    struct ctl_session session;

    REQUEST(AuthRoleRevokePermissionRequest, auth_role_revoke_permission_request, request);
    if (run->args_count < 2) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "role revoke-permission command requires role name and key [endkey] as its argument");
    }
    int code = read_range(run, 1, &range);
    if (code == CMD_EXIT_OK) {
        request.role = run->args[0];
        request.key = pb_bytes(range.key);
        request.range_end = pb_bytes(range.end);
        code = ctl_connect_call(run, &client_role_revoke_permission, &request, &session, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_revoked(run, &session.printer, range.end, response);
        client_close(session.client);
    }
    return code;
}

static const struct cmd add_cmd = {
    .use = "add <role name>", .brief = "Adds a new role", .run = add};
static const struct cmd delete_cmd = {
    .use = "delete <role name>", .brief = "Deletes a role", .run = delete_role};
static const struct cmd get_cmd = {
    .use = "get <role name>", .brief = "Gets detailed information of a role", .run = get};
static const struct cmd list_cmd = {.use = "list", .brief = "Lists all roles", .run = list};

static const struct cmd_option grant_options[] = {
    {"prefix", CMD_BOOL, "false", "grant a prefix permission", 0, false},
    {"from-key", CMD_BOOL, "false",
        "grant a permission of keys that are greater than or equal to the given key using byte "
        "compare",
        0, false},
    {0},
};
static const struct cmd grant_cmd = {
    .use = "grant-permission [options] <role name> <permission type> <key> [endkey]",
    .brief = "Grants a key to a role",
    .options = grant_options,
    .run = grant,
};

static const struct cmd_option revoke_options[] = {
    {"prefix", CMD_BOOL, "false", "revoke a prefix permission", 0, false},
    {"from-key", CMD_BOOL, "false",
        "revoke a permission of keys that are greater than or equal to the given key using byte "
        "compare",
        0, false},
    {0},
};
static const struct cmd revoke_cmd = {
    .use = "revoke-permission <role name> <key> [endkey]",
    .brief = "Revokes a key from a role",
    .options = revoke_options,
    .run = revoke,
};

static const struct cmd *const children[] = {
    &add_cmd, &delete_cmd, &get_cmd, &list_cmd, &grant_cmd, &revoke_cmd, NULL};
const struct cmd cmd_role = {
    .use = "role <subcommand>", .brief = "Role related commands", .children = children};
