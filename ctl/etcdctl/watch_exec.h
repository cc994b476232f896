/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a command for an event.
 */
#ifndef ETCDCTL_WATCH_EXEC_H
#define ETCDCTL_WATCH_EXEC_H

#include "etcdctl.h"

/* The environment with these variables ("name=value", NULL-terminated), each name once: theirs is
 * the value, or with keeps_inherited the one that was there. In the arena. */
char **exec_environment(struct arena *arena, char *const *variables, bool keeps_inherited);
/* Runs a command, whose stdin is empty, and waits for it. Gives its exit code, 255 for a signal (a
 * process that ends with Go's ExitStatus of it, -1), 1 when it was not started; *out_problem: what
 * went wrong, as Go says it, untouched when nothing did. */
int exec_wait(struct arena *arena, char *const *exec, char *const *env, const char **out_problem);
/* Waits for it. False when it could not be run or did not end with 0; it has then said so on
 * stderr. */
bool watch_exec(char *const *exec, int64_t revision, const Mvccpb__Event *event);

#endif
