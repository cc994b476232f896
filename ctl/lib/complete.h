/* SPDX-License-Identifier: Apache-2.0
 *
 * The command "completion", the same for every program with a table of commands.
 */
#ifndef CTL_COMPLETE_H
#define CTL_COMPLETE_H

#include "ctl/lib/cmd.h"

/* "completion SHELL": a script that completes the words of the root's commands. */
int cmd_complete(struct cmd_run *run);
extern const struct cmd_option cmd_complete_options[];
/* What both programs say of it. program: a literal. */
#define CMD_COMPLETION(program)                                                                    \
    {                                                                                              \
        .use = "completion [bash|zsh|fish|powershell]", .brief = "Generate completion script",     \
        .text = "To load completions:\n"                                                           \
                "\n"                                                                               \
                "Bash:\n"                                                                          \
                "\n"                                                                               \
                "  $ source <(" program " completion bash)\n"                                      \
                "\n"                                                                               \
                "  # To load completions for each session, execute once:\n"                        \
                "  # Linux:\n"                                                                     \
                "  $ " program " completion bash > /etc/bash_completion.d/" program "\n"           \
                "  # macOS:\n"                                                                     \
                "  $ " program " completion bash > /usr/local/etc/bash_completion.d/" program "\n" \
                "\n"                                                                               \
                "Zsh:\n"                                                                           \
                "\n"                                                                               \
                "  # If shell completion is not already enabled in your environment,\n"            \
                "  # you will need to enable it.  You can execute the following once:\n"           \
                "\n"                                                                               \
                "  $ echo \"autoload -U compinit; compinit\" >> ~/.zshrc\n"                        \
                "\n"                                                                               \
                "  # To load completions for each session, execute once:\n"                        \
                "  $ " program " completion zsh > \"${fpath[1]}/_" program "\"\n"                  \
                "\n"                                                                               \
                "  # You will need to start a new shell for this setup to take effect.\n"          \
                "\n"                                                                               \
                "fish:\n"                                                                          \
                "\n"                                                                               \
                "  $ " program " completion fish | source\n"                                       \
                "\n"                                                                               \
                "  # To load completions for each session, execute once:\n"                        \
                "  $ " program " completion fish > ~/.config/fish/completions/" program ".fish\n"  \
                "\n"                                                                               \
                "PowerShell:\n"                                                                    \
                "\n"                                                                               \
                "  PS> " program " completion powershell | Out-String | Invoke-Expression\n"       \
                "\n"                                                                               \
                "  # To load completions for every new session, run:\n"                            \
                "  PS> " program " completion powershell > " program ".ps1\n"                      \
                "  # and source this file from your PowerShell profile.\n",                        \
        .options = cmd_complete_options, .run = cmd_complete, .hides_flags = true,                 \
    }

#endif
