/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion scripts, made from the command tables: which words may follow which commands, and
 * their options. */
#include "etcdctl.h"

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

static void print_bash(struct arena *arena)
{
    printf("# bash completion for etcdctl\n"
           "_etcdctl()\n"
           "{\n"
           "    local path=\"\" word i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=\"${COMP_WORDS[i]}\"\n"
           "        case \"$word\" in -* | *=* | *:* | */*) continue ;; esac\n"
           "        path=\"${path:+$path }$word\"\n"
           "    done\n"
           "    local words=\"\"\n"
           "    case \"$path\" in\n");
    print_words(arena, &cmd_root, "", &(const struct form){"    \"", "\") words=\"", "\" ;;\n"});
    printf("    esac\n"
           "    COMPREPLY=($(compgen -W \"$words --help\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
           "}\n"
           "complete -o default -F _etcdctl etcdctl\n");
}

static void print_powershell(struct arena *arena)
{
    printf(
        "Register-ArgumentCompleter -Native -CommandName etcdctl -ScriptBlock {\n"
        "    param($word, $ast, $position)\n"
        "    $path = ($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { \"$_\" } |\n"
        "        Where-Object { $_ -notmatch '^-' -and $_ -ne $word }) -join ' '\n"
        "    $words = switch ($path) {\n");
    print_words(arena, &cmd_root, "", &(const struct form){"        '", "' { '", "' }\n"});
    printf("    }\n"
           "    \"$words\".Split(' ') | Where-Object { $_ -and $_.StartsWith($word) }\n"
           "}\n");
}

static void print_fish(struct arena *arena)
{
    printf("# fish completion for etcdctl\n"
           "function __etcdctl_words\n"
           "    switch (string join ' ' (string match -v -- '-*' (commandline -opc)[2..-1]))\n");
    print_words(arena, &cmd_root, "",
        &(const struct form){"        case '", "'\n            string split ' ' -- '", "'\n"});
    printf("    end\n"
           "end\n"
           "complete -c etcdctl -f -a '(__etcdctl_words)'\n");
}

static int completion(struct cmd_run *run)
{
    if (run->args_count != 1) {
        return cmd_fail_usage(run, "accepts 1 arg(s), received %zu", run->args_count);
    }
    if (strcmp(run->args[0], "zsh") == 0) {
        printf("#compdef etcdctl\nautoload -U +X bashcompinit && bashcompinit\n");
        print_bash(run->arena);
    } else if (strcmp(run->args[0], "bash") == 0) {
        print_bash(run->arena);
    } else if (strcmp(run->args[0], "fish") == 0) {
        print_fish(run->arena);
    } else if (strcmp(run->args[0], "powershell") == 0) {
        print_powershell(run->arena);
    } else {
        return cmd_fail_usage(
            run, "invalid argument \"%s\" for \"etcdctl completion\"", run->args[0]);
    }
    return CMD_EXIT_OK;
}

const struct cmd cmd_completion = {
    .use = "completion [bash|zsh|fish|powershell]",
    .brief = "Generate completion script",
    .text = "To load completions:\n"
            "\n"
            "Bash:\n"
            "\n"
            "  $ source <(etcdctl completion bash)\n"
            "\n"
            "  # To load completions for each session, execute once:\n"
            "  # Linux:\n"
            "  $ etcdctl completion bash > /etc/bash_completion.d/etcdctl\n"
            "  # macOS:\n"
            "  $ etcdctl completion bash > /usr/local/etc/bash_completion.d/etcdctl\n"
            "\n"
            "Zsh:\n"
            "\n"
            "  # If shell completion is not already enabled in your environment,\n"
            "  # you will need to enable it.  You can execute the following once:\n"
            "\n"
            "  $ echo \"autoload -U compinit; compinit\" >> ~/.zshrc\n"
            "\n"
            "  # To load completions for each session, execute once:\n"
            "  $ etcdctl completion zsh > \"${fpath[1]}/_etcdctl\"\n"
            "\n"
            "  # You will need to start a new shell for this setup to take effect.\n"
            "\n"
            "fish:\n"
            "\n"
            "  $ etcdctl completion fish | source\n"
            "\n"
            "  # To load completions for each session, execute once:\n"
            "  $ etcdctl completion fish > ~/.config/fish/completions/etcdctl.fish\n"
            "\n"
            "PowerShell:\n"
            "\n"
            "  PS> etcdctl completion powershell | Out-String | Invoke-Expression\n"
            "\n"
            "  # To load completions for every new session, run:\n"
            "  PS> etcdctl completion powershell > etcdctl.ps1\n"
            "  # and source this file from your PowerShell profile.\n",
    .run = completion,
    .hides_flags = true,
};
