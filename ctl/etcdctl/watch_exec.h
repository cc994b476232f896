/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a command for an event.
 */
#ifndef ETCDCTL_WATCH_EXEC_H
#define ETCDCTL_WATCH_EXEC_H

#include "etcdctl.h"

/* Waits for it. False when it could not be run or did not end with 0; it has then said so on
 * stderr. */
bool watch_exec(char *const *exec, int64_t revision, const Mvccpb__Event *event);

#endif
