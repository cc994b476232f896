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
/* False: for a while each of them ends the process at once, as if it were not handled. */
void notify_take_signals(bool is_taken);
/* READY=1 with a status line. Without systemd: nothing. */
void notify_ready(const char *status);
void notify_stopping(void);
/* A signal to stop that came within timeout_ms; 0: none. */
int notify_poll(int64_t timeout_ms);
/* Feeds the watchdog while is_alive says so, and answers SIGHUP with reload, until a signal to stop
 * comes; returns it. */
int notify_wait(bool (*is_alive)(void *arg), void (*reload)(void *arg), void *arg);

#endif
