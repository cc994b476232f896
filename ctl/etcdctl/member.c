/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

#include "base/url.h"

#include <inttypes.h>
#include <strings.h>

/* Go's strings.Split at commas, as protobuf-c wants it; clientv3 refuses what is no URL. Gives an
 * exit code. */
static int set_urls(struct arena *arena, const char *text, char ***out_urls, size_t *out_count)
{
    struct text_list list = text_split(arena, text, ',');
    struct url_list urls;
    struct why why;

    if (err_is(url_list_parse(arena, text, &urls, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    *out_urls = (char **)(uintptr_t)list.items;
    *out_count = list.count;
    return CMD_EXIT_OK;
}

static int member_id(const struct cmd_run *run, uint64_t *out_id)
{
    struct why why;

    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "member ID is not provided");
    }
    if (err_is(gotext_parse_uint(run->args[0], 16, out_id, &why))) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "bad member ID arg (%s), expecting ID in Hex", why.text);
    }
    return CMD_EXIT_OK;
}

static int too_many(const struct cmd_run *run)
{
    char *text = arena_strdup(run->arena, "too many arguments");

    for (size_t i = 0; i < run->args_count; i++) {
        if (strncasecmp(run->args[i], "http", 4) == 0) {
            text = arena_printf(run->arena, "%s, did you mean --peer-urls=%s", text, run->args[i]);
        }
    }
    return cmd_fail(CMD_EXIT_BAD_ARGS, "%s", text);
}

static void print_variable(const char *name, const char *value)
{
    printf("%s=", name);
    gotext_print_quoted(stdout, slice_str(value));
    printf("\n");
}

/* The environment that the new member is to be started with. */
static void print_environment(
    const struct cmd_run *run, const Etcdserverpb__MemberAddResponse *response)
{
    char *cluster = arena_strdup(run->arena, "");

    for (size_t i = 0; i < response->n_members; i++) {
        const Etcdserverpb__Member *m = response->members[i];
        const char *name = m->id == response->member->id ? run->args[0] : m->name;
        for (size_t u = 0; u < m->n_peerurls; u++) {
            cluster = arena_printf(
                run->arena, "%s%s%s=%s", cluster, *cluster ? "," : "", name, m->peerurls[u]);
        }
    }
    printf("\n");
    print_variable("ETCD_NAME", run->args[0]);
    print_variable("ETCD_INITIAL_CLUSTER", cluster);
    print_variable("ETCD_INITIAL_ADVERTISE_PEER_URLS", cmd_text(run, "peer-urls"));
    printf("ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n");
}

static int print_added(
    const struct cmd_run *run, const struct printer *p, const Etcdserverpb__MemberAddResponse *r)
{
    int code = print_member_change(p, r, "Member %16" PRIx64 " added%sto cluster %16" PRIx64 "\n",
        r->member->id, r->member->islearner ? " as learner " : " ", r->header->cluster_id);
    if (code == CMD_EXIT_OK && p->format == PRINT_SIMPLE) {
        print_environment(run, r);
    }
    return code;
}

static int add(struct cmd_run *run)
{
    const Etcdserverpb__MemberAddResponse *response;
    struct client *client;
    struct printer printer;

    if (run->args_count == 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "member name not provided");
    }
    if (run->args_count > 1) {
        return too_many(run);
    }
    if (!*cmd_text(run, "peer-urls")) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "member peer urls not provided");
    }
    REQUEST(MemberAddRequest, member_add_request, request);
    int code =
        set_urls(run->arena, cmd_text(run, "peer-urls"), &request.peerurls, &request.n_peerurls);
    request.islearner = cmd_bool(run, "learner");
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_member_add, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_added(run, &printer, response);
        client_close(client);
    }
    return code;
}

/* Removes, updates or promotes: one member, one answer, one sentence. */
static int change(struct cmd_run *run, const struct client_method *method, const void *request,
    uint64_t id, const char *sentence)
{
    const Etcdserverpb__MemberRemoveResponse *response; /* all three begin with the header */
    struct client *client;
    struct printer printer;
    client_deadline deadline = ctl_deadline(run);
    int code = ctl_connect(run, &client, &printer);

    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, method, request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_member_change(&printer, response,
            "Member %16" PRIx64 " %s cluster %16" PRIx64 "\n", id, sentence,
            response->header->cluster_id);
        client_close(client);
    }
    return code;
}

static int remove_member(struct cmd_run *run)
{
    REQUEST(MemberRemoveRequest, member_remove_request, request);
    int code = member_id(run, &request.id);
    return code == CMD_EXIT_OK
               ? change(run, &client_member_remove, &request, request.id, "removed from")
               : code;
}

static int update(struct cmd_run *run)
{
    REQUEST(MemberUpdateRequest, member_update_request, request);
    int code = member_id(run, &request.id);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    if (!*cmd_text(run, "peer-urls")) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "member peer urls not provided");
    }
    code = set_urls(run->arena, cmd_text(run, "peer-urls"), &request.peerurls, &request.n_peerurls);
    return code == CMD_EXIT_OK
               ? change(run, &client_member_update, &request, request.id, "updated in")
               : code;
}

static int promote(struct cmd_run *run)
{
    REQUEST(MemberPromoteRequest, member_promote_request, request);
    int code = member_id(run, &request.id);
    return code == CMD_EXIT_OK
               ? change(run, &client_member_promote, &request, request.id, "promoted in")
               : code;
}

static int list(struct cmd_run *run)
{
    const Etcdserverpb__MemberListResponse *response;
    struct client *client;
    struct printer printer;
    bool is_serializable;

    REQUEST(MemberListRequest, member_list_request, request);
    int code = ctl_consistency(cmd_text(run, "consistency"), "l", &is_serializable);
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        request.linearizable = !is_serializable;
        code = ctl_call(client, &client_member_list, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_member_list(&printer, response);
        client_close(client);
    }
    return code;
}

static const struct cmd_option add_options[] = {
    {"peer-urls", CMD_STRING, "", "comma separated peer URLs for the new member.", 0, false},
    {"learner", CMD_BOOL, "false", "indicates if the new member is raft learner", 0, false},
    {0},
};
static const struct cmd add_cmd = {
    .use = "add <memberName> [options]",
    .brief = "Adds a member into the cluster",
    .options = add_options,
    .run = add,
};

static const struct cmd remove_cmd = {
    .use = "remove <memberID>", .brief = "Removes a member from the cluster", .run = remove_member};

static const struct cmd_option update_options[] = {
    {"peer-urls", CMD_STRING, "", "comma separated peer URLs for the updated member.", 0, false},
    {0},
};
static const struct cmd update_cmd = {
    .use = "update <memberID> [options]",
    .brief = "Updates a member in the cluster",
    .options = update_options,
    .run = update,
};

static const struct cmd_option list_options[] = {
    {"consistency", CMD_STRING, "l", "Linearizable(l) or Serializable(s)", 0, false},
    {0},
};
static const struct cmd list_cmd = {
    .use = "list",
    .brief = "Lists all members in the cluster",
    .text = "When --write-out is set to simple, this command prints out comma-separated member "
            "lists for each "
            "endpoint.\n"
            "The items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is Learner.\n",
    .options = list_options,
    .run = list,
};

static const struct cmd promote_cmd = {
    .use = "promote <memberID>",
    .brief = "Promotes a non-voting member in the cluster",
    .text = "Promotes a non-voting learner member to a voting one in the cluster.\n",
    .run = promote,
};

static const struct cmd *const children[] = {
    &add_cmd, &remove_cmd, &update_cmd, &list_cmd, &promote_cmd, NULL};
const struct cmd cmd_member = {
    .use = "member <subcommand>", .brief = "Membership related commands", .children = children};
