/* SPDX-License-Identifier: Apache-2.0
 * The usage text of cobra and pflag: columns of spaces, a type's name behind a flag, defaults in
 * brackets. */
#include "base/mem.h"
#include "ctl/etcdutl/command.h"

enum { NAME_WIDTH_MIN = 11 };

static const char *path_text(const struct cmd_run *run)
{
    const char *text = cmd_name(run->path[0], run->arena);
    for (size_t i = 1; i < run->depth; i++) {
        text = arena_printf(run->arena, "%s %s", text, cmd_name(run->path[i], run->arena));
    }
    return text;
}

/* The path with the last command's whole use line. */
static const char *use_line(const struct cmd_run *run)
{
    struct cmd_run above = *run;
    const char *use = run->path[run->depth - 1]->use;
    above.depth--;
    return above.depth ? arena_printf(run->arena, "%s %s", path_text(&above), use) : use;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct cmd *const *)a)->use, (*(const struct cmd *const *)b)->use);
}

static void print_children(const struct cmd_run *run, const struct cmd *cmd, FILE *out)
{
    size_t count = 0;
    while (cmd->children[count]) {
        count++;
    }
    const struct cmd **sorted = mem_dup(cmd->children, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_name);
    fprintf(out, "\nAvailable Commands:\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(
            out, "  %-*s %s\n", NAME_WIDTH_MIN, cmd_name(sorted[i], run->arena), sorted[i]->brief);
    }
    free(sorted);
}

static const char *type_name(enum cmd_option_type type)
{
    static const char *const names[] = {
        [CMD_BOOL] = "",
        [CMD_STRING] = " string",
        [CMD_INT64] = " int",
        [CMD_INT] = " int",
        [CMD_UINT] = " uint",
        [CMD_DURATION] = " duration",
        [CMD_LIST] = " strings",
    };
    return names[type];
}

static const char *option_head(const struct cmd_run *run, const struct cmd_option *o)
{
    const char *type = type_name(o->type);
    return o->shorthand ? arena_printf(run->arena, "  -%c, --%s%s", o->shorthand, o->name, type)
                        : arena_printf(run->arena, "      --%s%s", o->name, type);
}

static const char *option_default(const struct cmd_run *run, const struct cmd_option *o)
{
    bool is_zero =
        !*o->fallback || strcmp(o->fallback, "0") == 0 || strcmp(o->fallback, "false") == 0;
    if (is_zero) {
        return "";
    }
    return o->type == CMD_STRING ? arena_printf(run->arena, " (default \"%s\")", o->fallback)
                                 : arena_printf(run->arena, " (default %s)", o->fallback);
}

static int by_option(const void *a, const void *b)
{
    const struct cmd_value *const *one = a;
    const struct cmd_value *const *two = b;
    return strcmp((*one)->option->name, (*two)->option->name);
}

static void print_options(const struct cmd_run *run, bool is_inherited, FILE *out)
{
    const struct cmd_value **sorted = mem_alloc(run->values_count * sizeof(*sorted));
    size_t count = 0;
    size_t width = 0;
    for (size_t i = 0; i < run->values_count; i++) {
        if (run->values[i].is_inherited == is_inherited) {
            size_t len = strlen(option_head(run, run->values[i].option));
            width = len > width ? len : width;
            sorted[count++] = &run->values[i];
        }
    }
    if (count) {
        fprintf(out, "\n%s:\n", is_inherited ? "Global Flags" : "Flags");
        qsort(sorted, count, sizeof(*sorted), by_option);
    }
    for (size_t i = 0; i < count; i++) {
        const struct cmd_option *o = sorted[i]->option;
        fprintf(out, "%-*s   %s%s\n", (int)width, option_head(run, o), o->usage,
            option_default(run, o));
    }
    free(sorted);
}

void usage_print(const struct cmd_run *run, FILE *out)
{
    const struct cmd *cmd = run->path[run->depth - 1];
    fprintf(out, "Usage:\n");
    if (cmd->run) {
        fprintf(out, "  %s%s\n", use_line(run), strstr(cmd->use, "[flags]") ? "" : " [flags]");
    }
    if (cmd->children) {
        fprintf(out, "  %s [command]\n", path_text(run));
        print_children(run, cmd, out);
    }
    print_options(run, false, out);
    print_options(run, true, out);
    if (cmd->children) {
        fprintf(out, "\nUse \"%s [command] --help\" for more information about a command.\n",
            path_text(run));
    }
}

int fail_required(const struct cmd_run *run, const char *flags)
{
    fprintf(stderr, "Error: required flag(s) %s not set\n", flags);
    usage_print(run, stderr);
    fprintf(stderr, "\n");
    return cmd_fail(CMD_EXIT_ERROR, "required flag(s) %s not set", flags);
}
