/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

static int ask(struct client *client, const Etcdserverpb__AlarmRequest *request,
    client_deadline deadline, const Etcdserverpb__AlarmResponse **out)
{
    return ctl_call(client, &client_alarm, request, deadline, out);
}

static int list(struct cmd_run *run)
{
    const Etcdserverpb__AlarmResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(AlarmRequest, alarm_request, request);
    if (run->args_count != 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "alarm list command accepts no arguments");
    }
    client_deadline deadline = ctl_deadline(run);
    int code = ctl_connect(run, &client, &printer);
    if (code == CMD_EXIT_OK) {
        code = ask(client, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_alarms(&printer, response);
        client_close(client);
    }
    return code;
}

/* Every alarm that is there, one by one; what was disarmed comes back without a header. */
static int disarm_all(struct arena *arena, struct client *client, client_deadline deadline,
    const Etcdserverpb__AlarmResponse *found, Etcdserverpb__AlarmResponse *out)
{
    out->alarms = arena_zalloc(arena, (found->n_alarms + 1) * sizeof(*out->alarms));
    for (size_t i = 0; i < found->n_alarms; i++) {
        const Etcdserverpb__AlarmResponse *one;
        REQUEST(AlarmRequest, alarm_request, request);
        request.action = ETCDSERVERPB__ALARM_REQUEST__ALARM_ACTION__DEACTIVATE;
        request.memberid = found->alarms[i]->memberid;
        request.alarm = found->alarms[i]->alarm;
        int code = ask(client, &request, deadline, &one);
        if (code != CMD_EXIT_OK) {
            return code;
        }
        if (one->n_alarms > 0) {
            out->alarms[out->n_alarms++] = one->alarms[0];
        }
    }
    return CMD_EXIT_OK;
}

static int disarm(struct cmd_run *run)
{
    const Etcdserverpb__AlarmResponse *found;
    Etcdserverpb__AlarmResponse disarmed = ETCDSERVERPB__ALARM_RESPONSE__INIT;
    struct client *client;
    struct printer printer;

    REQUEST(AlarmRequest, alarm_request, request);
    if (run->args_count != 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "alarm disarm command accepts no arguments");
    }
    client_deadline deadline = ctl_deadline(run);
    int code = ctl_connect(run, &client, &printer);
    if (code == CMD_EXIT_OK) {
        code = ask(client, &request, deadline, &found);
    }
    if (code == CMD_EXIT_OK) {
        code = disarm_all(run->arena, client, deadline, found, &disarmed);
    }
    if (code == CMD_EXIT_OK) {
        code = print_alarms(&printer, &disarmed);
        client_close(client);
    }
    return code;
}

static const struct cmd disarm_cmd = {
    .use = "disarm", .brief = "Disarms all alarms", .run = disarm};
static const struct cmd list_cmd = {.use = "list", .brief = "Lists all alarms", .run = list};
static const struct cmd *const children[] = {&disarm_cmd, &list_cmd, NULL};
const struct cmd cmd_alarm = {
    .use = "alarm <subcommand>", .brief = "Alarm related commands", .children = children};
