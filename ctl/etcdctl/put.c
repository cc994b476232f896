/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

static const struct cmd_option options[] = {
    {"lease", CMD_STRING, "0", "lease ID (in hexadecimal) to attach to the key", 0, false},
    {"prev-kv", CMD_BOOL, "false", "return the previous key-value pair before modification", 0,
        false},
    {"ignore-value", CMD_BOOL, "false", "updates the key using its current value", 0, false},
    {"ignore-lease", CMD_BOOL, "false", "updates the key using its current lease", 0, false},
    {0},
};

int ctl_put_request(struct cmd_run *run, Etcdserverpb__PutRequest *out)
{
    static const char usage[] = "put command needs 1 argument and input from stdin or 2 arguments";
    bool ignores_value = cmd_bool(run, "ignore-value");
    struct why why;

    etcdserverpb__put_request__init(out);
    if (run->args_count == 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "%s", usage);
    }
    if (ignores_value && run->args_count > 1) {
        return cmd_fail(
            CMD_EXIT_BAD_ARGS, "put command needs only 1 argument when 'ignore-value' is set");
    }
    out->key = pb_bytes(ctl_arg(run, 0));
    if (!ignores_value) {
        /* A txn's lines are stdin's; there is no value behind them. */
        bool has_stdin = run->path[0] == &cmd_root;
        out->value = run->args_count > 1 ? pb_bytes(ctl_arg(run, 1))
                     : has_stdin         ? pb_bytes(ctl_read_stdin(run->arena))
                                         : ctl_bytes("");
        if (run->args_count == 1 && out->value.len == 0) {
            return cmd_fail(CMD_EXIT_BAD_ARGS, "%s", usage);
        }
    }
    if (err_is(gotext_parse_int(cmd_text(run, "lease"), 16, &out->lease, &why))) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "bad lease ID (%s), expecting ID in Hex", why.text);
    }
    out->prev_kv = cmd_bool(run, "prev-kv");
    out->ignore_value = ignores_value;
    out->ignore_lease = cmd_bool(run, "ignore-lease");
    return CMD_EXIT_OK;
}

static int put(struct cmd_run *run)
{
    const Etcdserverpb__PutResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(PutRequest, put_request, request);
    int code = ctl_put_request(run, &request);
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_put, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print_put(&printer, response);
        client_close(client);
    }
    return code;
}

const struct cmd cmd_put = {
    .use = "put [options] <key> <value> (<value> can also be given from stdin)",
    .brief = "Puts the given key into the store",
    .text =
        "\nPuts the given key into the store.\n"
        "\n"
        "When <value> begins with '-', <value> is interpreted as a flag.\n"
        "Insert '--' for workaround:\n"
        "\n"
        "$ put <key> -- <value>\n"
        "$ put -- <key> <value>\n"
        "\n"
        "If <value> isn't given as a command line argument and '--ignore-value' is not specified,\n"
        "this command tries to read the value from standard input.\n"
        "\n"
        "If <lease> isn't given as a command line argument and '--ignore-lease' is not specified,\n"
        "this command tries to read the value from standard input.\n"
        "\n"
        "For example,\n"
        "$ cat file | put <key>\n"
        "will store the content of the file to <key>.\n",
    .options = options,
    .run = put,
};
