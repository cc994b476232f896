/* SPDX-License-Identifier: Apache-2.0
 *
 * What systemd is told, and the wait for signals. Main thread.
 */
#ifndef BOOT_NOTIFY_H
#define BOOT_NOTIFY_H

#include "base/err.h"

#include <stdint.h>

/* Blocks the signals that the member handles; before any thread starts, so that all inherit it. */
void notify_block_signals(void);
/* Until notify_take_signals SIGTERM and SIGINT end the process at once, as if they were not
 * handled, while SIGHUP waits: for a member that opens, which may take long and survives a kill at
 * any moment. All threads keep them blocked but one small one of its own. */
void notify_pass_signals(void);
void notify_take_signals(void);
/* READY=1 with a status line. Without systemd: nothing. */
void notify_ready(const char *status);
void notify_stopping(void);

/* What a wait looks at; each is called with arg. */
struct notify_watch {
    /* Whether systemd's watchdog is to be fed, and a start given more time. */
    bool (*is_alive)(void *arg);
    void (*reload)(void *arg); /* on SIGHUP */
    /* What is waited for, looked at again and again: it waits a little itself. NULL: only a signal
     * ends the wait. Until then READY=1 was not told. */
    bool (*is_over)(void *arg);
    void *arg;
};

/* Until a signal to stop comes, which it returns, or until is_over: 0. Has no limit, not even
 * systemd's. */
int notify_wait(const struct notify_watch *watch);

#endif
