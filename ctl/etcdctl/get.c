/* SPDX-License-Identifier: Apache-2.0 */
#include "etcdctl.h"

#include <inttypes.h>
#include <strings.h>

static const struct cmd_option options[] = {
    {"consistency", CMD_STRING, "l", "Linearizable(l) or Serializable(s)", 0, false},
    {"order", CMD_STRING, "", "Order of results; ASCEND or DESCEND (ASCEND by default)", 0, false},
    {"sort-by", CMD_STRING, "", "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION", 0, false},
    {"limit", CMD_INT64, "0", "Maximum number of results", 0, false},
    {"prefix", CMD_BOOL, "false", "Get keys with matching prefix", 0, false},
    {"from-key", CMD_BOOL, "false",
        "Get keys that are greater than or equal to the given key using byte compare", 0, false},
    {"rev", CMD_INT64, "0", "Specify the kv revision", 0, false},
    {"keys-only", CMD_BOOL, "false", "Get only the keys", 0, false},
    {"count-only", CMD_BOOL, "false", "Get only the count", 0, false},
    {"print-value-only", CMD_BOOL, "false",
        "Only write values when using the \"simple\" output format", 0, false},
    {"min-create-rev", CMD_INT64, "0", "Minimum create revision", 0, false},
    {"max-create-rev", CMD_INT64, "0", "Maximum create revision", 0, false},
    {"min-mod-rev", CMD_INT64, "0", "Minimum modification revision", 0, false},
    {"max-mod-rev", CMD_INT64, "0", "Maximum modification revision", 0, false},
    {0},
};

struct word {
    const char *name;
    int value;
};

static const struct word orders[] = {
    {"ASCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND},
    {"DESCEND", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__DESCEND},
    {"", ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE},
    {0},
};

static const struct word targets[] = {
    {"CREATE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__CREATE},
    {"KEY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
    {"MODIFY", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__MOD},
    {"VALUE", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VALUE},
    {"VERSION", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__VERSION},
    {"", ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY},
    {0},
};

static int word_value(const struct word *words, const char *what, const char *text, int *out_value)
{
    for (; words->name; words++) {
        if (strcasecmp(words->name, text) == 0) {
            *out_value = words->value;
            return CMD_EXIT_OK;
        }
    }
    return cmd_fail(CMD_EXIT_BAD_FEATURE, "bad sort %s %s", what, text);
}

static int set_sort(const struct cmd_run *run, Etcdserverpb__RangeRequest *out)
{
    int order = 0, target = 0;
    int code = word_value(orders, "order", cmd_text(run, "order"), &order);

    if (code == CMD_EXIT_OK) {
        code = word_value(targets, "target", cmd_text(run, "sort-by"), &target);
    }
    if (code != CMD_EXIT_OK) {
        return code;
    }
    /* Keys come in ascending order anyway: clientv3 spares the server the work. */
    if (target == ETCDSERVERPB__RANGE_REQUEST__SORT_TARGET__KEY &&
        order == ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__ASCEND) {
        order = ETCDSERVERPB__RANGE_REQUEST__SORT_ORDER__NONE;
    }
    out->sort_order = (Etcdserverpb__RangeRequest__SortOrder)order;
    out->sort_target = (Etcdserverpb__RangeRequest__SortTarget)target;
    return CMD_EXIT_OK;
}

static int64_t positive(int64_t revision)
{
    return revision > 0 ? revision : 0;
}

static int set_filters(const struct cmd_run *run, Etcdserverpb__RangeRequest *out)
{
    int64_t min_create = cmd_int(run, "min-create-rev"),
            max_create = cmd_int(run, "max-create-rev");
    int64_t min_mod = cmd_int(run, "min-mod-rev"), max_mod = cmd_int(run, "max-mod-rev");

    if (max_create > 0 && min_create > max_create) {
        return cmd_fail(CMD_EXIT_BAD_FEATURE,
            "getMinCreateRev(=%" PRId64 ") > getMaxCreateRev(=%" PRId64 ")", min_create,
            max_create);
    }
    if (max_mod > 0 && min_mod > max_mod) {
        return cmd_fail(CMD_EXIT_BAD_FEATURE,
            "getMinModRev(=%" PRId64 ") > getMaxModRev(=%" PRId64 ")", min_mod, max_mod);
    }
    out->min_create_revision = positive(min_create);
    out->max_create_revision = positive(max_create);
    out->min_mod_revision = positive(min_mod);
    out->max_mod_revision = positive(max_mod);
    return CMD_EXIT_OK;
}

static int check_arguments(const struct cmd_run *run)
{
    bool is_prefix = cmd_bool(run, "prefix"), is_from_key = cmd_bool(run, "from-key");

    if (run->args_count == 0) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "get command needs one argument as key and an optional argument as range_end");
    }
    if (is_prefix && is_from_key) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    }
    if (cmd_bool(run, "keys-only") && cmd_bool(run, "count-only")) {
        return cmd_fail(CMD_EXIT_BAD_ARGS,
            "`--keys-only` and `--count-only` cannot be set at the same time, choose one");
    }
    return CMD_EXIT_OK;
}

static int set_range(const struct cmd_run *run, Etcdserverpb__RangeRequest *out)
{
    struct slice key = ctl_arg(run, 0);
    bool is_prefix = cmd_bool(run, "prefix"), is_from_key = cmd_bool(run, "from-key");

    if (run->args_count > 1) {
        if (is_prefix || is_from_key) {
            return cmd_fail(CMD_EXIT_BAD_ARGS, "too many arguments, only accept one argument when "
                                               "`--prefix` or `--from-key` is set");
        }
        out->range_end = pb_bytes(ctl_arg(run, 1));
    }
    if (is_from_key || (is_prefix && key.len == 0)) {
        key = key.len == 0 ? PREFIX_FROM_KEY : key;
        out->range_end = pb_bytes(PREFIX_FROM_KEY);
    } else if (is_prefix) {
        out->range_end = pb_bytes(prefix_range_end(run->arena, key));
    }
    out->key = pb_bytes(key);
    return CMD_EXIT_OK;
}

int ctl_get_request(struct cmd_run *run, Etcdserverpb__RangeRequest *out)
{
    const char *consistency = cmd_text(run, "consistency");
    bool is_serializable = false;
    int code = check_arguments(run);

    etcdserverpb__range_request__init(out);
    if (code == CMD_EXIT_OK) {
        code = ctl_consistency(consistency, consistency, &is_serializable);
    }
    if (code == CMD_EXIT_OK) {
        code = set_range(run, out);
    }
    if (code == CMD_EXIT_OK) {
        code = set_sort(run, out);
    }
    if (code == CMD_EXIT_OK) {
        code = set_filters(run, out);
    }
    out->serializable = is_serializable;
    out->limit = cmd_int(run, "limit");
    out->revision = positive(cmd_int(run, "rev"));
    out->keys_only = cmd_bool(run, "keys-only");
    out->count_only = cmd_bool(run, "count-only");
    return code;
}

static int print(
    const struct cmd_run *run, struct printer *printer, const Etcdserverpb__RangeResponse *response)
{
    if (cmd_bool(run, "count-only") && printer->format != PRINT_FIELDS) {
        return cmd_fail(CMD_EXIT_BAD_ARGS, "--count-only is only for `--write-out=fields`");
    }
    if (cmd_bool(run, "print-value-only")) {
        if (printer->format != PRINT_SIMPLE) {
            return cmd_fail(CMD_EXIT_BAD_ARGS, "print-value-only is only for `--write-out=simple`");
        }
        printer->is_value_only = true;
    }
    return print_range(printer, response);
}

static int get(struct cmd_run *run)
{
    const Etcdserverpb__RangeResponse *response;
    struct client *client;
    struct printer printer;

    REQUEST(RangeRequest, range_request, request);
    int code = ctl_get_request(run, &request);
    client_deadline deadline = ctl_deadline(run);
    if (code == CMD_EXIT_OK) {
        code = ctl_connect(run, &client, &printer);
    }
    if (code == CMD_EXIT_OK) {
        code = ctl_call(client, &client_range, &request, deadline, &response);
    }
    if (code == CMD_EXIT_OK) {
        code = print(run, &printer, response);
        client_close(client);
    }
    return code;
}

const struct cmd cmd_get = {
    .use = "get [options] <key> [range_end]",
    .brief = "Gets the key or a range of keys",
    .options = options,
    .run = get,
};
