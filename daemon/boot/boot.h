/* SPDX-License-Identifier: Apache-2.0
 *
 * From a configuration to a member that serves, and back: opens or bootstraps the data directory,
 * wires the rooms, starts the threads, tells systemd, waits for the signal to stop. Called by main,
 * on the main thread.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "config/config.h"

/* Returns the exit status: 0 after a clean stop, 1 when the member cannot start (the reason was
 * logged). */
int boot_run(const struct config *config);

#endif
