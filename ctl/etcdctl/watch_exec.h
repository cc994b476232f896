/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a command for an event.
 */
#ifndef ETCDCTL_WATCH_EXEC_H
#define ETCDCTL_WATCH_EXEC_H

#include "etcdctl.h"

/* The environment with room for that many variables more, NULL-terminated. */
char **exec_environment(struct arena *arena, size_t room);
/* Runs a command, whose stdin is empty, and waits for it. Gives its exit code, 255 for a signal (a
 * process that ends with Go's ExitStatus of it, -1), 1 when it was not started; *out_problem: what
 * went wrong, as Go says it, untouched when nothing did. */
int exec_wait(struct arena *arena, char *const *exec, char *const *env, const char **out_problem);
/* Waits for it. False when it could not be run or did not end with 0; it has then said so on
 * stderr. */
bool watch_exec(char *const *exec, int64_t revision, const Mvccpb__Event *event);

#endif
