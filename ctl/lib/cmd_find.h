/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of cmd: from words to the command they name.
 */
#ifndef CTL_CMD_FIND_H
#define CTL_CMD_FIND_H

#include "ctl/lib/cmd.h"

/* Walks from run->path[depth - 1] down as far as the words name commands and takes these words out
 * of args. *out_word: the first word that is left and is no option; *count when there is none. */
void cmd_find(struct cmd_run *run, size_t *count, char **args, size_t *out_word);
/* unknown command "x" for "etcdctl", with the names that are near. */
void cmd_explain_unknown(const struct cmd_run *run, const char *word, struct why *why);
/* "etcdctl lease grant". */
const char *cmd_path_text(const struct cmd_run *run);
bool cmd_is_named(const struct cmd *cmd, const char *word, size_t len);

#endif
