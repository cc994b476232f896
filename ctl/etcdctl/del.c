/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

#include <unistd.h>

static const struct cmd_option options[] = {
    {"prefix", CMD_BOOL, "false", "delete keys with matching prefix", 0, false},
    {"prev-kv", CMD_BOOL, "false", "return deleted key-value pairs", 0, false},
    {"from-key", CMD_BOOL, "false",
        "delete keys that are greater than or equal to the given key using byte compare", 0, false},
    {"range", CMD_BOOL, "false", "delete range of keys", 0, false},
    {0},
};

/* A range on the command line may be a slip: two seconds to think again, unless --range says it is
 * meant. */
static void warn_of_range(const struct cmd_run *run)
{
    fprintf(stderr, "Warning: Keys between ");
    gotext_print_quoted(stderr, ctl_arg(run, 0));
    fprintf(stderr, " and ");
    gotext_print_quoted(stderr, ctl_arg(run, 1));
    fprintf(stderr,
        " will be deleted. Please interrupt the command within next 2 seconds to cancel. "
        "You can provide `--range` flag to avoid the delay.\n");
    sleep(2);
}

int ctl_del_request(struct cmd_run *run, Etcdserverpb__DeleteRangeRequest *out)
{
    bool is_prefix = cmd_bool(run, "prefix"), is_from_key = cmd_bool(run, "from-key");

    etcdserverpb__delete_range_request__init(out);
    if (run->args_count == 0 || run->args_count > 2) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "del command needs one argument as key and an optional argument as range_end");
    }
    if (is_prefix && is_from_key) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    }
    struct slice key = ctl_arg(run, 0);
    if (run->args_count > 1) {
        if (is_prefix || is_from_key) {
            return cmd_fail(CMD_EXIT_BAD_ARGS, "too many arguments, only accept one argument when "
                                               "`--prefix` or `--from-key` is set");
        }
        out->range_end = pb_bytes(ctl_arg(run, 1));
        if (!cmd_bool(run, "range")) {
            warn_of_range(run);
        }
    }
    if (is_from_key || (is_prefix && key.len == 0)) {
        key = key.len == 0 ? PREFIX_FROM_KEY : key;
        out->range_end = pb_bytes(PREFIX_FROM_KEY);
    } else if (is_prefix) {
        out->range_end = pb_bytes(prefix_range_end(run->arena, key));
    }
    out->key = pb_bytes(key);
    out->prev_kv = cmd_bool(run, "prev-kv");
    return CMD_EXIT_OK;
}

static int del(struct cmd_run *run)
{
    const Etcdserverpb__DeleteRangeResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(DeleteRangeRequest, delete_range_request, request);
    int code = ctl_del_request(run, &request);
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_delete_range, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_delete(&printer, response);
        client_close(client);
    }
    return code;
}

const struct cmd cmd_del = {
    .use = "del [options] <key> [range_end]",
    .brief = "Removes the specified key or range of keys [key, range_end)",
    .options = options,
    .run = del,
};
