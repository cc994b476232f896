/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

static int ask(
    struct cmd_run *run, Etcdserverpb__DowngradeRequest__DowngradeAction action, const char *word)
{
    const Etcdserverpb__DowngradeResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(DowngradeRequest, downgrade_request, request);
    request.action = action;
    if (action != ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL) {
        if (run->args_count != 1 || !*run->args[0]) {
            return cmd_fail(CMD_EXIT_BAD_ARGS, "%s",
                run->args_count == 0  ? "TARGET_VERSION not provided"
                : run->args_count > 1 ? "too many arguments"
                                      : "target version not provided");
        }
        request.version = run->args[0];
    }
    client_deadline deadline = ctl_deadline(run);
    int code = ctl_connect(run, &client, &printer);
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_downgrade, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_member_change(&printer, response, "Downgrade %s success, cluster version %s\n",
            word, response->version);
        client_close(client);
    }
    return code;
}

static int validate(struct cmd_run *run)
{
    return ask(run, ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__VALIDATE, "validate");
}

static int enable(struct cmd_run *run)
{
    return ask(run, ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__ENABLE, "enable");
}

static int cancel(struct cmd_run *run)
{
    return ask(run, ETCDSERVERPB__DOWNGRADE_REQUEST__DOWNGRADE_ACTION__CANCEL, "cancel");
}

static const struct cmd validate_cmd = {
    .use = "validate <TARGET_VERSION>",
    .brief = "Validate downgrade capability before starting downgrade",
    .run = validate,
};
static const struct cmd enable_cmd = {.use = "enable <TARGET_VERSION>",
    .brief = "Start a downgrade action to cluster",
    .run = enable};
static const struct cmd cancel_cmd = {
    .use = "cancel", .brief = "Cancel the ongoing downgrade action to cluster", .run = cancel};
static const struct cmd *const children[] = {&validate_cmd, &enable_cmd, &cancel_cmd, NULL};
const struct cmd cmd_downgrade = {.use = "downgrade <TARGET_VERSION>",
    .brief = "Downgrade related commands",
    .children = children};
