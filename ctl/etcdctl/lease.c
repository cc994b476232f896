/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"
#include "renewal.h"

static int lease_id(const char *text, int64_t *out_id)
{
    struct why why;

    if (err_is(gotext_parse_int(text, 16, out_id, &why))) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "bad lease ID arg (%s), expecting ID in Hex", why.text);
    }
    return CMD_EXIT_OK;
}

/* A call whose failure ends the command with that code and, before the error, those words. */
static int call(struct client *client, const struct client_method *method, const void *request,
    client_deadline deadline, void *out_response)
{
    bool is_change = method == &client_lease_grant || method == &client_lease_revoke;
    struct why why;

    if (!err_is(client_call(client, CLIENT_ASK(method, request, deadline), out_response, &why))) {
        return CMD_EXIT_OK;
    }
    client_close(client);
    if (is_change) {
        return cmd_fail(CMD_EXIT_ERROR, "failed to %s lease (%s)",
            method == &client_lease_grant ? "grant" : "revoke", why.text);
    }
    return cmd_fail(CMD_EXIT_BAD_CONNECTION, "%s", why.text);
}

static int grant(struct cmd_run *run)
{
    const Etcdserverpb__LeaseGrantResponse *response;
    struct client *client;
    struct printer printer;
    struct why why;

    REQUEST(LeaseGrantRequest, lease_grant_request, request);
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "lease grant command needs TTL argument");
    }
    if (err_is(gotext_parse_int(run->args[0], 10, &request.ttl, &why))) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "bad TTL (%s)", why.text);
    }
    client_deadline deadline = ctl_deadline(run);
    int code = ctl_connect(run, &client, &printer);
    if (code == CMD_EXIT_OK) {
        code = call(client, &client_lease_grant, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_grant(&printer, response);
        client_close(client);
    }
    return code;
}

static int revoke_lease(struct cmd_run *run)
{
    const Etcdserverpb__LeaseRevokeResponse *response;
    struct client *client;
    struct printer printer;
    char id[GOTEXT_SIZE];

    REQUEST(LeaseRevokeRequest, lease_revoke_request, request);
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "lease revoke command needs 1 argument");
    }
    int code = lease_id(run->args[0], &request.id);
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        code = call(client, &client_lease_revoke, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_done(&printer, response, response->header, "lease %s revoked\n",
            gotext_lease(request.id, id));
        client_close(client);
    }
    return code;
}

static int time_to_live(struct cmd_run *run)
{
    const Etcdserverpb__LeaseTimeToLiveResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(LeaseTimeToLiveRequest, lease_time_to_live_request, request);
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "lease timetolive command needs lease ID as argument");
    }
    int code = ctl_connect(run, &client, &printer);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    code = lease_id(run->args[0], &request.id);
    if (code != CMD_EXIT_OK) {
        client_close(client);
        return code;
    }
    request.keys = cmd_bool(run, "keys");
    code = call(client, &client_lease_time_to_live, &request, 0, &response);
    if (code == CMD_EXIT_OK) {
        code = print_time_to_live(&printer, response, cmd_bool(run, "keys"));
        client_close(client);
    }
    return code;
}

static int list(struct cmd_run *run)
{
    const Etcdserverpb__LeaseLeasesResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(LeaseLeasesRequest, lease_leases_request, request);
    int code = ctl_connect(run, &client, &printer);
    if (code == CMD_EXIT_OK) {
        code = call(client, &client_lease_leases, &request, 0, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_leases(&printer, response);
        client_close(client);
    }
    return code;
}

static int keep_alive_once(
    struct cmd_run *run, struct renewal *renewal, const struct printer *printer)
{
    const Etcdserverpb__LeaseKeepAliveResponse *response;
    struct why why;
    struct err err = renewal_ask(renewal, 0, run->arena, &response, &why);

    if (!err_is(err) && response->ttl <= 0) {
        err = why_set(&why, ERR(LEASE_NOT_FOUND), "%s", err_text(ERR(LEASE_NOT_FOUND)));
    }
    if (err_is(err)) {
        return cmd_fail(CMD_EXIT_BAD_CONNECTION, "%s", why.text);
    }
    return print_keep_alive(printer, response);
}

/* Renews every third of the lease's time until the server says that it is gone or has not answered
 * for all of it. */
static int keep_alive_on(
    struct cmd_run *run, struct renewal *renewal, const struct printer *printer)
{
    client_deadline deadline = clock_mono_ns() + cmd_int(run, "dial-timeout") + 1000000000;
    char text[GOTEXT_SIZE];

    while (clock_mono_ns() < deadline) {
        const Etcdserverpb__LeaseKeepAliveResponse *response;
        struct arena *arena = arena_new(0);
        struct why why;
        struct err err = renewal_ask(renewal, deadline, arena, &response, &why);
        int64_t ttl = err_is(err) ? 0 : response->ttl;
        int code = ttl > 0 ? print_keep_alive(printer, response) : CMD_EXIT_OK;
        fflush(stdout);
        arena_free(arena);
        if (code != CMD_EXIT_OK) {
            return code;
        }
        if (!err_is(err) && ttl <= 0) {
            break;
        }
        if (!err_is(err)) {
            deadline = renewal_deadline(ttl);
        }
        renewal_wait(ttl);
    }
    if (printer->format == PRINT_SIMPLE) {
        printf("lease %s expired or revoked.\n", gotext_lease(renewal->lease, text));
    }
    return CMD_EXIT_OK;
}

static int keep_alive(struct cmd_run *run)
{
    struct renewal renewal = {0};
    struct printer printer;

    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "lease keep-alive command needs lease ID as argument");
    }
    int code = lease_id(run->args[0], &renewal.lease);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &renewal.client, &printer);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    code = cmd_bool(run, "once") ? keep_alive_once(run, &renewal, &printer)
                                 : keep_alive_on(run, &renewal, &printer);
    renewal_close(&renewal);
    client_close(renewal.client);
    return code;
}

static const struct cmd grant_cmd = {.use = "grant <ttl>", .brief = "Creates leases", .run = grant};

static const struct cmd revoke_cmd = {
    .use = "revoke <leaseID>", .brief = "Revokes leases", .run = revoke_lease};

static const struct cmd_option time_to_live_options[] = {
    {"keys", CMD_BOOL, "false", "Get keys attached to this lease", 0, false},
    {0},
};
static const struct cmd time_to_live_cmd = {
    .use = "timetolive <leaseID> [options]",
    .brief = "Get lease information",
    .options = time_to_live_options,
    .run = time_to_live,
};

static const struct cmd list_cmd = {.use = "list", .brief = "List all active leases", .run = list};

static const struct cmd_option keep_alive_options[] = {
    {"once", CMD_BOOL, "false",
        "Resets the keep-alive time to its original value and cobrautl.Exits immediately", 0,
        false},
    {0},
};
static const struct cmd keep_alive_cmd = {
    .use = "keep-alive [options] <leaseID>",
    .brief = "Keeps leases alive (renew)",
    .options = keep_alive_options,
    .run = keep_alive,
};

static const struct cmd *const children[] = {
    &grant_cmd, &revoke_cmd, &time_to_live_cmd, &list_cmd, &keep_alive_cmd, NULL};
const struct cmd cmd_lease = {
    .use = "lease <subcommand>", .brief = "Lease related commands", .children = children};
