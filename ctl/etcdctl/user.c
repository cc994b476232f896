/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

/* Twice from the terminal; or one word from stdin. Gives an exit code. */
static int read_password(const struct cmd_run *run, const char *name, const char **out_password)
{
    char word[1024] = "";

    if (!cmd_bool(run, "interactive")) {
        *out_password = scanf("%1023s", word) == 1 ? arena_strdup(run->arena, word) : "";
        return CMD_EXIT_OK;
    }
    const char *first = ctl_ask(run->arena, arena_printf(run->arena, "Password of %s: ", name));
    if (!*first) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "empty password");
    }
    const char *second = ctl_ask(
        run->arena, arena_printf(run->arena, "Type password of %s again for confirmation: ", name));
    if (strcmp(first, second) != 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "given passwords are different");
    }
    *out_password = first;
    return CMD_EXIT_OK;
}

/* "name", "name:password", or a password from --new-user-password or the terminal. */
static int read_new_user(struct cmd_run *run, const char **out_name, const char **out_password)
{
    const char *colon = strchr(run->args[0], ':');

    *out_name = run->args[0];
    *out_password = "";
    if (cmd_bool(run, "no-password")) {
        return CMD_EXIT_OK;
    }
    if (*cmd_text(run, "new-user-password")) {
        *out_password = cmd_text(run, "new-user-password");
        return CMD_EXIT_OK;
    }
    if (!colon) {
        return read_password(run, *out_name, out_password);
    }
    if (colon == run->args[0]) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "empty user name is not allowed");
    }
    *out_name =
        (const char *)arena_dup(run->arena, slice_of(run->args[0], (size_t)(colon - run->args[0])))
            .data;
    *out_password = colon + 1;
    return CMD_EXIT_OK;
}

static int add(struct cmd_run *run)
{
    const Etcdserverpb__AuthUserAddResponse *response;
    Authpb__UserAddOptions options = AUTHPB__USER_ADD_OPTIONS__INIT;
    const char *name, *password;
    struct ctl_session session;

    REQUEST(AuthUserAddRequest, auth_user_add_request, request);
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "user add command requires user name as its argument");
    }
    int code = read_new_user(run, &name, &password);
    if (code == CMD_EXIT_OK) {
        options.no_password = cmd_bool(run, "no-password");
        request.name = (char *)(uintptr_t)name;
        request.password = (char *)(uintptr_t)password;
        request.options = &options;
        code = ctl_connect_call(run, &client_user_add, &request, &session, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_done(&session.printer, response, response->header, "User %s created\n", name);
        client_close(session.client);
    }
    return code;
}

static int delete_user(struct cmd_run *run)
{
    const Etcdserverpb__AuthUserDeleteResponse *response;
    struct ctl_session session;

    REQUEST(AuthUserDeleteRequest, auth_user_delete_request, request);
    if (run->args_count != 1) {
        return cmd_fail(
            CMD_EXIT_BAD_ARGS, "user delete command requires user name as its argument");
    }
    request.name = run->args[0];
    int code = ctl_connect_call(run, &client_user_delete, &request, &session, &response);
    if (code == CMD_EXIT_OK) {
        code = print_done(
            &session.printer, response, response->header, "User %s deleted\n", run->args[0]);
        client_close(session.client);
    }
    return code;
}

static int print_detail(struct client *client, const struct printer *printer, const char *name,
    const Etcdserverpb__AuthUserGetResponse *user)
{
    int code = CMD_EXIT_OK;

    printf("User: %s\n", name);
    for (size_t i = 0; code == CMD_EXIT_OK && i < user->n_roles; i++) {
        const Etcdserverpb__AuthRoleGetResponse *role;
        struct why why;
        REQUEST(AuthRoleGetRequest, auth_role_get_request, request);
        request.role = user->roles[i];
        printf("\n");
        code = err_is(client_call(client, CLIENT_ASK(&client_role_get, &request, 0), &role, &why))
                   ? cmd_fail(CMD_EXIT_ERROR, "%s", why.text)
                   : print_role(printer, user->roles[i], role);
    }
    return code;
}

static int get(struct cmd_run *run)
{
    const Etcdserverpb__AuthUserGetResponse *response;
    struct ctl_session session;

    REQUEST(AuthUserGetRequest, auth_user_get_request, request);
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "user get command requires user name as its argument");
    }
    request.name = run->args[0];
    int code = ctl_connect_call(run, &client_user_get, &request, &session, &response);
    if (code == CMD_EXIT_OK) {
        code = cmd_bool(run, "detail")
                   ? print_detail(session.client, &session.printer, run->args[0], response)
                   : print_user(&session.printer, run->args[0], response);
        client_close(session.client);
    }
    return code;
}

static int list(struct cmd_run *run)
{
    const Etcdserverpb__AuthUserListResponse *response;
    struct ctl_session session;

    REQUEST(AuthUserListRequest, auth_user_list_request, request);
    if (run->args_count != 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "user list command requires no arguments");
    }
    int code = ctl_connect_call(run, &client_user_list, &request, &session, &response);
    if (code == CMD_EXIT_OK) {
        code = print_users(&session.printer, response);
        client_close(session.client);
    }
    return code;
}

static int passwd(struct cmd_run *run)
{
    const Etcdserverpb__AuthUserChangePasswordResponse *response;
    const char *password;
    struct ctl_session session;

    REQUEST(AuthUserChangePasswordRequest, auth_user_change_password_request, request);
    if (run->args_count != 1) {
        return cmd_fail(
            CMD_EXIT_BAD_ARGS, "user passwd command requires user name as its argument");
    }
    int code = read_password(run, run->args[0], &password);
    if (code == CMD_EXIT_OK) {
        request.name = run->args[0];
        request.password = (char *)(uintptr_t)password;
        code = ctl_connect_call(run, &client_user_change_password, &request, &session, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_done(&session.printer, response, response->header, "Password updated\n");
        client_close(session.client);
    }
    return code;
}

static int grant_role(struct cmd_run *run)
{
    const Etcdserverpb__AuthUserGrantRoleResponse *response;
    struct ctl_session session;

    REQUEST(AuthUserGrantRoleRequest, auth_user_grant_role_request, request);
    if (run->args_count != 2) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "user grant command requires user name and role name as its argument");
    }
    request.user = run->args[0];
    request.role = run->args[1];
    int code = ctl_connect_call(run, &client_user_grant_role, &request, &session, &response);
    if (code == CMD_EXIT_OK) {
        code = print_done(&session.printer, response, response->header,
            "Role %s is granted to user %s\n", run->args[1], run->args[0]);
        client_close(session.client);
    }
    return code;
}

static int revoke_role(struct cmd_run *run)
{
    const Etcdserverpb__AuthUserRevokeRoleResponse *response;
    struct ctl_session session;

    REQUEST(AuthUserRevokeRoleRequest, auth_user_revoke_role_request, request);
    if (run->args_count != 2) {
        return cmd_fail(
            CMD_EXIT_BAD_ARGS, "user revoke-role requires user name and role name as its argument");
    }
    request.name = run->args[0];
    request.role = run->args[1];
    int code = ctl_connect_call(run, &client_user_revoke_role, &request, &session, &response);
    if (code == CMD_EXIT_OK) {
        code = print_done(&session.printer, response, response->header,
            "Role %s is revoked from user %s\n", run->args[1], run->args[0]);
        client_close(session.client);
    }
    return code;
}

static const struct cmd_option add_options[] = {
    {"interactive", CMD_BOOL, "true", "Read password from stdin instead of interactive terminal", 0,
        false},
    {"new-user-password", CMD_STRING, "", "Supply password from the command line flag", 0, false},
    {"no-password", CMD_BOOL, "false", "Create a user without password (CN based auth only)", 0,
        false},
    {0},
};
static const struct cmd add_cmd = {
    .use = "add <user name or user:password> [options]",
    .brief = "Adds a new user",
    .options = add_options,
    .run = add,
};

static const struct cmd delete_cmd = {
    .use = "delete <user name>", .brief = "Deletes a user", .run = delete_user};

static const struct cmd_option get_options[] = {
    {"detail", CMD_BOOL, "false", "Show permissions of roles granted to the user", 0, false},
    {0},
};
static const struct cmd get_cmd = {
    .use = "get <user name> [options]",
    .brief = "Gets detailed information of a user",
    .options = get_options,
    .run = get,
};

static const struct cmd list_cmd = {.use = "list", .brief = "Lists all users", .run = list};

static const struct cmd_option passwd_options[] = {
    {"interactive", CMD_BOOL, "true",
        "If true, read password from stdin instead of interactive terminal", 0, false},
    {0},
};
static const struct cmd passwd_cmd = {
    .use = "passwd <user name> [options]",
    .brief = "Changes password of user",
    .options = passwd_options,
    .run = passwd,
};

static const struct cmd grant_cmd = {.use = "grant-role <user name> <role name>",
    .brief = "Grants a role to a user",
    .run = grant_role};
static const struct cmd revoke_cmd = {.use = "revoke-role <user name> <role name>",
    .brief = "Revokes a role from a user",
    .run = revoke_role};
static const struct cmd *const children[] = {
    &add_cmd, &delete_cmd, &get_cmd, &list_cmd, &passwd_cmd, &grant_cmd, &revoke_cmd, NULL};
const struct cmd cmd_user = {
    .use = "user <subcommand>", .brief = "User related commands", .children = children};
