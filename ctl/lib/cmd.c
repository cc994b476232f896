/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lib/cmd.h"

#include "base/mem.h"
#include "ctl/lib/cmd_find.h"
#include "ctl/lib/gotext.h"

#include <stdarg.h>

static void add_value(struct cmd_run *run, const struct cmd_option *option, bool is_inherited)
{
    struct cmd_value *value = &run->values[run->values_count++];
    struct why why;

    *value = (struct cmd_value){.option = option, .text = "", .is_inherited = is_inherited};
    check(!err_is(cmd_value_set(value, option->fallback, run->arena, &why)));
}

static const struct cmd_option *help_option(struct cmd_run *run)
{
    struct cmd_option *option = arena_zalloc(run->arena, sizeof(*option));
    const char *name = cmd_name(run->path[run->depth - 1], run->arena);

    *option = (struct cmd_option){"help", CMD_BOOL, "false",
        arena_printf(run->arena, "help for %s", *name ? name : "this command"), 'h', false};
    return option;
}

void cmd_reset(struct cmd_run *run)
{
    size_t most = 1;

    for (size_t level = 0; level < run->depth; level++) {
        for (const struct cmd_option *o = run->path[level]->options; o && o->name; o++) {
            most++;
        }
    }
    run->values = arena_zalloc(run->arena, most * sizeof(*run->values));
    run->values_count = 0;
    for (const struct cmd_option *o = run->path[run->depth - 1]->options; o && o->name; o++) {
        add_value(run, o, false);
    }
    add_value(run, help_option(run), false);
    for (size_t level = run->depth - 1; level-- > 0;) {
        for (const struct cmd_option *o = run->path[level]->options; o && o->name; o++) {
            if (o->is_persistent) {
                add_value(run, o, true);
            }
        }
    }
}

static struct cmd_value *value_named(
    struct cmd_run *run, const char *name, size_t len, char shorthand)
{
    for (size_t i = 0; i < run->values_count; i++) {
        const struct cmd_option *o = run->values[i].option;
        if (name ? strlen(o->name) == len && memcmp(o->name, name, len) == 0
                 : o->shorthand == shorthand) {
            return &run->values[i];
        }
    }
    return NULL;
}

/* Go's %q of a character. */
static const char *rune_text(struct cmd_run *run, char c)
{
    return arena_printf(run->arena, c == '\'' ? "'\\%c'" : "'%c'", c);
}

static bool set_value(
    struct cmd_run *run, struct cmd_value *value, const char *text, struct why *why)
{
    const struct cmd_option *o = value->option;
    struct why inner;
    struct buf buf;

    if (!err_is(cmd_value_set(value, text, run->arena, &inner))) {
        value->is_changed = true;
        return true;
    }
    buf_init(&buf, SIZE_MAX);
    gotext_quote(&buf, slice_str(text));
    if (o->shorthand) {
        (void)why_set(why, ERR(BAD_INPUT), "invalid argument %s for \"-%c, --%s\" flag: %s",
            buf_text(&buf), o->shorthand, o->name, inner.text);
    } else {
        (void)why_set(why, ERR(BAD_INPUT), "invalid argument %s for \"--%s\" flag: %s",
            buf_text(&buf), o->name, inner.text);
    }
    buf_fini(&buf);
    return false;
}

/* --name, --name=value or --name value. *next is the following word, taken when it is the value. */
static bool parse_long(struct cmd_run *run, const char *word, char *const **next, struct why *why)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");

    if (*name == '-' || *name == '=') {
        (void)why_set(why, ERR(BAD_INPUT), "bad flag syntax: %s", word);
        return false;
    }
    struct cmd_value *value = value_named(run, name, len, 0);
    if (!value) {
        (void)why_set(why, ERR(BAD_INPUT), "unknown flag: --%.*s", (int)len, name);
        return false;
    }
    if (name[len] == '=') {
        return set_value(run, value, name + len + 1, why);
    }
    if (value->option->type == CMD_BOOL) {
        return set_value(run, value, "true", why);
    }
    if (!**next) {
        (void)why_set(why, ERR(BAD_INPUT), "flag needs an argument: --%s", name);
        return false;
    }
    return set_value(run, value, *(*next)++, why);
}

/* -abc, -w=json, -wjson or -w json. */
static bool parse_short(struct cmd_run *run, const char *word, char *const **next, struct why *why)
{
    for (const char *at = word + 1; *at; at++) {
        struct cmd_value *value = value_named(run, NULL, 0, *at);
        if (!value) {
            (void)why_set(
                why, ERR(BAD_INPUT), "unknown shorthand flag: %s in -%s", rune_text(run, *at), at);
            return false;
        }
        if (at[1] == '=' && at[2]) {
            return set_value(run, value, at + 2, why);
        }
        if (value->option->type == CMD_BOOL) {
            if (!set_value(run, value, "true", why)) {
                return false;
            }
            continue;
        }
        if (at[1]) {
            return set_value(run, value, at + 1, why);
        }
        if (!**next) {
            (void)why_set(
                why, ERR(BAD_INPUT), "flag needs an argument: %s in -%s", rune_text(run, *at), at);
            return false;
        }
        return set_value(run, value, *(*next)++, why);
    }
    return true;
}

bool cmd_parse_options(struct cmd_run *run, size_t count, char *const *args, struct why *why)
{
    char **words = arena_zalloc(run->arena, (count + 1) * sizeof(*words));

    if (count > 0) {
        memcpy(words, args, count * sizeof(*words));
    }
    cmd_reset(run);
    run->args = arena_zalloc(run->arena, (count + 1) * sizeof(*run->args));
    run->args_count = 0;
    for (char *const *next = words; *next;) {
        char *word = *next++;
        if (word[0] != '-' || word[1] == '\0') {
            run->args[run->args_count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            while (*next) {
                run->args[run->args_count++] = *next++;
            }
            break;
        }
        if (word[1] == '-' ? !parse_long(run, word, &next, why)
                           : !parse_short(run, word, &next, why)) {
            return false;
        }
    }
    return true;
}

enum cmd_outcome cmd_parse(
    const struct cmd *root, size_t count, char *const *args, struct cmd_run *run, struct why *why)
{
    char **words = arena_zalloc(run->arena, (count + 1) * sizeof(*words));
    size_t word;

    if (count > 0) {
        memcpy(words, args, count * sizeof(*words));
    }
    run->path[0] = root;
    run->depth = 1;
    cmd_find(run, &count, words, &word);
    if (run->depth == 1 && root->children && word < count) {
        cmd_explain_unknown(run, words[word], why);
        return CMD_UNKNOWN;
    }
    if (!cmd_parse_options(run, count, words, why)) {
        return CMD_BAD_OPTION;
    }
    return cmd_bool(run, "help") || !run->path[run->depth - 1]->run ? CMD_HELP : CMD_OK;
}

static const struct cmd_versions *versions_of_main;

int cmd_main(const struct cmd *root, const struct cmd_versions *versions, int argc, char **argv)
{
    struct cmd_run run = {.argv = argv, .argc = (size_t)argc, .arena = arena_new(0)};
    struct why why = {{0}};
    int code = CMD_EXIT_OK;

    versions_of_main = versions;
    switch (cmd_parse(root, (size_t)argc - 1, argv + 1, &run, &why)) {
    case CMD_OK:
        code = run.path[run.depth - 1]->run(&run);
        break;
    case CMD_HELP:
        cmd_usage(&run, versions, stdout);
        break;
    case CMD_UNKNOWN:
        code = cmd_fail(CMD_EXIT_ERROR, "%s", why.text);
        fprintf(stderr, "Run '%s --help' for usage.\n", cmd_path_text(&run));
        break;
    case CMD_BAD_OPTION:
        code = cmd_fail_usage(&run, "%s", why.text);
        break;
    }
    arena_free(run.arena);
    return code;
}

static int help_run(struct cmd_run *run)
{
    struct cmd_run topic = {.path = {run->path[0]}, .depth = 1, .arena = run->arena};
    size_t count = run->args_count;
    size_t word;

    cmd_find(&topic, &count, run->args, &word);
    if (topic.depth == 1 && word < count) {
        fprintf(stderr, "Unknown help topic [");
        for (size_t i = 0; i < run->args_count; i++) {
            fprintf(stderr, "%s`%s`", i ? " " : "", run->args[i]);
        }
        fprintf(stderr, "]\n");
    }
    cmd_reset(&topic);
    cmd_usage(&topic, versions_of_main, stdout);
    return CMD_EXIT_OK;
}

const struct cmd cmd_help = {
    .use = "help [command]",
    .brief = "Help about any command",
    .text = "Help provides help for any command in the application.\n"
            "Simply type etcdctl help [path to command] for full details.",
    .run = help_run,
};

int cmd_fail_usage(const struct cmd_run *run, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "Error: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    cmd_usage(run, versions_of_main, stdout);
    fprintf(stderr, "\n");
    return CMD_EXIT_ERROR;
}

int cmd_fail(int code, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "Error: ");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    return code;
}
