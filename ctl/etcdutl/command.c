/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/etcdutl/command.h"
#include "ctl/etcdutl/etcdutl.h"

static const struct cmd_option options[] = {
    {"write-out", CMD_STRING, "simple",
        "set the output format (fields, json, protobuf, simple, table)", 'w', true},
    {0},
};

static const struct cmd *const children[] = {
    &cmd_backup,
    &cmd_check,
    &cmd_utl_completion,
    &cmd_defrag,
    &cmd_hashkv,
    &cmd_utl_help,
    &cmd_migrate,
    &cmd_snapshot,
    &cmd_version,
    NULL,
};

static const struct cmd root = {
    .use = "etcdutl",
    .brief = "An administrative command line tool for etcd3.",
    .options = options,
    .children = children,
};

/* cobra gives a command its help flag when it runs; the root in this text has not run. */
static void drop_help(struct cmd_run *run)
{
    size_t kept = 0;
    for (size_t i = 0; i < run->values_count; i++) {
        if (strcmp(run->values[i].option->name, "help") != 0) {
            run->values[kept++] = run->values[i];
        }
    }
    run->values_count = kept;
}

static int help_run(struct cmd_run *run)
{
    struct cmd_run topic = {.arena = run->arena};
    struct why why;
    if (cmd_parse(&root, run->args_count, run->args, &topic, &why) != CMD_UNKNOWN) {
        usage_print(&topic, stdout);
        return CMD_EXIT_OK;
    }
    fprintf(stderr, "Unknown help topic [");
    for (size_t i = 0; i < run->args_count; i++) {
        fprintf(stderr, "%s`%s`", i ? " " : "", run->args[i]);
    }
    fprintf(stderr, "]\n");
    cmd_reset(&topic);
    drop_help(&topic);
    usage_print(&topic, stderr);
    return CMD_EXIT_OK;
}

const struct cmd cmd_utl_help = {
    .use = "help [command]",
    .brief = "Help about any command",
    .run = help_run,
};

/* cobra says it, then the program says it again. */
static int complain(const struct cmd_run *run, enum cmd_outcome outcome, const char *why)
{
    fprintf(stderr, "Error: %s\n", why);
    if (outcome == CMD_UNKNOWN) {
        fprintf(stderr, "Run 'etcdutl --help' for usage.\n");
    } else {
        usage_print(run, stderr);
        fprintf(stderr, "\n");
    }
    fprintf(stderr, "Error: %s\n", why);
    return CMD_EXIT_ERROR;
}

static int dispatch(struct cmd_run *run, size_t count, char *const *args)
{
    struct why why = {""};
    enum cmd_outcome outcome = cmd_parse(&root, count, args, run, &why);
    switch (outcome) {
    case CMD_OK:
        return run->path[run->depth - 1]->run(run);
    case CMD_HELP:
        usage_print(run, stdout);
        return CMD_EXIT_OK;
    case CMD_UNKNOWN:
    case CMD_BAD_OPTION:
        break;
    }
    return complain(run, outcome, why.text);
}

int etcdutl_run(int argc, char **argv)
{
    struct cmd_run run = {.argv = argv, .argc = (size_t)argc, .arena = arena_new(0)};
    int code = dispatch(&run, (size_t)argc - 1, argv + 1);
    arena_free(run.arena);
    return code;
}
