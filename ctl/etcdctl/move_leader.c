/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

#include <inttypes.h>

/* Asks one endpoint whether it leads. A leader's client stays open: *out_client. Gives an exit
 * code. */
static int find_leader(const struct client_config *config, const char *const *endpoint,
    client_deadline deadline, struct client **out_client, uint64_t *out_leader)
{
    const Etcdserverpb__StatusResponse *status;
    struct client_config one = ctl_config_for(config, endpoint);
    struct client *client;

    REQUEST(StatusRequest, status_request, request);
    int code = ctl_open(&one, &client);
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_status, &request, deadline, &status);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    if (status->header && status->header->member_id == status->leader) {
        *out_leader = status->leader;
        *out_client = client;
    } else {
        client_close(client);
    }
    return CMD_EXIT_OK;
}

static int transfer(const struct printer *printer, struct client *client, uint64_t leader,
    const Etcdserverpb__MoveLeaderRequest *request, client_deadline deadline)
{
    const Etcdserverpb__MoveLeaderResponse *response = NULL;
    int code = ctl_call(client, &client_move_leader, request, deadline, &response);

    if (code == CMD_EXIT_OK) {
        code = print_member_change(printer, response,
            "Leadership transferred from %" PRIx64 " to %" PRIx64 "\n", leader, request->targetid);
        client_close(client);
    }
    return code;
}

static int move_leader(struct cmd_run *run)
{
    struct client_config config;
    struct printer printer;
    struct client *leader = NULL;
    uint64_t leader_id = 0;
    struct why why;

    REQUEST(MoveLeaderRequest, move_leader_request, request);
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "move-leader command needs 1 argument");
    }
    if (err_is(gotext_parse_uint(run->args[0], 16, &request.targetid, &why))) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "%s", why.text);
    }
    int code = ctl_configure(run, &config, &printer);
    client_deadline deadline = ctl_deadline(run);
    for (size_t i = 0; code == CMD_EXIT_OK && !leader && i < config.endpoints_count; i++) {
        code = find_leader(&config, &config.endpoints[i], deadline, &leader, &leader_id);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    if (!leader) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "no leader endpoint given at %s",
            ctl_endpoint_list(run->arena, &config));
    }
    return transfer(&printer, leader, leader_id, &request, deadline);
}

const struct cmd cmd_move_leader = {
    .use = "move-leader <transferee-member-id>",
    .brief = "Transfers leadership to another etcd cluster member.",
    .run = move_leader,
};
