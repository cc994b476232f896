/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

#include <errno.h>

static const struct cmd_option options[] = {
    {"interactive", CMD_BOOL, "false", "Input transaction in interactive mode", 'i', false},
    {0},
};

/* What a line of a transaction may be. */
static const struct cmd *const requests[] = {&cmd_put, &cmd_get, &cmd_del, NULL};
static const struct cmd request_root = {.use = "", .brief = "", .children = requests};

enum { TXN_ITEMS_MAX = 1 << 16 };

/* The next line without white space at its ends, NULL at an empty one. Gives an exit code: an end
 * of input is one. */
static int read_line(struct arena *arena, const char **out_line)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, stdin);

    if (len <= 0 || line[len - 1] != '\n') {
        free(line);
        return cmd_fail(CMD_EXIT_INVALID_INPUT, "EOF");
    }
    if (memchr(line, '\0', (size_t)len)) {
        free(line);
        return cmd_fail(CMD_EXIT_INVALID_INPUT, "a NUL in a line: write \\x00 in double quotes");
    }
    const char *trimmed = text_trim(arena, line);
    free(line);
    *out_line = *trimmed ? trimmed : NULL;
    return CMD_EXIT_OK;
}

static void prompt(const struct cmd_run *run, const char *text)
{
    if (cmd_bool(run, "interactive")) {
        printf("%s\n", text);
        fflush(stdout);
    }
}

static int read_compares(struct cmd_run *run, Etcdserverpb__TxnRequest *request)
{
    struct why why;

    request->compare = arena_alloc(run->arena, TXN_ITEMS_MAX * sizeof(*request->compare));
    while (request->n_compare < TXN_ITEMS_MAX) {
        const char *line;
        int code = read_line(run->arena, &line);
        if (code != CMD_EXIT_OK || !line) {
            return code;
        }
        if (err_is(lines_compare(run->arena, line, &request->compare[request->n_compare], &why))) {
            return cmd_fail(CMD_EXIT_INVALID_INPUT, "%s", why.text);
        }
        request->n_compare++;
    }
    return cmd_fail(CMD_EXIT_INVALID_INPUT, "too many lines");
}

/* The request of a parsed line. */
static int build(struct cmd_run *line, Etcdserverpb__RequestOp *out)
{
    const struct cmd *cmd = line->path[line->depth - 1];

    if (cmd == &cmd_put) {
        out->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
        out->request_put = arena_alloc(line->arena, sizeof(*out->request_put));
        return ctl_put_request(line, out->request_put);
    }
    if (cmd == &cmd_get) {
        out->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        out->request_range = arena_alloc(line->arena, sizeof(*out->request_range));
        return ctl_get_request(line, out->request_range);
    }
    out->request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    out->request_delete_range = arena_alloc(line->arena, sizeof(*out->request_delete_range));
    return ctl_del_request(line, out->request_delete_range);
}

static int parse_request(struct arena *arena, const char *line, Etcdserverpb__RequestOp **out)
{
    struct lines_words words;
    struct cmd_run run = {.arena = arena, .words = &words};
    struct why why;

    if (err_is(lines_split(arena, line, &words, &why))) {
        return cmd_fail(CMD_EXIT_INVALID_INPUT, "%s", why.text);
    }
    if (words.count < 2) {
        return cmd_fail(CMD_EXIT_INVALID_INPUT, "invalid txn compare request: %s", line);
    }
    if (cmd_parse(&request_root, words.count, words.texts, &run, &why) != CMD_OK ||
        !lines_are_whole(&words, run.args, run.args_count)) {
        return cmd_fail(CMD_EXIT_INVALID_INPUT, "invalid txn request: %s", line);
    }
    *out = arena_alloc(arena, sizeof(**out));
    etcdserverpb__request_op__init(*out);
    return build(&run, *out);
}

static int read_requests(struct cmd_run *run, Etcdserverpb__RequestOp ***out, size_t *out_count)
{
    *out = arena_alloc(run->arena, TXN_ITEMS_MAX * sizeof(**out));
    while (*out_count < TXN_ITEMS_MAX) {
        const char *line;
        int code = read_line(run->arena, &line);
        if (code != CMD_EXIT_OK || !line) {
            return code;
        }
        code = parse_request(run->arena, line, &(*out)[*out_count]);
        if (code != CMD_EXIT_OK) {
            return code;
        }
        (*out_count)++;
    }
    return cmd_fail(CMD_EXIT_INVALID_INPUT, "too many lines");
}

static int read_txn(struct cmd_run *run, Etcdserverpb__TxnRequest *request)
{
    prompt(run, "compares:");
    int code = read_compares(run, request);
    if (code == CMD_EXIT_OK) {
        prompt(run, "success requests (get, put, del):");
        code = read_requests(run, &request->success, &request->n_success);
    }
    if (code == CMD_EXIT_OK) {
        prompt(run, "failure requests (get, put, del):");
        code = read_requests(run, &request->failure, &request->n_failure);
    }
    return code;
}

static int txn(struct cmd_run *run)
{
    const Etcdserverpb__TxnResponse *response;
    struct client *client;
    struct printer printer;

    if (run->args_count != 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "txn command does not accept argument");
    }
    REQUEST(TxnRequest, txn_request, request);
    int code = ctl_connect(run, &client, &printer);
    if (code != CMD_EXIT_OK) {
        return code;
    }
    code = read_txn(run, &request);
    if (code != CMD_EXIT_OK) {
        client_close(client);
        return code;
    }
    code = ctl_call(client, &client_txn, &request, 0, &response);
    if (code == CMD_EXIT_OK) {
        code = print_txn(&printer, response);
        client_close(client);
    }
    return code;
}

const struct cmd cmd_txn = {
    .use = "txn [options]",
    .brief = "Txn processes all the requests in one transaction",
    .text = "Txn reads multiple etcd requests from standard input and applies them as a single "
            "atomic transaction.\n"
            "\n"
            "A transaction consists of three components:\n"
            "1) a list of conditions,\n"
            "2) a list of requests to apply if all the conditions are true,\n"
            "3) a list of requests to apply if any condition is false.\n"
            "\n"
            "Example interactive stdin usage:\n"
            "\n"
            "---\n"
            "etcdctl txn -i\n"
            "# compares:\n"
            "mod(\"key1\") > \"0\"\n"
            "\n"
            "# success requests (get, put, delete):\n"
            "put key1 \"overwrote-key1\"\n"
            "\n"
            "# failure requests (get, put, delete):\n"
            "put key1 \"created-key1\"\n"
            "put key2 \"some extra key\"\n"
            "---\n"
            "\n"
            "Refer to https://github.com/etcd-io/etcd/blob/main/etcdctl/README.md#txn-options.",
    .options = options,
    .run = txn,
};
