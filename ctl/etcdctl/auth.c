/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

static int no_arguments(const struct cmd_run *run, const char *command)
{
    return run->args_count == 0 ? CMD_EXIT_OK
                                : cmd_fail(CMD_EXIT_BAD_ARGS,
                                      "auth %s command does not accept any arguments", command);
}

static int status(struct cmd_run *run)
{
    const Etcdserverpb__AuthStatusResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(AuthStatusRequest, auth_status_request, request);
    int code = no_arguments(run, "status");
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_auth_status, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_auth_status(&printer, response);
        client_close(client);
    }
    return code;
}

/* The role root, for the user root: what enabling asks for. */
static struct err make_root(struct client *client, client_deadline deadline, struct why *why)
{
    const Etcdserverpb__AuthRoleAddResponse *added;
    const Etcdserverpb__AuthUserGrantRoleResponse *granted;

    REQUEST(AuthRoleAddRequest, auth_role_add_request, add);
    REQUEST(AuthUserGrantRoleRequest, auth_user_grant_role_request, grant);
    add.name = grant.user = grant.role = (char *)(uintptr_t) "root";
    TRY(client_call(client, CLIENT_ASK(&client_role_add, &add, deadline), &added, why));
    return client_call(
        client, CLIENT_ASK(&client_user_grant_role, &grant, deadline), &granted, why);
}

static struct err try_enable(struct client *client, client_deadline deadline, struct why *why)
{
    const Etcdserverpb__AuthEnableResponse *response;

    REQUEST(AuthEnableRequest, auth_enable_request, request);
    for (;;) {
        struct err err = client_call(
            client, CLIENT_ASK(&client_auth_enable, &request, deadline), &response, why);
        if (!IS(err, ROOT_ROLE_NOT_EXIST)) {
            return err;
        }
        TRY(make_root(client, deadline, why));
    }
}

static int enable(struct cmd_run *run)
{
    struct client *client;
    struct printer printer;
    struct why why;

    int code = no_arguments(run, "enable");
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    if (err_is(try_enable(client, deadline, &why))) {
        code = cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    } else {
        printf("Authentication Enabled\n");
    }
    client_close(client);
    return code;
}

static int disable(struct cmd_run *run)
{
    const Etcdserverpb__AuthDisableResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(AuthDisableRequest, auth_disable_request, request);
    int code = no_arguments(run, "disable");
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_auth_disable, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        printf("Authentication Disabled\n");
        client_close(client);
    }
    return code;
}

static const struct cmd enable_cmd = {
    .use = "enable", .brief = "Enables authentication", .run = enable};
static const struct cmd disable_cmd = {
    .use = "disable", .brief = "Disables authentication", .run = disable};
static const struct cmd status_cmd = {
    .use = "status", .brief = "Returns authentication status", .run = status};
static const struct cmd *const children[] = {&enable_cmd, &disable_cmd, &status_cmd, NULL};
const struct cmd cmd_auth = {.use = "auth <enable or disable>",
    .brief = "Enable or disable authentication",
    .children = children};
