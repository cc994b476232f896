/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion scripts, made from the command tables: which words may follow which commands, and
 * their options. */
#include "ctl/lib/complete.h"

#include "base/arena.h"

#include <string.h>

/* What stands around a path and its words. */
struct form {
    const char *before;
    const char *between;
    const char *behind;
};

/* One case a command: its path, then the names below it and its options. */
static void print_words(
    struct arena *arena, const struct cmd *cmd, const char *path, const struct form *form)
{
    char *words = arena_strdup(arena, "");

    for (const struct cmd *const *child = cmd->children; child && *child; child++) {
        words = arena_printf(arena, "%s%s ", words, cmd_name(*child, arena));
    }
    for (const struct cmd_option *o = cmd->options; o && o->name; o++) {
        words = arena_printf(arena, "%s--%s ", words, o->name);
    }
    printf("%s%s%s%s%s", form->before, path, form->between, words, form->behind);
    for (const struct cmd *const *child = cmd->children; child && *child; child++) {
        const char *space = *path ? " " : "";
        print_words(arena, *child,
            arena_printf(arena, "%s%s%s", path, space, cmd_name(*child, arena)), form);
    }
}

static void print_bash(const struct cmd *root, const char *name, struct arena *arena)
{
    printf("# bash completion for %s\n"
           "_%s()\n"
           "{\n"
           "    local path=\"\" word i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=\"${COMP_WORDS[i]}\"\n"
           "        case \"$word\" in -* | *=* | *:* | */*) continue ;; esac\n"
           "        path=\"${path:+$path }$word\"\n"
           "    done\n"
           "    local words=\"\"\n"
           "    case \"$path\" in\n",
        name, name);
    print_words(arena, root, "", &(const struct form){"    \"", "\") words=\"", "\" ;;\n"});
    printf("    esac\n"
           "    COMPREPLY=($(compgen -W \"$words --help\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
           "}\n"
           "complete -o default -F _%s %s\n",
        name, name);
}

static void print_powershell(const struct cmd *root, const char *name, struct arena *arena)
{
    printf(
        "Register-ArgumentCompleter -Native -CommandName %s -ScriptBlock {\n"
        "    param($word, $ast, $position)\n"
        "    $path = ($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { \"$_\" } |\n"
        "        Where-Object { $_ -notmatch '^-' -and $_ -ne $word }) -join ' '\n"
        "    $words = switch ($path) {\n",
        name);
    print_words(arena, root, "", &(const struct form){"        '", "' { '", "' }\n"});
    printf("    }\n"
           "    \"$words\".Split(' ') | Where-Object { $_ -and $_.StartsWith($word) }\n"
           "}\n");
}

static void print_fish(const struct cmd *root, const char *name, struct arena *arena)
{
    printf("# fish completion for %s\n"
           "function __%s_words\n"
           "    switch (string join ' ' (string match -v -- '-*' (commandline -opc)[2..-1]))\n",
        name, name);
    print_words(arena, root, "",
        &(const struct form){"        case '", "'\n            string split ' ' -- '", "'\n"});
    printf("    end\n"
           "end\n"
           "complete -c %s -f -a '(__%s_words)'\n",
        name, name);
}

/* A flag of 3.5's; these scripts have no descriptions. */
const struct cmd_option cmd_complete_options[] = {
    {"no-descriptions", CMD_BOOL, "false", "disable completion descriptions", 0, false},
    {0},
};

int cmd_complete(struct cmd_run *run)
{
    const struct cmd *root = run->path[0];
    const char *name = cmd_name(root, run->arena);
    const char *shell = run->args_count == 1 ? run->args[0] : "";
    if (run->args_count != 1) {
        return cmd_fail_usage(run, "accepts 1 arg(s), received %zu", run->args_count);
    }
    if (strcmp(shell, "zsh") == 0) {
        printf("#compdef %s\nautoload -U +X bashcompinit && bashcompinit\n", name);
        print_bash(root, name, run->arena);
    } else if (strcmp(shell, "bash") == 0) {
        print_bash(root, name, run->arena);
    } else if (strcmp(shell, "fish") == 0) {
        print_fish(root, name, run->arena);
    } else if (strcmp(shell, "powershell") == 0) {
        print_powershell(root, name, run->arena);
    } else {
        return cmd_fail_usage(run, "invalid argument \"%s\" for \"%s completion\"", shell, name);
    }
    return CMD_EXIT_OK;
}
