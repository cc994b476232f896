/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

#include <inttypes.h>

static const struct cmd_option options[] = {
    {"physical", CMD_BOOL, "false",
        "'true' to wait for compaction to physically remove all old revisions", 0, false},
    {0},
};

static int compaction(struct cmd_run *run)
{
    const Etcdserverpb__CompactionResponse *response;
    struct client *client;
    struct printer printer;
    struct why why;

    REQUEST(CompactionRequest, compaction_request, request);
    if (run->args_count != 1) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "compaction command needs 1 argument");
    }
    if (err_is(gotext_parse_int(run->args[0], 10, &request.revision, &why))) {
        return cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
    }
    request.physical = cmd_bool(run, "physical");
    int code = ctl_connect(run, &client, &printer);
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_compact, &request, ctl_deadline(run), &response);
    }
    if (code == CMD_EXIT_OK) {
        printf("compacted revision %" PRId64 "\n", request.revision);
        client_close(client);
    }
    return code;
}

const struct cmd cmd_compaction = {
    .use = "compaction [options] <revision>",
    .brief = "Compacts the event history in etcd",
    .options = options,
    .run = compaction,
};
